"""The speed of the sandbox's time."""

from __future__ import annotations

import asyncio

import pytest

from sandbox.tempo import Tempo


async def slept(tempo: Tempo, seconds: float, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            await tempo.sleep(seconds)
    except TimeoutError:
        return False
    return True


async def test_ten_seconds_pass_at_once_where_time_is_fast_and_never_where_it_stands_still() -> None:
    assert await slept(Tempo(1000.0), 10, within_s=2)
    assert not await slept(Tempo(0.0), 0.01, within_s=0.1)


async def test_a_change_reaches_those_who_sleep_already() -> None:
    tempo = Tempo(0.0)
    sleepers = asyncio.gather(*(tempo.sleep(100) for _ in range(50)))
    await asyncio.sleep(0)
    tempo.set(0.5)
    await asyncio.sleep(0)
    tempo.set(10_000.0)
    async with asyncio.timeout(2):
        await sleepers


async def test_no_sleep_is_no_wait_even_where_time_stands_still() -> None:
    assert await slept(Tempo(0.0), 0, within_s=1)


def test_time_does_not_go_backwards() -> None:
    with pytest.raises(ValueError, match="backwards"):
        Tempo().set(-1)
