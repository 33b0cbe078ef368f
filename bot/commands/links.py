"""`cdm links`: whose Slack user is linked with which account, and an end to it."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from bot.acting import acting
from bot.commands.options import CONFIG, ByServiceAccount, Config, InRealm, failures_told, say, settings_of
from bot.settings import Settings
from bot.terminal import as_lines
from core.messages.blocks import Message
from integrations.clock import SystemClock

app = typer.Typer(no_args_is_help=True, help="Slack users and the Keycloak accounts they have proven to be.")


@app.command(name="list")
def list_links(config: Config = CONFIG, service_account: ByServiceAccount = False, realm: InRealm = "") -> None:
    """The links of the people of your tenants, after a login: it asks Keycloak about each of them."""
    _tell(config, "", service_account, realm)


@app.command()
def revoke(
    person: Annotated[str, typer.Argument(help="A Slack user id (U…) or a Keycloak user name.")],
    config: Config = CONFIG,
    service_account: ByServiceAccount = False,
    realm: InRealm = "",
) -> None:
    """End a person's link, after a login: the bot then refuses that Slack user everything."""
    _tell(config, person, service_account, realm)


def _tell(config: Config, person: str, service_account: bool, realm: str) -> None:
    settings = settings_of(config)
    with failures_told():
        typer.echo(as_lines(asyncio.run(_done(settings, person, service_account, realm)).text))


async def _done(settings: Settings, person: str, service_account: bool, realm: str) -> Message:
    command = "links revoke" if person else "links list"
    async with acting(settings, SystemClock(), command, service_account=service_account, say=say, realm=realm) as act:
        linked = act.parts.linked
        return await (linked.revoke(act.caller, person) if person else linked.listed(act.caller))
