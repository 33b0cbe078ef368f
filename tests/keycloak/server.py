"""`RealKeycloak`: a real server as a test's neighbour, on a port of its own, with a pristine realm."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from sandbox.wire import free_port
from tests.keycloak import boot
from tests.keycloak.realm import AdminRealm


def available() -> str:
    """Why there is no real Keycloak here, or "" when there is one. The first call may fetch and build it (a minute)."""
    global _why_not
    if _why_not is None:
        try:
            boot.install()
            _why_not = ""
        except boot.CannotBoot as why:
            _why_not = str(why)
    return _why_not


_why_not: str | None = None


def required() -> bool:
    """In continuous integration a missing Java is a failure, elsewhere a loud skip."""
    return os.environ.get("CI", "").lower() in ("true", "1")


class RealKeycloak:
    """
    >>> async with RealKeycloak() as keycloak:
    ...     await keycloak.realm.set_enabled(await keycloak.realm.user_id("bob"), False)

    The port stays the same over `stop`, `kill` and `restart`, and so does the database.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.realm = AdminRealm(self.url, boot.REALM, boot.ADMIN_USER, boot.ADMIN_PASSWORD)
        self._folder = Path(tempfile.mkdtemp(prefix="cdm-keycloak-"))
        self._home = self._folder / "home"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    async def start(self) -> RealKeycloak:
        """Boot and wait for the realm to answer (4-5 s, on Java 17 about 11 s)."""
        await asyncio.to_thread(self._start)
        return self

    def _start(self) -> None:
        installed = boot.install()
        if not self._home.exists():
            boot.lay_out(installed, self._home)
        self._process = boot.launch(installed, self._home, self.port)
        try:
            boot.wait_ready(self._process, self.port, self._home, within_s=120)
        except boot.CannotBoot:
            self._end(kill=True)
            raise

    async def stop(self) -> None:
        """A clean end; connections are refused from then on."""
        await asyncio.to_thread(self._end, kill=False)

    async def kill(self) -> None:
        """`kill -9`."""
        await asyncio.to_thread(self._end, kill=True)

    async def restart(self) -> None:
        """Up again on the same port with the same database, after `stop` or `kill` or straight away."""
        await self.stop()
        await self.start()

    def _end(self, *, kill: bool) -> None:
        if self._process is not None:
            self._process.kill() if kill else self._process.terminate()
            self._process.wait()
            self._process = None

    async def __aenter__(self) -> RealKeycloak:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.remove()

    async def remove(self) -> None:
        """End it, and its database with it."""
        await self.kill()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
