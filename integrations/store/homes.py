"""Who looked at their Home tab lately, and what of the requests they were shown: so that a change reaches them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from core.ids import SlackUser, Tenant
from integrations.store.connection import Store
from integrations.store.families import HOUR, Family

LATELY_S = HOUR
REST_S = 30
"""A person's tab changes by itself at most once in so many seconds."""
MAX_LOOKING = 1_000

_LOOKING, _SHOWN = "cdm:homes:looking", "cdm:homes:shown"

FAMILIES = (
    Family("homes", "cdm:homes:*", "an hour after somebody last looked", LATELY_S, MAX_LOOKING, 1 << 20),
    Family("homes, resting", "cdm:homes:rest:*", "half a minute after it changed", REST_S, MAX_LOOKING, 16),
)


@dataclass(frozen=True, slots=True)
class Shown:
    """`tenants` they could read then, `digest` of the requests that concern them (`core.approvals.digest_for`)."""

    tenants: frozenset[Tenant]
    digest: str


class Homes:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def looked(self, user: SlackUser, now: datetime) -> None:
        """Somebody looks. Of very many, those who looked last are kept."""
        at = now.timestamp()
        async with self._store.pipeline(transaction=True) as pipe:
            pipe.zadd(_LOOKING, {str(user): at})
            pipe.zremrangebyscore(_LOOKING, "-inf", at - LATELY_S)
            pipe.zremrangebyrank(_LOOKING, 0, -MAX_LOOKING - 1)
            pipe.expire(_LOOKING, LATELY_S)
            await pipe.execute()

    async def show(self, user: SlackUser, shown: Shown) -> None:
        document = orjson.dumps([sorted(shown.tenants), shown.digest])
        async with self._store.pipeline(transaction=True) as pipe:
            pipe.hset(_SHOWN, str(user), document)
            pipe.expire(_SHOWN, LATELY_S)
            await pipe.execute()

    async def lately(self, now: datetime) -> Mapping[SlackUser, Shown]:
        """Those who looked within the hour, the last one first, and what they were shown. Others are forgotten."""
        rows = await self._store.zrevrangebyscore(_LOOKING, "+inf", now.timestamp() - LATELY_S)
        names = [row.decode() for row in rows]
        if gone := [field for field in await self._store.hkeys(_SHOWN) if field.decode() not in set(names)]:
            await self._store.hdel(_SHOWN, *gone)
        if not names:
            return {}
        documents: Sequence[bytes | None] = await self._store.hmget(_SHOWN, names)
        return {_user(name): _read(raw) for name, raw in zip(names, documents, strict=True) if raw is not None}

    async def rest(self, user: SlackUser) -> None:
        await self._store.set(f"cdm:homes:rest:{user}", "1", ex=REST_S)

    async def rests(self, user: SlackUser) -> bool:
        return bool(await self._store.exists(f"cdm:homes:rest:{user}"))


def _user(name: str) -> SlackUser:
    team, _, user = name.partition("/")
    return SlackUser(team, user)


def _read(raw: bytes) -> Shown:
    tenants, digest = orjson.loads(raw)
    return Shown(frozenset(map(Tenant, tenants)), digest)
