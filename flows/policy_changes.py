"""A change of the settings' policies is news: told once, and written down, at the start that brings it."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
import structlog

from core.ids import Channel, Stack
from core.messages.policy import policies_changed_message
from core.ports import Clock
from core.rollouts.policies import Policies
from integrations.store.audit import AuditLog, Line
from integrations.store.connection import Store
from integrations.store.families import Family
from integrations.store.leases import Command, Leases
from integrations.store.outbox import Outbox, Priority, Wanted

log = structlog.get_logger(__name__)

_KEY = "cdm:policies"
_LEASE_S = 30.0

FAMILIES = (Family("policies", _KEY, "never: a hash of each policy", max_bytes=256_000),)


class PolicyChanges:
    """`tick` until it was done once; of several processes one tells. The first start of all has nothing to compare."""

    def __init__(
        self,
        *,
        policies: Mapping[Stack, Policies],
        store: Store,
        audit: AuditLog,
        outbox: Outbox,
        leases: Leases,
        clock: Clock,
        channel: Channel,
    ) -> None:
        self._now = {
            f"{stack}/{name}": hash for stack, known in policies.items() for name, hash in known.hashes().items()
        }
        self._store = store
        self._audit = audit
        self._outbox = outbox
        self._leases = leases
        self._clock = clock
        self._channel = channel
        self._done = False

    async def tick(self) -> None:
        if self._done:
            return
        async with self._leases.hold("policies", _LEASE_S) as lease:
            if lease is None:
                return
            raw = await self._store.get(_KEY)
            before: dict[str, str] = orjson.loads(raw) if raw else {}
            put: Command = ("SET", _KEY, orjson.dumps(self._now))
            if not raw:
                await lease.commit([put])
            elif before != self._now:
                changed = sorted(name for name, hash in self._now.items() if before.get(name) != hash)
                gone = sorted(before.keys() - self._now.keys())
                said = {"changed": changed, "gone": gone, "hashes": {name: self._now[name] for name in changed}}
                key = f"policies:{int(self._clock.now().timestamp() * 1000)}"
                message = policies_changed_message(changed, gone)
                told = self._outbox.want(Wanted(key, self._channel, message, Priority.UPDATE, open=False))
                line = Line("note", "bot", "policies_changed", "policies", said)
                await self._audit.commit(lease, line, lambda _: [put, *told])
                log.info("policies_changed", changed=changed, gone=gone)
        self._done = True
