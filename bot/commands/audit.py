"""`cdm audit`: read the log of who did what, copy it out, and check that nobody changed it."""

from __future__ import annotations

import asyncio
import csv
import io
import os
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import orjson
import typer

from bot.anchor_files import read_anchors
from bot.audit_archive import Archives
from bot.audit_keys import keyring
from bot.commands.options import CONFIG, Config, failures_told, give_up, settings_of
from bot.settings import Settings
from bot.store_access import opened_store
from core.audit import ChainCheck, Entry
from core.audit_view import COLUMNS, Answer, Question, cells, json_line
from core.messages.text import plain
from integrations.clock import SystemClock
from integrations.store.audit import AuditLog, Unreadable

WIDTH = 400


class Format(StrEnum):
    JSONL = "jsonl"
    CSV = "csv"


def instant(given: str | datetime) -> datetime:
    """An ISO date or time; UTC where it names no zone."""
    try:
        at = given if isinstance(given, datetime) else datetime.fromisoformat(given)
    except ValueError:
        raise typer.BadParameter("a date or time such as 2026-11-24 or 2026-11-24T08:30:00+01:00") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


PersonOption = Annotated[str, typer.Option(help="Only of this one: Keycloak subject or user name, scheduler, bot.")]
TenantOption = Annotated[str, typer.Option(help="Only what names this tenant: acts on its incidents and devices.")]
DeviceOption = Annotated[str, typer.Option(help="Only on this device: its name, or stack/name.")]
RolloutOption = Annotated[str, typer.Option(help="Only on this rollout: its id, or stack/id.")]
ActionOption = Annotated[
    str, typer.Option(help="Only this action: pause, promote, run:redeploy; refused or run: all such.")
]
ObjectOption = Annotated[str, typer.Option(help="Only on this, and what begins with it: incident:ab12")]
SinceOption = Annotated[
    datetime | None, typer.Option(parser=instant, metavar="TIME", help="Only from then on (UTC, or with a zone).")
]
UntilOption = Annotated[
    datetime | None, typer.Option(parser=instant, metavar="TIME", help="Only before then (UTC, or with a zone).")
]

app = typer.Typer(no_args_is_help=True, help="The log of who did what.")


@app.command()
def verify(
    config: Config = CONFIG,
    anchors: Annotated[
        list[Path] | None,
        typer.Option(
            exists=True, dir_okay=False, help="The bot's JSON log, or lines of a number and a hash; repeatable."
        ),
    ] = None,
    archive: Annotated[
        list[Path] | None,
        typer.Option(exists=True, dir_okay=False, help="What cdm audit trim wrote, checked as one chain; repeatable."),
    ] = None,
) -> None:
    """Check every entry from the first to the newest, also against what was known outside the store. Exit code 1
    names the first bad entry."""
    settings, archives = settings_of(config), Archives(archive or ())
    with failures_told():
        known = read_anchors(anchors or ())
        check, strangers = asyncio.run(_verify(settings, known, archives))
    if check.broken is not None:
        raise give_up(
            f"The audit log was changed, or entries are missing: {check.broken} ({check.entries:,} entries read). What "
            "stands before it can be trusted, what stands after it cannot. Keep the store's files as they are and "
            "compare them with a backup."
        )
    if strangers:
        raise give_up(
            f"{', '.join(map(str, strangers))}: each entry in it holds, but it is not, byte by byte, what cdm audit "
            "trim wrote. Give that file."
        )
    typer.echo(f"{check.entries:,} entries, the chain holds. {_proof(check, known)}")


@app.command()
def show(
    config: Config = CONFIG,
    last: Annotated[int, typer.Option("--last", "-n", min=1, help="How many, the newest.")] = 20,
    person: PersonOption = "",
    tenant: TenantOption = "",
    device: DeviceOption = "",
    rollout: RolloutOption = "",
    action: ActionOption = "",
    object: ObjectOption = "",
    since: SinceOption = None,
    until: UntilOption = None,
) -> None:
    """Print entries, oldest first. An outcome is shown with its intent."""
    settings, question = settings_of(config), Question(person, tenant, device, rollout, action, object, since, until)
    with failures_told(), readable():
        entries = asyncio.run(_newest(settings, last, question))
    for entry in entries:
        typer.echo(line_of(entry))
    if not entries:
        typer.echo("No such entries.", err=True)


