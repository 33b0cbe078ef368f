"""What webhooks did not bring: each tenant's alarms are read from ThingsBoard and compared with what we hold.

A restart of ThingsBoard loses the messages in flight, and afterwards an alarm that goes on is never told as new again
(measured on CE 4.2.1). So the list of active alarms is read at start and at every tick: alarms we do not know, or know
otherwise, go into the inbox as reads; alarms we hold active that are not in the list are read one by one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

import orjson
import structlog
from prometheus_client import Counter, Gauge

from core.alarms.facts import AlarmReport
from core.alarms.fold import AlarmState, fold
from core.alarms.parse import Kind, Told
from core.errors import OutsideError
from core.ids import Stack, Tenant
from core.messages.incident import away_message
from core.ports import Clock
from flows.doubts import Doubts
from flows.world import TenantWorld, World
from integrations.store.connection import Store
from integrations.store.families import DAY, Family
from integrations.store.incidents import AlarmKey, Incidents
from integrations.store.intake import Intake
from integrations.store.leases import Command, Lease, Leases
from integrations.store.outbox import Outbox, Priority, Wanted

log = structlog.get_logger(__name__)

LEASE_S = 120.0
TENANTS_AT_ONCE = 4
SINGLE_READS = 50
"""So many alarms that are no longer listed are read in one tick; the rest in the next ones."""
APPENDS_AT_ONCE = 256
FAILURES_TO_TELL = 2
"""One failed read is no news; two in a row are."""

FAMILIES = (Family("reconciliation", "cdm:reconcile:*", "30 days after the last read", 30 * DAY, 10_000, 512),)

FOUND = Counter("cdm_reconcile_found", "Alarms whose webhooks did not bring us up to date, by what was wrong", ["what"])
READS = Counter("cdm_reconcile_reads", "Reads of a tenant's active alarms, by result", ["result"])
AGE = Gauge("cdm_alarms_read_age_seconds", "Age of the last good read of a tenant's alarms", ["stack", "tenant"])


@dataclass(frozen=True, slots=True)
class Reading:
    """How reading one tenant's alarms goes. `good_ms`: the last good read. `away_ms`: since when it fails; `told`:
    people were told so."""

    good_ms: int = 0
    failures: int = 0
    away_ms: int = 0
    told: bool = False


async def reading_of(store: Store, stack: Stack, tenant: Tenant) -> Reading:
    """As the store has it; all zeros where it was never read."""
    raw = await store.get(_key(stack, tenant))
    return Reading(**orjson.loads(raw)) if raw else Reading()


class Reconciler:
    """`tick` at start and every minute or so; two processes may tick, one of them reads."""

    def __init__(
        self,
        *,
        world: World,
        store: Store,
        intake: Intake,
        incidents: Incidents,
        outbox: Outbox,
        leases: Leases,
        clock: Clock,
    ) -> None:
        self._world = world
        self._store = store
        self._intake = intake
        self._incidents = incidents
        self._outbox = outbox
        self._leases = leases
        self._clock = clock
        self._doubts = Doubts(world, intake, incidents, clock)

    async def tick(self) -> None:
        """Every tenant once. A tenant whose ThingsBoard fails does not hold up the others."""
        gate = asyncio.Semaphore(TENANTS_AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            for stack in self._world.stacks.values():
                for tenant in stack.tenants.values():
                    tasks.create_task(self._guarded(stack.name, tenant, gate))

    async def reading(self, stack: Stack, tenant: Tenant) -> Reading:
        """How reading this tenant's alarms goes, whichever process does it."""
        return await reading_of(self._store, stack, tenant)

    async def _guarded(self, stack: Stack, tenant: TenantWorld, gate: asyncio.Semaphore) -> None:
        async with gate:
            try:
                async with self._leases.hold(f"reconcile:{stack}/{tenant.id}", LEASE_S) as lease:
                    if lease is not None:
                        await self._reconcile(lease, stack, tenant)
                now = await self.reading(stack, tenant.id)
                if now.good_ms:
                    AGE.labels(stack, tenant.id).set((self._now_ms() - now.good_ms) / 1000)
            except Exception as error:
                log.error("reconcile_failed", stack=stack, tenant=tenant.id, error=repr(error))

    async def _reconcile(self, lease: Lease, stack: Stack, tenant: TenantWorld) -> None:
        before = await self.reading(stack, tenant.id)
        held_active = await self._incidents.active(stack, tenant.id)
        read_ms = self._now_ms()
        try:
            listed = await tenant.alarms.active()
        except OutsideError as error:
            READS.labels(error.reason).inc()
            await lease.commit(self._failed(stack, tenant, before, error))
            return
        READS.labels("good").inc()
        await self._feed(stack, tenant.id, listed, read_ms)
        gone = sorted(held_active - {report.alarm_id for report in listed})[:SINGLE_READS]
        if gone:
            FOUND.labels("no_longer_active").inc(len(gone))
            await self._doubts.read([AlarmKey(stack, tenant.id, alarm_id) for alarm_id in gone])
        await lease.commit(self._read(stack, tenant, before, read_ms))

    async def _feed(self, stack: Stack, tenant: Tenant, listed: Sequence[AlarmReport], read_ms: int) -> None:
        """What the list says that we do not know goes through the inbox, like a webhook."""
        held = await self._incidents.alarms(AlarmKey(stack, tenant, report.alarm_id) for report in listed)
        news: list[AlarmReport] = []
        for report in listed:
            known = held.get(AlarmKey(stack, tenant, report.alarm_id))
            if known is None:
                FOUND.labels("unknown").inc()
            elif not _differs(known.state, report, read_ms):
                continue
            else:
                FOUND.labels("different").inc()
            news.append(report)
        for at in range(0, len(news), APPENDS_AT_ONCE):
            async with asyncio.TaskGroup() as tasks:
                for report in news[at : at + APPENDS_AT_ONCE]:
                    tasks.create_task(self._intake.append_read(stack, tenant, Told(Kind.UPDATED, report), read_ms))

    def _failed(self, stack: Stack, tenant: TenantWorld, before: Reading, error: OutsideError) -> list[Command]:
        if before.failures == 0:
            log.warning("thingsboard_went_away", stack=stack, tenant=tenant.id, reason=error.reason)
        after = replace(before, failures=before.failures + 1, away_ms=before.away_ms or self._now_ms())
        if after.failures < FAILURES_TO_TELL or after.told:
            return _put(stack, tenant.id, after)
        message = away_message(stack, tenant.id, _instant(after.away_ms), error.user_text, None)
        wanted = Wanted(_away_key(stack, tenant.id, after), tenant.channel, message, Priority.UPDATE)
        return [*_put(stack, tenant.id, replace(after, told=True)), *self._outbox.want(wanted)]

    def _read(self, stack: Stack, tenant: TenantWorld, before: Reading, read_ms: int) -> list[Command]:
        if before.failures:
            log.info("thingsboard_returned", stack=stack, tenant=tenant.id, failures=before.failures)
        commands = _put(stack, tenant.id, Reading(good_ms=read_ms))
        if before.told:
            message = away_message(stack, tenant.id, _instant(before.away_ms), "", _instant(read_ms))
            wanted = Wanted(_away_key(stack, tenant.id, before), tenant.channel, message, Priority.UPDATE, open=False)
            commands += self._outbox.want(wanted)
        return commands

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)


def _differs(state: AlarmState, report: AlarmReport, read_ms: int) -> bool:
    """Whether the read would change more than when we last read."""
    after = fold(state, report, heard_ms=read_ms)
    return replace(after, read_ms=state.read_ms, read_at_ms=state.read_at_ms) != state


def _key(stack: Stack, tenant: Tenant) -> str:
    return f"cdm:reconcile:{stack}/{tenant}"


def _away_key(stack: Stack, tenant: Tenant, reading: Reading) -> str:
    return f"thingsboard-away:{stack}/{tenant}:{reading.away_ms}"


def _put(stack: Stack, tenant: Tenant, reading: Reading) -> list[Command]:
    return [("SET", _key(stack, tenant), orjson.dumps(asdict(reading)), "EX", 30 * DAY)]


def _instant(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
