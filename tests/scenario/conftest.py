"""The whole program on a small sandbox: `world` is what the bot meets, `bot` the real process on it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.bot_process import BotProcess
from sandbox.fleet import Pace
from sandbox.world import SandboxWorld

QUICK = Pace(poll_s=0.4, telemetry_s=0.6, install_s=(0.1, 0.3), before_reboot_s=(0.05, 0.1), reboot_s=(0.1, 0.3))
DEVICES = 12


@pytest.fixture
async def world() -> AsyncIterator[SandboxWorld]:
    """Twelve quick devices. The directory's path is short: the bot keeps a Unix socket in it."""
    directory = Path(tempfile.mkdtemp(prefix="cdm-"))
    async with SandboxWorld(directory, devices=DEVICES, pace=QUICK, thingsboard_pace=0.2, slack_rate=20.0) as world:
        yield world
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
async def bot(world: SandboxWorld) -> AsyncIterator[BotProcess]:
    """A ready bot. The end of its log is shown where a test fails."""
    process = BotProcess(world.config, world.bot_url, world.directory / "bot.log")
    try:
        await process.start()
        yield process
    finally:
        await process.stop()
        print(process.log_text()[-8_000:])
