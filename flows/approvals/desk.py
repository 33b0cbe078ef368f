"""Requests for a second person: who may ask, agree, deny and sign is read live; each step is one fenced commit.

What agreed requests ask for is done by `flows.approvals.carrying`, here at once or by any process's next tick.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from core.access import Action, Role
from core.approvals import (
    Answer,
    Kind,
    Order,
    Party,
    Phase,
    Request,
    Rule,
    agree,
    agreed_alone,
    ask,
    deny,
    sign,
    withdraw,
)
from core.errors import Conflict, Refused
from core.ids import ApprovalId, Caller, SlackUser
from core.messages.approval import asked_message, told_message
from core.messages.blocks import Message, compose
from core.messages.text import plain
from core.ports import Clock
from flows.acts import Acts
from flows.approvals.book import ApprovalBook
from flows.approvals.carrying import Carrying
from flows.approvals.login import Confirmed, FreshLogin
from flows.gate import Denied, Gate, Person, Profile, SecondPerson
from integrations.store.approvals import MAX_LIVE

MIN_REASON = 3
MIN_GLASS_REASON = 10
_WORDS: Mapping[Answer, str] = {
    Answer.OVER: "It is over already; its message says how. Nothing was done.",
    Answer.EXPIRED: "It expired before you decided. Nothing was done; whoever wants it asks again.",
    Answer.SAME_PERSON: "You asked for this yourself, so somebody else must decide. Nothing was done.",
    Answer.ALREADY: "You have agreed to it already; its message shows what it waits for, or how it ended.",
    Answer.NOT_YOURS: "Only who asked can withdraw it. Deny it instead.",
    Answer.STALE: "Things have changed since you were shown this. Nothing was done: look at its message again.",
}


@dataclass(frozen=True, slots=True)
class Approvals:
    """What people do about requests. Methods raise Denied or OutsideError where nothing was done."""

    gate: Gate
    acts: Acts
    book: ApprovalBook
    carrying: Carrying
    fresh: FreshLogin
    rules: Mapping[Action, Rule]
    clock: Clock

    def rule(self, action: Action) -> Rule:
        return self.rules.get(action, Rule())

    async def ask(self, user: Caller, value: str, reason: str) -> Message:
        """Ask for the order that `value` names."""
        reason = _reason(reason, MIN_REASON)
        order = await self.acts.ordered(value)
        who = await self.gate.requester(user, order.action, order.tenants, order.object)
        order = await self.acts.settled(order)
        evidence = await self.acts.evidence(order)
        async with self.book.asking() as lease:
            live = await self.book.live()
            same = next((r for r in live if r.phase is Phase.OPEN and r.order.key == order.key), None)
            if same is not None:
                return asked_message(same, again=True)
            if len(live) >= MAX_LIVE:
                raise Refused("Too many requests are open. Nothing was asked; decide or withdraw some of them first.")
            id = await self.book.new_id()
            now, rule = self.clock.now(), self.rule(order.action)
            request = ask(id, order, _party(who), reason, evidence, rule, now)
            await self.book.keep(lease, request, "approval:asked", who, {"reason": request.reason})
        return asked_message(request, again=False)

    async def agree(
        self, user: Caller, id: ApprovalId, shown: str, *, login_at: datetime | None = None, carry: bool = True
    ) -> Message:
        """Agree to the evidence whose digest begins with `shown`; "" for as it is now. Where a fresh login is wanted
        and `login_at` says of none, the answer is the link for it. `carry`: do at once what is agreed."""
        request = await self.book.request(id)
        order = request.order
        who, by_table = await self.gate.approver(
            user, order.action, order.tenants, order.object, request.by.subject, request.rule.least
        )
        shown = shown or request.evidence.digest
        party = _party(who)
        now = self.clock.now()
        evidence = request.evidence if request.phase is not Phase.OPEN else await self.acts.evidence(order)
        _, answer = agree(request, party, shown, evidence, now, login_at)
        counts = answer in (Answer.COUNTED, Answer.AGREED)
        if counts and (by_table or request.rule.fresh_login) and login_at is None:
            if not isinstance(user, SlackUser):
                raise Refused("This needs a fresh login in a browser: approve it in Slack. Nothing was done.")
            purpose = {"do": "agree", "id": id, "shown": evidence.digest}
            return await self.fresh.begin(user, who.subject, f"Approve: {order.title}", purpose)
        async with self.book.held(id) as (lease, request):
            before = request
            request, answer = agree(before, party, shown, evidence, now, login_at)
            if answer in (Answer.COUNTED, Answer.AGREED):
                data = {"evidence": evidence.digest, "login_at": login_at.isoformat() if login_at else ""}
                await self.book.keep(lease, request, "approval:agreed", who, data)
            elif request != before:
                await self.book.keep(lease, request, f"approval:{answer}", who, {"changes": list(request.changes)})
        if answer is Answer.COUNTED:
            left = request.rule.quorum - len(request.votes)
            return compose(f"Agreed. {left} more must agree before anything is done.")
        if answer is not Answer.AGREED:
            raise Conflict(_WORDS[answer])
        if not carry:
            return compose("Agreed. It is being carried out now; its message in Slack tells the outcome.")
        return told_message(await self.carrying.carry_out(id, answered=user) or await self.book.request(id))

    async def deny(self, user: Caller, id: ApprovalId, why: str) -> Message:
        request = await self.book.request(id)
        order = request.order
        who, _ = await self.gate.approver(
            user, order.action, order.tenants, order.object, request.by.subject, request.rule.least
        )
        why = _reason(why, MIN_REASON)
        async with self.book.held(id) as (lease, request):
            request, answer = deny(request, _party(who), why, self.clock.now())
            if answer is not Answer.COUNTED:
                raise Conflict(_WORDS[answer])
            await self.book.keep(lease, request, "approval:denied", who, {"reason": why})
        await self.book.tell_all(request, but=user)
        return told_message(request)

    async def withdraw(self, user: Caller, id: ApprovalId) -> Message:
        request = await self.book.request(id)
        order = request.order
        who = await self.gate.requester(user, order.action, order.tenants, order.object)
        async with self.book.held(id) as (lease, request):
            request, answer = withdraw(request, _party(who), self.clock.now())
            if answer is not Answer.COUNTED:
                raise Conflict(_WORDS[answer])
            await self.book.keep(lease, request, "approval:withdrawn", who, {})
        return told_message(request)

    async def sign(self, user: Caller, id: ApprovalId) -> Message:
        """Another admin has looked at what was done alone."""
        request = await self.book.request(id)
        order = request.order
        who, _ = await self.gate.approver(
            user, order.action, order.tenants, order.object, request.by.subject, request.rule.least
        )
        async with self.book.held(id) as (lease, request):
            request, answer = sign(request, _party(who), self.clock.now())
            if answer is not Answer.COUNTED:
                raise Conflict(_WORDS[answer])
            await self.book.keep(lease, request, "break_glass:signed", who, {})
        await self.book.tell_all(request, but=user)
        return told_message(request)

    async def confirm_alone(self, user: SlackUser, who: Person, order: Order) -> Message:
        """The link for a fresh login, after which `order` is done by the person's own right."""
        purpose = {"do": Kind.ALONE.value, "order": self.acts.value(order)}
        return await self.fresh.begin(user, who.subject, order.title, purpose)

    async def break_glass(self, user: SlackUser, value: str, reason: str) -> Message:
        """Alone, past the second person, where policy allows it: after a fresh login."""
        reason = _reason(reason, MIN_GLASS_REASON)
        order = await self.acts.ordered(value)
        who = await self._glass(user, order)
        order = await self.acts.settled(order)
        purpose = {"do": Kind.BREAK_GLASS.value, "order": self.acts.value(order), "reason": reason}
        return await self.fresh.begin(user, who.subject, f"Break glass: {order.title}", purpose)

    async def confirmed(self, by: Confirmed) -> str:
        """What a fresh login was for is done now, or by the next tick. In words, for the browser."""
        match by.purpose["do"]:
            case "agree":
                id = ApprovalId(by.purpose["id"])
                told = await self.agree(by.user, id, by.purpose["shown"], login_at=by.login_at, carry=False)
                return told.text
            case kind:
                return await self._alone(by, Kind(kind))

    async def _alone(self, by: Confirmed, kind: Kind) -> str:
        order = await self.acts.ordered(by.purpose["order"])
        if kind is Kind.BREAK_GLASS:
            who = await self._glass(by.user, order)
        else:
            who = await self.gate.require(by.user, order.action, order.tenants, order.object)
        order = await self.acts.settled(order)
        evidence, now = await self.acts.evidence(order), self.clock.now()
        reason = by.purpose.get("reason", "confirmed by a fresh login")
        async with self.book.asking() as lease:
            id = await self.book.new_id()
            request = agreed_alone(
                id, kind, order, _party(who), reason, evidence, self.rule(order.action), now, by.login_at
            )
            action = "break_glass" if kind is Kind.BREAK_GLASS else "approval:confirmed_alone"
            await self.book.keep(lease, request, action, who, {"reason": reason, "evidence": evidence.digest})
        return "Confirmed. It is being carried out now; its message in Slack tells the outcome."

    async def _glass(self, user: SlackUser, order: Order) -> Person:
        """The person, if they may break the glass for this. Raises Denied."""
        if not self.rule(order.action).break_glass:
            raise Denied("no_break_glass", "The bot's policy allows nobody to do this alone. Nothing was done.")
        try:
            return await self.gate.require(user, order.action, order.tenants, order.object)
        except SecondPerson as second:
            if not second.peer:
                raise Denied("no_break_glass", "Only an admin may break the glass. Ask for approval instead.") from None
            return second.person

    async def listed(
        self, user: Caller, profile: Profile
    ) -> tuple[Sequence[Request], Sequence[Request], Sequence[Request]]:
        """What waits for the person to decide, what they asked for, and what they may sign."""
        subjects = profile.authority.subjects()
        live = await self.book.live()
        mine = [r for r in live if r.by.subject in subjects or r.by.caller == str(user)]
        theirs = [r for r in live if r not in mine and _approves(r, profile)]
        waiting = [r for r in theirs if r.phase is Phase.OPEN and all(v.by.subject not in subjects for v in r.votes)]
        return waiting, mine, [r for r in theirs if r.phase.over and r.under_review]


def _approves(request: Request, profile: Profile) -> bool:
    order = request.order
    high_enough = order.tenants <= profile.platform or request.rule.least is not Role.PLATFORM_ADMIN
    return high_enough and order.tenants <= profile.approves.get(order.action, frozenset())


def _party(who: Person) -> Party:
    return Party(who.subject, who.username, str(who.caller))


def _reason(text: str, least: int) -> str:
    reason = plain(text, 300)
    if len(reason) < least:
        raise Refused(f"Say why, in at least {least} characters: it is shown to whoever decides. Nothing was done.")
    return reason
