"""A rollout in the good state, from which each test bends the one thing it is about."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from core.devices import Reading
from core.ids import DeviceName, GroupId, RolloutId, Stack, Subject
from core.rollouts.actors import Actor, ActorKind, person
from core.rollouts.decide import Decision, decide_on, observe
from core.rollouts.facts import Counts, GroupFacts, GroupStatus, RolloutFacts, RolloutStatus, Snapshot
from core.rollouts.gates import Inputs
from core.rollouts.numbers import AlarmShares, numbers_of
from core.rollouts.policy import PromotionPolicy
from core.rollouts.records import DeviceEvidence, DeviceState, GroupEvidence, Look, RolloutRecord

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
EU1 = Stack("eu1")
ANNA: Actor = person(Subject("sub-anna"), "anna")
BOT, ADMIN = "bot", "admin"
POLICY = PromotionPolicy(enabled=True, owners=frozenset({BOT}), soak_s=0, settle_s=10, agree_s=2)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def counts(**given: int) -> Counts:
    return Counts(**given)


def group(number: int, status: GroupStatus, total: int, **given: Any) -> GroupFacts:
    defaults: dict[str, Any] = {
        "counts": Counts(),
        "pauses": True,
        "success_threshold_pct": 95.0,
        "error_threshold_pct": 20.0,
        "last_modified_at": ago(600),
        "last_modified_by": "system",
    }
    return GroupFacts(id=GroupId(100 + number), name=f"g{number}", status=status, total=total, **(defaults | given))


def rollout(**given: Any) -> RolloutFacts:
    defaults: dict[str, Any] = {
        "id": RolloutId(17),
        "name": "fw-2.0.0",
        "status": RolloutStatus.PAUSED,
        "created_by": BOT,
        "created_at": ago(9000),
        "last_modified_by": BOT,
        "last_modified_at": ago(600),
        "set_id": 2,
        "total": 500,
        "counts": Counts(),
        "target_filter": "name==*",
        "action_type": "forced",
        "total_groups": 3,
    }
    return RolloutFacts(**(defaults | given))


def claimed_devices(*states: DeviceState) -> GroupEvidence:
    """A group whose devices stand in these states, read a moment ago."""
    devices = {}
    for i, state in enumerate(states):
        name = DeviceName(f"d{i:03}")
        claimed = None if state is DeviceState.PENDING else ago(500)
        devices[name] = DeviceEvidence(name, state=state, first_claimed_at=claimed)
    return GroupEvidence(GroupId(101), devices, claims_read_at=ago(1), members_read_at=ago(1))


def verified(count: int, of: int) -> GroupEvidence:
    return claimed_devices(*[DeviceState.VERIFIED] * count, *[DeviceState.PENDING] * (of - count))


@dataclass(frozen=True)
class Case:
    """Group 1 of 25 devices, 24 verified, paused by success; group 2 of 125 waits. Passes as it is."""

    rollout: RolloutFacts = field(default_factory=rollout)
    groups: tuple[GroupFacts, ...] = (
        group(1, GroupStatus.RUNNING, 25, counts=Counts(finished=24, running=1)),
        group(2, GroupStatus.SCHEDULED, 125, counts=Counts(scheduled=125)),
        group(3, GroupStatus.SCHEDULED, 350, counts=Counts(scheduled=350)),
    )
    evidence: GroupEvidence | None = field(default_factory=lambda: verified(24, 25))
    policy: PromotionPolicy = POLICY
    record: RolloutRecord = field(
        default_factory=lambda: RolloutRecord(EU1, RolloutId(17), name="fw-2.0.0", seen_before=(GroupId(102), 125))
    )
    read_at: datetime = NOW - timedelta(seconds=0.5)
    agreed_for_s: float = 60.0
    now: datetime = NOW
    alarms: AlarmShares | None = None
    approved: bool = False

    def but(self, **changes: Any) -> Case:
        return replace(self, **changes)

    def first(self, **changes: Any) -> Case:
        return replace(self, groups=(replace(self.groups[0], **changes), *self.groups[1:]))

    def on_rollout(self, **changes: Any) -> Case:
        return replace(self, rollout=replace(self.rollout, **changes))

    def on_record(self, **changes: Any) -> Case:
        return replace(self, record=replace(self.record, **changes))

    def on_policy(self, **changes: Any) -> Case:
        return replace(self, policy=replace(self.policy, **changes))

    @property
    def snapshot(self) -> Snapshot:
        return Snapshot(EU1, self.rollout, self.groups, self.read_at)

    def observed(self) -> RolloutRecord:
        """The record after reads that agreed for `agreed_for_s`."""
        earlier = self.now - timedelta(seconds=self.agreed_for_s)
        record = self.record
        for at in (earlier, self.now):
            record = observe(self.snapshot, self.policy, self.evidence, record, at, account=BOT, alarms=self.alarms)
        return record

    def inputs(self, kind: ActorKind = ActorKind.SCHEDULER) -> Inputs:
        record = self.observed()
        numbers = numbers_of(self.evidence, record.excluded)
        given = (self.snapshot, self.policy, numbers, record, BOT, self.now, kind, self.alarms, self.approved)
        return Inputs(*given)

    def decide(self, kind: ActorKind = ActorKind.SCHEDULER) -> Decision:
        return decide_on(self.inputs(kind))


def look(seconds_ago: float, **values: str | tuple[str, float]) -> Look:
    """A look `seconds_ago`; each value was sent at that time too, or at (value, seconds ago)."""
    readings = {}
    for key, given in values.items():
        value, at = given if isinstance(given, tuple) else (given, seconds_ago)
        readings[key] = Reading(value, ago(at))
    return Look(ago(seconds_ago), readings)


def decide(
    snapshot: Snapshot,
    policy: PromotionPolicy,
    evidence: GroupEvidence | None,
    record: RolloutRecord,
    now: datetime,
    *,
    account: str,
) -> Decision:
    """The scheduler's decision on exactly this."""
    numbers = numbers_of(evidence, record.excluded)
    return decide_on(Inputs(snapshot, policy, numbers, record, account, now, ActorKind.SCHEDULER))
