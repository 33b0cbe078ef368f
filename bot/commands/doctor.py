"""`cdm doctor`: the state of the store, what waits or was given up on in it, whether Keycloak answers. No changes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import orjson
import typer

from bot.commands.options import CONFIG, Config, failures_told, settings_of
from bot.settings import Settings
from bot.store_access import opened_store
from bot.store_survey import FamilyUse, Survey, survey
from core.messages.text import plain
from flows.keycloak_watch import standing
from integrations.clock import SystemClock
from integrations.store import intake, work
from integrations.store.connection import Store, StoreUnsafe, check_store, in_danger
from integrations.store.families import DAY, HOUR, SCHEMA_VERSION
from integrations.store.intake import Intake
from integrations.store.outbox import OutboxRows

DEAD_SHOWN = 10
WIDTH = 160
OUTBOX_DEAD = "cdm:outbox:dead"
LEASES = "cdm:lease:"

app = typer.Typer(subcommand_metavar="")


@app.callback(invoke_without_command=True)
def doctor(config: Config = CONFIG) -> None:
    """Show the store's health and size, whether Keycloak answers, dead letters, the outbox's backlog and leases held.

    Exit code 1 where something needs a person. An embedded store that no bot is running is started for the moment; a
    bot that is started in this very moment is refused.
    """
    settings = settings_of(config)
    with failures_told():
        fine = asyncio.run(_examine(settings))
    if not fine:
        raise typer.Exit(1)


async def _examine(settings: Settings) -> bool:
    async with opened_store(settings) as store:
        healthy = await _health(settings, store)
        found = await survey(store)
        _print_families(found)
        await _keycloak(settings, store)
        await _waiting(store)
        await _dead_letters(store)
        await _leases(store)
    return healthy and not found.stranger_count and not any(use.over for use in found.families)


async def _health(settings: Settings, store: Store) -> bool:
    """Version, guarantees, memory and schema. False where the bot would refuse this store."""
    _title("Store")
    problems = []
    info: dict[str, Any] = await store.info()
    version = info.get("valkey_version") or info.get("redis_version")
    place = "at store.url" if settings.store.url else f"embedded, in {settings.data_dir / 'store'}"
    _line("server", f"{version}, {place}, up {_span(int(info.get('uptime_in_seconds', 0)))}")
    if settings.store.trust_persistence:
        _line("keeps", "not checked (store.trust_persistence)")
    else:
        try:
            kept = await check_store(store)
            _line("keeps", f"append-only, fsync {kept.get('appendfsync')}, {kept.get('maxmemory-policy')}")
        except StoreUnsafe as error:
            problems.append(error.user_text)
    _line(
        "memory",
        f"{_bytes(int(info.get('used_memory', 0)))}, limit {_bytes(int(info.get('maxmemory', 0)) or None)}",
    )
    schema = int(await store.get("cdm:schema") or 0)
    _line("schema", f"{schema or 'none yet'}, this bot knows {SCHEMA_VERSION}")
    if schema > SCHEMA_VERSION:
        problems.append("A newer bot wrote this store. Run that version, or restore a backup made with this one.")
    danger = await in_danger(store)
    problems += [f"The store {danger}. The bot takes no alarm it cannot keep: mend that first."] if danger else []
    for problem in problems:
        _line("PROBLEM", problem)
    return not problems


def _print_families(found: Survey) -> None:
    _title("Key families")
    head = ("family", "keys", "longest", "bytes", "at most", "kept")
    rows = [head, *(_row(use) for use in found.families)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head) - 1)]
    for row, over in zip(rows, [(), *(use.over for use in found.families)], strict=True):
        cells = [row[0].ljust(widths[0]), *(row[i].rjust(widths[i]) for i in (1, 2, 3)), row[4].ljust(widths[4])]
        typer.echo("  ".join(["", *cells, row[5]]))
        for what in over:
            typer.echo(f"    OVER ITS CAP: {what}. The bot trims what it owns; if this stays, it is a fault to report.")
    if found.stranger_count:
        shown = ", ".join(plain(key, 80) for key in found.strangers)
        typer.echo(
            f"{found.stranger_count} keys of no family: {shown}. An older or newer bot wrote them, or somebody else."
        )


def _row(use: FamilyUse) -> tuple[str, str, str, str, str, str]:
    family = use.family
    caps = [f"{family.max_entries:,} entries"] if family.max_entries is not None else []
    caps += [f"{_bytes(family.max_bytes)} a key"] if family.max_bytes is not None else []
    kept = family.ends if family.retention_s is None else f"{_span(family.retention_s)}; {family.ends}"
    return family.name, f"{use.keys:,}", f"{use.longest:,}", _bytes(use.bytes), ", ".join(caps) or "-", kept


async def _keycloak(settings: Settings, store: Store) -> None:
    """As the bots on this store saw it last: it is not asked here."""
    _title("Keycloak")
    now = SystemClock().now().timestamp()
    for section in settings.realms().values():
        found = await standing(store, section.called)
        if found.away_ms:
            text = f"does not say who may do what since {_time(found.away_ms / 1000)}: nobody's act is allowed"
        elif found.good_ms:
            text = f"answered {_span(max(0, int(now - found.good_ms / 1000)))} ago"
        else:
            text = "not asked yet by a bot on this store"
        _line(plain(section.called, 40), text)
    _line("the bot's rights", "`cdm config check --probe` says whether they are enough, and not too many")


async def _waiting(store: Store) -> None:
    _title("Waiting")
    _line("alarms to fold", f"{await store.xlen(intake.STREAM):,}")
    _line("orders to carry out", f"{await store.xlen(work.STREAM):,}")
    count, since, _ = await OutboxRows(store).backlog()
    oldest = f", the oldest for {_span(int(SystemClock().now().timestamp() - since))}" if since is not None else ""
    _line("messages to show", f"{count:,}{oldest}")


async def _dead_letters(store: Store) -> None:
    """The newest of each kind, newest first."""
    _title("Given up on")
    alarms = [
        f"{_stream_time(dead.entry.id)}  alarm of {dead.entry.stack}/{dead.entry.tenant}: {dead.why}"
        for dead in await Intake(store).dead(DEAD_SHOWN)
    ]
    _letters("alarms", await store.xlen(intake.DEAD), alarms)
    orders = [
        f"{_stream_time(id.decode())}  {_order(orjson.loads(fields[b'i']))}: {fields[b'why'].decode()}"
        for id, fields in await store.xrevrange(work.DEAD, count=DEAD_SHOWN)
    ]
    _letters("orders", await store.xlen(work.DEAD), orders)
    rows = OutboxRows(store)
    messages = []
    for raw, at in await store.zrevrange(OUTBOX_DEAD, 0, DEAD_SHOWN - 1, withscores=True):
        row = await rows.row(raw.decode())
        messages.append(f"{_time(at)}  {row.key} in {row.channel or '?'}: {row.trouble or 'reason unknown'}")
    _letters("messages", await store.zcard(OUTBOX_DEAD), messages)


def _letters(what: str, count: int, lines: Iterable[str]) -> None:
    _line(what, f"{count:,}")
    for line in lines:
        typer.echo(f"    {plain(line, WIDTH)}")


def _order(body: dict[str, Any]) -> str:
    """Who asked for what. Never the answer's URL: whoever has it can speak as the bot."""
    asked = body.get("text") or body.get("action") or ""
    return f"{body.get('kind', 'order')} {asked!r} of {body.get('user', '?')}"


async def _leases(store: Store) -> None:
    _title("Leases held")
    held = 0
    async for key in store.scan_iter(match=f"{LEASES}*", count=1000):
        token, left_ms = await store.get(key), await store.pttl(key)
        if token is None:
            continue
        holder, _, fence = token.decode().rpartition("|")
        held += 1
        name = key.decode().removeprefix(LEASES)
        _line(plain(name, 60), f"held by {plain(holder, 40)}, fence {fence}, {left_ms / 1000:.1f} s left")
    if not held:
        _line("none", "no bot is at work at this moment")


def _title(text: str) -> None:
    typer.echo(f"\n{text}")


def _line(what: str, text: str) -> None:
    typer.echo(f"  {what:<22}{text}")


def _stream_time(id: str) -> str:
    return _time(int(id.partition("-")[0]) / 1000)


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%SZ}"


def _span(seconds: int) -> str:
    for unit, length in (("days", DAY), ("h", HOUR), ("min", 60)):
        if seconds >= 2 * length or seconds == length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _bytes(count: int | None) -> str:
    if count is None:
        return "none"
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.1f} {unit}".replace(".0 ", " ")
    return f"{count} B"
