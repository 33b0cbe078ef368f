"""Alarms whose messages do not add up: ThingsBoard is asked, and its answer goes through the inbox like the rest."""

from __future__ import annotations

import asyncio

import structlog

from core.alarms.fold import gone
from core.alarms.parse import Kind, Told
from core.errors import OutsideError
from core.ids import Stack, Tenant
from core.ports import Clock
from flows.world import World
from integrations.store.incidents import AlarmKey, Incidents
from integrations.store.intake import Intake
from integrations.store.leases import Lease

log = structlog.get_logger(__name__)

READS = 20
AT_ONCE = 4
ASK_AGAIN_MS = 30_000
LEARN_S = 600.0
LEARN_AGAIN_S = 30.0


class Doubts:
    """Asks about each alarm at most every 30 s, until its state adds up."""

    def __init__(self, world: World, intake: Intake, incidents: Incidents, clock: Clock) -> None:
        self._world = world
        self._intake = intake
        self._incidents = incidents
        self._clock = clock

    async def step(self, lease: Lease) -> int:
        """Ask about what is due, at most 20; how many there were."""
        now_ms = self._now_ms()
        due = await self._incidents.doubtful(now_ms, limit=READS)
        if due:
            await lease.commit([self._incidents.ask_later(key, now_ms + ASK_AGAIN_MS) for key in due])
            await self.read(due)
        return len(due)

    async def read(self, keys: list[AlarmKey]) -> int:
        """Read each of these alarms and put the answers into the inbox; how many answered."""
        gate = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            reads = [tasks.create_task(self._read(key, gate)) for key in keys]
        return sum(read.result() for read in reads)

    async def _read(self, key: AlarmKey, gate: asyncio.Semaphore) -> bool:
        async with gate:
            read_ms = self._now_ms()
            try:
                report = await self._world.tenant(key.stack, key.tenant).alarms.alarm(key.alarm_id)
            except OutsideError as error:
                log.warning("alarm_read_failed", alarm=str(key), reason=error.reason)
                return False
        if report is None:
            held = (await self._incidents.alarms([key])).get(key)
            if held is None:
                return True
            report = gone(held.state)
        await self._intake.append_read(key.stack, key.tenant, Told(Kind.UPDATED, report), read_ms)
        return True

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)


class OwnUsers:
    """Which ThingsBoard user the bot itself is, per tenant: to tell echoes of its own acts from those of people."""

    def __init__(self, world: World, clock: Clock) -> None:
        self._world = world
        self._clock = clock
        self._ids: dict[tuple[Stack, Tenant], str] = {}

    def did(self, stack: Stack, tenant: Tenant, told: Told) -> bool:
        """False also while it is not known yet who the bot is there."""
        user = told.report.by_user or (told.comment.by_user if told.comment else None)
        return user is not None and user == self._ids.get((stack, tenant))

    async def learn(self) -> bool:
        """Ask each ThingsBoard; True where all answered."""
        complete = True
        for stack in self._world.stacks.values():
            for tenant in stack.tenants.values():
                try:
                    self._ids[stack.name, tenant.id] = await tenant.alarms.own_user_id()
                except OutsideError as error:
                    log.warning("own_user_unknown", stack=stack.name, tenant=tenant.id, reason=error.reason)
                    complete = False
        return complete

    async def run(self) -> None:
        """Ask again now and then, since a rotated login may be another account. Runs until cancelled."""
        while True:
            try:
                complete = await self.learn()
            except Exception as error:
                log.error("own_users_failed", error=repr(error))
                complete = False
            await self._clock.sleep(LEARN_S if complete else LEARN_AGAIN_S)
