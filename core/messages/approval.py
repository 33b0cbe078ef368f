"""One message a request for a second person: what is asked, by whom and why, on what evidence, and how it ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from core.access import Action, Role
from core.approvals import Kind, Order, Party, Phase, Request
from core.evidence import Fact, are_names, in_words
from core.ids import CliUser, caller_of
from core.messages.blocks import Block, Button, Confirm, Message, actions, compose, context, section
from core.messages.fold import folded
from core.messages.states import APPROVALS, NOTICES, Notice
from core.messages.text import at, count, link, literal, mono, plain

APPROVE, DENY, WITHDRAW, SIGN = "approve", "deny", "withdraw", "sign-review"
ASK, BREAK_GLASS = "ask", "break-glass"
SHOWN_DIGEST = 16
LISTED = 10
_NAMES = 160
_ON_DEVICES = {
    Action.EXCLUDE: "{number} are counted no longer, and hawkBit ends their installs; one that has downloaded may "
    "install all the same.",
    Action.CANCEL_ACTION: "{number} are asked to give up; one that has begun to install cannot be called back.",
}


def approval_message(request: Request) -> Message:
    """Its first two lines alone say the state, what is asked, and how many have agreed."""
    what = f"{_head(request)}\n{_numbers(request)}"
    blocks: list[Block] = [section(what), section("\n".join([_asked(request), *_end(request)]))]
    if not request.phase.over:
        blocks.append(section(evidence_text(request)))
    if request.changes:
        blocks.append(section(changes_text(request)))
    blocks.append(context(*_notes(request)))
    if buttons := [button for button, _ in decisions(request)]:
        blocks.append(actions(*buttons))
    return compose(what, *blocks)


def glass_message(request: Request) -> Message:
    """For the admins' channel: somebody acts alone past the second person."""
    head = NOTICES[Notice.BROKEN_GLASS].over(
        "\n".join([f"*{literal(request.order.title, 150)}*", " · ".join(_glass_numbers(request))])
    )
    note = f"In <#{request.order.channel}>. It stays open there until another admin has looked at it and signs."
    return compose(head, section(head), section(_asked(request)), context(note))


def reminder_message(request: Request) -> Message:
    waits = "Another admin has to look at it and sign" if request.phase.over else "Another person has to decide"
    thing = f"*{literal(request.order.title, 150)}*\n{_numbers(request)} · by {_name(request.by)}"
    head = NOTICES[Notice.REMINDER].over(thing)
    return compose(head, section(head), context(f"{waits}: see its message. {mono(request.id, 20)}"))


def told_message(request: Request) -> Message:
    """The outcome, privately, for those who took part."""
    text = f"{_head(request)} {mono(request.id, 20)}"
    lines = _end(request)
    if request.phase is Phase.OPEN and request.changes:
        lines = [
            "Things changed before it was done, so nothing was done. It waits for approval again.",
            literal(request.changes[-1], 200),
        ]
    return compose(text, section(text), *([section("\n".join(lines))] if lines else []))


def needs_second_message(text: str, value: str, command: str, *, glass: bool) -> Message:
    """Privately: not alone. The buttons ask for a reason; `value` names the order, `command` does the same typed."""
    buttons = [Button(ASK, "Ask for approval…", value, "primary")]
    if glass:
        buttons.append(Button(BREAK_GLASS, "Break glass…", value))
    said = NOTICES[Notice.SECOND_PERSON].over(f"{text} Nothing was done yet.")
    return compose(said, section(said), actions(*buttons), context(f"Or type {mono(command, 300)}."))


def login_message(what: str, url: str, minutes: int) -> Message:
    """Privately: log in anew, for this one thing."""
    said = NOTICES[Notice.LOGIN].over(
        f"*{literal(what, 200)}*: {link(url, 'log in to Keycloak anew')}. Nothing is done before."
    )
    only = f"The link is for you alone, works once, and for {count(minutes, 'minute')}."
    return compose(said, section(said), context(only))


