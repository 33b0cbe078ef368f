"""What every suite shares: a real store of its own, and a clock the test controls."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from integrations.store.connection import Store, connect
from integrations.store.embedded import EmbeddedStore

pytest_plugins = ["tests.keycloak.plugin"]


class ManualClock:
    """`core.ports.Clock` that moves only when told. `sleep` wakes when `forward` passes its time."""

    def __init__(self, start: datetime = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)) -> None:
        self._start = start
        self._passed = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        return 1000.0 + self._passed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._passed + seconds, woken))
        await woken

    async def forward(self, seconds: float) -> None:
        """Let `seconds` pass, waking sleepers in order and letting each run before the next."""
        end = self._passed + seconds
        while True:
            due = sorted((s for s in self._sleepers if s[0] <= end), key=lambda s: s[0])
            if not due:
                break
            at, woken = due[0]
            self._sleepers.remove(due[0])
            self._passed = max(self._passed, at)
            if not woken.done():
                woken.set_result(None)
            for _ in range(20):
                await asyncio.sleep(0)
        self._passed = end


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def embedded() -> AsyncIterator[EmbeddedStore]:
    """A real Valkey of this test's own, `appendfsync always`."""
    directory = Path(tempfile.mkdtemp(prefix="cdm-"))
    server = EmbeddedStore(directory)
    await server.start()
    yield server
    await server.stop()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
async def store(embedded: EmbeddedStore) -> AsyncIterator[Store]:
    client = connect(embedded.url)
    yield client
    await client.aclose()
