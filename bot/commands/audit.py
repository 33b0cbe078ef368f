"""`cdm audit`: read the log of who did what, and check that nobody changed it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Annotated, Any

import orjson
import typer

from bot.commands.options import CONFIG, Config, failures_told, give_up, settings_of
from bot.settings import Settings
from bot.store_access import opened_store
from core.audit import Entry
from core.messages.text import plain
from integrations.clock import SystemClock
from integrations.store.audit import AuditLog

WIDTH = 400

app = typer.Typer(no_args_is_help=True, help="The log of who did what.")


@app.command()
def verify(config: Config = CONFIG) -> None:
    """Check the chain of hashes from the first entry to the last. Exit code 1 names the first bad entry."""
    settings = settings_of(config)
    with failures_told():
        count, broken = asyncio.run(_verify(settings))
    if broken is not None:
        raise give_up(
            f"The audit log was changed, or entries are missing: {broken} ({count:,} entries read). What stands before "
            "it can be trusted, what stands after it cannot. Keep the store's files as they are and compare them with "
            "a backup."
        )
    typer.echo(f"{count:,} entries, the chain holds.")


@app.command()
def show(
    config: Config = CONFIG,
    last: Annotated[int, typer.Option("--last", "-n", min=1, help="How many, the newest.")] = 20,
    actor: Annotated[str, typer.Option(help="Only of this person: Keycloak subject or user name; or scheduler.")] = "",
    object: Annotated[str, typer.Option(help="Only on this, and what begins with it: rollout:eu1/17")] = "",
) -> None:
    """Print entries, oldest first."""
    settings = settings_of(config)
    with failures_told():
        entries = asyncio.run(_entries(settings, last, actor, object))
    for entry in entries:
        typer.echo(line_of(entry))
    if not entries:
        typer.echo("No such entries.", err=True)


def line_of(entry: Entry) -> str:
    """One line: time, number, kind (an outcome with the intent it belongs to), who, what, on what, and the rest."""
    kind = f"{entry.kind} of #{entry.ref}" if entry.ref else entry.kind
    who = f"{entry.data['name']} ({entry.actor})" if "name" in entry.data else entry.actor
    rest = {key: value for key, value in entry.data.items() if key != "name"}
    told = [entry.at, f"#{entry.seq}", kind, who, entry.action, entry.object, *([_json(rest)] if rest else [])]
    return "  ".join(plain(part, WIDTH) for part in told)


async def _verify(settings: Settings) -> tuple[int, str | None]:
    async with opened_store(settings) as store:
        return await AuditLog(store, SystemClock()).verify()


async def _entries(settings: Settings, last: int, actor: str, object: str) -> list[Entry]:
    async with opened_store(settings) as store:
        log = AuditLog(store, SystemClock())
        if not actor and not object:
            return (await log.latest(last))[::-1]
        wanted: deque[Entry] = deque(maxlen=last)
        async for entry in log.entries():
            if (not actor or actor in (entry.actor, entry.data.get("name"))) and entry.object.startswith(object):
                wanted.append(entry)
        return list(wanted)


def _json(data: Mapping[str, Any]) -> str:
    return orjson.dumps(data, option=orjson.OPT_NON_STR_KEYS).decode()
