"""One decision as it was taken: rule by rule, each with its numbers, and how old they were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from core.ids import Tenant
from core.messages.blocks import Block, Button, Message, actions, compose, context, section
from core.messages.states import VERDICTS
from core.messages.text import at, literal, mono
from core.rollouts.actors import ActorKind
from core.rollouts.gates import Gate, Reason, Verdict
from core.rollouts.kept import Moment
from core.rollouts.progress import reason_in_words

WHY = "why"
"""The button's action; its value is "<stack>/<rollout>", and "/<id>" of an earlier decision."""
WHY_NEWEST = "why-newest"
"""The same in a row with it, where Slack wants each action once."""
LISTED = 10

_PASSES: Mapping[str, str] = {
    "state": "it is {status}, as a start needs it",
    "next": "group {group} with {devices} devices waits, and was looked at before",
    "fence": "no other promotion is under way",
    "hold": "nobody holds it",
    "agree": "two reads showed the same",
    "fresh": "what was read was young enough",
    "members": "{devices} devices counted, as hawkBit counts",
    "share": "{verified} of {of} verified, {needed_pct:g} % needed",
    "sample": "{verified} verified, at least {minimum} needed",
    "confidence": "surely verified (at {confidence_pct:g} % confidence) are {lower_pct:g} %, {needed_pct:g} % needed",
    "errors": "{errors} errors, {allowed} allowed",
    "alarms": "{updated_with} of {updated} updated devices have an open alarm, {others_with} of {others} others:"
    " up to {limit_pct:g} points apart allowed",
    "soak": "{seconds:g} s since the share was reached, {soak_s:g} s needed",
    "freeze": "no freeze, and nobody concerned is in production",
    "owner": "made by {creator}, whose rollouts the bot promotes",
    "starter": "by policy the scheduler starts this group",
    "window": "nobody held it while it was announced ({hold_window_s:g} s)",
    "approval": "whoever may promote may start this group",
}
"""What a gate that passes says, by its name."""
_CAUSES: Mapping[str, str] = {
    "not_paused": "it was not paused",
    "success": "hawkBit paused it because the group is done",
}
RULES: Mapping[str, str] = {
    "state": "paused",
    "cause": "cause of the pause",
    "next": "next group",
    "fence": "once only",
    "hold": "hold",
    "agree": "two reads",
    "fresh": "age of what was read",
    "members": "devices of the group",
    "share": "verified share",
    "sample": "minimum sample",
    "confidence": "confidence",
    "errors": "error budget",
    "alarms": "alarms",
    "soak": "soak",
    "freeze": "freeze",
    "owner": "whose rollout",
    "starter": "who starts it",
    "window": "hold window",
    "approval": "second person",
}
"""What a gate is called before people."""


@dataclass(frozen=True, slots=True)
class Past:
    """An earlier decision in the list: the number `back` from the newest, 0."""

    back: int
    moment: Moment


@dataclass(frozen=True, slots=True)
class WhyView:
    """`moment` is the one shown, `earlier` those before it, newest first; `before` names the next of them. `newest`:
    none is younger. `visible`: whose names may be said, None for all."""

    stack: str
    rollout: int
    name: str
    moment: Moment
    earlier: Sequence[Past]
    before: str
    newest: bool
    visible: frozenset[Tenant] | None = None


def why_message(view: WhyView) -> Message:
    """A private answer. What does not pass stands first."""
    moment = view.moment
    gates = [_discreet(gate, view.visible) for gate in moment.gates]
    where = f"*{literal(view.name, 120)}* on {literal(view.stack, 60)}"
    head = f"{VERDICTS[moment.verdict].over(where)}: {_outcome(moment)}"
    what = f"{head}\n{_taken(moment)}"
    blocks: list[Block] = [section(what)]
    for verdict, title in ((Verdict.FAIL, "Failed"), (Verdict.HOLD, "Not passed yet"), (Verdict.PASS, "Passed")):
        lines = [_line(gate, moment) for gate in gates if gate.verdict is verdict and not _idle(gate, moment)]
        if lines:
            blocks.append(section(f"*{title}*\n" + "\n".join(lines)))
    if idle := [RULES.get(gate.name, gate.name) for gate in gates if _idle(gate, moment)]:
        blocks.append(section(f"Not asked for: {', '.join(idle)}."))
    policy = f"{moment.inputs.policy.name} {moment.policy_hash}"
    blocks.append(context(_ages(moment), f"policy {mono(policy, 120)}"))
    if view.earlier:
        rows = [_past(past, view.visible) for past in view.earlier[:LISTED]]
        blocks.append(context("*Before that*\n" + "\n".join(rows)))
        blocks.append(context(f"Each in full: {mono(f'/cdm why {view.name} {view.earlier[0].back}', 200)}"))
    this, buttons = f"{view.stack}/{view.rollout}", []
    if view.before:
        buttons.append(Button(WHY, "Earlier…", f"{this}/{view.before}"))
    if not view.newest:
        buttons.append(Button(WHY_NEWEST, "Newest", this))
    if buttons:
        blocks.append(actions(*buttons))
    return compose(what, *blocks)


