"""What the outbox keeps in the store: together with its cause, never lost between two readers, never for ever."""

from __future__ import annotations

import fnmatch

import pytest

from core.budgets import Budget, Priority
from core.ids import Channel
from core.messages.blocks import Button, actions, compose, section
from core.outbox import Row, State
from integrations.store.budgets import FAMILIES as BUDGET_FAMILIES
from integrations.store.budgets import Buckets
from integrations.store.connection import Store
from integrations.store.families import BASE_FAMILIES, DAY
from integrations.store.leases import LeaseLost, Leases
from integrations.store.outbox import FAMILIES, MAX_DUE, MAX_FILE, Outbox, OutboxRows, Wanted, seconds
from tests.conftest import ManualClock

OPS = Channel("C1")


def wanted(text: str = "active", **more: object) -> Wanted:
    given: dict[str, object] = {"key": "incident:1", "priority": Priority.INCIDENT, **more}
    return Wanted(channel=OPS, message=compose(text, section(text)), **given)  # type: ignore[arg-type]


async def test_a_message_is_wanted_with_its_cause_or_not_at_all(store: Store, clock: ManualClock) -> None:
    outbox, rows, now = Outbox(store, clock), OutboxRows(store), seconds(clock.now())
    lease = await Leases(store, clock).acquire("incident:1", 30)
    assert lease is not None
    await lease.commit([("SET", "cause", "1"), *outbox.want(wanted())])
    (job,) = await rows.due(OPS, now)
    assert job.wanted == wanted()
    await store.delete("cdm:lease:incident:1")
    with pytest.raises(LeaseLost):
        await lease.commit([("SET", "cause", "2"), *outbox.want(wanted("cleared"))])
    (job,) = await rows.due(OPS, now)
    assert (await store.get("cause"), job.wanted) == (b"1", wanted())


async def test_a_state_wanted_while_another_is_being_shown_is_not_lost(store: Store, clock: ManualClock) -> None:
    outbox, rows, now = Outbox(store, clock), OutboxRows(store), seconds(clock.now())
    lease = await Leases(store, clock).acquire("outbox:C1", 30)
    assert lease is not None
    await outbox.put(wanted("active"))
    (job,) = await rows.due(OPS, now)
    await outbox.put(wanted("cleared", open=False))
    await lease.commit([*rows.keep(job, Row(job.wanted.key, State.CONFIRMED)), *rows.done(job)])
    (job,) = await rows.due(OPS, now)
    assert (job.wanted.message.text, job.row.state) == ("cleared", State.CONFIRMED)
    await lease.commit(rows.done(job))
    assert await rows.due(OPS, now) == []
    assert await rows.due_lanes(now) == []


async def test_what_ended_is_forgotten_after_14_days(store: Store, clock: ManualClock) -> None:
    outbox, rows = Outbox(store, clock), OutboxRows(store)
    await outbox.put(wanted())
    (job,) = await rows.due(OPS, seconds(clock.now()))
    lease = await Leases(store, clock).acquire("outbox:C1", 30)
    assert lease is not None
    await lease.commit(rows.keep(job, job.row))
    assert await store.ttl("cdm:outbox:row:incident:1") > 100 * DAY
    await outbox.put(wanted("cleared", open=False))
    for kind in ("want", "row"):
        assert 13 * DAY < await store.ttl(f"cdm:outbox:{kind}:incident:1") <= 14 * DAY


async def test_every_key_belongs_to_a_family_and_keeps_to_its_retention_and_size(
    store: Store, clock: ManualClock
) -> None:
    outbox, rows = Outbox(store, clock), OutboxRows(store)
    await outbox.put(wanted())
    await outbox.put_file("run:1:log", "incident:1", "log.txt", b"x", "Log")
    await outbox.tell(OPS, "U1", compose("no"))
    await Buckets(store).take([("posts", Budget(1, 2))], Priority.NOTE, 1.0)
    (job,) = await rows.due(OPS, seconds(clock.now()))
    lease = await Leases(store, clock).acquire("outbox:C1", 30)
    assert lease is not None
    await lease.commit([*rows.keep(job, job.row), *rows.dead(job, seconds(clock.now()))])
    families = (*FAMILIES, *BUDGET_FAMILIES, *BASE_FAMILIES)
    for key in [k.decode() for k in await store.keys("*")]:
        family = next(f for f in families if fnmatch.fnmatch(key, f.pattern))
        if family.retention_s is not None and family.max_entries is None:
            assert 0 < await store.ttl(key) <= family.retention_s, key
        if family.max_bytes is not None:
            assert await store.memory_usage(key) <= family.max_bytes + 128, key


