"""APScheduler as a ticker: it only says when to look. What may be done is decided by leases in the store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger
from prometheus_client import Counter, Gauge

from core.ports import Clock
from integrations.store.connection import STORE_DOWN

log = structlog.get_logger(__name__)

TICKS = Counter("cdm_ticks", "Ticks of periodic jobs", ["job", "outcome"])
TICKED_AT = Gauge("cdm_tick_age_seconds", "Age of the last tick that ended well", ["job"])


class Ticker:
    """Each job runs in one instance per process; a late tick is dropped, not made up for. A failing job goes on ticking
    and says so once when it begins to fail and once when it works again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._scheduler = AsyncIOScheduler(timezone="UTC")
        self._failing: set[str] = set()
        self._last: dict[str, float] = {}

    def every(self, seconds: float, name: str, job: Callable[[], Awaitable[None]]) -> None:
        async def tick() -> None:
            await self._tick(name, job)

        self._last[name] = self._clock.monotonic()
        TICKED_AT.labels(name).set_function(lambda: self.age(name))
        self._scheduler.add_job(
            tick,
            IntervalTrigger(seconds=seconds),
            id=name,
            max_instances=1,
            coalesce=True,
            misfire_grace_time=None,
            next_run_time=self._clock.now(),
        )

    def age(self, name: str) -> float:
        """Seconds since the job last ended well."""
        return self._clock.monotonic() - self._last[name]

    def names(self) -> tuple[str, ...]:
        return tuple(self._last)

    def start(self) -> None:
        self._scheduler.start()

    def stop(self) -> None:
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    async def _tick(self, name: str, job: Callable[[], Awaitable[None]]) -> None:
        try:
            await job()
        except STORE_DOWN as error:
            self._failed(name, "store_away", error)
        except Exception as error:
            self._failed(name, "failed", error)
        else:
            self._last[name] = self._clock.monotonic()
            TICKS.labels(name, "done").inc()
            if name in self._failing:
                self._failing.discard(name)
                log.info("job_recovered", job=name)

    def _failed(self, name: str, outcome: str, error: Exception) -> None:
        TICKS.labels(name, outcome).inc()
        if name not in self._failing:
            self._failing.add(name)
            log.error("job_failed", job=name, outcome=outcome, exc_info=error)
