"""What people asked for, durable before it is acknowledged: a command or click survives the process that heard it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from redis.exceptions import ResponseError

from integrations.store.connection import Store
from integrations.store.families import HOUR, Family

STREAM = "cdm:work"
DEAD = "cdm:work:dead"
GROUP = "workers"
MAX_QUEUED = 10_000
MAX_DEAD = 1_000
REPLAY_S = HOUR

FAMILIES = (
    Family("work", "cdm:work", "when it is done", max_entries=MAX_QUEUED, max_bytes=64 << 20),
    Family("work, failed", "cdm:work:dead", "when newer ones push it out", max_entries=MAX_DEAD, max_bytes=8 << 20),
    Family("seen requests", "cdm:seen:*", "an hour after it was heard", REPLAY_S, 1_000_000, 16),
)

_PUT = """
if not redis.call('SET', KEYS[1], '1', 'NX', 'EX', ARGV[1]) then return false end
return redis.call('XADD', KEYS[2], '*', 'i', ARGV[2])
"""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing asked for. `id` is unique for ever and names its effects; `deliveries` counts from 1."""

    id: str
    body: Mapping[str, Any]
    deliveries: int


class WorkQueue:
    """A stream with one consumer group, shared by all replicas. `consumer` names this process."""

    def __init__(self, store: Store, consumer: str) -> None:
        self._store = store
        self._consumer = consumer

    async def prepare(self) -> None:
        try:
            await self._store.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise
        for consumer in await self._store.xinfo_consumers(STREAM, GROUP):
            if consumer["pending"] == 0 and consumer["idle"] > HOUR * 1000:
                await self._store.xgroup_delconsumer(STREAM, GROUP, consumer["name"])

    async def put(self, body: Mapping[str, Any], *, once: str) -> bool:
        """Keep it. False: a request with the same `once` (trigger id) was kept within the hour: a replay or a twin."""
        kept = await self._store.eval(_PUT, 2, f"cdm:seen:{once}", STREAM, REPLAY_S, orjson.dumps(dict(body)))
        return kept is not None

    async def take(self, *, wait_ms: int) -> list[Item]:
        """New items for this process; waits up to `wait_ms`."""
        answer = await self._store.xreadgroup(GROUP, self._consumer, {STREAM: ">"}, count=16, block=wait_ms)
        return [item for rows in _rows(answer) for item in rows]

    async def reclaim(self, *, idle_ms: int) -> list[Item]:
        """Items that another process (or an earlier life of this one) took and did not finish within `idle_ms`."""
        _, rows, *_ = await self._store.xautoclaim(STREAM, GROUP, self._consumer, idle_ms, start_id="0-0", count=16)
        if not rows:
            return []
        first, last = rows[0][0], rows[-1][0]
        pending = await self._store.xpending_range(STREAM, GROUP, min=first, max=last, count=64)
        times = {p["message_id"]: int(p["times_delivered"]) for p in pending}
        return [Item(i.decode(), orjson.loads(f[b"i"]), times.get(i, 2)) for i, f in rows if f]

    async def keep(self, ids: Sequence[str]) -> None:
        """Say that these items are still being worked on, or wait here, so that nobody reclaims them."""
        await self._store.xclaim(STREAM, GROUP, self._consumer, min_idle_time=0, message_ids=list(ids), justid=True)

    async def done(self, item: Item) -> None:
        async with self._store.pipeline(transaction=True) as pipe:
            pipe.xack(STREAM, GROUP, item.id)
            pipe.xdel(STREAM, item.id)
            await pipe.execute()

    async def bury(self, item: Item, why: str) -> None:
        """Give up on it, but keep it where `cdm doctor` shows it."""
        async with self._store.pipeline(transaction=True) as pipe:
            pipe.xadd(DEAD, {"i": orjson.dumps(dict(item.body)), "why": why}, maxlen=MAX_DEAD, approximate=True)
            pipe.xack(STREAM, GROUP, item.id)
            pipe.xdel(STREAM, item.id)
            await pipe.execute()


def _rows(answer: Any) -> list[list[Item]]:
    """RESP3 answers a map, RESP2 a list of pairs; both nest the entries of a stream once more or not."""
    if not answer:
        return []
    streams = answer.values() if isinstance(answer, dict) else [entries for _, entries in answer]
    found = []
    for entries in streams:
        flat = entries[0] if entries and isinstance(entries[0], list) else entries
        found.append([Item(i.decode(), orjson.loads(f[b"i"]), 1) for i, f in flat])
    return found
