"""The real bot as a process of its own: started, watched, ended gently or not."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import time
from pathlib import Path

import httpx

_PR_SET_PDEATHSIG = 1
_TAIL = 4_000


class BotFailed(Exception):
    """The bot ended, or did not become ready. The text holds the end of its log."""


class BotProcess:
    """`cdm serve` with the settings in `config`. `url` is its address, `log` gets what it prints, over restarts."""

    def __init__(self, config: Path, url: str, log: Path) -> None:
        self.config = config
        self.url = url
        self.log = log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    async def start(self, ready_within_s: float = 30.0) -> None:
        """Until it says that it is ready."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bot", "serve", "--config", str(self.config)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={k: v for k, v in os.environ.items() if not k.startswith("CDM_")} | {"PYTHONUNBUFFERED": "1"},
                start_new_session=True,
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,
            )
        await self._ready(ready_within_s)

    async def _ready(self, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        said = "nothing"
        async with httpx.AsyncClient(trust_env=False, timeout=2) as http:
            while self.alive and time.monotonic() < deadline:
                try:
                    answer = await http.get(f"{self.url}/readyz")
                    if answer.status_code == 200:
                        return
                    said = answer.text
                except httpx.HTTPError as error:
                    said = type(error).__name__
                await asyncio.sleep(0.1)
        why = f"not ready within {within_s:.0f} s; /readyz said {said}" if self.alive else "it ended"
        raise BotFailed(f"The bot: {why}. The end of {self.log}:\n{self.log_text()[-_TAIL:]}")

    async def wait(self) -> int:
        """Until it ends; its exit status."""
        assert self._process is not None
        return await self._process.wait()

    async def stop(self, patience_s: float = 20.0) -> int | None:
        """SIGTERM, and SIGKILL if that does not end it in time. The exit status; None if it never ran."""
        if self._process is None:
            return None
        if self.alive:
            self._process.terminate()
            try:
                return await asyncio.wait_for(self._process.wait(), patience_s)
            except TimeoutError:
                self._process.kill()
        return await self._process.wait()

    async def kill(self) -> None:
        """kill -9."""
        if self._process is not None and self.alive:
            self._process.kill()
            await self._process.wait()

    async def restart(self) -> None:
        await self.stop()
        await self.start()


def _end_with_parent() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
