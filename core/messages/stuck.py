"""Devices of a rollout that do not get on by themselves, for one person: since when, what helps, and a button."""

from __future__ import annotations

from core.messages.blocks import Block, Button, Confirm, Message, compose, context, section
from core.messages.text import ago, at, literal, mono, plain
from core.rollouts.stuck import STEPS, WORDS, in_words
from core.rollouts.work import Stuck, Sweep

STUCK = "stuck"
SHOWN = 20
_DOES = {
    "cancel": "It is asked to give up the install at its next poll. If it has begun, it may still install.",
    "quit": "hawkBit waits for it no longer. If it has downloaded already, it may still install.",
    "force": "It installs at its next poll and reboots, without anybody's agreement; that cannot be called back.",
    "catch-up": "It gets the set, installs it at its next poll and reboots, unless it runs it already.",
}


def stuck_message(name: str, stack: str, rollout: int, sweep: Sweep | None, *, named: bool) -> Message:
    """`named`: the person may see every tenant with devices in it; else only how many there are of each kind."""
    thing = f"*{literal(name, 120)}* on {literal(stack, 60)}"
    if sweep is None:
        what = f"*Not looked at yet*: {thing}. The bot looks for stuck devices about once a minute."
        return compose(what, section(what))
    number = sum(found for _, found in sweep.counts)
    head = f"*{number} stuck* in {thing}" if number else f"*Nobody is stuck* in {thing}"
    head += f", as of {at(sweep.at)}"
    blocks: list[Block] = [section(head)]
    if number and not named:
        whose = "Names are for those who may see all tenants with devices in it."
        blocks.append(section(f"{in_words(sweep.counts)}. {whose}"))
    if named:
        blocks += [_device(one, f"{stack}/{rollout}") for one in sweep.stuck[:SHOWN]]
        if number > SHOWN:
            blocks.append(context(f"and {number - SHOWN} more"))
    return compose(head, *blocks)


def _device(one: Stuck, rollout: str) -> Block:
    step = STEPS[one.trouble]
    since = f" since {at(one.since)} ({ago(one.since)})" if one.since is not None else ""
    text = f"{mono(one.device, 120)} in group {one.group}: {WORDS[one.trouble]}{since}. Next: {step.words}."
    if not step.verb:
        return section(text)
    asks = Confirm(f"{step.label}: {plain(one.device, 60)}?", _DOES[step.verb], step.label)
    return section(text, Button(step.verb, step.label, f"{rollout}/{one.device}", None, asks))
