"""What a key of the store holds, piece by piece, whatever its kind: a field of a hash, a member, an entry, a text."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from integrations.store.connection import Store
from integrations.store.leases import Command
from integrations.store.work import GROUP
from integrations.store.work import STREAM as WORK

BATCH = 200
_TAKEN_BY = {"hash": "HDEL", "set": "SREM", "zset": "ZREM", "stream": "XDEL"}


@dataclass(frozen=True, slots=True)
class Part:
    """`id` is the field, member or number of the entry, b"" for a text; `text` is all that it says, its id included."""

    id: bytes
    text: bytes


@dataclass(frozen=True, slots=True)
class Key:
    """One key and its kind, in the store's own words: string, hash, set, zset, stream. A string comes with its
    `value`."""

    name: str
    kind: str
    value: bytes = b""


async def keys(store: Store, pattern: str) -> AsyncIterator[Key]:
    """Each key that fits, once."""
    found = sorted({key async for key in store.scan_iter(match=pattern, count=BATCH)})
    for at in range(0, len(found), BATCH):
        some = found[at : at + BATCH]
        async with store.pipeline(transaction=False) as pipe:
            for name in some:
                pipe.type(name)
            kinds = await pipe.execute()
        texts = [name for name, kind in zip(some, kinds, strict=True) if kind == b"string"]
        values = dict(zip(texts, await store.mget(texts) if texts else (), strict=True))
        for name, kind in zip(some, kinds, strict=True):
            if kind != b"none" and values.get(name, b"") is not None:  # it may have expired meanwhile
                yield Key(name.decode(), kind.decode(), values.get(name, b""))


async def parts(store: Store, key: Key) -> AsyncIterator[Part]:
    """Read in batches; what is removed meanwhile may still come."""
    match key.kind:
        case "string":
            yield Part(b"", unpacked(key.value))
        case "hash":
            async for field, value in store.hscan_iter(key.name, count=BATCH):
                yield Part(field, field + b"\n" + value)
        case "set":
            async for member in store.sscan_iter(key.name, count=BATCH):
                yield Part(member, member)
        case "zset":
            async for member, _ in store.zscan_iter(key.name, count=BATCH):
                yield Part(member, member)
        case "stream":
            last = "-"
            while rows := await store.xrange(key.name, min=last, count=BATCH):
                for id, fields in rows:
                    yield Part(id, b"\n".join(map(unpacked, fields.values())))
                last = "(" + rows[-1][0].decode()
        case other:
            raise AssertionError(f"the bot keeps no {other}, but {key.name} is one")


def taken_out(key: Key, ids: Sequence[bytes]) -> list[Command]:
    """The commands that take these parts out of the key."""
    if key.kind == "string":
        return [("UNLINK", key.name)]
    commands: list[Command] = [(_TAKEN_BY[key.kind], key.name, *ids)]
    return [("XACK", WORK, GROUP, *ids), *commands] if key.name == WORK else commands


def unpacked(raw: bytes) -> bytes:
    """Large documents are packed (`integrations.store.incidents`)."""
    if raw[:1] != b"\x78":
        return raw
    try:
        return zlib.decompress(raw)
    except zlib.error:
        return raw
