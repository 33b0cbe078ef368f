"""`cdm why`: a decision about a rollout as it was taken, read from the store."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from bot.commands.options import CONFIG, Config, failures_told, settings_of
from bot.rollout_named import rollout_named
from bot.settings import Settings
from bot.store_access import opened_store
from bot.terminal import as_lines
from core.messages.blocks import Message
from flows.rollouts.why import told
from integrations.store.rollout_past import RolloutPast
from integrations.store.rollouts import RolloutStore

Name = Annotated[str, typer.Argument(help="The rollout's name in hawkBit; it may have ended.")]


def why(
    name: Name,
    at: Annotated[int, typer.Option("--at", min=0, help="So many decisions before the newest.")] = 0,
    config: Config = CONFIG,
) -> None:
    """Show why a rollout goes on or waits: its last decision rule by rule. Changes nothing."""
    settings = settings_of(config)
    with failures_told():
        typer.echo(as_lines(asyncio.run(_why(settings, name, at)).text))


async def _why(settings: Settings, name: str, back: int) -> Message:
    async with opened_store(settings) as store:
        record = await rollout_named(settings, RolloutStore(store), name)
        return await told(RolloutPast(store), record, back=back)
