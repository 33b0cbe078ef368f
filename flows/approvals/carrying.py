"""Carrying out what was agreed, and what time does to requests: reminders and expiry. Any process, one at a time.

A request that is AGREED stays so in the store until its outcome is written: a process killed meanwhile leaves it to the
next tick of any other. The act itself reads before it sends (`flows.rollouts.promote`), so taking it up again is safe.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime

import structlog
from prometheus_client import Counter

from core.approvals import (
    Kind,
    Party,
    Phase,
    Request,
    expire,
    finish,
    is_due_for_reminder,
    is_due_to_expire,
    refresh,
)
from core.errors import Conflict, OutsideError
from core.evidence import Evidence
from core.ids import ApprovalId, Caller, SlackUser, caller_of
from core.ports import Clock
from core.rollouts.actors import person
from flows.acts import Acts
from flows.approvals.book import ApprovalBook
from flows.gate import Denied, Gate, Person, SecondPerson
from integrations.store.leases import Lease, LeaseLost

log = structlog.get_logger(__name__)

APPROVALS = Counter("cdm_approvals", "Requests for a second person that ended, by how", ["kind", "phase"])

ACT_S = 45.0


_WHY = {
    "disabled": "the Keycloak account is disabled",
    "email_unverified": "the e-mail address is not verified any more",
    "account_gone": "the Keycloak account does not exist any more",
    "not_linked": "the Slack user is not linked any more",
    "not_linked_in_realm": "the Slack user is not linked in the tenant's Keycloak realm any more",
    "other_account": "the Slack user is linked with another account now",
    "role_missing": "the role is missing",
    "not_a_member": "not a member of the tenant any more",
    "keycloak_away": "Keycloak did not answer, so nobody could say",
    "second_person": "a second person is needed now",
    "unknown_tenant": "the tenant is not known any more",
}


class _Stale(Exception):
    """Things are not as they were agreed to any more."""

    def __init__(self, evidence: Evidence) -> None:
        super().__init__("stale")
        self.evidence = evidence


class _NoMore(Exception):
    """Somebody who took part may not any more. `why` is fit for the channel, where a refusal's own text is not."""

    def __init__(self, party: Party, reason: str) -> None:
        super().__init__(reason)
        self.party = party
        self.why = _WHY.get(reason, "not a full member of the Slack workspace any more")


