"""Two real bots on one world and one store: processes that can be stopped, continued and killed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from integrations.store.embedded import EmbeddedStore
from sandbox.bot_process import BotProcess
from sandbox.wire import free_port
from sandbox.world import SandboxWorld


@asynccontextmanager
async def pair(world: SandboxWorld, store: EmbeddedStore, **overrides: Any) -> AsyncIterator[list[BotProcess]]:
    """Both ready. The first has the world's own address: Slack (in mode http), ThingsBoard and browsers go to it.
    `overrides` are laid over the settings of both. The end of their logs is shown where a test fails."""
    shared = overrides | {"store": {"url": store.url}}
    port = free_port()
    bots = [
        BotProcess(world.write_config(**shared), world.bot_url, world.directory / "first.log"),
        BotProcess(
            world.write_config(name="second.yaml", port=port, data_dir="data-2", **shared),
            f"http://127.0.0.1:{port}",
            world.directory / "second.log",
        ),
    ]
    try:
        for bot in bots:
            await bot.start()
        yield bots
    finally:
        for bot in bots:
            go_on(bot)
        await asyncio.gather(*(bot.stop() for bot in bots))
        for bot in bots:
            print(f"{bot.log.name}:\n{bot.log_text()[-6_000:]}")


def stand_still(bot: BotProcess) -> None:
    """SIGSTOP: nothing in it moves, its connections stay open and its clocks go on."""
    _signal(bot, signal.SIGSTOP)


def go_on(bot: BotProcess) -> None:
    """SIGCONT, whether it stands still or not."""
    _signal(bot, signal.SIGCONT)


def _signal(bot: BotProcess, number: signal.Signals) -> None:
    if bot.alive and bot.pid is not None:
        os.kill(bot.pid, number)