def asked_message(request: Request, *, again: bool) -> Message:
    """Privately, for whoever asked. `again`: it had been asked before."""
    thing = f"*{literal(request.order.title, 150)}* waits for approval in <#{request.order.channel}>"
    text = APPROVALS[Phase.OPEN].over(f"{thing} until {at(request.expires_at)} {mono(request.id, 20)}")
    if again:
        text += f"\nIt was asked before, by {_name(request.by)}, so nothing new was asked."
    return compose(text, section(text))


def approval_list_message(waiting: Sequence[Request], mine: Sequence[Request], reviews: Sequence[Request]) -> Message:
    """`/cdm approvals`: what waits for the person, what they asked for, and what they may sign."""
    head = f"*{count(len(waiting), 'request')} for you to decide*"
    blocks: list[Block] = [section(head)]
    for title, found in (("Wait for you", waiting), ("Asked by you", mine), ("To be reviewed", reviews)):
        if found:
            more = [f"and {len(found) - LISTED} more"] if len(found) > LISTED else []
            blocks.append(section("\n".join([f"*{title}*", *(approval_line(one) for one in found[:LISTED]), *more])))
    blocks.append(context("Decide with the buttons of its message, or `/cdm approve <id>`, `/cdm deny <id> <reason>`."))
    return compose(head, *blocks)


def approval_line(request: Request) -> str:
    until = f"until {at(request.expires_at)}" if request.phase is Phase.OPEN else f"of {at(request.at)}"
    parts = [_head(request), *_scope(request.order), f"by {_name(request.by)}", f"{until} {mono(request.id, 20)}"]
    return ", ".join(parts)


def evidence_text(request: Request) -> str:
    """What whoever agrees agrees to: each fact on a line, what there is none of together on the last."""
    facts = {name: fact for name, fact in request.evidence.facts.items() if in_words(fact) != "none"}
    lines = [f"{literal(name, 60)}: {_fact(fact)}" for name, fact in facts.items()]
    none = [f"no {literal(name, 60)}" for name in request.evidence.facts if name not in facts]
    return "\n".join(["*On this evidence*", *lines, *([", ".join(none)] if none else [])])


def changes_text(request: Request) -> str:
    """What is different since it was asked. "" where nothing is."""
    if not request.changes:
        return ""
    again = ", so who agreed before has to look again" if request.phase is Phase.OPEN else ""
    return "\n".join([f"*Changed since it was asked*{again}", *(f"• {literal(one, 200)}" for one in request.changes)])


def decisions(request: Request) -> Sequence[tuple[Button, bool]]:
    """The buttons, and of each whether it is for whoever asked; the others are for those who may decide."""
    if request.phase is Phase.OPEN:
        shown = f"{request.id}/{request.evidence.digest[:SHOWN_DIGEST]}"
        return (
            (Button(APPROVE, "Approve", shown, "primary", _question(request)), False),
            (Button(DENY, "Deny…", request.id), False),
            (Button(WITHDRAW, "Withdraw", request.id), True),
        )
    if request.phase.over and request.under_review:
        title = plain(request.order.title, 100)
        asks = Confirm("Sign the review?", f"You have looked at what was done alone, and why: {title}.", "Sign")
        return ((Button(SIGN, "Sign review", request.id, "primary", asks), False),)
    return ()


def _question(request: Request) -> Confirm:
    order, left = request.order, request.rule.quorum - len(request.votes) - 1
    when = f"It is done once {left} more agreed." if left else "It is done at once."
    number = "" if not order.devices else f", for {count(order.devices, 'device')}"
    return Confirm(f"Approve{number}?", f"{plain(order.title, 90)}. {when} {_final(order)}", "Approve")


