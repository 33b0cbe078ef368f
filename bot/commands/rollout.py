"""`cdm rollout`: a person's order about a rollout, where Slack is not at hand."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from bot.acting import acting
from bot.commands.options import CONFIG, ByServiceAccount, Config, failures_told, give_up, say, settings_of
from bot.settings import Settings
from core.messages.text import plain
from flows.orders import Ordered
from flows.rollouts.acts import Verb
from integrations.clock import SystemClock

WIDTH = 2_000


def rollout(
    verb: Annotated[Verb, typer.Argument(help="As /cdm rollout takes it in Slack. stop is final.")],
    name: Annotated[str, typer.Argument(help="The rollout's name in hawkBit.")],
    config: Config = CONFIG,
    service_account: ByServiceAccount = False,
) -> None:
    """Promote, resume, pause, hold, unhold or stop a rollout, after a login, by the same rights as in Slack."""
    settings = settings_of(config)
    with failures_told():
        ordered = asyncio.run(_order(settings, verb, name, service_account))
    said = plain(ordered.text, WIDTH)
    if not ordered.done:
        raise give_up(said)
    typer.echo(said)


async def _order(settings: Settings, verb: Verb, name: str, service_account: bool) -> Ordered:
    command = f"rollout {verb.value}"
    async with acting(settings, SystemClock(), command, service_account=service_account, say=say) as act:
        _, visible = await act.parts.gate.viewer(act.caller)
        stack, facts = await act.parts.orders.named(name, visible)
        return await act.parts.orders.order(act.caller, verb, stack.name, facts.id, None)
