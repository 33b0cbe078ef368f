"""One message an order to reboot devices, in the thread of their rollout: announced, then updated to its end."""

from __future__ import annotations

from collections.abc import Iterable

from core.messages.blocks import Message, compose, context, section
from core.messages.fold import folded
from core.messages.states import RUNS, RunState
from core.messages.text import at, count, literal, mono
from core.rollouts.reboot import Reboot, Step, StepState

_NAMES, _REASONS = 600, 6


def reboot_message(rollout: str, order: Reboot) -> Message:
    """How many are back, then those that are not, by what is known of them."""
    head = RUNS[_state(order)].over(
        f"*Reboot {count(len(order.steps), 'device')}* of {mono(rollout, 120)}: {order.count(StepState.BACK)} back"
    )
    lines = [
        f"*{word}* ({len(steps)}): {folded([step.device for step in steps], _NAMES, len(steps))}"
        for state, word in _WORDS
        if (steps := order.having(state))
    ]
    blocks = [section(head)]
    if lines:
        blocks.append(section("\n".join(lines)))
    if reasons := _reasons(order.steps):
        blocks.append(section("\n".join(f"• {literal(one, 300)}" for one in reasons)))
    blocks.append(context(f"By {literal(order.by.name, 80)}, {at(order.at)}: {literal(order.reason, 200)}"))
    return compose(head, *blocks)


_WORDS = (
    (StepState.NOT_DONE, "Not rebooted"),
    (StepState.UNKNOWN, "Not back, look at them"),
    (StepState.SENT, "Rebooting"),
    (StepState.WAITING, "Next"),
    (StepState.BACK, "Back"),
)


def _state(order: Reboot) -> RunState:
    if not order.over:
        return RunState.RUNNING
    if order.count(StepState.BACK) == len(order.steps):
        return RunState.DONE
    return RunState.UNKNOWN if order.count(StepState.UNKNOWN) else RunState.FAILED


def _reasons(steps: Iterable[Step]) -> list[str]:
    """Each reason once, with the first device that it was told of."""
    found: dict[str, str] = {}
    for step in steps:
        if step.why:
            found.setdefault(step.why, step.device)
    return [f"{device}: {why}" for why, device in found.items()][:_REASONS]
