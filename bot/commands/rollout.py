"""`cdm rollout`: a person's order about a rollout, where Slack is not at hand."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from bot.acting import acting
from bot.commands.options import (
    CONFIG,
    ByServiceAccount,
    Config,
    InRealm,
    failures_told,
    give_up,
    say,
    settings_of,
)
from bot.settings import Settings
from bot.terminal import as_lines
from core.errors import Refused
from core.messages.text import plain
from core.rollouts.work import WorkKind
from flows.orders import LoginWanted, NeedsAnother, Ordered
from flows.rollouts.acts import Verb
from integrations.clock import SystemClock

WIDTH = 2_000
VERBS = [verb.value for verb in (*Verb, *WorkKind) if verb is not WorkKind.FORCE]
"""Those about a rollout as a whole: forcing is about one device, whose button names it."""


def _known(verb: str) -> str:
    if verb not in VERBS:
        raise typer.BadParameter(f"There is no {verb!r}. There are: {', '.join(VERBS)}.")
    return verb


def rollout(
    verb: Annotated[
        str, typer.Argument(help="As /cdm rollout takes it in Slack. stop is final.", parser=_known, metavar="VERB")
    ],
    name: Annotated[str, typer.Argument(help="The rollout's name in hawkBit.")],
    config: Config = CONFIG,
    reason: Annotated[str, typer.Option(help="Where a second person must agree: ask for it, and say why.")] = "",
    service_account: ByServiceAccount = False,
    realm: InRealm = "",
) -> None:
    """Do to a rollout what may be done to it in Slack, after a login, by the same rights."""
    settings = settings_of(config)
    with failures_told():
        ordered = asyncio.run(_order(settings, verb, name, reason.strip(), service_account, realm))
    said = plain(ordered.text, WIDTH)
    if not ordered.done:
        raise give_up(said)
    typer.echo(said)


async def _order(settings: Settings, verb: str, name: str, reason: str, service_account: bool, realm: str) -> Ordered:
    command = f"rollout {verb}"
    async with acting(settings, SystemClock(), command, service_account=service_account, say=say, realm=realm) as act:
        _, visible = await act.parts.gate.viewer(act.caller)
        stack, facts = await act.parts.orders.named(name, visible)
        try:
            return await act.parts.orders.order(act.caller, f"{verb}:{stack.name}/{facts.id}")
        except NeedsAnother as needs:
            if not reason:
                raise Refused(f'{as_lines(needs.text)} To ask for it, type the same with --reason "why".') from None
            asked = await act.parts.approvals.ask(act.caller, act.parts.acts.value(needs.order), reason)
            return Ordered(as_lines(asked.text), done=False)
        except LoginWanted:
            raise Refused(
                "Nothing was done: by the bot's policy this takes a fresh login, which the command line cannot prove. "
                "Do it in Slack."
            ) from None