def gate_in_words(gate: Gate, moment: Moment) -> str:
    """What a gate said, with its numbers. Foreign text may stand in it: escape it before it is shown."""
    if gate.reason is not Reason.OK:
        return reason_in_words(gate)
    if gate.name == "cause":
        return _CAUSES.get(str(gate.numbers["cause"]), "a person may resume such a pause")
    if gate.name == "approval" and moment.inputs.approved:
        return "a second person agreed"
    policy = moment.inputs.policy
    numbers = {
        "minimum": max(policy.minimum_sample, 1),
        "soak_s": policy.soak_s,
        "hold_window_s": policy.hold_window_s,
        "status": moment.inputs.snapshot.rollout.status.value,
        "creator": moment.inputs.snapshot.rollout.created_by,
        **gate.numbers,
    }
    return "not asked for" if _idle(gate, moment) else _PASSES.get(gate.name, "passed").format(**numbers)


def _idle(gate: Gate, moment: Moment) -> bool:
    """The policy asks nothing of it."""
    if gate.reason is not Reason.OK:
        return False
    nothing_kept = gate.name in ("confidence", "alarms", "soak") and not gate.numbers
    return nothing_kept or (gate.name == "window" and moment.inputs.policy.hold_window_s <= 0)


def _discreet(gate: Gate, visible: frozenset[Tenant] | None) -> Gate:
    """Without the name of a tenant that the reader may not see."""
    tenant = gate.numbers.get("tenant")
    if visible is None or tenant is None or tenant in visible:
        return gate
    return replace(gate, numbers={**gate.numbers, "tenant": "another tenant"})


def _line(gate: Gate, moment: Moment) -> str:
    icon = VERDICTS[gate.verdict].icon
    return f"{icon} *{RULES.get(gate.name, gate.name)}*: {literal(gate_in_words(gate, moment), 300)}"


def _outcome(moment: Moment) -> str:
    group = moment.group_index
    if moment.what == "promote":
        return f"the start of group {group} was sent"
    if group is None:
        return "no group to start"
    match moment.verdict:
        case Verdict.PASS:
            return f"group {group} may start"
        case Verdict.HOLD:
            return f"group {group} waits"
        case Verdict.FAIL:
            return f"group {group} does not start"


def _taken(moment: Moment) -> str:
    by = "for the scheduler" if moment.inputs.kind is ActorKind.SCHEDULER else "for a person"
    said = f", {literal(moment.said, 120)}" if moment.said else ""
    return f"Decided {by} at {at(moment.at)}{said}"


def _ages(moment: Moment) -> str:
    """How old each thing was that the decision was taken on."""
    inputs = moment.inputs
    numbers, alarms = inputs.numbers, inputs.alarms
    read: list[tuple[str, datetime | None]] = [("hawkBit", inputs.snapshot.read_at)]
    if numbers is not None:
        read += [("claims", numbers.claims_read_at), ("devices", numbers.members_read_at)]
    if alarms is not None:
        read.append(("alarms", alarms.read_at))
    ages = [f"{what} {max((moment.at - when).total_seconds(), 0):.0f} s old" for what, when in read if when is not None]
    return f"Taken on: {', '.join(ages)}"


def _past(past: Past, visible: frozenset[Tenant] | None) -> str:
    moment = past.moment
    first = next(
        (_discreet(g, visible) for v in (Verdict.FAIL, Verdict.HOLD) for g in moment.gates if g.verdict is v), None
    )
    why = f": {literal(reason_in_words(first), 100)}" if first is not None else ""
    return f"{past.back} · {at(moment.at)} · {VERDICTS[moment.verdict].word} · {_outcome(moment)}{why}"


def nothing_decided(name: str, stack: str) -> str:
    """Where none is kept."""
    return (
        f"No decision about {literal(name, 120)} on {literal(stack, 60)} is kept. The bot writes one down whenever the "
        "verdict or its reasons change, as long as it follows the rollout, and keeps them for 90 days after the last."
    )
