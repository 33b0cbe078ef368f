"""`cdm backup` and `cdm restore`: the store into one file, and back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from bot.audit_keys import keyring
from bot.backup import making, present, restoring
from bot.backup.present import Present
from bot.backup.restoring import Restored
from bot.commands.options import CONFIG, ByServiceAccount, Config, failures_told, give_up, say, settings_of
from bot.maintaining import Maintainer, maintainer, unproven
from bot.secrets import SecretMissing
from bot.settings import Settings
from bot.store_access import opened_store
from core.errors import Unavailable
from integrations.clock import SystemClock

WHEN = "%Y-%m-%d %H:%M:%S UTC"


def backup(
    file: Annotated[Path, typer.Argument(help="To be made; a file that is there is not overwritten.")],
    config: Config = CONFIG,
) -> None:
    """Copy the store into FILE (mode 600), also while the bot runs, and read it back. Keep it like a secret."""
    settings = settings_of(config)
    with failures_told():
        made = asyncio.run(_backup(settings, file))
    manifest = made.manifest
    typer.echo(
        f"{made.path}: {sum(manifest.keys.values()):,} keys as of {manifest.taken_at.strftime(WHEN)}, "
        f"{manifest.size:,} bytes, schema {manifest.schema_version}; read back and compared."
    )
    typer.echo(f"sha256 of its snapshot: {manifest.sha256}; newest audit entry: {manifest.audit_head or 'none'}")
    if made.audit_trouble is not None:
        raise give_up(
            f"The backup is good, but the audit log in it is not: {made.audit_trouble}. See cdm audit verify."
        )


def restore(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Made by cdm backup.")],
    config: Config = CONFIG,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also where the store is not empty; what is in it is backed up first.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Also where hawkBit or ThingsBoard do not answer. Read what it says.")
    ] = False,
    service_account: ByServiceAccount = False,
    without_login: Annotated[
        str, typer.Option(help="Where Keycloak cannot be asked: why. Told in the audit log and to the admins.")
    ] = "",
) -> None:
    """Put a backup into the store, while no bot runs, after an admin's login. Every rollout is held afterwards."""
    settings = settings_of(config)
    with failures_told():
        by = asyncio.run(_by(settings, service_account, without_login.strip()))
        now = asyncio.run(present.ask(settings, SystemClock()))
        if now.unasked and not offline:
            said = "\n".join(f"  {text}" for text in sorted(now.unasked))
            raise give_up(
                f"Not restored: what goes on since the backup could not be asked.\n{said}\nMend that first, or add "
                "--offline: then rollouts and alarms that began since the backup are not known."
            )
        done = asyncio.run(restoring.restore(settings, file, now, SystemClock(), by, replace=replace))
    _tell(done, now)
    if by.reason:
        say(f"Nobody logged in: the audit log and a message to the admins name {by.name}, and the reason.")


async def _by(settings: Settings, service_account: bool, reason: str) -> Maintainer:
    if reason and service_account:
        raise give_up("Give --service-account or --without-login, not both: the audit log names one.")
    if reason:
        return unproven(reason)
    try:
        return await maintainer(settings, SystemClock(), "restore", service_account=service_account, say=say)
    except (Unavailable, SecretMissing) as away:
        raise give_up(
            f"Not restored: nobody can say who you are. {away} If that cannot be mended first: "
            '--without-login "why", which is told in the audit log and to the admins.'
        ) from away


async def _backup(settings: Settings, file: Path) -> making.Made:
    async with opened_store(settings) as store:
        return await making.make(store, file, SystemClock(), keyring(settings))


def _tell(done: Restored, now: Present) -> None:
    if done.replaced is not None:
        typer.echo(f"What the store held is kept in {done.replaced}.")
    made = done.prepared
    typer.echo(f"Restored as of {done.manifest.taken_at.strftime(WHEN)}.")
    typer.echo(
        f"{made.held} rollouts are held: look into hawkBit, then release each. {made.looked_up} messages are looked up "
        f"in Slack before they are posted, {made.written_anew} are written anew."
    )
    if now.unasked:
        typer.echo(
            "Some systems were not asked: rollouts that began since the backup are not held, and alarms that began "
            "since may be told twice. Set promotion.enabled: false before you start the bot, and look into hawkBit."
        )
