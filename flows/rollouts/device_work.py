"""Excluding, cancelling, ending, forcing and catching up: acts on single devices of a rollout, by the brake account.

Each is written down, in one commit with the audit's intent, before the first call; then hawkBit is read and only what
is still missing is sent. A process killed at any point leaves the work in the record, and the next tick of any process
goes on with it the same way. Nothing is sent again in the pass in which its answer did not come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import structlog
from prometheus_client import Counter

from core.errors import OutsideError
from core.ids import RolloutId, Stack
from core.rollouts.actors import Actor
from core.rollouts.cause import PauseCause, focus, started_index
from core.rollouts.exclusion import with_excluded
from core.rollouts.facts import GroupStatus, RolloutStatus, Snapshot
from core.rollouts.records import RolloutRecord
from core.rollouts.views import Mood
from core.rollouts.work import DeviceWork, FinishedWork, WorkKind
from flows.rollouts.device_passes import Pass, passes
from flows.rollouts.device_plans import Plan, plan_for
from flows.rollouts.ledger import Held, Ledger, object_of, with_view
from flows.rollouts.promote import StillAllowed
from flows.rollouts.site import Site
from integrations.store.audit import Line
from integrations.store.leases import LeaseLost

log = structlog.get_logger(__name__)

WORKS = Counter(
    "cdm_rollout_device_works",
    "Acts on single devices of rollouts, by what became of them",
    ["stack", "kind", "outcome"],
)

_NAMES_AUDITED = 500
_REASON = 200
_TICKS_OVER = 1.5
_TICKS_TO_COMPLETE = 3


class WorkOutcome(StrEnum):
    DONE = "done"
    UNDER_WAY = "under_way"
    REFUSED = "refused"
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class WorkResult:
    """`text` says what is true now, fit for a person."""

    outcome: WorkOutcome
    text: str


class DeviceWorks:
    """One for all stacks of a process. Waits for the rollout's lease as long as a dead holder could keep it."""

    def __init__(self, sites: Mapping[Stack, Site], ledger: Ledger) -> None:
        self._sites = sites
        self._ledger = ledger

    async def plan(self, kind: WorkKind, stack: Stack, rollout: RolloutId, which: str = "") -> Plan:
        """What an order would come to now. Raises Refused with the reason where it must not be done, NotFound or
        OutsideError."""
        record = await self._ledger.records.record(stack, rollout)
        return await plan_for(kind, self._sites[stack], record, self._ledger.clock, which=which)

    async def order(
        self,
        kind: WorkKind,
        stack: Stack,
        rollout: RolloutId,
        by: Actor,
        reason: str = "",
        *,
        which: str = "",
        still_allowed: StillAllowed = None,
    ) -> WorkResult:
        """`which`: the group's number for an exclusion, else one device's name; "" for all that there is. An order for
        what was begun before goes on with that, and one that ended unheard (by its reason) is told its end."""
        site, ledger = self._sites[stack], self._ledger
        async with ledger.held(site, rollout, wait_s=site.policy.lease_s + 1) as held:
            if held is None:
                return WorkResult(WorkOutcome.BUSY, "Somebody else is acting on this rollout. Try again in a moment.")
            record, reason = await ledger.records.record(stack, rollout), reason[:_REASON]
            last = record.last_work
            if last is not None and reason and (last.kind, last.reason) == (kind, reason):
                return WorkResult(WorkOutcome.DONE if last.done else WorkOutcome.REFUSED, last.text)
            begun = record.work is not None and (record.work.kind, record.work.reason) == (kind, reason)
            if still_allowed is not None and not begun:
                by = replace(by, rights_at=await still_allowed())
            try:
                return await self._order(held, site, record, kind, by, reason, which)
            except OutsideError as error:
                said = {**by.audit(), **record.concerned(by), "reason": reason, "text": error.user_text}
                await ledger.audit.note(by.subject, f"refused:{kind.value}", object_of(stack, rollout), said)
                return WorkResult(WorkOutcome.REFUSED, error.user_text)
            except LeaseLost:
                return WorkResult(
                    WorkOutcome.UNDER_WAY, "Another process took over and goes on; the message shows what is true."
                )

    async def go_on(self, stack: Stack, rollout: RolloutId) -> None:
        """Go on with what was begun, if nobody else is at it. Raises LeaseLost."""
        site = self._sites[stack]
        async with self._ledger.held(site, rollout, wait_s=0.0) as held:
            if held is None:
                return
            record = await self._ledger.records.record(stack, rollout)
            if record.work is not None:
                await self._go_on(held, site, record, record.work, wait=False)

    async def _order(
        self, held: Held, site: Site, record: RolloutRecord, kind: WorkKind, by: Actor, reason: str, which: str
    ) -> WorkResult:
        before = record.work
        if before is not None:
            result = await self._go_on(held, site, record, before, wait=before.kind is kind)
            if before.kind is kind or result.outcome is WorkOutcome.UNDER_WAY:
                return result
            record = await self._ledger.records.record(site.stack, record.rollout)
        if record.open_attempt is not None:
            text = f"Group {record.open_attempt.group_index} is being started just now. Try again in a moment."
            return WorkResult(WorkOutcome.BUSY, text)
        plan = await plan_for(kind, site, record, self._ledger.clock, which=which)
        work = DeviceWork(kind, self._ledger.clock.now(), by, "", reason, plan.total, plan.group, plan.devices)
        record = await self._begin(held, site, record, work)
        return await self._go_on(held, site, record, _begun(record), wait=True)

    async def _begin(self, held: Held, site: Site, record: RolloutRecord, work: DeviceWork) -> RolloutRecord:
        """From here on it is found by whoever comes next. Excluded devices are left out of the count at once."""
        names = [one.device for one in work.devices]
        data = {
            **work.by.audit(),
            **record.concerned(work.by),
            "reason": work.reason,
            "number": work.total,
            "devices": names[:_NAMES_AUDITED],
        }
        line = Line("intent", work.by.subject, work.kind.value, object_of(site.stack, record.rollout), data)
        if work.kind is WorkKind.EXCLUDE and work.group is not None:
            record = with_excluded(record, work.group, names)
        begun = record
        return await self._ledger.write_down(held, site, line, lambda ref: replace(begun, work=replace(work, ref=ref)))

    async def _go_on(
        self, held: Held, site: Site, record: RolloutRecord, work: DeviceWork, *, wait: bool
    ) -> WorkResult:
        """One pass. `wait`: a person does, so look whether the group completes."""
        try:
            done = await passes[work.kind](held, site, record, work)
        except OutsideError as error:
            log.warning("device_work_not_done", rollout=record.rollout, kind=work.kind.value, reason=error.reason)
            text = f"It is written down, and the bot goes on by itself: {error.user_text}"
            return WorkResult(WorkOutcome.UNDER_WAY, text)
        if done.left:
            return await self._later(held, site, record, done)
        return await self._end(held, site, done, work, wait=wait)

    async def _later(self, held: Held, site: Site, before: RolloutRecord, done: Pass) -> WorkResult:
        text = f"{done.said} {done.left} are still to be done; the bot goes on by itself.{done.why}"
        if done.record != before:
            await self._ledger.write(held, site, with_view(done.record, _mood(before), text))
        return WorkResult(WorkOutcome.UNDER_WAY, text)

    async def _end(self, held: Held, site: Site, done: Pass, work: DeviceWork, *, wait: bool) -> WorkResult:
        record, text = done.record, done.said + done.why
        mood = _mood(record)
        if work.kind is WorkKind.EXCLUDE:
            snapshot = await self._completed(held, site, record, wait=wait)
            record = _judged_anew(record)
            if snapshot is not None:
                text += f" {_now(snapshot)}"
                mood = Mood.PAUSED if snapshot.rollout.status is RolloutStatus.PAUSED else mood
        outcome = WorkOutcome.REFUSED if done.nothing else WorkOutcome.DONE
        last = FinishedWork(work.kind, work.reason, outcome is WorkOutcome.DONE, text)
        swept = replace(record.sweep, outdated=True) if record.sweep is not None else None
        record = replace(record, work=None, sweep=swept, last_work=last)
        said = {"outcome": outcome.value, "text": text}
        line = Line("outcome", work.by.subject, work.kind.value, object_of(site.stack, record.rollout), said, work.ref)
        await held.renew()
        await self._ledger.write_down(held, site, line, lambda _: with_view(record, mood, text))
        WORKS.labels(site.stack, work.kind.value, outcome.value).inc()
        log.info("device_work_done", rollout=record.rollout, kind=work.kind.value, outcome=outcome.value)
        return WorkResult(outcome, text)

    async def _completed(self, held: Held, site: Site, record: RolloutRecord, *, wait: bool) -> Snapshot | None:
        """The rollout once hawkBit has seen that the group is complete, a tick later; None where it cannot be read."""
        snapshot = None
        for _ in range(_TICKS_TO_COMPLETE if wait else 1):
            if wait:
                await self._ledger.clock.sleep(_TICKS_OVER * site.policy.tick_s)
                await held.renew()
            try:
                snapshot = await site.snapshot(record.rollout, self._ledger.clock)
            except OutsideError as error:
                log.warning("exclusion_not_read_back", rollout=record.rollout, reason=error.reason)
            if snapshot is not None and snapshot.rollout.status is not RolloutStatus.RUNNING:
                break
        return snapshot


def _begun(record: RolloutRecord) -> DeviceWork:
    assert record.work is not None
    return record.work


def _judged_anew(record: RolloutRecord) -> RolloutRecord:
    """With other devices left out, what was said about the share of the others does not hold any more: neither that the
    group ended below the threshold, nor the bot's own hold for it."""
    episode, hold = record.episode, record.hold
    if episode is not None and episode.cause == PauseCause.COMPLETED_BELOW:
        episode = None
    return replace(record, episode=episode, hold=hold if hold is None or hold.by.person else None)


def _mood(record: RolloutRecord) -> Mood:
    return record.progress.mood if record.progress is not None else Mood.RUNNING


def _now(snapshot: Snapshot) -> str:
    index, group = started_index(snapshot), focus(snapshot)
    status = snapshot.rollout.status
    if group is not None and group.status is GroupStatus.RUNNING and group.counts.running:
        return f"{group.counts.running} installs of group {index} are still open."
    if status is RolloutStatus.PAUSED:
        return f"Group {index} is complete, and the rollout is paused."
    return f"Group {index} is complete, and the rollout is {status.value}."
