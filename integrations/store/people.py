"""Who is linked with whom, what was last allowed, and the short-lived states of a linking in progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from core.access import Link, Proof
from core.ids import DEFAULT_REALM, Caller, Realm, SlackUser, Subject, Tenant, realm_of
from core.ports import Clock
from integrations.store.connection import Store
from integrations.store.families import HOUR, Family

REMEMBERED = timedelta(hours=12)
"""How old a live yes may be to still open Hold and reading (DESIGN: Hold is open to a last live yes under 12 h old)."""

FAMILIES = (
    Family("links", "cdm:link:*", "when unlinked or revoked", None, 100_000, 1024),
    Family("links turn", "cdm:links:turn", "never: it only grows", None, None, 32),
    Family("linking", "cdm:linking:*", "when the linking is done, or its minutes are over", HOUR, 10_000, 4096),
    Family("link codes", "cdm:linkcode:*", "when typed in Slack, or after ten minutes", HOUR, 10_000, 1024),
    Family("link tries", "cdm:linktries:*", "ten minutes after the last wrong code", HOUR, 100_000, 32),
    Family("yes", "cdm:yes:*", "12 h after the last live yes", 12 * HOUR, 100_000, 4096),
)


@dataclass(frozen=True, slots=True)
class Yes:
    """The last live yes of a person: in which tenants they could read, and in which hold."""

    subject: Subject
    username: str
    view: frozenset[Tenant]
    hold: frozenset[Tenant]
    at: datetime


class RememberedYes:
    """Live answers of each of `realms`, kept 12 hours for what is open without it. Never used for effects."""

    def __init__(self, store: Store, clock: Clock, realms: Sequence[Realm] = (DEFAULT_REALM,)) -> None:
        self._store = store
        self._clock = clock
        self._realms = realms

    async def put(self, user: Caller, yes: Yes) -> None:
        """In the realm of the account that it is about."""
        document = {
            "subject": yes.subject,
            "username": yes.username,
            "view": sorted(yes.view),
            "hold": sorted(yes.hold),
            "at": yes.at.isoformat(),
        }
        key = _in_realm(f"cdm:yes:{user}", realm_of(yes.subject))
        await self._store.set(key, orjson.dumps(document), ex=int(REMEMBERED.total_seconds()))

    async def get(self, user: Caller, realm: Realm) -> Yes | None:
        raw = await self._store.get(_in_realm(f"cdm:yes:{user}", realm))
        if raw is None:
            return None
        found = orjson.loads(raw)
        yes = Yes(
            Subject(found["subject"]),
            found["username"],
            frozenset(Tenant(t) for t in found["view"]),
            frozenset(Tenant(t) for t in found["hold"]),
            datetime.fromisoformat(found["at"]),
        )
        return yes if self._clock.now() - yes.at < REMEMBERED else None

    async def forget(self, user: Caller, realm: Realm | None = None) -> None:
        """What one realm said; without one, what any did."""
        realms = self._realms if realm is None else (realm,)
        await self._store.delete(*(_in_realm(f"cdm:yes:{user}", each) for each in realms))


class LinkStates:
    """States of linkings in progress. `take` gives each at most once, across all replicas."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def put(self, state: str, payload: Mapping[str, str], ttl_s: int) -> None:
        await self._store.set(f"cdm:linking:{state}", orjson.dumps(dict(payload)), ex=ttl_s)

    async def take(self, state: str) -> dict[str, str] | None:
        raw = await self._store.getdel(f"cdm:linking:{state}")
        return None if raw is None else dict(orjson.loads(raw))


_TRY = """
local tried = tonumber(redis.call('GET', KEYS[1]) or '0')
if tried >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], tried + 1, 'EX', ARGV[2])
return 1
"""


class LinkCodes:
    """Codes that wait to be typed in Slack, by their digest, and how often a Slack user has typed one. `take` gives
    each code at most once, across all replicas."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def put(self, digest: str, payload: Mapping[str, str], ttl_s: int) -> None:
        await self._store.set(f"cdm:linkcode:{digest}", orjson.dumps(dict(payload)), ex=ttl_s)

    async def take(self, digest: str) -> dict[str, str] | None:
        raw = await self._store.getdel(f"cdm:linkcode:{digest}")
        return None if raw is None else dict(orjson.loads(raw))

    async def may_try(self, user: SlackUser, most: int, ttl_s: int) -> bool:
        """Counts this try. False once there were `most`, until `ttl_s` after the last one counted: so no code that
        lives as long is tried oftener, whenever it was made."""
        return bool(await self._store.eval(_TRY, 1, f"cdm:linktries:{user}", most, ttl_s))

    async def forget_tries(self, user: SlackUser) -> None:
        await self._store.delete(f"cdm:linktries:{user}")


_TURN = "cdm:links:turn"
_BATCH = 500
_PUT = """
if (redis.call('GET', KEYS[1]) or '0') ~= ARGV[1] then return 0 end
redis.call('INCR', KEYS[1])
redis.call('SET', KEYS[2], ARGV[2])
return 1
"""


@dataclass(frozen=True, slots=True)
class LinkBook:
    """Every link there is, a Slack user's several ones beside each other. `turn` has moved on as soon as one was
    written since."""

    turn: str
    links: tuple[tuple[SlackUser, Link], ...]


class Links:
    """Which Keycloak account a Slack person has proven to be, in each of `realms`. Written only by a completed
    linking."""

    def __init__(self, store: Store, realms: Sequence[Realm] = (DEFAULT_REALM,)) -> None:
        self._store = store
        self._realms = realms

    async def of(self, user: SlackUser) -> dict[Realm, Link]:
        found = await self._store.mget([_key(user, realm) for realm in self._realms])
        return {realm: _link(raw) for realm, raw in zip(self._realms, found, strict=True) if raw is not None}

    async def book(self) -> LinkBook:
        """Read key by key: for linking and for lists, not for clicks."""
        turn = (await self._store.get(_TURN) or b"0").decode()
        keys = sorted({key async for key in self._store.scan_iter(match="cdm:link:*", count=_BATCH)})
        found: list[tuple[SlackUser, Link]] = []
        for start in range(0, len(keys), _BATCH):
            some = keys[start : start + _BATCH]
            for key, raw in zip(some, await self._store.mget(some), strict=True):
                if raw is not None:
                    team, _, rest = key.decode().removeprefix("cdm:link:").partition("/")
                    found.append((SlackUser(team, rest.partition("@")[0]), _link(raw)))
        return LinkBook(turn, tuple(found))

    async def put(self, user: SlackUser, link: Link, turn: str) -> bool:
        """False, and nothing written, where another link was written since the book of that turn was read."""
        return bool(await self._store.eval(_PUT, 2, _TURN, _key(user, link.realm), turn, orjson.dumps(link)))

    async def remove(self, user: SlackUser, realm: Realm) -> None:
        await self._store.delete(_key(user, realm))


def _key(user: SlackUser, realm: Realm) -> str:
    return _in_realm(f"cdm:link:{user}", realm)


def _in_realm(key: str, realm: Realm) -> str:
    """What was written before there were several realms is the default one's."""
    return f"{key}@{realm}" if realm else key


def _link(raw: bytes) -> Link:
    found = orjson.loads(raw)
    at = datetime.fromisoformat(found["linked_at"])
    proof = Proof(found.get("proof", Proof.EMAIL))  # links of before codes were there have none
    return Link(Subject(found["subject"]), found["username"], found["email"], at, proof)
