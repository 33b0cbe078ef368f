"""Finding out what became of a promotion: after its answer, after a lost answer, after a crash. Only reads and records;
a resume is never sent from here."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

import structlog
from prometheus_client import Counter

from core.errors import OutsideError
from core.ids import RolloutId, Stack
from core.messages.rollout import rollout_alarm
from core.rollouts.actors import SCHEDULER
from core.rollouts.cause import focus, started_index
from core.rollouts.facts import RolloutStatus, Snapshot
from core.rollouts.gates import owned
from core.rollouts.readback import read_back
from core.rollouts.records import Attempt, AttemptState, Hold, PauseIntent, PauseState, RolloutRecord
from core.rollouts.views import Mood
from flows.rollouts.ledger import Held, Ledger, object_of, with_view
from flows.rollouts.site import Site
from integrations.store.audit import Line
from integrations.store.leases import Command

log = structlog.get_logger(__name__)

PROMOTIONS = Counter("cdm_promotions", "Promotions that were sent, by what became of them", ["stack", "outcome"])

_TICKS_TO_SHOW = 3
_Key: TypeAlias = tuple[Stack, RolloutId, int]


class Settler:
    """Reads promotions back. Remembers, on this process's monotonic clock, since when each open attempt can no longer
    be *sent*: from then its maximum life runs.

    For an attempt sent here that is the moment its call ended. For one found in the store (its sender crashed, froze or
    gave up) it is the moment it is found under the lease: the sender's lease was over by then, and it sends only while
    its lease is valid. So no clock of another machine is trusted, and forgetting (a restart) only waits longer.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._unsendable: dict[_Key, float] = {}
        self._first_read: dict[_Key, float] = {}

    def sent(self, record: RolloutRecord, attempt: Attempt) -> None:
        """The call of this attempt has just ended, whatever its answer."""
        self._unsendable[(record.stack, record.rollout, attempt.number)] = self._ledger.clock.monotonic()

    async def settle(self, held: Held, site: Site, record: RolloutRecord) -> RolloutRecord:
        """The record with its open attempt closed if that can be told yet. Raises OutsideError, LeaseLost."""
        attempt = record.open_attempt
        if attempt is None:
            return record
        clock, policy = self._ledger.clock, site.policy
        key = (record.stack, record.rollout, attempt.number)
        passed = clock.monotonic() - self._unsendable.setdefault(key, clock.monotonic())
        life = policy.max_request_life_s if attempt.state is AttemptState.SENT else 0.0
        if passed < life:
            return record
        snapshot = await site.snapshot(record.rollout, clock)
        since = clock.monotonic() - self._first_read.setdefault(key, clock.monotonic())
        shown_by_now = since >= max(_TICKS_TO_SHOW * policy.tick_s, policy.agree_s)
        state = read_back(snapshot, attempt, shown_by_now=shown_by_now)
        if state.open:
            return record
        self._forget(key)
        return await self._close(held, site, record, replace(attempt, state=state), snapshot)

    async def refused(self, held: Held, site: Site, record: RolloutRecord, attempt: Attempt, why: str) -> RolloutRecord:
        """Close an attempt that provably did nothing: it was not sent, or hawkBit refused it."""
        self._forget((record.stack, record.rollout, attempt.number))
        closed = replace(attempt, state=AttemptState.NOT_APPLIED, detail=why)
        return await self._close(held, site, record, closed, None)

    def _forget(self, key: _Key) -> None:
        self._unsendable.pop(key, None)
        self._first_read.pop(key, None)

    async def _close(
        self, held: Held, site: Site, record: RolloutRecord, attempt: Attempt, snapshot: Snapshot | None
    ) -> RolloutRecord:
        now = self._ledger.clock.now()
        attempt = replace(attempt, settled_at=now)
        resumed = attempt.state is not AttemptState.NOT_APPLIED
        record = record.with_attempt(attempt)
        commands: list[Command] = []
        if resumed:
            record = replace(
                record,
                last_promoted_at=now,
                pauses=tuple(
                    replace(p, state=PauseState.OVER) if p.state.stands and p.at < attempt.at else p
                    for p in record.pauses
                ),
            )
        again = self._pause_again(site, record, attempt, snapshot)
        if again is not None:
            record = record.with_pause(again)
        if attempt.state is AttemptState.UNEXPECTED and snapshot is not None:
            brakes = owned(snapshot, site.policy_of(snapshot.rollout, record))
            if brakes and record.hold is None:
                record = replace(record, hold=Hold(now, SCHEDULER, "a group started that was not meant to"))
            what = (
                f"group {started_index(snapshot)} is running, but only group {attempt.group_index} was meant to start. "
                + ("The bot holds the rollout" + (" and pauses it. " if again else ". ") if brakes else "")
                + "Devices already started will finish. Look into hawkBit before anybody resumes."
            )
            message = rollout_alarm(site.stack, record.name, what)
            commands = self._ledger.alarm(site, record, f"unexpected:{attempt.number}", message)
        object = object_of(record.stack, record.rollout, attempt.group_index)
        outcome = Line(
            "outcome",
            attempt.by.subject,
            "promote",
            object,
            {"attempt": attempt.number, "state": attempt.state.value, "detail": attempt.detail},
            attempt.audit_ref,
        )
        closed = _shown(record, attempt, snapshot)
        record = await self._ledger.write_down(held, site, outcome, lambda _: closed, commands)
        PROMOTIONS.labels(site.stack, attempt.state.value).inc()
        log.info("promotion_settled", object=object, attempt=attempt.number, state=attempt.state.value)
        if again is not None:
            record = await self._send_pause(held, site, record, again)
        return record

    def _pause_again(
        self, site: Site, record: RolloutRecord, attempt: Attempt, snapshot: Snapshot | None
    ) -> PauseIntent | None:
        """A pause to send now: a group started that nobody meant to start, or the resume undid a later pause."""
        if snapshot is None or snapshot.rollout.status is not RolloutStatus.RUNNING:
            return None
        now = self._ledger.clock.now()
        if attempt.state is AttemptState.UNEXPECTED and owned(snapshot, site.policy_of(snapshot.rollout, record)):
            group = focus(snapshot)
            reason = "a group started that was not meant to"
            return PauseIntent(now, SCHEDULER, reason, group=group.id if group else None)
        later = record.own_pause
        if later is not None and later.at >= attempt.at:
            return PauseIntent(now, later.by, later.reason)
        return None

    async def _send_pause(self, held: Held, site: Site, record: RolloutRecord, pause: PauseIntent) -> RolloutRecord:
        """Best effort right away. The intent stands whatever the answer, so nothing is promoted after it."""
        object = object_of(record.stack, record.rollout)
        ref = await self._ledger.intent(pause.by, "pause", object, {**record.concerned(), "reason": pause.reason})
        said = "answered 204"
        try:
            await site.rollouts.pause(record.rollout)
        except OutsideError as error:
            said = error.reason
            log.warning("pause_failed", object=object, reason=error.reason)
        await self._ledger.outcome(ref, pause.by, "pause", object, {"answer": said})
        if said != "answered 204":
            return record
        return await self._ledger.write(held, site, record.with_pause(replace(pause, state=PauseState.APPLIED)))


def _shown(record: RolloutRecord, attempt: Attempt, snapshot: Snapshot | None) -> RolloutRecord:
    group = attempt.group_index
    match attempt.state:
        case AttemptState.STARTED:
            running = focus(snapshot) if snapshot is not None else None
            devices = f" on {running.total} devices" if running is not None else ""
            return with_view(record, Mood.RUNNING, f"group {group} was started{devices} by {attempt.by.name}")
        case AttemptState.UNEXPECTED:
            return with_view(record, Mood.FAILED, f"more than group {group} was started")
        case AttemptState.NOT_STARTED:
            return with_view(record, Mood.RUNNING, f"resumed, but group {group} did not start")
        case _:
            return with_view(record, Mood.PAUSED, f"group {group} was not started: {attempt.detail or 'not applied'}")
