"""Which rollouts have devices that are being rebooted: the orders themselves are in the rollouts' records."""

from __future__ import annotations

from core.ids import RolloutId, Stack
from integrations.store.connection import Store
from integrations.store.families import Family
from integrations.store.leases import Command

FAMILIES = (Family("reboots under way", "cdm:reboots:*", "when the last device was seen to", max_entries=1_000),)


class Reboots:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def under_way(self, stack: Stack) -> tuple[RolloutId, ...]:
        return tuple(RolloutId(n) for n in sorted(int(row) for row in await self._store.hkeys(_key(stack))))

    def begin(self, stack: Stack, rollout: RolloutId) -> Command:
        return ("HSET", _key(stack), rollout, "")

    def end(self, stack: Stack, rollout: RolloutId) -> Command:
        return ("HDEL", _key(stack), rollout)


def _key(stack: Stack) -> str:
    return f"cdm:reboots:{stack}"
