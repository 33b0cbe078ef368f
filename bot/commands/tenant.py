"""`cdm tenant`: tenants come into the settings, are looked at, and go again with what the store holds of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from bot.audit_keys import keyring
from bot.commands.config import print_findings
from bot.commands.options import CONFIG, ByServiceAccount, Config, failures_told, give_up, say, settings_of
from bot.config_file import BadConfig
from bot.maintaining import Maintainer, maintainer
from bot.probe import TIMEOUT_S, Verdict
from bot.settings import Settings, StackSection
from bot.settings_base import Name
from bot.store_access import opened_store
from bot.tenants import removing
from bot.tenants.asking import BadAnswer, tenant_of
from bot.tenants.families import OF_FAMILIES, Stays
from bot.tenants.looking import look_at
from bot.tenants.removing import Plan, Removed
from bot.tenants.settings_text import CannotEdit, Edit, with_tenant, without_tenant
from core.errors import NotFound
from integrations.clock import SystemClock
from integrations.store.audit import AuditLog

ADD = "add_tenant"

app = typer.Typer(no_args_is_help=True, help="Tenants come and go.")

Id = Annotated[str, typer.Argument(help="As in cdm.yaml: small letters, digits, hyphens.")]
StackName = Annotated[str, typer.Option("--stack", help="Needed where there are several.")]


@app.command()
def add(
    tenant: Id,
    config: Config = CONFIG,
    stack: StackName = "",
    channel: Annotated[str | None, typer.Option(help="Id of the Slack channel for its alarms.")] = None,
    group: Annotated[str | None, typer.Option(help="Path of its group in Keycloak, such as /customer-a.")] = None,
    range_: Annotated[str | None, typer.Option("--range", help="VPN range of its devices.")] = None,
    username: Annotated[str | None, typer.Option(help="The bot's user in its ThingsBoard.")] = None,
    password: Annotated[str | None, typer.Option(help="Where its password is: env:NAME or file:path.")] = None,
    api_key: Annotated[str | None, typer.Option(help="Instead (ThingsBoard 4.3): env:NAME or file:path.")] = None,
    probe: Annotated[bool, typer.Option(help="Ask the systems afterwards.")] = True,
    service_account: ByServiceAccount = False,
) -> None:
    """After an admin's login, put a tenant into cdm.yaml, with a webhook secret of its own, and look what it lacks.

    What no option gives is asked for. The old settings are kept beside the new as cdm.yaml.bak.
    """
    settings = settings_of(config)
    section = _stack(settings, stack)
    options = {
        "--channel": channel,
        "--group": group,
        "--range": range_,
        "--username": username,
        "--password": password,
        "--api-key": api_key,
    }
    with failures_told(), _unchanged_told(config):
        _may_be_added(section, tenant)
        by = _login(settings, "tenant add", service_account=service_account)
        made, files = tenant_of(tenant, section, options, config.resolve().parent)
        kept = Edit(config, with_tenant(config, section.name, made), files).write()
        now = settings_of(config)
        noted = asyncio.run(_note_added(now, f"tenant:{section.name}/{tenant}", tenant, by))
    typer.echo(f"Written: {config} (the old one is {kept.name})")
    for name in files:
        typer.echo(f"         {name} (mode 600)")
    typer.echo("Noted in the audit log." if noted else "There is no store yet, so no audit log has a note of it.")
    fine = not probe or _checked(now, _stack(now, section.name), tenant, TIMEOUT_S)
    _say_what_is_next(config, section.name, tenant, str(made["keycloak_group"]))
    if not fine:
        raise typer.Exit(1)


@app.command()
def check(
    tenant: Id,
    config: Config = CONFIG,
    stack: StackName = "",
    timeout_s: Annotated[float, typer.Option("--timeout", min=0.1, help="For each system, in seconds.")] = TIMEOUT_S,
) -> None:
    """What `cdm config check --probe` says, of this tenant alone; also its webhook, and what the store holds of it.

    Exit code 1 where something does not work. Changes nothing.
    """
    settings = settings_of(config)
    section = _stack(settings, stack)
    with failures_told():
        if all(one.id != tenant for one in section.tenants):
            raise removing.unknown(section, tenant)
        if not _checked(settings, section, tenant, timeout_s):
            raise typer.Exit(1)


@app.command()
def remove(
    tenant: Id,
    config: Config = CONFIG,
    stack: StackName = "",
    export: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="A new directory for a copy of its data (JSON Lines, mode 600)."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether to go on.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also with open incidents or rollouts under way.")] = False,
    service_account: ByServiceAccount = False,
) -> None:
    """After an admin's login, take a tenant out of cdm.yaml and its data out of the store, and prove that it is gone.

    No bot may be at work meanwhile. Broken off half way, it is finished by doing it again.
    """
    settings = settings_of(config)
    section = _stack(settings, stack)
    with failures_told(), _unchanged_told(config):
        removing.refuse_beside_a_bot(settings)
        by = _login(settings, "tenant remove", service_account=service_account)
        left = asyncio.run(_remove(settings, section, tenant, config, export, by, yes=yes, force=force))
    if left:
        raise typer.Exit(1)


async def _remove(
    settings: Settings,
    section: StackSection,
    tenant: str,
    config: Path,
    export: Path | None,
    by: Maintainer,
    *,
    yes: bool,
    force: bool,
) -> bool:
    """Whether anything is left that names it."""
    try:
        async with removing.alone(settings) as store:
            plan = await removing.plan(store, settings, section, tenant, SystemClock(), force=force)
            _say_what_is_meant(plan)
            if not yes:
                typer.confirm("Take it out? This cannot be undone.", abort=True)
            done = await removing.remove(store, settings, plan, config, SystemClock(), by, export)
    except NotFound as error:
        if error.system != "store":
            raise
        _remove_from_settings(section, tenant, config)
        return False
    _say_what_was_removed(plan, done, export)
    _say_what_stays(plan, done)
    return bool(done.proof.left_count)


def _remove_from_settings(section: StackSection, tenant: str, config: Path) -> None:
    """Where no bot has run yet, there is nothing else."""
    if all(one.id != tenant for one in section.tenants):
        raise removing.unknown(section, tenant)
    removing.not_the_last(section, tenant)
    kept = Edit(config, without_tenant(config, section.name, tenant)).write()
    typer.echo(f"Taken out of {config} (the old one is {kept.name}). There is no store yet, so there is no data of it.")


def _stack(settings: Settings, name: str) -> StackSection:
    names = ", ".join(one.name for one in settings.stacks)
    if not name and len(settings.stacks) > 1:
        raise give_up(f"There are several stacks in the settings: give --stack, one of {names}.")
    for one in settings.stacks:
        if name in ("", one.name):
            return one
    raise give_up(f"The settings have no stack {name}: give --stack, one of {names}.")


def _may_be_added(section: StackSection, tenant: str) -> None:
    try:
        TypeAdapter(Name).validate_python(tenant)
    except ValidationError:
        raise give_up(f"{tenant!r} is no id for a tenant: small letters, digits and hyphens. Choose another.") from None
    if any(one.id == tenant for one in section.tenants):
        raise give_up(f"Stack {section.name} has a tenant {tenant} already. Choose another id.")


def _checked(settings: Settings, section: StackSection, tenant: str, timeout_s: float) -> bool:
    chosen = next(one for one in section.tenants if one.id == tenant)
    findings = asyncio.run(look_at(settings, section, chosen, timeout_s=timeout_s))
    print_findings(findings)
    return not any(finding.verdict is Verdict.FAIL for finding in findings)


def _login(settings: Settings, command: str, *, service_account: bool) -> Maintainer:
    return asyncio.run(maintainer(settings, SystemClock(), command, service_account=service_account, say=say))


async def _note_added(settings: Settings, object: str, tenant: str, by: Maintainer) -> bool:
    try:
        async with opened_store(settings) as store:
            data = {"name": by.name, "tenant": tenant}
            await AuditLog(store, SystemClock(), keyring(settings)).note(by.actor, ADD, object, data)
    except NotFound:
        return False
    return True


@contextmanager
def _unchanged_told(config: Path) -> Iterator[None]:
    """A command that could not change the settings has changed nothing."""
    try:
        yield
    except (CannotEdit, BadAnswer) as error:
        raise give_up(f"Nothing was changed. {error}") from None
    except BadConfig as error:
        raise give_up(f"Nothing was changed, because the settings would not be valid:\n{error}") from None
    except FileExistsError as error:
        raise give_up(
            f"Nothing was changed: {error.filename} is there already, from a tenant of that name before. Move it away, "
            "and try again."
        ) from None


def _say_what_is_next(config: Path, stack: str, tenant: str, group: str) -> None:
    steps = (
        "In Slack, in its channel: /invite @cdm",
        f"In Keycloak: its people into the group {group}, at least two of them admins",
        f"In ThingsBoard: cdm thingsboard wiring --stack {stack} --tenant {tenant} --config {config}",
        "Restart every bot of this installation; each needs this cdm.yaml and the secret files",
        f"cdm tenant check {tenant} --stack {stack} --config {config}   until nothing fails",
    )
    typer.echo("\nNext:")
    for number, step in enumerate(steps, 1):
        typer.echo(f"  {number}. {step}")


def _say_what_is_meant(plan: Plan) -> None:
    about = plan.about
    where = "It stands in cdm.yaml" if plan.section is not None else "cdm.yaml has it no more"
    typer.echo(
        f"{about.tenant} of stack {about.stack}. {where}; {len(about.incidents):,} incidents "
        f"({about.open_incidents:,} open), {len(about.devices):,} devices, {len(about.rollouts):,} rollouts "
        f"({len(about.active):,} under way)."
    )
    if not plan.held:
        typer.echo("The store holds nothing of it but what stays.")
        return
    typer.echo("The store holds of it:")
    for family, count in plan.held.items():
        typer.echo(f"  {count:>9,}  {family}")


def _say_what_was_removed(plan: Plan, done: Removed, export: Path | None) -> None:
    if export is not None:
        typer.echo(f"Copied into {export} first.")
    if done.kept is not None:
        typer.echo(f"Taken out of cdm.yaml (the old one is {done.kept.name}).")
    typer.echo(f"Taken out of the store: {sum(done.taken.values()):,} pieces of {len(done.taken)} families.")
    proof = done.proof
    looked = f"{proof.keys:,} keys with {proof.parts:,} pieces were read again"
    if not proof.left_count:
        typer.echo(f"Proof: {looked}, and none names {plan.about.tenant}, its devices or its incidents.")
        return
    typer.echo(f"{looked}, and {proof.left_count:,} keys name {plan.about.tenant} still:", err=True)
    for key in proof.left:
        typer.echo(f"  {key}", err=True)
    typer.echo("They may quote it only (`cdm doctor` counts each family). Run this again once they end.", err=True)


def _say_what_stays(plan: Plan, done: Removed) -> None:
    typer.echo("What stays, and why:")
    for name, kind in OF_FAMILIES.items():
        if isinstance(kind, Stays) and not kind.searched and (count := done.proof.unsearched[name]):
            count = plan.about.audited if name == "audit" else count
            typer.echo(f"  {name} ({count:,}): {kind.why}")
    typer.echo("  Slack: messages that were posted stand there; they are not the bot's to take back")
    if plan.about.active:
        typer.echo("  hawkBit: rollouts that go on have its devices still, and their names come back with them")
    if plan.section is not None and done.kept is not None:
        files = [secret.where for secret in plan.section.webhook_secrets if secret.file]
        password = plan.section.thingsboard.password or plan.section.thingsboard.api_key
        files += [password.where] if password is not None and password.file else []
        named = ", ".join([done.kept.name, *files])
        typer.echo(f"  on disk: {named}, backups, and the bot's log. Delete them when nobody needs them any more")
    typer.echo("\nNext:")
    typer.echo("  1. Give every replica the new cdm.yaml, then start the bots")
    typer.echo("  2. In ThingsBoard: take the way of the alarms out of the rule chain, and delete the bot's user")
    typer.echo("  3. In Keycloak and Slack: the tenant's group and channel, if nobody needs them")
