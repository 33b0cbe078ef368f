"""Logins by device grant that were begun for a Slack user and are not approved yet: any process may ask about them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import orjson

from core.ids import DEFAULT_REALM, Channel, Realm, SlackUser
from core.ports import DeviceCode
from integrations.store.connection import Store
from integrations.store.families import HOUR, Family

_DUE = "cdm:linkgrants"
_TOLD_S = 120
"""How long after its end a grant is kept, so that its person can be told."""

FAMILIES = (
    Family("link grants", "cdm:linkgrant:*", "when approved, declined or over", HOUR, 10_000, 4096),
    Family("link grants, due", "cdm:linkgrants", "with the grants in it", None, 10_000, None),
)


@dataclass(frozen=True, slots=True)
class LinkGrant:
    """`user` began it; `channel` and `response_url` are where they are told more. `interval_s` only grows."""

    id: str
    user: SlackUser
    realm: Realm
    channel: Channel
    response_url: str | None
    code: DeviceCode
    interval_s: float
    ends_at: datetime


class LinkGrants:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def put(self, grant: LinkGrant, *, look_at: datetime) -> None:
        """Write it, and when Keycloak is to be asked about it next."""
        async with self._store.pipeline(transaction=True) as pipe:
            pipe.set(_key(grant.id), orjson.dumps(grant), exat=int(grant.ends_at.timestamp()) + _TOLD_S)
            pipe.zadd(_DUE, {grant.id: look_at.timestamp()})
            await pipe.execute()

    async def due(self, now: datetime, most: int) -> list[LinkGrant]:
        ids = [id.decode() for id in await self._store.zrangebyscore(_DUE, "-inf", now.timestamp(), start=0, num=most)]
        found = await self._store.mget([_key(id) for id in ids]) if ids else []
        gone = [id for id, raw in zip(ids, found, strict=True) if raw is None]
        if gone:
            await self._store.zrem(_DUE, *gone)
        return [_grant(raw) for raw in found if raw is not None]

    async def drop(self, id: str) -> None:
        async with self._store.pipeline(transaction=True) as pipe:
            pipe.delete(_key(id))
            pipe.zrem(_DUE, id)
            await pipe.execute()


def _key(id: str) -> str:
    return f"cdm:linkgrant:{id}"


def _grant(raw: bytes) -> LinkGrant:
    found = orjson.loads(raw)
    return LinkGrant(
        id=found["id"],
        user=SlackUser(**found["user"]),
        realm=Realm(found.get("realm", DEFAULT_REALM)),
        channel=Channel(found["channel"]),
        response_url=found["response_url"],
        code=DeviceCode(**found["code"]),
        interval_s=found["interval_s"],
        ends_at=datetime.fromisoformat(found["ends_at"]),
    )
