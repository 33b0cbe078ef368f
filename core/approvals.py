"""What needs a second person: asked for with a reason, bound to evidence, agreed to, carried out once, told to its end.

    OPEN -> AGREED -> DONE or FAILED        enough others agreed to the evidence as it is; then it was carried out
    OPEN -> DENIED, WITHDRAWN or EXPIRED    nothing was done

An act that a person confirmed alone, by a fresh login, begins AGREED; so does one done alone past the second person
(break glass), which leaves a review open until another one signs it. Pure: facts and `now` in, the next state out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from core.access import Action, Role
from core.evidence import Evidence, changed
from core.ids import ApprovalId, Caller, Channel, Stack, Subject, Tenant

REASON_LIMIT = 300
CHANGES_KEPT = 6


class Kind(StrEnum):
    REQUEST = "request"
    """Somebody asks, others agree."""
    ALONE = "alone"
    """By one's own right, after a fresh login."""
    BREAK_GLASS = "break_glass"
    """Alone, where others should have agreed: signed by another one afterwards."""


class Phase(StrEnum):
    OPEN = "open"
    AGREED = "agreed"
    DONE = "done"
    FAILED = "failed"
    DENIED = "denied"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"

    @property
    def over(self) -> bool:
        return self not in (Phase.OPEN, Phase.AGREED)


@dataclass(frozen=True, slots=True)
class Rule:
    """What policy asks for one action, beyond the table. Times in seconds.

    `quorum`       how many others must agree
    `least`        the least role that counts as one of them: admin or platform admin
    `always`       a second person is needed also where the table lets an admin act alone
    `fresh_login`  who agrees, or acts alone, logs in anew first; where the table asks for it, it is asked for anyway
    `break_glass`  an admin may act alone past the second person
    """

    quorum: int = 1
    least: Role = Role.ADMIN
    always: bool = False
    fresh_login: bool = False
    break_glass: bool = False
    lasts_s: float = 4 * 3600.0
    remind_s: float = 1800.0


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done. `object` is the audit's name of the thing, `params` what else carrying it out needs.
    `title` (plain text with foreign names in it) says it in a line: "Stop rollout-1.1.0 on eu1". `devices`: how many it
    starts, or a stop leaves without the release, as things were when it was ordered; None where it is not about those.
    """

    action: Action
    object: str
    title: str
    params: Mapping[str, str]
    stack: Stack
    tenants: frozenset[Tenant]
    channel: Channel
    devices: int | None = None

    @property
    def key(self) -> str:
        """The same for the same thing asked twice."""
        return "|".join((self.action, self.object, *(f"{k}={v}" for k, v in sorted(self.params.items()))))


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody who takes part. `caller` is `str(Caller)`: the Slack user or the command line they came by."""

    subject: Subject
    name: str
    caller: str

    def same_person(self, other: Party) -> bool:
        """The same account, or the same Slack user with another account."""
        return self.subject == other.subject or self.caller == other.caller


@dataclass(frozen=True, slots=True)
class Vote:
    """Somebody agrees to the evidence with this digest. `login_at`: when they logged in anew for it, if they did."""

    by: Party
    at: datetime
    evidence: str
    login_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`said` is the outcome, or why it was denied or failed; `changes` what is different since it was first shown.
    `signed_by`: who reviewed a broken glass. `intent`: the audit's reference of its carrying out, "" before."""

    id: ApprovalId
    kind: Kind
    order: Order
    by: Party
    reason: str
    evidence: Evidence
    rule: Rule
    at: datetime
    expires_at: datetime
    phase: Phase = Phase.OPEN
    login_at: datetime | None = None
    votes: tuple[Vote, ...] = ()
    changes: tuple[str, ...] = ()
    reminded: bool = False
    ended_at: datetime | None = None
    ended_by: Party | None = None
    said: str = ""
    signed_by: Party | None = None
    signed_at: datetime | None = None
    intent: str = ""

    def begun(self, intent: str) -> Request:
        return replace(self, intent=intent)

    @property
    def under_review(self) -> bool:
        return self.kind is Kind.BREAK_GLASS and self.signed_by is None

    @property
    def live(self) -> bool:
        """There is still something to be done about it."""
        return not self.phase.over or self.under_review


class Answer(StrEnum):
    """What became of somebody's wish."""

    COUNTED = "counted"
    AGREED = "agreed"
    STALE = "stale"
    OVER = "over"
    EXPIRED = "expired"
    SAME_PERSON = "same_person"
    ALREADY = "already"
    NOT_YOURS = "not_yours"


def ask(id: ApprovalId, order: Order, by: Party, reason: str, evidence: Evidence, rule: Rule, now: datetime) -> Request:
    """A request that others may agree to."""
    return Request(
        id=id,
        kind=Kind.REQUEST,
        order=order,
        by=by,
        reason=reason[:REASON_LIMIT],
        evidence=evidence,
        rule=rule,
        at=now,
        expires_at=now + timedelta(seconds=rule.lasts_s),
    )


