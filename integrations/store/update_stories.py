"""Which incidents hawkBit is to be asked about, and what it said, until the fold has written that into them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from core.ids import IncidentId
from core.ota import PastAction, UpdateStory
from integrations.store.connection import Store
from integrations.store.families import Family
from integrations.store.leases import Command

DUE = "cdm:incidents:updates"
TOLD = "cdm:incidents:updates:told"
MAX_TOLD = 10_000

FAMILIES = (
    Family("updates to ask about", DUE, "when hawkBit was asked", None, max_bytes=8 << 20),
    Family("updates told of", TOLD, "when written into the incident", None, MAX_TOLD, 32 << 20),
)


class UpdateStories:
    """Reads are plain; writes are commands for a commit under a lease."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def due(self, now_ms: int, *, limit: int) -> list[IncidentId]:
        rows = await self._store.zrangebyscore(DUE, "-inf", now_ms, start=0, num=limit)
        return [IncidentId(row.decode()) for row in rows]

    async def told(self, *, limit: int = 16) -> Sequence[tuple[bytes, IncidentId, UpdateStory]]:
        """The oldest stories that no incident has yet, each with the entry by which it is forgotten (`written`)."""
        rows = await self._store.xrange(TOLD, count=limit)
        return [(id, IncidentId(of[b"incident"].decode()), story_of(orjson.loads(of[b"story"]))) for id, of in rows]

    def want(self, id: IncidentId, due_ms: int) -> Command:
        return ("ZADD", DUE, due_ms, id)

    def done(self, id: IncidentId) -> Command:
        return ("ZREM", DUE, id)

    def tell(self, id: IncidentId, story: UpdateStory) -> Command:
        return ("XADD", TOLD, "MAXLEN", MAX_TOLD, "*", "incident", id, "story", orjson.dumps(story))

    def written(self, entry: bytes) -> Command:
        return ("XDEL", TOLD, entry)


def story_of(found: Any) -> UpdateStory:
    return UpdateStory(**{**found, "actions": tuple(PastAction(**one) for one in found["actions"])})
