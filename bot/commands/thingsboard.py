"""`cdm thingsboard wiring`: what to import into ThingsBoard so that it raises alarms and sends them to the bot."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

import typer

from bot.commands.options import CONFIG, Config, failures_told, give_up, settings_of
from bot.settings import Settings, StackSection, TenantSection
from integrations.thingsboard.wiring import wiring as documents_of

PLACEHOLDER = "REPLACE-WITH-THE-WEBHOOK-SECRET"
DOCUMENT = "docs/thingsboard-wiring.md"
T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="ThingsBoard's side of the bot.")


class Version(StrEnum):
    CE_42 = "4.2"
    CE_43 = "4.3"


@app.callback()
def _group() -> None:
    """A group even with one command, so that it is called `cdm thingsboard wiring`."""


@app.command()
def wiring(
    config: Config = CONFIG,
    print_: Annotated[bool, typer.Option("--print", help="Print the documents (JSON) instead of the steps.")] = False,
    version: Annotated[Version, typer.Option(help="ThingsBoard's release.")] = Version.CE_42,
    stack: Annotated[str, typer.Option(help="Needed where there are several.")] = "",
    tenant: Annotated[str, typer.Option(help="Needed where there are several.")] = "",
    with_secret: Annotated[
        bool, typer.Option("--with-secret", help="Fill in the webhook secret. Mind where the output goes.")
    ] = False,
) -> None:
    """Make the documents for one tenant: retry queue, alarm rule and rule chain."""
    settings = settings_of(config)
    section = _one("stack", stack, [(s.name, s) for s in settings.stacks])
    chosen = _one("tenant", tenant, [(t.id, t) for t in section.tenants])
    if not print_:
        typer.echo(_steps(settings, section, chosen, version))
        return
    secret = PLACEHOLDER
    if with_secret:
        with failures_told():
            secret = chosen.webhook_secrets[0].read()
        typer.echo(f"The output holds the secret of {chosen.id} ({chosen.webhook_secrets[0].where}).", err=True)
    if _is_local(settings.server.public_url):
        typer.echo(
            f"server.public_url is {settings.server.public_url}, which only this machine reaches. Set it in cdm.yaml "
            "to the address by which ThingsBoard reaches the bot, and print again.",
            err=True,
        )
    made = documents_of(
        "4.2" if version is Version.CE_42 else "4.3", settings.server.public_url, secret, chosen.id, stack=section.name
    )
    typer.echo(json.dumps(made, indent=2))


def _steps(settings: Settings, section: StackSection, tenant: TenantSection, version: Version) -> str:
    rule = "device_profile" if version is Version.CE_42 else "calculated_field"
    where = f"--version {version.value} --stack {section.name} --tenant {tenant.id}"
    return f"""ThingsBoard {section.thingsboard_url}, tenant {tenant.id}. The steps in full: {DOCUMENT}
1. cdm thingsboard wiring --print {where} > wiring.json
2. As system administrator: import `queue` (once per server).
3. As the tenant's administrator: import `{rule}`, the alarm rule.
4. As the tenant's administrator: import `rule_chain`, put the secret ({tenant.webhook_secrets[0].where}) into the
   header of the node "Alarm events: to the bot", and make the chain the root.
Alarms then go to {settings.server.public_url.rstrip("/")}/webhooks/thingsboard/{section.name}"""


def _one(what: str, wanted: str, known: Sequence[tuple[str, T]]) -> T:
    """The one wanted, or the only one there is."""
    names = ", ".join(name for name, _ in known)
    if not wanted and len(known) > 1:
        raise give_up(f"There are several {what}s in the settings: give --{what}, one of {names}.")
    for name, one in known:
        if not wanted or name == wanted:
            return one
    raise give_up(f"The settings have no {what} {wanted}: give --{what}, one of {names}.")


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
