"""The rollouts under way, for `/cdm rollout list`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.messages.blocks import Message, compose, context, section
from core.messages.states import HAWKBIT
from core.messages.text import count, literal, mono
from core.rollouts.facts import RolloutStatus

SHOWN = 40


@dataclass(frozen=True, slots=True)
class RolloutLine:
    """One rollout in a line: `finished` of `total` devices by hawkBit's count, which is not yet proof."""

    stack: str
    name: str
    status: str
    finished: int
    errors: int
    total: int


def rollout_list_message(lines: Sequence[RolloutLine], missing: Sequence[str]) -> Message:
    head = f"*{count(len(lines), 'rollout')} under way*" if lines else "No rollout is under way in your tenants."
    what = "\n".join([head, *map(_line, lines[:SHOWN])])
    blocks = [section(what)]
    if len(lines) > SHOWN:
        blocks.append(context(f"and {len(lines) - SHOWN} more"))
    if missing:
        blocks.append(context(*(f"⚠️ {literal(m, 300)}" for m in missing[:5])))
    return compose(what, *blocks)


def _line(line: RolloutLine) -> str:
    thing = HAWKBIT[RolloutStatus(line.status)].over(f"{mono(line.name, 100)} on {literal(line.stack, 40)}")
    return f"{thing} · {line.finished}/{line.total} claimed by hawkBit · {count(line.errors, 'error')}"
