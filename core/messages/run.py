"""One run of a runbook on a device: announced, then updated in place to its result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from core.messages.blocks import Message, code, compose, context, section
from core.messages.text import at, literal

SHOWN_LINES = 40


class RunState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"


_LOOK = {
    RunState.RUNNING: (":hourglass_flowing_sand:", "running"),
    RunState.DONE: (":white_check_mark:", "done"),
    RunState.FAILED: (":x:", "failed"),
    RunState.UNKNOWN: (":grey_question:", "outcome unknown"),
}


@dataclass(frozen=True, slots=True)
class RunView:
    """`argv` is the command as it was executed, "" for a runbook that acts on hawkBit. `lines` is foreign text, already
    redacted; `problem` says what went wrong and what to do."""

    title: str
    device: str
    by: str
    started_at: datetime
    state: RunState
    argv: str = ""
    summary: str = ""
    lines: Sequence[str] = ()
    warnings: Sequence[str] = ()
    problem: str = ""
    in_file: bool = False


def run_message(view: RunView) -> Message:
    icon, word = _LOOK[view.state]
    head = f"{icon} *{literal(view.title, 80)}* on *{literal(view.device, 80)}*: {word}"
    blocks = [section(head + (f"\n{literal(view.summary, 600)}" if view.summary else ""))]
    if view.problem:
        blocks.append(section(literal(view.problem, 1500)))
    if view.warnings:
        blocks.append(section("\n".join(f":warning: {literal(w, 300)}" for w in view.warnings[:10])))
    if view.lines:
        shown = list(view.lines[-SHOWN_LINES:])
        if len(view.lines) > SHOWN_LINES:
            shown.insert(0, f"… {len(view.lines) - SHOWN_LINES} lines before these")
        blocks.append(code("\n".join(shown)))
    notes = [f"By {literal(view.by, 80)}, {at(view.started_at)}"]
    if view.argv:
        notes.append(f"Ran {literal(view.argv, 300)}")
    if view.in_file:
        notes.append("The complete output is in the file below.")
    blocks.append(context(*notes))
    return compose(head, *blocks)
