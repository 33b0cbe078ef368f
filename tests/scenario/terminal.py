"""`cdm` as somebody types it in a terminal, and the browser in which they log in for it."""

from __future__ import annotations

import asyncio
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.keycloak.browser import Browser

ADDRESS = re.compile(r"open (https?://\S+)")


@dataclass(frozen=True, slots=True)
class Ended:
    code: int
    out: str
    err: str


async def allow(address: str, account: str) -> None:
    """Somebody opens the address, logs in as `account`, and allows it."""
    async with Browser() as browser:
        await browser.open(address)
        await browser.log_in(account)
        await browser.submit(button="accept")


@dataclass(slots=True)
class Begun:
    """A command that waits for its login, at `address`."""

    process: asyncio.subprocess.Process
    told: str
    address: str

    async def decide(self, account: str) -> None:
        await allow(self.address, account)

    async def end(self, within_s: float = 30.0) -> Ended:
        out, err = await asyncio.wait_for(self.process.communicate(), within_s)
        assert self.process.returncode is not None
        return Ended(self.process.returncode, out.decode(), self.told + err.decode())


@dataclass(frozen=True, slots=True)
class Terminal:
    """A shell on the bot's machine."""

    config: Path

    async def begin(self, *words: str) -> Begun:
        """Type a command that asks for a login, and read where."""
        process = await self._start(*words)
        assert process.stderr is not None
        told = ""
        while not (found := ADDRESS.search(told)):
            line = (await asyncio.wait_for(process.stderr.readline(), 20)).decode()
            assert line, f"it asked for no login: {told}"
            told += line
        return Begun(process, told, found[1])

    async def run(self, *words: str) -> Ended:
        """A command that asks for none."""
        return await Begun(await self._start(*words), "", "").end()

    async def log_in(self, account: str, *words: str) -> Ended:
        """A command, and the login for it."""
        begun = await self.begin(*words)
        await begun.decide(account)
        return await begun.end()

    async def _start(self, *words: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot", *words, "--config", str(self.config)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
