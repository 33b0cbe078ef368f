"""Into the durable queue before Slack is answered, and what to say where that did not work."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from prometheus_client import Counter

from core.ports import Clock
from integrations.store.connection import STORE_DOWN, StoreTimeout
from integrations.store.work import WorkQueue

log = structlog.get_logger(__name__)

HEARD = Counter("cdm_slack_heard", "Commands, clicks, forms and openings of the Home tab heard", ["kind", "outcome"])

STORE_AWAY = "Nothing was done: the bot cannot reach its store, so it takes no orders. Try again in a minute."
STORE_SILENT = (
    "The bot's store did not answer in time. What you asked for may still be carried out within the next minutes: "
    "look at how things are before you ask again."
)


class Keeper:
    """Puts what was heard into the queue, with the instant it was heard at."""

    def __init__(self, queue: WorkQueue, clock: Clock) -> None:
        self._queue = queue
        self._clock = clock

    async def keep(self, item: dict[str, Any], *, once: str, within_s: float | None = None) -> str | None:
        """Keep it durably; the same `once` within the hour is a replay and is not kept again. What to tell the person
        where that did not work, or where nobody can say (within `within_s`) whether it did."""
        kind = item["kind"]
        try:
            async with asyncio.timeout(within_s):
                fresh = await self._queue.put({**item, "heard_at": self._clock.now().isoformat()}, once=once)
        except (StoreTimeout, TimeoutError) as error:
            # It may lie in a frozen store's socket, to be run when that goes on.
            HEARD.labels(kind, "store_silent").inc()
            log.error("order_perhaps_kept", kind=kind, error=repr(error))
            return STORE_SILENT
        except STORE_DOWN as error:
            HEARD.labels(kind, "store_away").inc()
            log.error("order_not_kept", kind=kind, error=repr(error))
            return STORE_AWAY
        HEARD.labels(kind, "kept" if fresh else "replay").inc()
        return None
