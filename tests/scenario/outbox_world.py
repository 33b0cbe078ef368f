"""A workspace, a store and workers on one fast clock, for the outbox scenarios."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from core.budgets import Priority
from core.ids import Channel
from core.messages.blocks import compose, section
from core.outbox import Timing, Wanted
from flows.outbox import Exits, OutboxWorker
from integrations.slack.client import SlackPosts
from integrations.store.connection import Store
from integrations.store.outbox import Outbox
from sandbox.slack import SlackSandbox
from sandbox.wire import WireServer

OPS, FALLBACK, ADMIN = Channel("C0OPS"), Channel("C0FALLBACK"), Channel("C0ADMIN")


class FastClock:
    """Real time, `factor` times as fast, for the bot and Slack alike."""

    def __init__(self, factor: float = 30.0) -> None:
        self.factor = factor
        self._skipped = 0.0
        self._born = time.monotonic()

    def monotonic(self) -> float:
        return (time.monotonic() - self._born) * self.factor + self._skipped

    def now(self) -> datetime:
        return datetime(2026, 11, 24, 3, 0, tzinfo=UTC) + timedelta(seconds=self.monotonic())

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.factor)

    def skip(self, seconds: float) -> None:
        self._skipped += seconds


class World:
    """One Slack workspace and one store. Workers come and go."""

    def __init__(self, store: Store, clock: FastClock, slack: SlackSandbox, server: WireServer) -> None:
        self.store = store
        self.clock = clock
        self.slack = slack
        self.server = server
        self.posts = SlackPosts(lambda: slack.bot_token, base_url=f"{server.url}/api/", timeout_s=5.0)
        self.outbox = Outbox(store, clock)

    def worker(self, **more: Any) -> OutboxWorker:
        given = {"exits": Exits(FALLBACK, ADMIN), **more}
        return OutboxWorker(given.pop("posts", self.posts), given.pop("store", self.store), self.clock, **given)

    async def want(self, key: str, text: str, channel: Channel = OPS, **more: Any) -> None:
        given: dict[str, Any] = {"priority": Priority.INCIDENT, **more}
        message = given.pop("message", None) or compose(text, section(text))
        await self.outbox.put(Wanted(key, channel, message, **given))

    def seen(self, channel: Channel = OPS) -> list[dict[str, Any]]:
        """The messages people see in a channel, each with its `replies`."""
        return [m for m in self.ever(channel) if not m["deleted"]]

    def ever(self, channel: Channel = OPS) -> list[dict[str, Any]]:
        """The same with those deleted since."""
        listed = self.slack.workspace.state()["channels"]
        return next(list(c["messages"]) for c in listed if c["id"] == channel)

    def texts(self, channel: Channel = OPS) -> list[str]:
        return [m["shown"] for m in self.seen(channel)]

    async def settled(self, worker: OutboxWorker, deadline_s: float = 15.0) -> None:
        """Until Slack shows everything as wanted and nothing is to be looked at again."""

        async def holds() -> bool:
            return (await worker.status()).pending == 0 and not await self.store.keys("cdm:outbox:due:*")

        await until(holds, deadline_s)

    async def close(self) -> None:
        await self.posts.aclose()


@contextlib.asynccontextmanager
async def running(*workers: OutboxWorker) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(worker.run()) for worker in workers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if not isinstance(ended, asyncio.CancelledError):
                raise AssertionError(f"a worker ended by itself: {ended!r}")


async def until(holds: Callable[[], bool | Awaitable[bool]], deadline_s: float = 10.0) -> None:
    end = time.monotonic() + deadline_s
    while True:
        answer = holds()
        if answer if isinstance(answer, bool) else await answer:
            return
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s} s")
        await asyncio.sleep(0.01)


def workspace(clock: FastClock, *more: str) -> SlackSandbox:
    slack = SlackSandbox(clock=lambda: clock.now().timestamp())
    slack.workspace.add_user("anna")
    for name in ("ops", "fallback", "admin", *more):
        slack.workspace.add_channel(name, members=("U0ANNA",))
    return slack


QUICK = Timing(tries=3)
