"""Time that passes only while everything waits, and then at once: minutes of waiting cost nothing, and the same choices
give the same run."""

from __future__ import annotations

import asyncio
import selectors
from datetime import UTC, datetime, timedelta
from typing import Any

_BEGINS = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop of this one schedule. It waits for nothing outside, so timers are all that moves it."""

    def __init__(self) -> None:
        self._passed = 0.0
        super().__init__(_Leaping(self))

    def time(self) -> float:
        return self._passed

    def leap(self, seconds: float) -> None:
        self._passed += seconds


class _Leaping(selectors.SelectSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "everything waits for something that nothing will bring"
        if timeout > 0:
            self._loop.leap(timeout)
        return []


def wall(seconds: float) -> datetime:
    """The true time of day at a loop's time."""
    return _BEGINS + timedelta(seconds=seconds)