def agreed_alone(
    id: ApprovalId,
    kind: Kind,
    order: Order,
    by: Party,
    reason: str,
    evidence: Evidence,
    rule: Rule,
    now: datetime,
    login_at: datetime,
) -> Request:
    """What one person confirmed alone by a fresh login: nobody else is waited for."""
    asked = ask(id, order, by, reason, evidence, rule, now)
    return replace(asked, kind=kind, phase=Phase.AGREED, login_at=login_at)


def agree(
    request: Request, by: Party, shown: str, evidence: Evidence, now: datetime, login_at: datetime | None = None
) -> tuple[Request, Answer]:
    """`by` agrees to the evidence whose digest begins with `shown`; `evidence` is how things are now. Whether `by` may
    approve such an act at all is decided by `core.access.decide_approval`."""
    if request.phase is not Phase.OPEN:
        mine = request.phase is Phase.AGREED and any(vote.by.same_person(by) for vote in request.votes)
        return request, Answer.ALREADY if mine else Answer.OVER
    if now >= request.expires_at:
        return expire(request, now), Answer.EXPIRED
    if by.same_person(request.by):
        return request, Answer.SAME_PERSON
    if evidence.digest != request.evidence.digest:
        return refresh(request, evidence), Answer.STALE
    if not shown or not evidence.digest.startswith(shown):
        return request, Answer.STALE
    if any(vote.by.same_person(by) for vote in request.votes):
        return request, Answer.ALREADY
    voted = replace(request, votes=(*request.votes, Vote(by, now, evidence.digest, login_at)))
    if len(voted.votes) < voted.rule.quorum:
        return voted, Answer.COUNTED
    return replace(voted, phase=Phase.AGREED), Answer.AGREED


def refresh(request: Request, evidence: Evidence) -> Request:
    """The request as things are now: who agreed to something else has not agreed to this. What is over stays so."""
    if request.phase.over:
        return request
    news = changed(request.evidence, evidence)
    return replace(
        request, evidence=evidence, votes=(), phase=Phase.OPEN, changes=(*request.changes, *news)[-CHANGES_KEPT:]
    )


def deny(request: Request, by: Party, why: str, now: datetime) -> tuple[Request, Answer]:
    if request.phase is not Phase.OPEN:
        return request, Answer.OVER
    if by.same_person(request.by):
        return request, Answer.SAME_PERSON
    return _ended(request, Phase.DENIED, now, by, why), Answer.COUNTED


def withdraw(request: Request, by: Party, now: datetime) -> tuple[Request, Answer]:
    if request.phase is not Phase.OPEN:
        return request, Answer.OVER
    if not by.same_person(request.by):
        return request, Answer.NOT_YOURS
    return _ended(request, Phase.WITHDRAWN, now, by, ""), Answer.COUNTED


def expire(request: Request, now: datetime) -> Request:
    return _ended(request, Phase.EXPIRED, now, None, "")


def finish(request: Request, phase: Phase, said: str, now: datetime) -> Request:
    """It was carried out (DONE), or was not because of what `said` says (FAILED)."""
    return _ended(request, phase, now, None, said)


def sign(request: Request, by: Party, now: datetime) -> tuple[Request, Answer]:
    """Another one has looked at what was done alone."""
    if not request.under_review:
        return request, Answer.OVER
    if by.same_person(request.by):
        return request, Answer.SAME_PERSON
    return replace(request, signed_by=by, signed_at=now), Answer.COUNTED


def is_due_to_expire(request: Request, now: datetime) -> bool:
    return request.phase is Phase.OPEN and now >= request.expires_at


def is_due_for_reminder(request: Request, now: datetime) -> bool:
    """Once, after a while; a broken glass is reminded of as well."""
    waits = request.phase is Phase.OPEN or (request.phase.over and request.under_review)
    return waits and not request.reminded and now >= request.at + timedelta(seconds=request.rule.remind_s)


def digest_for(requests: Iterable[Request], tenants: frozenset[Tenant], caller: Caller) -> str:
    """Equal as long as nothing moves in the requests that concern a person: those of their tenants, and their own."""
    seen = [
        f"{r.id} {r.phase} {[vote.by.subject for vote in r.votes]} {r.evidence.digest} {r.signed_by is not None}"
        for r in requests
        if r.order.tenants & tenants or r.by.caller == str(caller)
    ]
    return hashlib.sha256("\n".join(sorted(seen)).encode()).hexdigest()


def _ended(request: Request, phase: Phase, now: datetime, by: Party | None, said: str) -> Request:
    """Once: what is over stays as it ended."""
    if request.phase.over:
        return request
    return replace(request, phase=phase, ended_at=now, ended_by=by, said=said[: 4 * REASON_LIMIT])