class Carrying:
    def __init__(self, *, gate: Gate, acts: Acts, book: ApprovalBook, clock: Clock) -> None:
        self._gate = gate
        self._acts = acts
        self._book = book
        self._clock = clock

    async def tick(self) -> None:
        """What is agreed and not done yet is done, what is over expires, what waits long is reminded of, once."""
        for request in await self._book.live():
            try:
                await self._one(request)
            except (Conflict, LeaseLost):
                log.info("approval_left_to_another", approval=request.id)
            except OutsideError as error:
                log.warning("approval_not_worked", approval=request.id, reason=error.reason)

    async def _one(self, request: Request) -> None:
        now = self._clock.now()
        if request.phase is Phase.AGREED:
            await self.carry_out(request.id)
        elif is_due_to_expire(request, now):
            async with self._book.held(request.id, wait_s=0.0) as (lease, held):
                if not is_due_to_expire(held, now):
                    return
                held = expire(held, now)
                await self._book.keep(lease, held, "approval:expired", None, {})
            _count(held)
            await self._book.tell_all(held)
        elif is_due_for_reminder(request, now):
            async with self._book.held(request.id, wait_s=0.0) as (lease, held):
                if is_due_for_reminder(held, now):
                    await self._book.remind(lease, replace(held, reminded=True))

    async def carry_out(self, id: ApprovalId, *, answered: Caller | None = None) -> Request | None:
        """Do what was agreed to, after everything was checked again under the lease of the thing itself; the request as
        it ended. None where another process is at it. `answered` is told by who called this, the others here."""
        try:
            async with self._book.held(id, wait_s=0.0) as (lease, request):
                if request.phase is not Phase.AGREED:
                    return request
                ended = await self._carry_out(lease, request)
        except (Conflict, LeaseLost):
            return None
        _count(ended)
        await self._book.tell_all(ended, but=answered)
        return ended

    async def _carry_out(self, lease: Lease, request: Request) -> Request:
        votes = [
            {"subject": v.by.subject, "login_at": v.login_at.isoformat() if v.login_at else ""} for v in request.votes
        ]
        ref = await self._book.begun(lease, request, {"votes": votes})
        order = request.order
        by = person(request.by.subject, request.by.name, tenants=order.tenants)

        async def still_allowed() -> datetime:
            """Everything once more, right before it is done."""
            read_at = await self._all_may_still(request)
            evidence = await self._acts.evidence(order)
            if evidence.digest != request.evidence.digest:
                raise _Stale(evidence)
            return read_at

        try:
            async with asyncio.timeout(ACT_S):
                done, said = await self._acts.carry_out(
                    order, by, _because(request), still_allowed=still_allowed, agreed=request.evidence
                )
        except _Stale as stale:
            return await self._taken_back(lease, request, stale.evidence, ref)
        except _NoMore as no:
            done, said = False, f"Nothing was done, since the rights of {no.party.name} do not hold any more: {no.why}."
        except OutsideError as error:
            done, said = False, f"Nothing was done: {error.user_text}"
        except TimeoutError:
            done, said = False, "It took too long, and may still take effect: look at the rollout's own message."
        ended = finish(request, Phase.DONE if done else Phase.FAILED, said, self._clock.now())
        await self._book.ended(lease, ended, ref)
        return ended

    async def _taken_back(self, lease: Lease, request: Request, evidence: Evidence, ref: str) -> Request:
        """Others must look again; what one person confirmed alone is not done, and confirmed anew if still wanted."""
        again = refresh(request, evidence).begun("")
        if request.kind is not Kind.REQUEST:
            said = "Things changed after it was confirmed, so nothing was done. Do it again if it is still right."
            again = finish(again, Phase.FAILED, said, self._clock.now())
        await self._book.ended(lease, again, ref)
        return again

    async def _all_may_still(self, request: Request) -> datetime:
        """Each who takes part, as linked, member, enabled and in the right role as when they took part; the oldest
        answer's time. Raises _NoMore."""
        parties = [request.by, *(vote.by for vote in request.votes)]
        return min([await self._still(party, request) for party in parties])

    async def _still(self, party: Party, request: Request) -> datetime:
        caller, order = caller_of(party.caller), request.order
        try:
            if isinstance(caller, SlackUser):
                await self._gate.admit(caller, f"approval:{request.id}")
            if party == request.by:
                who = await self._who_asked(caller, request)
            else:
                who, _ = await self._gate.approver(
                    caller, order.action, order.tenants, order.object, request.by.subject, request.rule.least
                )
        except Denied as denied:
            raise _NoMore(party, denied.reason) from denied
        if who.subject != party.subject:
            raise _NoMore(party, "other_account")
        return who.read_at

    async def _who_asked(self, caller: Caller, request: Request) -> Person:
        order = request.order
        try:
            return await self._gate.require(caller, order.action, order.tenants, order.object)
        except SecondPerson as second:
            if request.kind is Kind.ALONE or (request.kind is Kind.BREAK_GLASS and not second.peer):
                raise
            return second.person


def _because(request: Request) -> str:
    """For the thing's own audit line and message."""
    match request.kind:
        case Kind.REQUEST:
            names = ", ".join(vote.by.name for vote in request.votes)
            return f"{request.reason} (approved by {names}, request {request.id})"
        case Kind.BREAK_GLASS:
            return f"{request.reason} (BREAK GLASS, {request.id})"
        case Kind.ALONE:
            return f"confirmed by a fresh login ({request.id})"


def _count(request: Request) -> None:
    if request.phase.over:
        APPROVALS.labels(request.kind.value, request.phase.value).inc()
