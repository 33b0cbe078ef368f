"""Policies: a calendar that cannot be read, a change of the settings, and which policy decides about a rollout."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from core.messages.blocks import Message, compose, context, section
from core.messages.states import NOTICES, Notice
from core.messages.text import literal, mono
from core.rollouts.policies import Applied
from core.rollouts.policy_words import gates_in_words, why_it_applies, windows_in_words

SHOWN = 15


def calendar_message(file: str, problem: str) -> Message:
    """`problem` in words, "" once the file can be read again."""
    name = f"calendar {mono(file, 120)}"
    if not problem:
        what = f"{NOTICES[Notice.BACK].over(f'The *{name}* can be read again')}\nIts windows of now are in force."
        return compose(what, section(what))
    head = NOTICES[Notice.AWAY].over(f"The *{name}* cannot be read")
    what = f"{head}\n{literal(problem[:1].upper() + problem[1:], 300)}. The windows that it gave before stay in force."
    return compose(what, section(what), context("It is read again within an hour after it was corrected."))


def policies_changed_message(changed: Sequence[str], gone: Sequence[str]) -> Message:
    """`changed`: policies that are new or say something else, `gone`: those that there are no more; each as
    "stack/policy"."""
    said = []
    if changed:
        said.append(f"New or changed: {_named(changed)}.")
    if gone:
        said.append(f"Gone: {_named(gone)}.")
    what = f"⚙️ *The policies of releases were changed* in the settings\n{' '.join(said)}"
    note = "They decide from now on, also about rollouts under way. `/cdm policy <rollout>` shows which one applies."
    return compose(what, section(what), context(note))


def policy_message(stack: str, rollout: str, applied: Applied, now: datetime) -> Message:
    """For whoever asked which policy decides about a rollout."""
    head = f"*{mono(rollout, 100)} on {literal(stack, 40)}*: {literal(why_it_applies(applied), 300)}"
    lines = [*gates_in_words(applied.policy), *windows_in_words(applied.policy, now)]
    what = "\n".join([head, "Before a group starts:", *(f"• {literal(line, 200)}" for line in lines)])
    return compose(what, section(what))


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(mono(name, 100) for name in names[:SHOWN]) + more
