"""Takes what people asked for from the queue and sees it through, also after a restart."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog
from prometheus_client import Counter, Histogram

from core.errors import OutsideError
from core.ids import Channel, SlackUser
from core.messages.blocks import compose
from core.messages.text import at, literal
from core.ports import Clock, ViewRef
from flows.gate import Denied
from handlers.slack.answers import Answers
from handlers.slack.requests import Click, HomeOpened, Reasoned, Request, Sent, Typed, Wished
from integrations.store.connection import STORE_DOWN
from integrations.store.work import Item, WorkQueue

log = structlog.get_logger(__name__)

WORK = Counter("cdm_work", "Commands, clicks and forms worked on", ["kind", "outcome"])
WAITED = Histogram("cdm_work_wait_seconds", "From heard to begun", buckets=(0.01, 0.05, 0.2, 1, 5, 30, 120))

RECLAIM_IDLE_MS = 12_000
"""An item that nobody kept for so long belongs to a process that has ended."""
MAX_DELIVERIES = 5
PARALLEL, EACH = 32, 4
"""Requests carried out at a time, and of one person."""
HELD = 1_024
"""Requests taken from the store: begun, or waiting for their turn. Several times what one person may have waiting."""


class Desk(Protocol):
    """Carries out one request and answers the person."""

    async def handle(self, request: Request) -> None: ...


class Turns:
    """At most `parallel` at a time, of each person at most `each`; who waits gets the turn in the order of coming."""

    def __init__(self, parallel: int, each: int) -> None:
        self._room = asyncio.Semaphore(parallel)
        self._each = each
        self._persons: dict[str, tuple[asyncio.Semaphore, int]] = {}

    @asynccontextmanager
    async def turn(self, person: str) -> AsyncIterator[None]:
        own, held = self._persons.get(person, (asyncio.Semaphore(self._each), 0))
        self._persons[person] = own, held + 1
        try:
            async with own, self._room:
                yield
        finally:
            own, held = self._persons.pop(person)
            if held > 1:
                self._persons[person] = own, held - 1


class WorkLoop:
    """A request stays in the store until it is done: after a crash the next process gets it again, and what it does to
    the world is fenced by its id. Many requests of one person wait for each other, not others for them."""

    def __init__(self, *, queue: WorkQueue, desk: Desk, answers: Answers, clock: Clock, max_age_s: float) -> None:
        self._queue = queue
        self._desk = desk
        self._answers = answers
        self._clock = clock
        self._max_age = timedelta(seconds=max_age_s)
        self._turns = Turns(PARALLEL, EACH)
        self._room = asyncio.Semaphore(HELD)
        self._held: dict[str, asyncio.Task[None]] = {}
        self._begun: set[str] = set()
        self._keeping: asyncio.Task[None] | None = None
        self._began = False

    async def run(self, *, alone: bool = False) -> None:
        """Until cancelled. Then what is being worked on is finished, within the caller's patience (`drain`).

        `alone`: nobody else uses the store, so what an earlier life of this process left is taken up at once.
        """
        await self._queue.prepare()
        if alone and not self._began:
            for item in await self._queue.reclaim(idle_ms=0):
                await self._begin(item)
        self._began = True
        reclaim_at = 0.0
        while True:
            try:
                if self._clock.monotonic() >= reclaim_at:
                    reclaim_at = self._clock.monotonic() + RECLAIM_IDLE_MS / 2000
                    for item in await self._queue.reclaim(idle_ms=RECLAIM_IDLE_MS):
                        await self._begin(item)
                for item in await self._queue.take(wait_ms=500):
                    await self._begin(item)
            except STORE_DOWN:
                log.warning("work_store_away")
                await self._clock.sleep(1)

    async def drain(self, patience_s: float) -> None:
        """Let begun requests end; what does not end in time, or waits for its turn, is given up here and taken up by
        the next process."""
        waiting = [task for id, task in self._held.items() if id not in self._begun]
        begun = [task for id, task in self._held.items() if id in self._begun]
        for task in waiting:
            task.cancel()
        late = (await asyncio.wait(begun, timeout=patience_s))[1] if begun else set()
        for task in late:
            task.cancel()
        await asyncio.gather(*waiting, *late, return_exceptions=True)
        if self._keeping is not None:
            self._keeping.cancel()

    async def _begin(self, item: Item) -> None:
        if item.id in self._held:  # taken up again, since the store did not hear in time that it is held here
            return
        await self._room.acquire()
        task = asyncio.create_task(self._in_turn(item), name=f"work:{item.id}")
        self._held[item.id] = task
        task.add_done_callback(lambda ended: self._ended(item, ended))
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._keep(), name="work:keep")

    def _ended(self, item: Item, task: asyncio.Task[None]) -> None:
        del self._held[item.id]
        self._room.release()
        if not task.cancelled() and task.exception() is not None:
            log.error("work_failed", task=task.get_name(), exc_info=task.exception())

    async def _in_turn(self, item: Item) -> None:
        async with self._turns.turn(f"{item.body.get('team')}/{item.body.get('user')}"):
            self._begun.add(item.id)
            try:
                await self._see_through(item)
            finally:
                self._begun.discard(item.id)

    async def _see_through(self, item: Item) -> None:
        kind = str(item.body.get("kind", ""))
        try:
            request = parse_request(item)
            age = self._clock.now() - request.heard_at
            WAITED.observe(max(age.total_seconds(), 0))
            if item.deliveries > MAX_DELIVERIES:
                await self._queue.bury(item, f"failed {MAX_DELIVERIES} times")
                await self._answer(request, "This failed several times and was given up; `cdm doctor` shows it.")
                WORK.labels(kind, "buried").inc()
                return
            if age > self._max_age:
                await self._answer(
                    request,
                    f"Not done: you asked at {at(request.heard_at)}, and the bot could take it up only now. "
                    "Look at how things are, then ask again.",
                )
                outcome = "too_old"
            else:
                outcome = await self._handle(request)
            await self._queue.done(item)
            WORK.labels(kind, outcome).inc()
        except STORE_DOWN:
            log.warning("work_left_for_later", item=item.id)

    async def _handle(self, request: Request) -> str:
        try:
            await self._desk.handle(request)
        except Denied as denied:
            await self._answer(request, f"⛔ {denied.text}")
            return "denied"
        except OutsideError as error:
            await self._answer(request, f"⚠️ {literal(error.user_text, 2000)}")
            return error.reason
        return "done"

    async def _answer(self, request: Request, text: str) -> None:
        await self._answers.tell(request, compose(text))

    async def _keep(self) -> None:
        while self._held:
            await self._clock.sleep(RECLAIM_IDLE_MS / 3000)
            with contextlib.suppress(*STORE_DOWN):
                if held := [*self._held]:
                    await self._queue.keep(held)


def parse_request(item: Item) -> Request:
    body = item.body
    common: dict[str, Any] = {
        "id": item.id,
        "user": SlackUser(body["team"], body["user"]),
        "channel": Channel(body["channel"]),
        "response_url": body.get("response_url") or None,
        "heard_at": datetime.fromisoformat(body["heard_at"]),
        "repeated": item.deliveries > 1,
    }
    if body["kind"] == "home":
        return HomeOpened(**common)
    common["form"] = ViewRef(**body["form"]) if body.get("form") else None
    if body["kind"] == "form":
        given = {name: body[name] for name in ("runbook", "device", "params", "incident")}
        return Sent(**common, **given)
    if body["kind"] == "reason":
        return Reasoned(**common, **{name: body[name] for name in ("purpose", "value", "reason")})
    if body["kind"] == "release":
        return Wished(**common, params=body["params"])
    common["trouble"] = body.get("trouble", "")
    if body["kind"] == "command":
        return Typed(**common, text=body["text"])
    return Click(**common, action=body["action"], value=body["value"], message_ts=body["message_ts"])
