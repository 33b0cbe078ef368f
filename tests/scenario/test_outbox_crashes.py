"""P3: a worker killed at any point neither loses nor doubles a message, a reply or a file."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from core.budgets import Priority
from core.ids import Channel
from integrations.store.connection import Store, connect
from integrations.store.embedded import EmbeddedStore
from sandbox.slack import SlackSandbox
from sandbox.wire import WireServer
from tests.scenario.outbox_world import FastClock, World, running, workspace


class Killed(BaseException):
    """The process is gone: nothing after this point runs, no clean-up either."""


class Life:
    """Ends at the `last` call that changes anything outside the process: just before it, or just after."""

    def __init__(self, last: int, *, after: bool) -> None:
        self.last = last
        self.after = after
        self.calls = 0
        self.over = False

    async def spend(self, call: Callable[[], Any]) -> Any:
        if self.over:
            raise Killed
        self.calls += 1
        if self.calls < self.last:
            return await call()
        self.over = True
        if self.after:
            await call()
        raise Killed


class MortalPosts:
    def __init__(self, posts: Any, life: Life) -> None:
        self._posts, self._life = posts, life

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **more: self._life.spend(lambda: getattr(self._posts, name)(*args, **more))


class MortalStore:
    """Counts the fenced commits only; reads change nothing. Once dead, it does nothing at all."""

    def __init__(self, store: Store, life: Life) -> None:
        self._store, self._life = store, life

    async def eval(self, script: str, *args: Any) -> Any:
        if "LEASELOST" in script:
            return await self._life.spend(lambda: self._store.eval(script, *args))
        if self._life.over:
            raise Killed
        return await self._store.eval(script, *args)

    def __getattr__(self, name: str) -> Any:
        if self._life.over:
            raise Killed
        return getattr(self._store, name)


@pytest.fixture
async def slack() -> AsyncIterator[tuple[FastClock, SlackSandbox, WireServer]]:
    clock = FastClock(40.0)
    sandbox = workspace(clock)
    sandbox.rates.enabled = False
    sandbox.workspace.history_delay_s = 8.0
    sandbox.file_processing_s = 0.0
    async with WireServer(sandbox.app) as server:
        yield clock, sandbox, server


async def live_and_die(world: World, channel: Channel, life: Life) -> None:
    """A worker that ends with `life`, or has done everything before; then one that lives on."""
    await world.want("incident", "active", channel)
    await world.want("incident:note", "a note", channel, parent="incident", priority=Priority.NOTE)
    await world.outbox.put_file("incident:log", "incident", "journal.txt", b"a line", "The journal")
    mortal = world.worker(posts=MortalPosts(world.posts, life), store=MortalStore(world.store, life))
    task = asyncio.create_task(mortal.run())
    healthy = world.worker()

    async def shown_or_dead() -> None:
        while not life.over and (await healthy.status()).pending:
            await asyncio.sleep(0.01)

    await asyncio.wait_for(shown_or_dead(), 10)
    await world.want("incident", "cleared", channel, open=False)
    await asyncio.wait_for(shown_or_dead(), 10)
    if not life.over:
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    for lease in await world.store.keys("cdm:lease:*"):
        await world.store.delete(lease)  # its time runs out
    async with running(healthy):
        await world.settled(healthy, 15.0)


@pytest.mark.filterwarnings("ignore:coroutine 'OutboxWorker._leased' was never awaited")
async def test_killed_before_or_after_any_call_it_neither_loses_nor_doubles(
    embedded: EmbeddedStore, slack: tuple[FastClock, SlackSandbox, WireServer]
) -> None:
    clock, sandbox, server = slack
    databases: asyncio.Queue[int] = asyncio.Queue()
    for number in range(8):
        databases.put_nowait(number)
    lives = [Life(last, after=after) for last in range(1, 26) for after in (False, True)]

    async def try_one(life: Life) -> None:
        number = await databases.get()
        store = connect(f"{embedded.url}?db={number}")
        await store.flushdb()
        channel = Channel(sandbox.workspace.add_channel(f"x{life.last}{'a' if life.after else 'b'}").id)
        world = World(store, clock, sandbox, server)
        await live_and_die(world, channel, life)
        await world.close()
        await store.aclose()
        databases.put_nowait(number)
        where = f"killed {'after' if life.after else 'before'} call {life.last}"
        (message,) = world.seen(channel) or [{}]
        assert message.get("shown") == "cleared", where
        assert sorted(r["shown"] for r in message["replies"]) == ["The journal", "a note"], where

    async with asyncio.TaskGroup() as group:
        for life in lives:
            group.create_task(try_one(life))
    gc.collect()  # a killed worker's task group leaves a coroutine it may no longer start
    died = sum(life.over for life in lives)
    assert 20 <= died < len(lives), died  # every point of the whole way, to its end
