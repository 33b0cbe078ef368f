"""The text console of `make run`: shows what happens in Slack, and lets one act as any of the people."""

from __future__ import annotations

import asyncio
import re
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx

from sandbox.controls import HELP, Misunderstood
from sandbox.screen import Screen
from sandbox.slack.client import SlackPeople
from sandbox.slack.inputs import NotOnScreen

_ACT = re.compile(r"(?P<who>[a-z]+)(?:\s+#(?P<where>[a-z0-9-]+))?\s*>\s*(?P<what>.+)")
DEFAULT_CHANNEL = "rollouts"
Tell = Callable[[str], None]
Control = Callable[[list[str]], Awaitable[str]]


class Console:
    """`people` is the only way to Slack. `control` carries out what is no person's act (`sandbox.controls`), `tell`
    prints one line."""

    def __init__(self, people: SlackPeople, control: Control, tell: Tell) -> None:
        self._people = people
        self._control = control
        self._tell = tell
        self.screen = Screen()

    async def show(self) -> None:
        """Print every change from now on, until cancelled."""
        state = await self._people.state()
        self.screen.learn(state)
        async for change in self._people.changes(since=state["seq"]):
            for line in self.screen.take(change):
                self._tell(line)

    async def obey(self, line: str) -> bool:
        """Carry out one line typed; False for quit. What cannot be done is said, never raised."""
        line = line.strip()
        if line in ("quit", "exit"):
            return False
        try:
            if line == "help":
                self._tell(HELP)
            elif acted := _ACT.fullmatch(line):
                await self._act(acted["who"], acted["where"] or DEFAULT_CHANNEL, acted["what"])
            elif line:
                self._tell(f"-- {await self._control(line.split())}")
        except (Misunderstood, NotOnScreen, ValueError) as wrong:
            self._tell(f"?? {wrong}")
        except (httpx.HTTPError, TimeoutError, AssertionError, LookupError) as failed:
            self._tell(f"?? that did not work: {type(failed).__name__}: {failed}")
        return True

    async def _act(self, name: str, where: str, what: str) -> None:
        user, channel = self.screen.user(name), self.screen.channel(where)
        if user is None or channel is None:
            raise Misunderstood(f"There is no {name if user is None else '#' + where} in this workspace.")
        words = what.split(maxsplit=1)
        if words[0] == "click":
            await self._click(user, words[1] if len(words) > 1 else "")
        elif words[0].startswith("/"):
            await self._people.slash(user, channel, words[0], words[1] if len(words) > 1 else "")
        else:
            await self._people.post(user, channel, what)

    async def _click(self, user: str, given: str) -> None:
        button = self.screen.buttons.get(int(given)) if given.isdecimal() else None
        if button is None:
            raise Misunderstood("click takes the number of a button, as in: bob> click 3")
        if button.ts:
            await self._people.click(user, button.channel, button.ts, button.action_id, button.value)
        else:
            await self._people.click_in_view(user, button.action_id, button.value)


async def typed_lines() -> AsyncIterator[str]:
    """Lines of stdin until its end. A thread reads them, so that no pending read can keep the program from ending."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str | None] = asyncio.Queue()

    def read() -> None:
        try:
            for line in sys.stdin:
                loop.call_soon_threadsafe(queue.put_nowait, line)
            loop.call_soon_threadsafe(queue.put_nowait, None)
        except RuntimeError:
            return  # the loop has ended while we waited for a line

    threading.Thread(target=read, name="stdin", daemon=True).start()
    while (line := await queue.get()) is not None:
        yield line