def _final(order: Order) -> str:
    """What cannot be taken back of it."""
    if order.devices is None:
        return "What devices have begun cannot be taken back."
    number = count(order.devices, "device")
    if order.action in _ON_DEVICES:
        return _ON_DEVICES[order.action].format(number=number)
    if order.action is Action.CREATE:
        starts = (
            f"hawkBit starts it at {order.params['start']}." if order.params["start"] else "No device starts by it."
        )
        return f"It makes the rollout for {number}. {starts}"
    if order.action is Action.STOP and not order.devices:
        return "It cannot be resumed. Every group has started: devices under way are asked to cancel, and may install."
    if order.action is Action.STOP:
        return f"It cannot be resumed: {number} not started yet will get nothing."
    return f"It starts {number}; one that has begun to install cannot be called back."


def _scope(order: Order) -> list[str]:
    if not order.devices:
        return []
    return [f"{count(order.devices, 'device')}{' not started' if order.action is Action.STOP else ''}"]


def _fact(fact: Fact) -> str:
    if isinstance(fact, (str, int)) or not are_names(fact):
        return literal(in_words(fact), 300)
    return f"{len(set(fact))}, {folded(set(fact), _NAMES)}"


def _head(request: Request) -> str:
    title = f"*{literal(request.order.title, 150)}*"
    if request.under_review:
        return NOTICES[Notice.BROKEN_GLASS].over(f"{APPROVALS[request.phase].word} · {title}")
    return APPROVALS[request.phase].over(title)


def _numbers(request: Request) -> str:
    if request.kind is Kind.ALONE:
        return f"*{_name(request.by)} alone*, by their own right, after a fresh login"
    if request.kind is Kind.BREAK_GLASS:
        return " · ".join(_glass_numbers(request))
    parts = [f"*{len(request.votes)} of {request.rule.quorum} agreed*"]
    if request.votes:
        parts.append(", ".join(_name(vote.by) for vote in request.votes))
    if not request.phase.over:
        parts += _scope(request.order)
    if request.phase is Phase.OPEN:
        parts.append(f"until {at(request.expires_at)}")
    return " · ".join(parts)


def _glass_numbers(request: Request) -> Iterable[str]:
    yield f"*{_name(request.by)} alone, past the second person*"
    if not request.phase.over:
        yield from _scope(request.order)
    if request.signed_by is None:
        yield "not reviewed yet"
    else:
        yield f"signed by {_name(request.signed_by)}{_when(request.signed_at)}"


def _asked(request: Request) -> str:
    did = "asked" if request.kind is Kind.REQUEST else "did it" if request.phase.over else "confirmed it"
    return f"{_name(request.by)} {did} {at(request.at)}: {literal(request.reason, 400)}"


def _end(request: Request) -> list[str]:
    """How it ended, and why."""
    when, said = _when(request.ended_at), literal(request.said, 800)
    match request.phase:
        case Phase.DENIED:
            return [f"{_name(request.ended_by)} denied it{when}: {said}"]
        case Phase.WITHDRAWN:
            return [f"{_name(request.ended_by)} withdrew it{when}. Nothing was done."]
        case Phase.EXPIRED:
            return ["Nobody decided in time, so nothing was done. Ask again if it is still wanted."]
        case _:
            return [said] if said else []


def _notes(request: Request) -> list[str]:
    needs = [f"needs {_who(request)}, not whoever asked"] if request.phase is Phase.OPEN else []
    return [*needs, f"{mono(request.id, 20)} · evidence {mono(request.evidence.digest[:SHOWN_DIGEST], 30)}"]


def _who(request: Request) -> str:
    if request.rule.least is Role.PLATFORM_ADMIN:
        return "a platform admin"
    tenants = sorted(request.order.tenants)
    every = "each of " if len(tenants) > 1 else ""
    return f"an admin of {every}{literal(', '.join(tenants), 200)}"


def _when(instant: datetime | None) -> str:
    return f" {at(instant)}" if instant else ""


def _name(party: Party | None) -> str:
    if party is None:
        return "nobody"
    by_hand = " (command line)" if isinstance(caller_of(party.caller), CliUser) else ""
    return f"{literal(party.name, 80)}{by_hand}"
