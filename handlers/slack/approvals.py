"""Orders that may need a second person or a fresh login, and what people do about requests, as Slack brings it."""

from __future__ import annotations

from core.access import APPROVABLE
from core.errors import Refused
from core.ids import ApprovalId, SlackUser
from core.messages.approval import (
    APPROVE,
    SHOWN_DIGEST,
    SIGN,
    WITHDRAW,
    approval_list_message,
    needs_second_message,
)
from core.messages.blocks import Message, compose, section
from core.messages.release import CREATE
from core.messages.text import literal, plain
from flows.acts import AllActs
from flows.approvals.desk import Approvals
from flows.gate import Gate
from flows.orders import LoginWanted, NeedsAnother, RolloutOrders
from handlers.slack.requests import Reasoned

DECISIONS = frozenset({APPROVE, WITHDRAW, SIGN})
"""Buttons that decide about a request at once."""


class ApprovalDesk:
    def __init__(self, *, gate: Gate, orders: RolloutOrders, acts: AllActs, approvals: Approvals) -> None:
        self._gate = gate
        self._orders = orders
        self._acts = acts
        self._approvals = approvals
        self.verbs = frozenset(acts.needs)
        self.askable = tuple(verb for verb, action in acts.needs.items() if action in APPROVABLE and verb != CREATE)

    async def order(self, user: SlackUser, named: str) -> Message:
        """Carry out what is `named` (the value of a button), or say what it takes: to ask for it, or to log in anew.
        Raises Denied or OutsideError."""
        try:
            ordered = await self._orders.order(user, named)
        except NeedsAnother as needs:
            order = needs.order
            value = f"{self._acts.value(order)}|{plain(order.title, 120)}"
            typed = f"/cdm ask {order.params['verb']} <rollout> <reason>"
            glass = needs.peer and self._approvals.rule(order.action).break_glass
            return needs_second_message(needs.text, value, typed, glass=glass)
        except LoginWanted as wanted:
            return await self._approvals.confirm_alone(user, wanted.who, wanted.order)
        safe = literal(ordered.text, 2000)
        return compose(safe, section(safe))

    async def ask(self, user: SlackUser, named: str, reason: str) -> Message:
        return await self._approvals.ask(user, named, reason)

    async def decide(self, user: SlackUser, what: str, value: str, reason: str = "") -> Message:
        """`value` is the request's id, for an approval with the digest that was shown."""
        id, _, shown = value.partition("/")
        match what:
            case "approve":
                return await self._approvals.agree(user, ApprovalId(id), shown[:SHOWN_DIGEST])
            case "deny":
                return await self._approvals.deny(user, ApprovalId(id), reason)
            case "withdraw":
                return await self._approvals.withdraw(user, ApprovalId(id))
            case "sign-review":
                return await self._approvals.sign(user, ApprovalId(id))
        raise Refused("This button is from an older version of the bot. Nothing was done.")

    async def reasoned(self, given: Reasoned) -> Message:
        match given.purpose:
            case "ask":
                return await self._approvals.ask(given.user, given.value, given.reason)
            case "break-glass":
                return await self._approvals.break_glass(given.user, given.value, given.reason)
            case _:
                return await self._approvals.deny(given.user, ApprovalId(given.value), given.reason)

    async def listed(self, user: SlackUser) -> Message:
        """What waits for the person to decide, and what they asked for themself."""
        profile = await self._gate.profile(user)
        return approval_list_message(*await self._approvals.listed(user, profile))
