"""What is kept of a rollout comes back as it was, is bounded, and is written only under the lease."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from core.ids import DeviceName, GroupId, RolloutId, Subject, Tenant
from core.rollouts.actors import SCHEDULER, person
from core.rollouts.reboot import Reboot, Step
from core.rollouts.records import (
    ATTEMPTS_KEPT,
    Attempt,
    AttemptState,
    GroupEvidence,
    Hold,
    PauseEpisode,
    PauseIntent,
    PauseState,
    RolloutRecord,
)
from core.rollouts.verify import note_claims, note_look, note_members
from core.rollouts.work import DeviceWork, FinishedWork, Meant, Stuck, Sweep, Trouble, WorkKind
from integrations.store.connection import Store
from integrations.store.leases import LeaseLost, Leases
from integrations.store.rollouts import FAMILIES, MAX_DEVICES, RETENTION_S, RolloutStore, lease_name
from tests.conftest import ManualClock
from tests.unit.core.rollouts.cases import EU1, Case, ago, look
from tests.unit.core.test_rollout_message import view

ID = RolloutId(17)
ANNA = person(Subject("sub-anna"), "anna")


def attempt(number: int) -> Attempt:
    return Attempt(number, 2, GroupId(102), ago(9), ANNA, "7", ago(60), "bot", AttemptState.STARTED, settled_at=ago(1))


async def keep(store: Store, clock: ManualClock, record: RolloutRecord) -> RolloutRecord:
    lease = await Leases(store, clock).acquire(lease_name(EU1, ID), 10)
    assert lease is not None
    stored, commands = RolloutStore(store).save(record)
    await lease.commit(commands)
    await lease.release()
    return stored


async def test_a_record_comes_back_as_it_was_with_its_revision_raised(store: Store, clock: ManualClock) -> None:
    records = RolloutStore(store)
    assert await records.record(EU1, ID) == RolloutRecord(EU1, ID)
    full = replace(
        Case().observed(),
        revision=4,
        told="hold",
        shown="abc",
        progress=view(Case()),
        episode=PauseEpisode(ago(2), "admin", "person_in_hawkbit"),
        hold=Hold(ago(3), SCHEDULER, "a gate failed"),
        pauses=(PauseIntent(ago(5), ANNA, "lunch", PauseState.OVER, GroupId(101)),),
        attempts=(attempt(1), attempt(2)),
        excluded=(DeviceName("d1"),),
        reached=(GroupId(101), ago(8)),
        last_promoted_at=ago(7),
        tenants=(Tenant("customer-a"),),
        ready=(GroupId(102), ago(3)),
        policy="gateways",
        sampled_at=ago(30),
        reboot=Reboot("5f8e", ANNA, "they wait", ago(9), ago(1), (Step(DeviceName("d2"), Tenant("customer-a")),), "7"),
        excluded_in=((GroupId(101), 1),),
        work=DeviceWork(WorkKind.EXCLUDE, ago(2), ANNA, "12", "lunch", 1, GroupId(101), (Meant(DeviceName("d1"), 7),)),
        last_work=FinishedWork(WorkKind.CANCEL, "lunch", True, "1 open install cancelled."),
        sweep=Sweep(
            ago(9),
            (Stuck(DeviceName("d1"), 1, Trouble.SILENT, ago(90_000), 7),),
            ((Trouble.SILENT, 1),),
            silent=1,
            open=2,
            canceling=1,
            canceling_since=((8, ago(60)),),
        ),
    )
    assert all(getattr(full, f.name) != f.default for f in fields(full) if f.name not in ("ended_at", "stale"))
    stored = await keep(store, clock, full)
    assert stored.revision == full.revision + 1
    assert await records.record(EU1, ID) == stored


async def test_a_rollout_is_tracked_until_it_is_over(store: Store, clock: ManualClock) -> None:
    records = RolloutStore(store)
    stored = await keep(store, clock, RolloutRecord(EU1, ID, name="fw"))
    assert await records.tracked(EU1) == (ID,)
    await keep(store, clock, replace(stored, ended_at=ago(0)))
    assert await records.tracked(EU1) == ()
    assert (await records.record(EU1, ID)).name == "fw"


async def test_a_lost_lease_writes_nothing(store: Store, clock: ManualClock) -> None:
    first = await Leases(store, clock).acquire(lease_name(EU1, ID), 10)
    assert first is not None
    await store.delete(f"cdm:lease:{lease_name(EU1, ID)}")
    assert await Leases(store, clock).acquire(lease_name(EU1, ID), 10)
    _, commands = RolloutStore(store).save(RolloutRecord(EU1, ID, name="fw"))
    with pytest.raises(LeaseLost):
        await first.commit(commands)
    assert await RolloutStore(store).tracked(EU1) == ()


async def test_evidence_comes_back_as_it_was_and_only_changes_are_written(store: Store, clock: ManualClock) -> None:
    records = RolloutStore(store)
    group = GroupId(101)
    empty = await records.evidence(EU1, ID, group)
    names = frozenset(DeviceName(f"d{i}") for i in range(1200))
    counted = note_claims(note_members(empty, names, ago(90)), {DeviceName("d7")}, ago(80))
    devices = {**counted.devices, DeviceName("d7"): note_look(counted.devices[DeviceName("d7")], look(5, boot_id="b"))}
    full = replace(counted, devices=devices)
    lease = await Leases(store, clock).acquire(lease_name(EU1, ID), 10)
    assert lease is not None
    await lease.commit(records.save_evidence(EU1, ID, full, empty))
    assert await records.evidence(EU1, ID, group) == full
    assert records.save_evidence(EU1, ID, full, full) == []
    later = note_claims(full, {DeviceName("d7"), DeviceName("d8")}, ago(1))
    written = records.save_evidence(EU1, ID, later, full)
    assert [str(part) for part in written[0][2::2]] == ["d8", ""]


async def test_everything_kept_has_its_retention_and_a_family(store: Store, clock: ManualClock) -> None:
    records = RolloutStore(store)
    lease = await Leases(store, clock).acquire(lease_name(EU1, ID), 10)
    assert lease is not None
    _, document = records.save(RolloutRecord(EU1, ID))
    evidence = note_members(GroupEvidence(GroupId(101)), frozenset({DeviceName("d1")}), ago(1))
    await lease.commit([*document, *records.save_evidence(EU1, ID, evidence, GroupEvidence(GroupId(101)))])
    found = [key.decode() async for key in store.scan_iter("cdm:rollout:*")]
    assert len(found) == 3
    for key in found:
        family = next(f for f in FAMILIES if key.startswith(f.pattern.removesuffix("*")))
        assert (await store.ttl(key) > RETENTION_S - 60) is (family.retention_s is not None)


def test_beyond_hawkbits_own_quota_no_evidence_is_kept() -> None:
    empty = GroupEvidence(GroupId(101))
    many = note_members(empty, frozenset(DeviceName(f"d{i}") for i in range(MAX_DEVICES + 1)), ago(1))
    assert RolloutStore(None).save_evidence(EU1, ID, many, empty) == []


def test_attempts_kept_are_bounded_and_a_settled_one_takes_its_own_place() -> None:
    record = RolloutRecord(EU1, ID)
    for number in range(1, ATTEMPTS_KEPT + 20):
        record = record.with_attempt(attempt(number))
    assert [a.number for a in record.attempts] == list(range(20, ATTEMPTS_KEPT + 20))
    again = record.with_attempt(replace(record.attempts[-1], detail="settled"))
    assert (len(again.attempts), again.attempts[-1].detail) == (ATTEMPTS_KEPT, "settled")
