"""`cdm audit trim` and `close`: older entries into an archive, so that the chain stays provable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from bot.audit_archive import Trimming
from bot.audit_keys import keyring
from bot.commands.audit import instant, readable
from bot.commands.options import CONFIG, ByServiceAccount, Config, failures_told, give_up, say, settings_of
from bot.maintaining import maintainer
from bot.settings import Settings
from bot.store_access import opened_store
from core.audit_checkpoint import Archived
from core.messages.text import plain
from integrations.clock import SystemClock
from integrations.store.approvals import ApprovalStore
from integrations.store.audit import AuditLog
from integrations.store.leases import Leases

WHY = 400


def trim(
    export: Annotated[Path, typer.Option(help="The archive to be made (mode 600). Keep it: the store has it no more.")],
    config: Config = CONFIG,
    before: Annotated[
        datetime | None,
        typer.Option(
            parser=instant, metavar="TIME", help="Entries older than that (UTC, or with a zone); 30 days or more ago."
        ),
    ] = None,
    service_account: ByServiceAccount = False,
) -> None:
    """Move older entries into an archive, also while the bot runs, after an admin's login. The log then begins at a
    sealed checkpoint."""
    settings = settings_of(config)
    if before is None:
        if settings.audit.keep_days is None:
            raise give_up("Give --before, or set audit.keep_days in cdm.yaml.")
        before = SystemClock().now() - timedelta(days=settings.audit.keep_days)
    with failures_told(), readable():
        done = asyncio.run(_trim(settings, before, export, service_account))
    typer.echo(
        f"Entries {done.first:,} to {done.last:,} are in {export} and no more in the store.\n"
        f"sha256 of the file: {done.sha256}\n"
        f"cdm audit verify --archive {export} checks both as one chain."
    )


def close(
    number: Annotated[int, typer.Argument(min=1, help="An intent that has no outcome.")],
    why: Annotated[str, typer.Option(help="What is known of it, in a sentence.")],
    config: Config = CONFIG,
    service_account: ByServiceAccount = False,
) -> None:
    """Write down that an act's outcome will never be known, so that a trim may take it out; after an admin's login."""
    settings = settings_of(config)
    if not (said := plain(why, WHY)):
        raise give_up("Say what is known of it: --why.")
    with failures_told(), readable():
        asyncio.run(_close(settings, number, said, service_account))
    typer.echo(f"Intent {number} is closed.")


async def _trim(settings: Settings, before: datetime, export: Path, service_account: bool) -> Archived:
    async with _trimming(settings, "audit trim", service_account) as trimming:
        return await trimming.trim(before, export)


async def _close(settings: Settings, number: int, why: str, service_account: bool) -> None:
    async with _trimming(settings, "audit close", service_account) as trimming:
        await trimming.close(number, why)


@asynccontextmanager
async def _trimming(settings: Settings, command: str, service_account: bool) -> AsyncIterator[Trimming]:
    keys, clock = keyring(settings), SystemClock()
    by = await maintainer(settings, clock, command, service_account=service_account, say=say)
    async with opened_store(settings) as store:
        log, leases = AuditLog(store, clock, keys), Leases(store, clock)
        approvals = ApprovalStore(store)
        yield Trimming(log=log, approvals=approvals, leases=leases, keys=keys, clock=clock, by=by)
