"""`cdm run`: the sandbox, the real bot on it, the console, and the story."""

from __future__ import annotations

import asyncio
import fcntl
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.bot_process import BotFailed, BotProcess
from sandbox.console import Console, typed_lines
from sandbox.controls import HELP, Controls
from sandbox.settings_file import DATA
from sandbox.story import LEAST_DEVICES, Story
from sandbox.world import SandboxWorld

LOG = "bot.log"
STORY_S = 300.0
"""A story that takes longer than this has failed (`check` without a bound of its own)."""


async def main(
    directory: Path,
    *,
    devices: int = 500,
    seconds: float | None = None,
    check: bool = False,
    interactive: bool | None = None,
) -> int:
    """The exit status: with `check`, 1 if the story did not end well; else 0, or 1 if the bot failed.

    Ends by `quit` (or the end of stdin, when interactive), a signal, after `seconds`, or with the story, if `check`.
    `directory` gets the bot's settings, data and log; what an earlier run left there is removed, since every run is a
    new world. `interactive`: None asks the terminal. ValueError where the fleet is too small for the story.
    """
    if devices < LEAST_DEVICES:
        raise ValueError(f"the story needs at least {LEAST_DEVICES} devices, not {devices}")
    interactive = sys.stdin.isatty() if interactive is None else interactive
    try:
        with fresh(directory):
            return await _run(directory, devices, seconds, check, interactive)
    except (BotFailed, InUse) as failed:
        _tell(f"!! {failed}")
        return 1


async def _run(directory: Path, devices: int, seconds: float | None, check: bool, interactive: bool) -> int:
    began = time.monotonic()
    async with SandboxWorld(directory, devices=devices) as world:
        _tell(f"-- Slack, ThingsBoard, hawkBit, Keycloak, a relay and {devices} devices are up")
        bot = BotProcess(world.config, world.bot_url, directory / LOG)
        try:
            await bot.start()
            _tell(f"-- the bot is ready after {time.monotonic() - began:.1f} s; its log is {bot.log}")
            return await _Show(world, bot, seconds, check, interactive).run()
        finally:
            await bot.stop()


class InUse(Exception):
    """Another sandbox runs in the directory."""


@contextmanager
def fresh(directory: Path) -> Iterator[None]:
    """The directory is ours while inside, without the data and log of a bot of an earlier run."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "sandbox.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InUse(f"Another sandbox runs in {directory}: end it, or give another --directory.") from error
        shutil.rmtree(directory / DATA, ignore_errors=True)
        (directory / LOG).unlink(missing_ok=True)
        yield


class _Show:
    def __init__(
        self, world: SandboxWorld, bot: BotProcess, seconds: float | None, check: bool, interactive: bool
    ) -> None:
        self._bot = bot
        self._seconds = seconds if seconds is not None or not check else STORY_S
        self._check = check
        self._interactive = interactive
        self._console = Console(world.people, Controls(world).run, _tell)
        self._story = Story(world, _tell)
        self._over = asyncio.Event()

    async def run(self) -> int:
        if self._interactive:
            _tell(f"-- type what people do:\n{HELP}")
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._over.set)
        tasks = [asyncio.create_task(part()) for part in (self._console.show, self._type, self._play, self._watch)]
        try:
            async with asyncio.timeout(self._seconds):
                await self._first_of(tasks)
        except TimeoutError:
            _tell(f"-- {self._seconds:.0f} s are over")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
        return self._status()

    async def _first_of(self, tasks: list[asyncio.Task[None]]) -> None:
        """Until somebody ends it, or a part fails, which is raised."""
        over = asyncio.create_task(self._over.wait())
        waiting: set[asyncio.Task[None] | asyncio.Task[bool]] = {over, *tasks}
        try:
            while not over.done():
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            over.cancel()

    def _status(self) -> int:
        if not self._check:
            return 0
        if not self._story.finished:
            _tell("!! the story did not come to its end")
        for failure in self._story.failures:
            _tell(f"!! {failure}")
        return 0 if self._story.finished and not self._story.failures else 1

    async def _type(self) -> None:
        """The end of stdin is a person's good-bye at a terminal, and nothing at all elsewhere."""
        async for line in typed_lines():
            if not await self._console.obey(line):
                self._over.set()
        if self._interactive:
            self._over.set()

    async def _play(self) -> None:
        await self._story.play()
        if self._check:
            self._over.set()

    async def _watch(self) -> None:
        status = await self._bot.wait()
        if not self._over.is_set():
            raise BotFailed(f"The bot ended with exit status {status}; see {self._bot.log}.")


def _tell(line: str) -> None:
    print(line, flush=True)
