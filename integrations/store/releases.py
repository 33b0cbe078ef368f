"""Releases that are not rollouts yet: those shown to somebody, and those being made in hawkBit."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
from pydantic import TypeAdapter

from core.ids import DeviceName
from core.rollouts.actors import Actor
from core.rollouts.wish import ReleaseWish
from integrations.store.connection import Store
from integrations.store.families import DAY, Family
from integrations.store.leases import Command

DRAFT_S = DAY
_MAKING = "cdm:release:making"

FAMILIES = (
    Family("release drafts", "cdm:release:draft:*", "a day after it was shown last", DRAFT_S, 10_000, 8 << 10),
    Family("releases being made", _MAKING, "when hawkBit told what became of it", max_bytes=32 << 20),
)


@dataclass(frozen=True, slots=True)
class Making:
    """Written before hawkBit is asked to make it. `ref`: the audit's intent. `previous`: the set each device had."""

    wish: ReleaseWish
    set_id: int
    by: Actor
    at: datetime
    previous: Mapping[DeviceName, str]
    ref: str

    @property
    def id(self) -> str:
        return f"{self.wish.stack}/{self.wish.name}"


_WISH = TypeAdapter(ReleaseWish)
_ONE = TypeAdapter(Making)


def lease_name(wish: ReleaseWish) -> str:
    """The lease under which a release is made."""
    return f"release:{wish.stack}/{wish.name}"


class ReleaseStore:
    """What is being made is changed by commands for a fenced commit only."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def keep(self, wish: ReleaseWish) -> str:
        """The id by which a button names it. The same wish has the same id."""
        raw = orjson.dumps(wish)
        id = hashlib.sha256(raw).hexdigest()[:16]
        await self._store.set(f"cdm:release:draft:{id}", raw, ex=DRAFT_S)
        return id

    async def draft(self, id: str) -> ReleaseWish | None:
        raw = await self._store.get(f"cdm:release:draft:{id}")
        return None if raw is None else _WISH.validate_json(raw)

    async def making(self) -> Sequence[Making]:
        return [_ONE.validate_json(raw) for raw in await self._store.hvals(_MAKING)]

    async def made(self, wish: ReleaseWish) -> Making | None:
        """The one of that name that is being made, if any."""
        raw = await self._store.hget(_MAKING, f"{wish.stack}/{wish.name}")
        return None if raw is None else _ONE.validate_json(raw)

    def begin(self, making: Making) -> list[Command]:
        return [("HSET", _MAKING, making.id, orjson.dumps(making))]

    def end(self, making: Making) -> list[Command]:
        return [("HDEL", _MAKING, making.id)]