@app.command()
def export(
    config: Config = CONFIG,
    format: Annotated[
        Format, typer.Option(help="jsonl has everything as it is, csv is for spreadsheets.")
    ] = Format.JSONL,
    out: Annotated[Path | None, typer.Option(help="A new file (mode 600) instead of the standard output.")] = None,
    person: PersonOption = "",
    tenant: TenantOption = "",
    device: DeviceOption = "",
    rollout: RolloutOption = "",
    action: ActionOption = "",
    object: ObjectOption = "",
    since: SinceOption = None,
    until: UntilOption = None,
) -> None:
    """Write entries out, oldest first: all, or those asked for, as `show` takes them."""
    settings, question = settings_of(config), Question(person, tenant, device, rollout, action, object, since, until)
    with failures_told(), readable(), _opened(out) as file:
        count = asyncio.run(_export(settings, question, format, file))
    typer.echo(f"{count:,} entries written.", err=True)


def line_of(entry: Entry) -> str:
    """One line: time, number, kind (an outcome with the intent it belongs to), who, what, on what, and the rest."""
    kind = f"{entry.kind} of #{entry.ref}" if entry.ref else entry.kind
    who = f"{entry.data['name']} ({entry.actor})" if "name" in entry.data else entry.actor
    rest = {key: value for key, value in entry.data.items() if key != "name"}
    told = [entry.at, f"#{entry.seq}", kind, who, entry.action, entry.object, *([_json(rest)] if rest else [])]
    return "  ".join(plain(part, WIDTH) for part in told)


def _proof(check: ChainCheck, known: Mapping[int, str]) -> str:
    """What that it holds is worth."""
    begun = (
        f" The log begins after entry {check.begun_after:,}, by a sealed checkpoint: what came before was archived."
        if check.begun_after
        else ""
    )
    sealed = f"{check.keyed:,} are sealed with a key" if check.keyed else "None is sealed with a key (audit.key)"
    anchored = (
        f"{len(known):,} anchors up to entry {max(known)} agree" if known else "No anchors were given (--anchors)"
    )
    return f"{sealed}. {anchored}.{begun}"


async def _verify(settings: Settings, known: Mapping[int, str], archives: Archives) -> tuple[ChainCheck, list[Path]]:
    keys = keyring(settings)
    async with opened_store(settings) as store:
        log = AuditLog(store, SystemClock(), keys)
        check = await log.check(known, archives)
        return check, archives.strangers(await log.checkpoint()) if check.broken is None else []


async def _newest(settings: Settings, last: int, question: Question) -> list[Entry]:
    async with opened_store(settings) as store:
        log = AuditLog(store, SystemClock())
        if question == Question():
            return (await log.latest(last))[::-1]
        answer, wanted = Answer(question), deque[Entry](maxlen=last)
        async for entry in log.entries():
            if answer.wants(entry):
                wanted.append(entry)
        return list(wanted)


async def _export(settings: Settings, question: Question, format: Format, file: BinaryIO) -> int:
    """How many were written, one by one."""
    count, answer, row = 0, Answer(question), json_line
    if format is Format.CSV:
        file.write(_csv(COLUMNS))
        row = _csv_row
    async with opened_store(settings) as store:
        async for entry in AuditLog(store, SystemClock()).entries():
            if answer.wants(entry):
                file.write(row(entry))
                count += 1
    return count


def _csv_row(entry: Entry) -> bytes:
    return _csv(cells(entry))


def _csv(row: tuple[str, ...] | list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow(row)
    return text.getvalue().encode()


@contextmanager
def _opened(out: Path | None) -> Iterator[BinaryIO]:
    if out is None:
        yield typer.get_binary_stream("stdout")
        return
    with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        yield file


@contextmanager
def readable() -> Iterator[None]:
    """End the command in words where what stands in the log is no entry."""
    try:
        yield
    except Unreadable as error:
        raise give_up(f"An entry of the audit log cannot be read ({error}): cdm audit verify says which.") from None


def _json(data: Mapping[str, Any]) -> str:
    return orjson.dumps(data, option=orjson.OPT_NON_STR_KEYS).decode()
