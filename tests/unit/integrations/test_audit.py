"""A line of the audit and what it is about, in one commit."""

from __future__ import annotations

import asyncio

import pytest

from integrations.store.audit import AuditLog, Line
from integrations.store.connection import Store
from integrations.store.leases import Command, Lease, LeaseLost, Leases
from tests.conftest import ManualClock


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
