"""The one path by which a group is started: for the scheduler, for a person's Promote and for a person's Resume.

hawkBit's `resume` compares only "is it paused". It names no group and takes no precondition, so a resume that comes
late starts the *next* group, or undoes a person's pause (measured on hawkBit 1.1.0). hawkBit knows no fencing token;
the fence is here. The order of steps, and why:

 1. Take the rollout's lease. Everything that changes or promotes this rollout waits for it, in every process.
 2. An attempt that is still open comes first: wait out its life, read it back, close it (`settle`). Until then nothing
    is decided, for whatever it did would be decided twice.
 3. Read claims, members, groups, and the rollout last; decide anew with the record as it is under the lease. The click
    or the tick that brought us here only says what was wanted, never what is true.
 4. The decision must name the very group that was asked for. A person's click is judged by the same gates.
 5. Audit the intent, then renew the lease, then write the attempt down in one commit fenced by the lease: numbered, for
    this (rollout, group), before anything is sent. From here on a crash leaves an open attempt, which step 2 of the
    next holder finds; and a process that lost its lease has written nothing and sends nothing.
 6. With no await in between: the lease is valid for longer than the request may take (by the monotonic clock, so also
    in a process that was stopped and continued, and by the wall clock, for a machine that was suspended), and the read
    of step 3 is, by both clocks, younger than `max_read_age_s`. Read and request together stay below one hawkBit tick:
    within that time hawkBit cannot have moved on *and* paused again, so the pause we resume is the pause we read.
 7. Send `resume` once, with a time-out. Never again: not after an error, not after silence.
 8. Refused (400 = somebody was first) proves that this request did nothing. An answer proves that it can do nothing
    more. Anything else proves nothing: the attempt stays open for `max_request_life_s`, and then step 2 reads.
 9. Only the read-back decides what happened. Proven not applied: a *new*, numbered attempt may be decided, from step 1.
    A group started that was not meant to: pause an owned rollout, raise an alarm.

What is left: a process stopped between steps 6 and 7, or inside its HTTP client before the bytes are written, for
longer than lease and request life together, may send late (docs/decisions/0002-promotion-fence.md).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

import structlog

from core.errors import NotAllowed, NotFound, OutsideError, RateLimited, Refused
from core.ids import RolloutId, Stack
from core.rollouts.actors import Actor
from core.rollouts.cause import started_index
from core.rollouts.decide import Decision, Promote, going_past
from core.rollouts.gates import Verdict
from core.rollouts.kept import moment
from core.rollouts.progress import reason_in_words
from core.rollouts.records import Attempt, AttemptState, RolloutRecord
from core.rollouts.views import Mood
from flows.rollouts.ledger import Held, Ledger, object_of, with_view
from flows.rollouts.reading import Fresh, read_and_decide
from flows.rollouts.settle import Settler
from flows.rollouts.site import Site
from integrations.store.audit import Line
from integrations.store.leases import LeaseLost
from integrations.store.rollout_past import add_moment

log = structlog.get_logger(__name__)

_PROVEN_NOT_APPLIED = (Refused, NotAllowed, NotFound, RateLimited)
"""hawkBit read the request and said no. Everything else may still be applied."""


StillAllowed: TypeAlias = Callable[[], Awaitable[datetime]] | None
"""Reads a person's right once more, under the lease, and says when it was read; raises where it is gone. None: nobody
has to be asked."""


class PromotionOutcome(StrEnum):
    STARTED = "started"
    ALREADY_STARTED = "already_started"
    REFUSED = "refused"
    STALE = "stale"
    BUSY = "busy"
    NOT_SENT = "not_sent"
    NOT_STARTED = "not_started"
    UNSETTLED = "unsettled"
    UNEXPECTED = "unexpected"


@dataclass(frozen=True, slots=True)
class PromotionResult:
    """`text` is fit for a person: what happened, why, and what comes next. `attempt` is None where none was made."""

    outcome: PromotionOutcome
    text: str
    attempt: int | None = None
    decision: Decision | None = None


class Promoter:
    """Starts groups. One for all stacks of a process; any number of processes."""

    def __init__(self, sites: Mapping[Stack, Site], ledger: Ledger, settler: Settler) -> None:
        self._sites = sites
        self._ledger = ledger
        self._settler = settler

    async def promote(
        self,
        stack: Stack,
        rollout: RolloutId,
        group_index: int,
        by: Actor,
        *,
        wait_s: float = 5.0,
        still_allowed: StillAllowed = None,
        past: frozenset[str] = frozenset(),
        because: str = "",
        approved: bool = False,
    ) -> PromotionResult:
        """Start the group with this number (from 1), if it is the next one and its gates pass now. Raises what the
        store raises while it is away; hawkBit's failures are in the result.

        `still_allowed` reads a person's right once more, under the lease, before anything is decided; it raises where
        that right is gone, and then nothing is done.

        `approved`: a second person agreed to it, where policy wants that.
        `past`: the objections that a second person agreed to go past (`core.rollouts.decide.objection_names`), and
        `because` what the audit says of it. Any other objection holds as ever."""
        site = self._sites[stack]
        async with self._ledger.held(site, rollout, wait_s=wait_s) as held:
            if held is None:
                return PromotionResult(
                    PromotionOutcome.BUSY, "Somebody is acting on this rollout right now. Look again in a moment."
                )
            try:
                return await self._promote(held, site, rollout, group_index, by, still_allowed, past, because, approved)
            except LeaseLost:
                return PromotionResult(
                    PromotionOutcome.NOT_SENT, "Nothing was sent: another process has taken over this rollout."
                )
            except OutsideError as error:
                return PromotionResult(PromotionOutcome.NOT_SENT, f"Nothing was started: {error.user_text}")

    async def _promote(
        self,
        held: Held,
        site: Site,
        rollout: RolloutId,
        group_index: int,
        by: Actor,
        still_allowed: StillAllowed,
        past: frozenset[str],
        because: str,
        approved: bool,
    ) -> PromotionResult:
        record = await self._ledger.records.record(site.stack, rollout)
        record = await self._settler.settle(held, site, record)
        if (before := record.open_attempt) is not None:
            return _unsettled(site, before)
        if still_allowed is not None:
            by = replace(by, rights_at=await still_allowed())
        fresh = await read_and_decide(site, self._ledger, record, by.kind, approved=approved)
        if fresh is None:
            return PromotionResult(PromotionOutcome.STALE, "This rollout does not exist in hawkBit any more.")
        wanted = fresh.decision.intent
        if past and (gone_past := going_past(fresh.decision, fresh.snapshot, record, past)) is not None:
            wanted, record = gone_past
        if not isinstance(wanted, Promote) or wanted.group_index != group_index:
            return await self._refuse(site, rollout, group_index, by, fresh)
        object = object_of(site.stack, rollout, group_index)
        number = record.attempts[-1].number + 1 if record.attempts else 1
        attempt = Attempt(
            number=number,
            group_index=group_index,
            group=wanted.group,
            at=self._ledger.clock.now(),
            by=by,
            audit_ref="",
            modified_at=fresh.snapshot.rollout.last_modified_at,
            modified_by=fresh.snapshot.rollout.last_modified_by,
        )
        reason = {"past": sorted(past), "because": because} if past else {}
        data = {**by.audit(), **record.concerned(by), "attempt": number, **reason, **fresh.decision.audit()}
        intent = Line("intent", by.subject, "promote", object, data)
        sending = record

        def named(ref: str) -> RolloutRecord:
            return _sending(sending, replace(attempt, audit_ref=ref), wanted)

        if not await held.renew():
            return _not_sent(attempt, "another process took over this rollout")
        kept = moment(fresh.inputs, fresh.decision, "promote", f"sent by {by.name}")
        record = await self._ledger.write_down(held, site, intent, named, add_moment(site.stack, rollout, kept))
        attempt = record.attempts[-1]
        # No await between this check and the request.
        policy = site.policy
        if not held.valid(policy.request_timeout_s) or fresh.age_s(self._ledger.clock) > policy.max_read_age_s:
            why = "it took too long to get ready"
            await self._settler.refused(held, site, record, attempt, why)
            return _not_sent(attempt, why)
        return await self._send(held, site, record, attempt)

    async def _send(self, held: Held, site: Site, record: RolloutRecord, attempt: Attempt) -> PromotionResult:
        """Entered without an await since the lease was checked."""
        try:
            start = site.rollouts.next_group if site.policy.triggers else site.rollouts.resume
            await start(record.rollout, timeout_s=site.policy.request_timeout_s)
        except _PROVEN_NOT_APPLIED as error:
            return await self._turned_down(held, site, record, attempt, error)
        except OutsideError as error:
            log.warning("promotion_unanswered", rollout=record.rollout, attempt=attempt.number, reason=error.reason)
            return _unsettled(site, attempt)
        finally:
            self._settler.sent(record, attempt)
        answered = replace(attempt, state=AttemptState.ANSWERED)
        try:
            record = await self._ledger.write(held, site, record.with_attempt(answered))
            record = await self._settler.settle(held, site, record)
        except (OutsideError, LeaseLost) as error:
            log.info("promotion_not_read_back", rollout=record.rollout, attempt=attempt.number, error=repr(error))
        return _result(site, record, answered)

    async def _turned_down(
        self, held: Held, site: Site, record: RolloutRecord, attempt: Attempt, error: OutsideError
    ) -> PromotionResult:
        """hawkBit said no: this attempt did nothing. Somebody else may have started the group."""
        try:
            await self._settler.refused(held, site, record, attempt, error.reason)
            snapshot = await site.snapshot(record.rollout, self._ledger.clock)
        except (OutsideError, LeaseLost):
            snapshot = None
        if snapshot is not None and started_index(snapshot) >= attempt.group_index:
            text = f"Group {attempt.group_index} was already started by somebody else."
            return PromotionResult(PromotionOutcome.ALREADY_STARTED, text, attempt.number)
        text = f"hawkBit refused, so this click started nothing: {error.user_text}"
        return PromotionResult(PromotionOutcome.NOT_STARTED, text, attempt.number)

    async def _refuse(
        self, site: Site, rollout: RolloutId, group_index: int, by: Actor, fresh: Fresh
    ) -> PromotionResult:
        """Nothing is sent. Say why, and write down that a person was refused."""
        decision = fresh.decision
        if started_index(fresh.snapshot) >= group_index:
            return PromotionResult(
                PromotionOutcome.ALREADY_STARTED, f"Group {group_index} is already started.", None, decision
            )
        if by.person:
            object = object_of(site.stack, rollout, group_index)
            data = {**by.audit(), **fresh.record.concerned(by), **decision.audit()}
            await self._ledger.audit.note(by.subject, "refused:promote", object, data)
        if isinstance(decision.intent, Promote):
            return PromotionResult(
                PromotionOutcome.STALE,
                f"The next group is {decision.intent.group_index}, not {group_index}. Look at the message again.",
                None,
                decision,
            )
        why = "; ".join(reason_in_words(g) for g in decision.objections)
        text = f"Group {group_index} was not started: {why}."
        if decision.verdict is Verdict.FAIL:
            text += " Going on past a failed gate needs a second person: ask for it with `/cdm rollout continue`."
        return PromotionResult(PromotionOutcome.REFUSED, text, None, decision)


def _sending(record: RolloutRecord, attempt: Attempt, wanted: Promote) -> RolloutRecord:
    """The record as it must stand before anything is sent."""
    said = f"group {wanted.group_index} ({wanted.devices} devices) is being started by {attempt.by.name}"
    return with_view(record.with_attempt(attempt), Mood.PROMOTING, said)


def _unsettled(site: Site, attempt: Attempt) -> PromotionResult:
    group, life = attempt.group_index, site.policy.max_request_life_s
    if attempt.state is AttemptState.ANSWERED:
        text = f"hawkBit resumed; group {group} starts with its next tick and is shown in the message."
    else:
        text = (
            f"Group {group}: hawkBit's answer did not come. It may still take effect, so nothing is sent again; it is "
            f"read back after {life:g} s and shown in the message."
        )
    return PromotionResult(PromotionOutcome.UNSETTLED, text, attempt.number)


def _result(site: Site, record: RolloutRecord, attempt: Attempt) -> PromotionResult:
    now = next((a for a in record.attempts if a.number == attempt.number), attempt)
    group = now.group_index
    match now.state:
        case AttemptState.STARTED:
            return PromotionResult(PromotionOutcome.STARTED, f"Group {group} is started.", now.number)
        case AttemptState.UNEXPECTED:
            text = f"More than group {group} was started; the rollout's message says what was done."
            return PromotionResult(PromotionOutcome.UNEXPECTED, text, now.number)
        case AttemptState.ANSWERED | AttemptState.SENT:
            return _unsettled(site, now)
        case AttemptState.NOT_STARTED:
            text = f"hawkBit resumed, but group {group} did not start."
            return PromotionResult(PromotionOutcome.NOT_STARTED, text, now.number)
        case AttemptState.NOT_APPLIED:
            return _not_sent(now, now.detail)


def _not_sent(attempt: Attempt, why: str) -> PromotionResult:
    text = f"Group {attempt.group_index} was not started: {why}. Nothing was sent; it may be tried again."
    return PromotionResult(PromotionOutcome.NOT_SENT, text, attempt.number)
