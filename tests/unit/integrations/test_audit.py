"""A line of the audit and what it is about, in one commit."""

from __future__ import annotations

import asyncio
from dataclasses import fields

import orjson
import pytest

from core.audit import Entry
from integrations.store.audit import HEAD, STREAM, AuditLog, Line
from integrations.store.connection import Store
from integrations.store.leases import Command, Lease, LeaseLost, Leases
from tests.conftest import ManualClock
from tests.unit.core.test_audit import OF_OLD

ENTRY_FIELDS = [field.name for field in fields(Entry)]


def line(object: str) -> Line:
    return Line("intent", "scheduler", "promote", object)


async def taken(store: Store, clock: ManualClock, name: str) -> Lease:
    lease = await Leases(store, clock).acquire(name, 30)
    assert lease is not None
    return lease


async def test_many_at_once_form_one_chain_and_each_names_its_own_line(store: Store, clock: ManualClock) -> None:
    log = AuditLog(store, clock)

    async def write(number: int) -> None:
        lease = await taken(store, clock, f"it-{number}")
        await log.commit(lease, line(f"it:{number}"), lambda ref: [("SET", f"cdm:test:{number}", ref)])

    await asyncio.gather(*(write(number) for number in range(20)))
    assert await log.verify() == (20, None)
    for entry in [entry async for entry in log.entries()]:
        assert await store.get(f"cdm:test:{entry.object.removeprefix('it:')}") == str(entry.seq).encode()


async def test_without_the_lease_neither_the_line_nor_what_it_names_is_written(
    store: Store, clock: ManualClock
) -> None:
    log, lease = AuditLog(store, clock), await taken(store, clock, "it")
    await lease.release()
    await taken(store, clock, "it")

    def commands(ref: str) -> list[Command]:
        return [("SET", "cdm:test:it", ref)]

    with pytest.raises(LeaseLost):
        await log.commit(lease, line("it:1"), commands)
    assert await store.get("cdm:test:it") is None
    assert await log.verify() == (0, None)


async def test_an_emptied_log_and_an_entry_beyond_the_head_do_not_hold(store: Store, clock: ManualClock) -> None:
    log = AuditLog(store, clock)
    await log.note("bot", "decided", "it:1")
    head = await log.head()
    await log.note("bot", "decided", "it:2")
    await store.set(HEAD, head)
    assert "entry 2 is beyond the newest" in str((await log.verify())[1])
    await store.delete(STREAM)
    assert await log.verify() == (0, "every entry is missing: there was an entry 1")


async def test_a_number_too_large_for_canonical_json_is_kept_as_text(store: Store, clock: ManualClock) -> None:
    log = AuditLog(store, clock)
    await log.note("bot", "decided", "it:1", {"counts": [2**53 - 1, 2**53, True]})
    assert [entry.data async for entry in log.entries()] == [{"counts": [2**53 - 1, str(2**53), True]}]
    assert await log.verify() == (1, None)


async def test_entries_written_before_they_had_a_version_are_read_and_the_chain_goes_on(
    store: Store, clock: ManualClock
) -> None:
    log = AuditLog(store, clock)
    written = {name: getattr(OF_OLD, name) for name in ENTRY_FIELDS if name not in ("v", "key")}
    await store.xadd(STREAM, {"e": orjson.dumps(written)})
    await store.set(HEAD, f"{OF_OLD.seq} {OF_OLD.hash}")
    await log.note("bot", "decided", "it:2")
    assert [entry.v async for entry in log.entries()] == [1, 2]
    assert await log.verify() == (2, None)
