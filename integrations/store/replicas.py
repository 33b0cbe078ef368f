"""Which processes of this installation are alive, by a heartbeat each."""

from __future__ import annotations

from integrations.store.connection import Store
from integrations.store.families import Family

ALIVE_S = 30

FAMILIES = (Family("replicas", "cdm:replica:*", "half a minute after its process", ALIVE_S, 100, 64),)


class Replicas:
    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name

    async def beat(self) -> None:
        await self._store.set(f"cdm:replica:{self._name}", "1", ex=ALIVE_S)

    async def leave(self) -> None:
        await self._store.delete(f"cdm:replica:{self._name}")

    async def count(self) -> int:
        """Processes alive now, this one included even before its first beat."""
        names = {key async for key in self._store.scan_iter(match="cdm:replica:*", count=100)}
        return len(names | {f"cdm:replica:{self._name}".encode()})
