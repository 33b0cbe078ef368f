"""How fast time goes for what the sandbox simulates. The bot is a real process and keeps real time."""

from __future__ import annotations

import asyncio

SPEEDS = (0.0, 0.5, 1.0, 4.0, 10.0)


class Tempo:
    """`speed` seconds of the sandbox pass in one real second; 0 is a standstill. A change reaches sleepers at once."""

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed
        self._changed = asyncio.Event()

    @property
    def speed(self) -> float:
        return self._speed

    def set(self, speed: float) -> None:
        """ValueError below 0."""
        if speed < 0:
            raise ValueError(f"time cannot go backwards: {speed:g}")
        self._speed = speed
        self._changed.set()
        self._changed = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        """So many seconds of the sandbox."""
        loop, left = asyncio.get_running_loop(), seconds
        while left > 0:
            speed, changed, began = self._speed, self._changed, loop.time()
            try:
                async with asyncio.timeout(left / speed if speed else None):
                    await changed.wait()
            except TimeoutError:
                return
            left -= (loop.time() - began) * speed
