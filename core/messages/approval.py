"""One message a request for a second person: what is asked, by whom and why, on what evidence, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence

from core.approvals import Kind, Party, Phase, Request
from core.evidence import in_words
from core.ids import CliUser, caller_of
from core.messages.blocks import Block, Button, Confirm, Message, actions, compose, context, section
from core.messages.states import APPROVALS, NOTICES, Notice
from core.messages.text import at, count, link, literal, mono, plain

APPROVE, DENY, WITHDRAW, SIGN = "approve", "deny", "withdraw", "sign-review"
ASK, BREAK_GLASS = "ask", "break-glass"
SHOWN_DIGEST = 16
LISTED = 10


def approval_message(request: Request) -> Message:
    """Its first two lines alone say the state, what is asked, and how many have agreed."""
    what = f"{_head(request)}\n{_numbers(request)}"
    blocks: list[Block] = [section(what), section(_asked(request))]
    if not request.phase.over:
        lines = [
            f"{literal(name, 60)}: {literal(in_words(fact), 200)}" for name, fact in request.evidence.facts.items()
        ]
        blocks.append(section("*On this evidence*\n" + "\n".join(lines)))
    if request.changes:
        news = "\n".join(f"• {literal(one, 200)}" for one in request.changes)
        blocks.append(section(f"*Changed since it was asked*, so who agreed before has to look again\n{news}"))
    if request.said:
        blocks.append(section(literal(request.said, 800)))
    blocks.append(context(*_notes(request)))
    if buttons := _buttons(request):
        blocks.append(actions(*buttons))
    return compose(what, *blocks)


def glass_message(request: Request) -> Message:
    """For the admins' channel: somebody acts alone past the second person."""
    head = NOTICES[Notice.BROKEN_GLASS].over(
        f"*{literal(request.order.title, 150)}* by {_name(request.by)}, alone: {literal(request.reason, 300)}"
    )
    note = f"In <#{request.order.channel}>. It stays open there until another admin has looked at it and signs."
    return compose(head, section(head), context(note))


def reminder_message(request: Request) -> Message:
    waits = "for another admin to sign it" if request.phase.over else f"until {at(request.expires_at)}"
    thing = f"*{literal(request.order.title, 150)}*, asked by {_name(request.by)}, {waits}: {mono(request.id, 20)}"
    head = NOTICES[Notice.REMINDER].over(thing)
    return compose(head, section(head))


def told_message(request: Request) -> Message:
    """The outcome, privately, for those who took part."""
    text = f"{_head(request)} {mono(request.id, 20)}"
    parts = [section(text)]
    if request.said or request.changes:
        parts.append(section(literal(request.said or request.changes[-1], 800)))
    return compose(text, *parts)


def needs_second_message(text: str, value: str, command: str, *, glass: bool) -> Message:
    """Privately: not alone. The buttons ask for a reason; `value` names the order, `command` does the same typed."""
    buttons = [Button(ASK, "Ask for approval…", value, "primary")]
    if glass:
        buttons.append(Button(BREAK_GLASS, "Break glass…", value))
    said = f"⛔ {text} Nothing was done yet."
    return compose(said, section(said), actions(*buttons), context(f"Or type {mono(command, 300)}."))


def login_message(what: str, url: str, minutes: int) -> Message:
    """Privately: log in anew, for this one thing."""
    said = (
        f"{literal(what, 200)}: {link(url, 'log in to Keycloak anew')} to confirm that it is you. Nothing is done yet."
    )
    only = f"The link is for you alone, works once, and for {count(minutes, 'minute')}."
    return compose(said, section(said), context(only))


def asked_message(request: Request, *, again: bool) -> Message:
    """Privately, for whoever asked. `again`: it had been asked before."""
    first = "That is asked already" if again else "Asked"
    text = f"{first}: *{literal(request.order.title, 150)}* waits for approval in <#{request.order.channel}> until "
    return compose(f"{text}{at(request.expires_at)} ({mono(request.id, 20)}).")


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
    look = APPROVALS[request.phase]
    return look.over(f"*{literal(request.order.title, 120)}*, by {_name(request.by)}, {until} {mono(request.id, 20)}")


def _head(request: Request) -> str:
    title = f"*{literal(request.order.title, 150)}*"
    if request.kind is Kind.BREAK_GLASS:
        return NOTICES[Notice.BROKEN_GLASS].over(f"{APPROVALS[request.phase].word} · {title}")
    return APPROVALS[request.phase].over(title)


def _numbers(request: Request) -> str:
    rule, votes = request.rule, request.votes
    if request.kind is Kind.ALONE:
        return f"*{_name(request.by)} alone*, by their own right, after a fresh login"
    if request.kind is Kind.BREAK_GLASS:
        signed = f"signed by {_name(request.signed_by)}" if request.signed_by else "not reviewed yet"
        return f"*{_name(request.by)} alone, past the second person* · {signed}"
    agreed = f"*{len(votes)} of {rule.quorum} agreed*"
    names = [", ".join(_name(vote.by) for vote in votes)] if votes else []
    until = [f"until {at(request.expires_at)}"] if request.phase is Phase.OPEN else []
    return " · ".join([agreed, *names, *until])


def _asked(request: Request) -> str:
    lines = [f"{_name(request.by)} asked {at(request.at)}: {literal(request.reason, 400)}"]
    ended = f" {at(request.ended_at)}" if request.ended_at else ""
    if request.phase is Phase.DENIED and request.ended_by:
        lines.append(f"{_name(request.ended_by)} denied it{ended}.")
    if request.phase is Phase.WITHDRAWN:
        lines.append(f"Withdrawn{ended}.")
    if request.phase is Phase.EXPIRED:
        lines.append("Nobody decided in time, so nothing was done. Ask again if it is still wanted.")
    return "\n".join(lines)


def _notes(request: Request) -> list[str]:
    who = "a platform admin" if request.rule.least.value == "platform_admin" else "an admin of"
    tenants = ", ".join(sorted(request.order.tenants))
    where = f" every one of {literal(tenants, 200)}" if who.endswith("of") else ""
    needs = [f"needs {who}{where}, not whoever asked"] if request.phase is Phase.OPEN else []
    return [*needs, f"{mono(request.id, 20)} · evidence {mono(request.evidence.digest[:SHOWN_DIGEST], 30)}"]


def _buttons(request: Request) -> list[Button]:
    title = plain(request.order.title, 60)
    if request.phase is Phase.OPEN:
        shown = f"{request.id}/{request.evidence.digest[:SHOWN_DIGEST]}"
        asks = Confirm(
            "Approve it?",
            f"{title}: as soon as {count(request.rule.quorum, 'person')} agreed, it is done, on the evidence shown. "
            "What devices have begun cannot be taken back.",
            "Approve",
        )
        return [
            Button(APPROVE, "Approve", shown, "primary", asks),
            Button(DENY, "Deny…", request.id),
            Button(WITHDRAW, "Withdraw", request.id),
        ]
    if request.phase.over and request.under_review:
        asks = Confirm("Sign the review?", f"You have looked at what was done alone: {title}.", "Sign")
        return [Button(SIGN, "Sign review", request.id, "primary", asks)]
    return []


def _name(party: Party | None) -> str:
    if party is None:
        return "nobody"
    by_hand = " (command line)" if isinstance(caller_of(party.caller), CliUser) else ""
    return f"{literal(party.name, 80)}{by_hand}"
