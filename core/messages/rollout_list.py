"""The rollouts under way, for `/cdm rollout list`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.messages.blocks import Message, compose, context, section
from core.messages.text import literal, mono


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
    shown = [
        f"{mono(line.name, 100)} on {literal(line.stack, 40)}: {literal(line.status, 30)}, "
        f"{line.finished}/{line.total} claimed by hawkBit, {line.errors} errors"
        for line in lines[:40]
    ]
    if len(lines) > 40:
        shown.append(f"and {len(lines) - 40} more")
    blocks = [section("\n".join(shown) or "No rollout is under way in your tenants.")]
    if missing:
        blocks.append(context(*(f":warning: {literal(m, 300)}" for m in missing[:5])))
    return compose(f"Rollouts under way: {len(lines)}", *blocks)
