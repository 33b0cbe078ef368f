"""Which set each device of a rollout had before it: hawkBit remembers none, so it is noted before they install.

Written only by the commands given here, inside `lease.commit` of the rollout's lease.
"""

from __future__ import annotations

from collections.abc import Mapping

from core.ids import DeviceName, RolloutId, Stack
from integrations.store.connection import Store
from integrations.store.families import DAY, Family
from integrations.store.leases import Command

KEPT_S = 180 * DAY
_NOTED = ""

FAMILIES = (Family("previous sets", "cdm:previous:*", "180 days after the rollout began", KEPT_S, 20_000, 8 << 20),)


class PreviousSets:
    """Reads are plain; writes are commands for a fenced commit."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def noted(self, stack: Stack, rollout: RolloutId) -> bool:
        """Whether it was noted already, were it that no device had a set."""
        return bool(await self._store.exists(_key(stack, rollout)))

    async def of(self, stack: Stack, rollout: RolloutId) -> Mapping[DeviceName, str]:
        """ "name:version" by device; those are left out that had none, or of which nobody noted it."""
        rows: Mapping[bytes, bytes] = await self._store.hgetall(_key(stack, rollout))
        return {DeviceName(device.decode()): named.decode() for device, named in rows.items() if device}

    def keep(self, stack: Stack, rollout: RolloutId, sets: Mapping[DeviceName, str]) -> list[Command]:
        """`sets` gives each device's as "name:version". What was noted first stays: it was nearer to the truth."""
        key = _key(stack, rollout)
        rows: list[Command] = [("HSETNX", key, device, named) for device, named in sets.items() if device]
        return [("HSETNX", key, _NOTED, "1"), *rows, ("EXPIRE", key, KEPT_S)]


def _key(stack: Stack, rollout: RolloutId) -> str:
    return f"cdm:previous:{stack}/{rollout}"
