"""Whether Keycloak says who may do what: asked every few seconds, so that people hear of an absence before they act.

People's acts never wait for this: each asks Keycloak by itself, and is refused where it gets no answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

import orjson
import structlog
from prometheus_client import Gauge

from core.errors import OutsideError
from core.ids import Channel, Tenant
from core.messages.blocks import Message
from core.messages.keycloak import keycloak_away_message
from core.ports import Clock, Watched
from integrations.store.connection import Store
from integrations.store.families import DAY, Family
from integrations.store.leases import Command, Leases
from integrations.store.outbox import Outbox, Priority, Wanted

log = structlog.get_logger(__name__)

FAILURES_TO_TELL = 2
"""One failed read is no news; two in a row are."""
KEPT_S = 30 * DAY

FAMILIES = (Family("keycloak", "cdm:keycloak:*", "30 days after the last read", KEPT_S, 100, 512),)

AGE = Gauge("cdm_keycloak_read_age_seconds", "Age of Keycloak's last good answer to the watch", ["realm"])


@dataclass(frozen=True, slots=True)
class Standing:
    """`good_ms`: the last good answer. `away_ms`: since when there is none; `told`: people were told so."""

    good_ms: int = 0
    failures: int = 0
    away_ms: int = 0
    told: bool = False


class KeycloakWatch:
    """`tick` every `every_s`. Of several processes the one with the lease asks and tells; it keeps it between ticks.
    `owns` are the realm's tenants, where there are others."""

    def __init__(
        self,
        *,
        keycloak: Watched,
        realm: str,
        every_s: float,
        store: Store,
        outbox: Outbox,
        leases: Leases,
        clock: Clock,
        channel: Channel,
        owns: Sequence[Tenant] = (),
    ) -> None:
        self._owns = owns
        self._keycloak = keycloak
        self._realm = realm
        self._lease_s = 2.5 * every_s + 10
        self._store = store
        self._outbox = outbox
        self._leases = leases
        self._clock = clock
        self._channel = channel

    async def tick(self) -> None:
        lease = await self._leases.acquire(f"keycloak-watch:{self._realm}", self._lease_s)
        before = await standing(self._store, self._realm)
        if lease is not None:
            at_ms = int(self._clock.now().timestamp() * 1000)
            try:
                await self._keycloak.answers()
            except OutsideError as error:
                await lease.commit(self._failed(before, at_ms, error))
            else:
                await lease.commit(self._answered(before, at_ms))
                before = Standing(good_ms=at_ms)
        if before.good_ms:
            AGE.labels(self._realm).set(self._clock.now().timestamp() - before.good_ms / 1000)

    def _failed(self, before: Standing, at_ms: int, error: OutsideError) -> list[Command]:
        after = replace(before, failures=before.failures + 1, away_ms=before.away_ms or at_ms)
        if after.failures < FAILURES_TO_TELL or after.told:
            return self._put(after)
        log.warning("keycloak_absence_told", realm=self._realm, reason=error.reason)
        message = keycloak_away_message(self._realm, _instant(after.away_ms), error.user_text, None, self._owns)
        return [*self._put(replace(after, told=True)), *self._want(after, message, open=True)]

    def _answered(self, before: Standing, at_ms: int) -> list[Command]:
        commands = self._put(Standing(good_ms=at_ms))
        if before.told:
            log.info("keycloak_return_told", realm=self._realm, away_s=round((at_ms - before.away_ms) / 1000))
            message = keycloak_away_message(self._realm, _instant(before.away_ms), "", _instant(at_ms), self._owns)
            commands += self._want(before, message, open=False)
        return commands

    def _want(self, absence: Standing, message: Message, *, open: bool) -> list[Command]:
        """One message for each absence."""
        key = f"keycloak-away:{self._realm}:{absence.away_ms}"
        return self._outbox.want(Wanted(key, self._channel, message, Priority.UPDATE, open=open))

    def _put(self, now: Standing) -> list[Command]:
        return [("SET", _key(self._realm), orjson.dumps(asdict(now)), "EX", KEPT_S)]


async def standing(store: Store, realm: str) -> Standing:
    """How asking goes, whichever process does it."""
    raw = await store.get(_key(realm))
    return Standing(**orjson.loads(raw)) if raw else Standing()


def _key(realm: str) -> str:
    return f"cdm:keycloak:{realm}"


def _instant(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