async def test_a_message_of_absurd_size_keeps_its_text(store: Store, clock: ManualClock) -> None:
    outbox = Outbox(store, clock)
    rows_of_buttons = [actions(*[Button(f"a{n}", "x", "v" * 2_000) for n in range(25)]) for _ in range(10)]
    await outbox.put(Wanted("k", OPS, compose("the text", *rows_of_buttons), Priority.NOTE))
    (job,) = await OutboxRows(store).due(OPS, seconds(clock.now()))
    assert (job.wanted.message.text, job.wanted.message.blocks) == ("the text", ())


async def test_a_file_beyond_the_cap_is_cut_and_says_so(store: Store, clock: ManualClock) -> None:
    outbox, rows = Outbox(store, clock), OutboxRows(store)
    await outbox.put_file("run:1:log", "run:1", "log.txt", b"x" * (MAX_FILE + 1), "The journal")
    (job,) = await rows.due(Channel("files"), seconds(clock.now()))
    assert job.wanted.message.text == "The journal (cut after 8 MiB)"
    assert len(await rows.content("run:1:log") or b"") == MAX_FILE


async def test_the_oldest_notes_go_where_a_lane_holds_too_many(store: Store, clock: ManualClock) -> None:
    outbox, rows = Outbox(store, clock), OutboxRows(store)
    commands = [c for n in range(MAX_DUE + 3) for c in outbox.want(wanted(key=f"n:{n:05d}", priority=Priority.NOTE))]
    async with store.pipeline(transaction=False) as pipe:
        for command in commands:
            pipe.execute_command(*command)
        await pipe.execute()
    assert [key for key, _ in await rows.surplus(OPS)] == ["n:00000", "n:00001", "n:00002"]


async def test_replicas_together_stay_within_a_budget(store: Store) -> None:
    budget = [("updates", Budget(0.7, 8.0))]
    replicas = [Buckets(store), Buckets(store)]
    taken, now = 0, 1000.0
    while now < 1060:
        taken += await replicas[int(now * 10) % 2].take(budget, Priority.APPROVAL, now) == 0
        now += 0.1
    assert 45 <= taken <= 50


async def test_a_budget_keeps_a_reserve_for_what_goes_first(store: Store) -> None:
    budget = [("updates", Budget(1.0, 4.0, (0, 1, 2, 3)))]
    buckets = Buckets(store)
    assert await buckets.take(budget, Priority.NOTE, 0.0) == 0
    assert await buckets.take(budget, Priority.NOTE, 0.0) == 1
    assert await buckets.take(budget, Priority.UPDATE, 0.0) == 0
    assert await buckets.take(budget, Priority.UPDATE, 0.0) == 1
    for priority in (Priority.INCIDENT, Priority.APPROVAL):
        assert await buckets.take(budget, priority, 0.0) == 0
    assert await buckets.take(budget, Priority.APPROVAL, 0.0) == 1


async def test_all_buckets_give_or_none_does_and_a_closed_one_lets_nothing_through(store: Store) -> None:
    buckets, one, two = Buckets(store), ("one", Budget(1.0, 1.0)), ("two", Budget(1.0, 1.0))
    await buckets.close("two", 30.0)
    assert await buckets.take([one, two], Priority.APPROVAL, 10.0) == 20
    assert await buckets.take([one], Priority.APPROVAL, 10.0) == 0
    assert await buckets.take([two], Priority.APPROVAL, 31.0) == 0
