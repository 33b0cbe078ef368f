"""Whose turn it is: many requests of one person make nobody else wait, and none is lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import cast

import pytest

from core.messages.blocks import Message
from handlers.slack.answers import Answers
from handlers.slack.requests import Request
from handlers.slack.work import EACH, PARALLEL, Turns, WorkLoop
from integrations.store.connection import Store
from integrations.store.work import GROUP, STREAM, WorkQueue
from tests.conftest import ManualClock
from tests.scenario.program import until


@dataclass
class Busy:
    """A desk at which each request takes until it is let go."""

    begun: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    now: Counter[str] = field(default_factory=Counter)
    most: Counter[str] = field(default_factory=Counter)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: Request) -> None:
        user = request.user.user
        self.begun.append(user)
        self.now[user] += 1
        self.most[user] = max(self.most[user], self.now[user])
        await self.go.wait()
        self.now[user] -= 1
        self.done.append(user)


class Nobody:
    async def tell(self, request: Request, message: Message) -> None:
        """Nobody is there to be told."""


async def asked(queue: WorkQueue, clock: ManualClock, user: str, number: int) -> None:
    body = {"kind": "command", "team": "T0CDM", "user": user, "channel": "C0OPS", "text": "help"}
    await queue.put({**body, "heard_at": clock.now().isoformat()}, once=f"{user}/{number}")


@dataclass
class Shop:
    queue: WorkQueue
    desk: Busy
    loop: WorkLoop
    running: asyncio.Task[None]


@pytest.fixture
async def shop(store: Store, clock: ManualClock) -> AsyncIterator[Shop]:
    queue, desk = WorkQueue(store, "here"), Busy()
    answers = cast(Answers, Nobody())
    loop = WorkLoop(queue=queue, desk=desk, answers=answers, clock=clock, max_age_s=300)
    await queue.prepare()
    running = asyncio.create_task(loop.run())
    yield Shop(queue, desk, loop, running)
    running.cancel()
    desk.go.set()
    await loop.drain(5)


async def eventually(what: Callable[[], bool]) -> None:
    async def look() -> bool:
        return what()

    await until(look, "it comes to that", within_s=10)


async def test_another_person_begins_at_once_while_thirty_of_one_wait(
    shop: Shop, store: Store, clock: ManualClock
) -> None:
    for number in range(30):
        await asked(shop.queue, clock, "U0EVE", number)
    await eventually(lambda: shop.desk.now["U0EVE"] == EACH)
    await asked(shop.queue, clock, "U0BOB", 0)
    await eventually(lambda: shop.desk.now["U0BOB"] == 1)
    assert shop.desk.now["U0EVE"] == EACH
    shop.desk.go.set()
    await eventually(lambda: len(shop.desk.done) == 31)
    assert shop.desk.most == {"U0EVE": EACH, "U0BOB": 1}
    await until(lambda: _is_empty(store), "nothing is left")


async def test_no_more_than_so_many_of_all_people_at_a_time(shop: Shop, clock: ManualClock) -> None:
    for number in range(3):
        for person in range(20):
            await asked(shop.queue, clock, f"U{person}", number)
    await eventually(lambda: sum(shop.desk.now.values()) == PARALLEL)
    shop.desk.go.set()
    await eventually(lambda: len(shop.desk.done) == 60)


async def test_what_waits_for_its_turn_is_not_taken_for_abandoned(shop: Shop, store: Store, clock: ManualClock) -> None:
    for number in range(10):
        await asked(shop.queue, clock, "U0EVE", number)
    await eventually(lambda: shop.desk.now["U0EVE"] == EACH)
    pending = await store.xpending_range(STREAM, GROUP, min="-", max="+", count=20)
    assert len(pending) == 10
    before = max(one["time_since_delivered"] for one in pending)
    await asyncio.sleep(0.05)
    await clock.forward(4.1)

    async def said_anew() -> bool:
        rows = await store.xpending_range(STREAM, GROUP, min="-", max="+", count=20)
        return len(rows) == 10 and max(one["time_since_delivered"] for one in rows) < before + 50

    await until(said_anew, "all ten are kept")


async def test_at_the_end_what_waits_is_left_to_the_next_process_and_what_was_begun_ends(
    shop: Shop, store: Store, clock: ManualClock
) -> None:
    for number in range(10):
        await asked(shop.queue, clock, "U0EVE", number)
    await eventually(lambda: shop.desk.now["U0EVE"] == EACH)
    shop.running.cancel()
    ending = asyncio.create_task(shop.loop.drain(5))
    await asyncio.sleep(0)
    shop.desk.go.set()
    await ending
    assert len(shop.desk.done) == EACH
    assert await store.xlen(STREAM) == 10 - EACH
    other, desk = WorkQueue(store, "there"), Busy()
    desk.go.set()
    next_one = WorkLoop(queue=other, desk=desk, answers=cast(Answers, Nobody()), clock=clock, max_age_s=300)
    running = asyncio.create_task(next_one.run(alone=True))
    await eventually(lambda: len(desk.done) == 10 - EACH)
    running.cancel()
    await next_one.drain(5)


async def test_a_turn_is_given_in_the_order_of_coming() -> None:
    turns, order = Turns(2, 1), list[int]()

    async def take(number: int) -> None:
        async with turns.turn("eve"):
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(take(number) for number in range(10)))
    assert order == list(range(10))


async def _is_empty(store: Store) -> bool:
    return int(await store.xlen(STREAM)) == 0
