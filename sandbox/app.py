"""`cdm run`: the sandbox, the real bot on it, the workspace page, the console, and a scenario."""

from __future__ import annotations

import asyncio
import fcntl
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox.bot_process import BotFailed, BotProcess
from sandbox.console import Console, typed_lines
from sandbox.controls import HELP, Controls
from sandbox.page.app import PageServer, page_app
from sandbox.scenarios import Player, Scenario, load
from sandbox.settings_file import DATA
from sandbox.world import SandboxWorld

LOG = "bot.log"
SCENARIO_S = 300.0
"""A scenario that takes longer than this has failed (`check` without a bound of its own)."""
PAGE_PORT = 8750
NOTHING = "none"
"""The name of no scenario: the world as it comes, with nobody in it doing anything."""


@dataclass(frozen=True, slots=True)
class Run:
    """`scenario`: the name of one, or NOTHING. `seconds`: end by itself after so many. `interactive`: None asks the
    terminal. `page_port`: where the page is wanted, None for no page. `completions`: (usage, what it does) of commands.
    """

    devices: int = 500
    scenario: str = "default-day"
    seconds: float | None = None
    check: bool = False
    interactive: bool | None = None
    page_port: int | None = PAGE_PORT
    completions: Sequence[tuple[str, str]] = ()


async def main(directory: Path, run: Run) -> int:
    """The exit status: with `check`, 1 if the scenario did not end well; else 0, or 1 if the bot failed.

    Ends by `quit` (or the end of stdin, when interactive), a signal, after `seconds`, or with the scenario, if `check`.
    `directory` gets the bot's settings, data and log; what an earlier run left there is removed, since every run is a
    new world. ValueError where there is no such scenario, or the fleet is too small for it.
    """
    scenario = None if run.scenario == NOTHING else load(run.scenario)
    if scenario is None and run.check:
        raise ValueError("there is nothing to check without a scenario")
    if scenario is not None and run.devices < scenario.devices:
        raise ValueError(f"the scenario {scenario.name} needs at least {scenario.devices} devices, not {run.devices}")
    try:
        with fresh(directory):
            return await _run(directory, run, scenario)
    except (BotFailed, InUse) as failed:
        _tell(f"!! {failed}")
        return 1


async def _run(directory: Path, run: Run, scenario: Scenario | None) -> int:
    began = time.monotonic()
    async with SandboxWorld(directory, devices=run.devices) as world, AsyncExitStack() as exit:
        controls = Controls(world)
        if run.page_port is not None:
            app = page_app(world.slack, controls, run.completions)
            page = await exit.enter_async_context(PageServer(app, run.page_port))
            _tell(f"\n   Open {page.url} in a browser: the workspace, and the world beside it.\n")
        _tell(f"-- Slack, ThingsBoard, hawkBit, Keycloak, a relay and {run.devices} devices are up")
        bot = BotProcess(world.config, world.bot_url, directory / LOG)
        try:
            await bot.start()
            _tell(f"-- the bot is ready after {time.monotonic() - began:.1f} s; its log is {bot.log}")
            return await _Show(world, controls, bot, run, scenario).run()
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
        self, world: SandboxWorld, controls: Controls, bot: BotProcess, run: Run, scenario: Scenario | None
    ) -> None:
        self._bot = bot
        self._seconds = run.seconds if run.seconds is not None or not run.check else SCENARIO_S
        self._check = run.check
        self._interactive = sys.stdin.isatty() if run.interactive is None else run.interactive
        self._console = Console(world.people, controls.run, _tell)
        self._player = Player(world, controls, scenario, _tell) if scenario else None
        controls.story = self._player
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
        if not self._check or self._player is None:
            return 0
        if not self._player.finished:
            _tell("!! the scenario did not come to its end")
        for failure in self._player.failures:
            _tell(f"!! {failure}")
        return 0 if self._player.finished and not self._player.failures else 1

    async def _type(self) -> None:
        """The end of stdin is a person's good-bye at a terminal, and nothing at all elsewhere."""
        async for line in typed_lines():
            if not await self._console.obey(line):
                self._over.set()
        if self._interactive:
            self._over.set()

    async def _play(self) -> None:
        if self._player is not None:
            await self._player.play()
        if self._check:
            self._over.set()

    async def _watch(self) -> None:
        status = await self._bot.wait()
        if not self._over.is_set():
            raise BotFailed(f"The bot ended with exit status {status}; see {self._bot.log}.")


def _tell(line: str) -> None:
    print(line, flush=True)
