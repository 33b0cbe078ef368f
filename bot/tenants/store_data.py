"""One tenant's data in the store: counted, copied out, taken out, and looked for once more in every key."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from bot.store_survey import ALL_FAMILIES, family_of
from bot.tenants.about import About
from bot.tenants.families import OF_FAMILIES, PerTenant, Stays
from bot.tenants.parts import BATCH, Key, Part, keys, parts, taken_out
from core.errors import Refused
from integrations.store.connection import Store
from integrations.store.families import Family

SHOWN = 20
_BY_NAME: Mapping[str, Family] = {family.name: family for family in ALL_FAMILIES}


@dataclass(frozen=True, slots=True)
class Found:
    """One part of one key that is the tenant's; `new` is what a document that is others' too will say."""

    family: str
    key: Key
    part: Part
    new: bytes | None = None


@dataclass(slots=True)
class Search:
    """What a look at every key has found: `left` are keys that name the tenant still."""

    keys: int = 0
    parts: int = 0
    left: list[str] = field(default_factory=list)
    left_count: int = 0
    unsearched: Counter[str] = field(default_factory=Counter)


async def holdings(store: Store, about: About) -> AsyncIterator[Found]:
    """Everything of the tenant's, family by family, in the order in which it may be taken out."""
    for name, kind in OF_FAMILIES.items():
        if isinstance(kind, PerTenant):
            async for found in _of_family(store, about, _BY_NAME[name], kind):
                yield found


async def _of_family(store: Store, about: About, family: Family, kind: PerTenant) -> AsyncIterator[Found]:
    async for key in keys(store, family.pattern):
        if family_of(key.name, ALL_FAMILIES) is not family:
            continue  # a narrower pattern has it
        rest = key.name.removeprefix(family.pattern.removesuffix("*"))
        async for part in parts(store, key):
            if kind.rule(about, rest, part):
                yield Found(family.name, key, part)
            elif kind.rewrite is not None and (new := kind.rewrite(about, rest, part.text)) is not None:
                yield Found(family.name, key, part, new)


async def counted(store: Store, about: About) -> dict[str, int]:
    """How many parts of each family `take_out` would take."""
    found: Counter[str] = Counter()
    async for one in holdings(store, about):
        found[one.family] += 1
    return dict(found)


async def take_out(store: Store, about: About) -> dict[str, int]:
    """How many parts of each family were taken out, some hundreds in one commit."""
    taken: Counter[str] = Counter()
    batch: list[Found] = []
    async for found in holdings(store, about):
        taken[found.family] += 1
        batch.append(found)
        if len(batch) >= BATCH:
            await _carry_out(store, batch)
            batch = []
    await _carry_out(store, batch)
    return dict(taken)


async def _carry_out(store: Store, batch: Sequence[Found]) -> None:
    async with store.pipeline(transaction=True) as pipe:
        for _, of_key in groupby(batch, lambda found: found.key.name):
            some = list(of_key)
            key, new = some[0].key, some[0].new
            if new is not None:
                pipe.set(key.name, new, xx=True, keepttl=True)
                continue
            for command in taken_out(key, [found.part.id for found in some]):
                pipe.execute_command(*command)
        await pipe.execute()


async def copy_out(store: Store, about: About, directory: Path) -> dict[str, int]:
    """Everything that `take_out` would take, a file of JSON Lines a family (mode 600) in a new or empty directory.
    Raises Refused, OSError."""
    _make_empty(directory)
    copied: Counter[str] = Counter()
    opened: dict[str, BinaryIO] = {}
    with ExitStack() as files:
        async for found in holdings(store, about):
            if found.family not in opened:
                opened[found.family] = files.enter_context(_private(directory / file_name(found.family)))
            opened[found.family].write(_line(found))
            copied[found.family] += 1
        for file in opened.values():
            file.flush()
            os.fsync(file.fileno())
    return dict(copied)


def _make_empty(directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise Refused(f"{directory} is not empty. Give a new directory for the copy.", system="export")
    directory.chmod(0o700)


def _private(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def file_name(family: str) -> str:
    return f"{family.replace(',', '').replace(' ', '-')}.jsonl"


def _line(found: Found) -> bytes:
    told: dict[str, Any] = {"key": found.key.name, "kind": found.key.kind}
    if found.part.id:
        told["part"] = found.part.id.decode(errors="replace")
    if found.new is not None:
        told["stays"] = "without the tenant"
    return orjson.dumps({**told, "value": _readable(found)}, option=orjson.OPT_APPEND_NEWLINE)


def _readable(found: Found) -> Any:
    text = found.part.text
    if found.key.kind == "hash":
        text = text[len(found.part.id) + 1 :]
    try:
        return orjson.loads(text)
    except ValueError:
        return text.decode(errors="replace")


async def search(store: Store, about: About) -> Search:
    """Every key of the bot's and all that is in it, by the tenant's names; what `Stays` unsearched is only counted."""
    found = Search()
    async for key in keys(store, "cdm:*"):
        family = family_of(key.name, ALL_FAMILIES)
        kind = OF_FAMILIES.get(family.name) if family is not None else None
        if family is not None and isinstance(kind, Stays) and not kind.searched:
            found.unsearched[family.name] += 1
            continue
        found.keys += 1
        named = about.marks.stand_in(key.name.encode())
        async for part in parts(store, key):
            found.parts += 1
            named = named or about.marks.stand_in(part.text)
        if named:
            found.left_count += 1
            found.left += [key.name] if len(found.left) < SHOWN else []
    return found
