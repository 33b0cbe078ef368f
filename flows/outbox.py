"""The outbox worker: brings Slack to what is wanted, one leased worker a lane, shared by all replicas."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from prometheus_client import Gauge

from core.budgets import Budgets
from core.ids import Channel
from core.outbox import Do, Timing, next_step
from core.ports import Clock, Posts
from flows.outbox_calls import Calls, Exits, Pace, Token
from flows.outbox_tells import Tells
from integrations.store.connection import STORE_DOWN, Store
from integrations.store.leases import Lease, LeaseLost, Leases
from integrations.store.outbox import Job, OutboxRows, seconds

__all__ = ["Exits", "OutboxStatus", "OutboxWorker", "Pace"]

log = structlog.get_logger(__name__)

OLDEST = Gauge("cdm_outbox_oldest_s", "Age of the oldest message that Slack does not show as wanted")
PENDING = Gauge("cdm_outbox_pending", "Messages that Slack does not show as wanted")
DEAD = Gauge("cdm_outbox_dead", "Messages given up on in the last 14 days")

_TELLS = Channel("tells")


@dataclass(frozen=True, slots=True)
class OutboxStatus:
    """`ready` is False while Slack refuses the token: `reason` says why, and everything wanted is kept."""

    ready: bool
    reason: str
    pending: int
    oldest_s: float
    dead: int


class OutboxWorker:
    """`run()` works until it is cancelled. Killed at any point it neither loses nor doubles a message."""

    def __init__(
        self,
        posts: Posts,
        store: Store,
        clock: Clock,
        *,
        exits: Exits | None = None,
        timing: Timing | None = None,
        budgets: Budgets | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._clock = clock
        self._pace = pace or Pace()
        self._timing = timing or Timing()
        self._rows = OutboxRows(store)
        self._leases = Leases(store, clock)
        self._token = Token(clock)
        self._calls = Calls(
            posts,
            store,
            clock,
            self._token,
            exits or Exits(),
            timing=self._timing,
            budgets=budgets or Budgets(),
            pace=self._pace,
        )
        self._tells = Tells(posts, self._rows, clock, self._token)
        self._busy: set[Channel] = set()
        self._store_away = False

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    await self._look(group)
                    self._store_away = False
                except STORE_DOWN as error:
                    if not self._store_away:
                        log.error("outbox_store_lost", error=str(error))
                    self._store_away = True
                await self._clock.sleep(self._pace.poll_s)

    async def status(self) -> OutboxStatus:
        pending, since, dead = await self._rows.backlog()
        age = 0.0 if since is None else max(0.0, seconds(self._clock.now()) - since)
        return OutboxStatus(not self._token.refused, self._token.refused, pending, age, dead)

    async def _look(self, group: asyncio.TaskGroup) -> None:
        status = await self.status()
        OLDEST.set(status.oldest_s)
        PENDING.set(status.pending)
        DEAD.set(status.dead)
        now = seconds(self._clock.now())
        if _TELLS not in self._busy and await self._rows.tells(now):
            self._start(group, _TELLS, self._work_tells)
        for lane in await self._rows.due_lanes(now):
            if lane not in self._busy:
                self._start(group, lane, self._work_lane)

    def _start(
        self, group: asyncio.TaskGroup, lane: Channel, work: Callable[[Channel, Lease], Awaitable[None]]
    ) -> None:
        self._busy.add(lane)
        group.create_task(self._leased(lane, work), name=f"outbox:{lane}")

    async def _leased(self, lane: Channel, work: Callable[[Channel, Lease], Awaitable[None]]) -> None:
        """Work on a lane while its lease is ours. A killed worker's lease ends by itself."""
        lease: Lease | None = None
        try:
            lease = await self._leases.acquire(f"outbox:{lane}", self._pace.margin_s(lane) + self._pace.spare_s)
            if lease is not None:
                await work(lane, lease)
        except LeaseLost:
            log.warning("outbox_lease_lost", lane=lane)
        except STORE_DOWN as error:
            log.warning("outbox_lane_stopped", lane=lane, error=str(error))
        except Exception:
            log.exception("outbox_lane_failed", lane=lane)
        finally:
            self._busy.discard(lane)
            if lease is not None:
                with contextlib.suppress(*STORE_DOWN):
                    await lease.release()

    async def _work_lane(self, lane: Channel, lease: Lease) -> None:
        await self._shed(lane, lease)
        while True:
            await self._keep(lease, lane)
            jobs = await self._rows.due(lane, seconds(self._clock.now()))
            if not jobs:
                return
            wait = await self._first_act(jobs, lease)
            if wait == math.inf:
                return
            if wait > 0:
                await self._clock.sleep(min(wait, self._pace.longest_nap_s))

    async def _first_act(self, jobs: list[Job], lease: Lease) -> float:
        """Make the first call that may be made. 0: made; inf: nothing to do now; else the seconds until there is."""
        shortest = math.inf
        closed: set[tuple[Do, Channel]] = set()
        for job in jobs:
            now = seconds(self._clock.now())
            step = next_step(job.wanted, job.row, job.parent, now, self._timing)
            if step.do in (Do.REST, Do.WAIT):
                await lease.commit(self._calls.settled(job, job.row, now))
                continue
            bucket = (step.do, job.row.channel)
            if bucket in closed:
                continue
            wait = self._token.wait_s() or await self._act(step.do, job, lease)
            if wait == 0:
                return 0
            closed.add(bucket)
            shortest = min(shortest, wait)
        return shortest

    async def _act(self, do: Do, job: Job, lease: Lease) -> float:
        call = self._calls.calls[do]
        try:
            return await call(job, lease)
        except (LeaseLost, *STORE_DOWN):
            raise
        except Exception:
            # One bad message never blocks a channel.
            log.exception("outbox_step_failed", key=job.wanted.key, step=do.value)
            await self._calls.broken(job, lease)
            return 0

    async def _keep(self, lease: Lease, lane: Channel) -> None:
        """Hold the lease for longer than the next call can last."""
        if not lease.valid(self._pace.margin_s(lane) + self._pace.spare_s / 2) and not await lease.renew():
            raise LeaseLost(lease.name)

    async def _shed(self, lane: Channel, lease: Lease) -> None:
        """Drop the oldest notes of a lane that holds more than it may."""
        surplus = await self._rows.surplus(lane)
        for key, entry in surplus:
            await lease.commit(self._rows.dropped(lane, key, entry))
        if surplus:
            log.error("outbox_notes_dropped", lane=lane, count=len(surplus))

    async def _work_tells(self, lane: Channel, lease: Lease) -> None:
        while True:
            await self._keep(lease, lane)
            if not await self._tells.deliver():
                return
