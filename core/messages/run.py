"""One run of a runbook on a device: announced, then updated in place to its result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from core.messages.blocks import Message, code, compose, context, section
from core.messages.states import RUNS
from core.messages.states import RunState as RunState
from core.messages.text import at, literal, mono

SHOWN_LINES = 40


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
    """The state, then the one finding that matters (`summary`), then the output."""
    head = RUNS[view.state].over(f"*{literal(view.title, 80)}* on {mono(view.device, 80)}")
    what = f"{head}\n{literal(view.summary, 600)}" if view.summary else head
    blocks = [section(what)]
    if view.problem:
        blocks.append(section(literal(view.problem, 1500)))
    if view.warnings:
        blocks.append(section("\n".join(f"⚠️ {literal(w, 300)}" for w in view.warnings[:10])))
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
    return compose(what, *blocks)
