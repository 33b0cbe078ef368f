"""The log is verified, read and trimmed entry by entry: what that takes does not grow with the number of entries."""

from __future__ import annotations

import tracemalloc

import orjson

from core.audit import GENESIS, Keyring, seal
from integrations.store.audit import HEAD, STREAM, AuditLog
from integrations.store.connection import Store
from tests.conftest import ManualClock

KEYS = Keyring(b"a key for the test, as long as one must be")
FEW, MANY = 2_000, 20_000
MORE = 256 * 1024
"""Bytes; the many entries take some 10 MB as objects."""


async def filled(store: Store, count: int) -> None:
    """Entries up to `count`."""
    number, _, prev = (await AuditLog(store, ManualClock()).head()).partition(" ")
    prev = prev or GENESIS
    async with store.pipeline(transaction=False) as pipe:
        for seq in range(int(number or 0) + 1, count + 1):
            words = {"at": "2026-11-24T03:00:00+00:00", "kind": "note", "actor": "bot", "action": "decided", "ref": ""}
            entry = seal(seq=seq, **words, object=f"it:{seq}", data={"n": seq}, prev=prev, keys=KEYS)
            prev = entry.hash
            pipe.xadd(STREAM, {"e": orjson.dumps(entry)})
        pipe.set(HEAD, f"{count} {prev}")
        await pipe.execute()


async def peak(log: AuditLog, count: int) -> int:
    """Bytes that checking the log takes at its most."""
    tracemalloc.start()
    try:
        check = await log.check()
        assert (check.entries, check.broken) == (count, None)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


async def test_ten_times_the_entries_take_the_same_memory(store: Store, clock: ManualClock) -> None:
    log = AuditLog(store, clock, KEYS)
    await filled(store, FEW)
    await peak(log, FEW)  # whatever is made once and kept
    few = await peak(log, FEW)
    await filled(store, MANY)
    assert await peak(log, MANY) <= few + MORE
