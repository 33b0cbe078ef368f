"""What open alarms say about the devices of a rollout.

An alarm is a device's where name and tenant agree: what another tenant raises under the same name counts for nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from core.ids import DeviceName, GroupId, Tenant
from core.rollouts.cause import started_index
from core.rollouts.facts import GroupFacts, Snapshot
from core.rollouts.numbers import AlarmShares
from core.rollouts.policy import PromotionPolicy
from core.rollouts.records import AttemptState, DeviceEvidence, GroupEvidence, RolloutRecord


@dataclass(frozen=True, slots=True)
class AlarmKinds:
    """What ThingsBoard's rules call the alarm of a failed update."""

    ota_failure: str = "OTA Failure"


@dataclass(frozen=True, slots=True)
class OpenAlarm:
    """One active alarm of a device."""

    device: DeviceName
    tenant: Tenant
    type: str
    raised_at: datetime


@dataclass(frozen=True, slots=True)
class OpenAlarms:
    """Every active alarm in the tenants of a rollout. `read_at`: nothing older than this is missing in it."""

    read_at: datetime
    by_device: Mapping[DeviceName, tuple[OpenAlarm, ...]]

    def of(self, device: DeviceEvidence) -> Iterable[OpenAlarm]:
        found = self.by_device.get(device.device, ())
        return (one for one in found if device.tenant is None or one.tenant == device.tenant)


def begun_at(snapshot: Snapshot, record: RolloutRecord, group: GroupFacts) -> datetime:
    """No action of the group began before: when the bot started it or, where somebody else did, when the rollout was
    made."""
    ours = [a.at for a in record.attempts if a.group == group.id and a.state is not AttemptState.NOT_APPLIED]
    return ours[-1] if ours else snapshot.rollout.created_at


def failing(evidence: GroupEvidence, alarms: OpenAlarms, kinds: AlarmKinds, since: datetime) -> frozenset[DeviceName]:
    """The devices of a group with an OTA failure raised `since` then. An older one tells of another update."""
    return frozenset(
        name
        for name, device in evidence.devices.items()
        if any(one.type == kinds.ota_failure and one.raised_at >= since for one in alarms.of(device))
    )


def note_alarms(
    evidence: GroupEvidence, failing: Collection[DeviceName], failed: Collection[DeviceName]
) -> GroupEvidence:
    """The group with what its devices' alarms say. `failed`: those whose action hawkBit counts as an error, as far as
    that was asked."""
    devices = {
        name: replace(
            device,
            alarmed=name in failing,
            failed=name in failed,
        )
        for name, device in evidence.devices.items()
    }
    return replace(evidence, devices=devices, failed=len(failed))


def alarm_shares(
    snapshot: Snapshot,
    evidence: Mapping[GroupId, GroupEvidence],
    record: RolloutRecord,
    policy: PromotionPolicy,
    alarms: OpenAlarms,
    kinds: AlarmKinds,
) -> AlarmShares:
    """Updated are the devices with a claim; the others are those without, in the started groups and in the one that is
    next: of later groups hawkBit is not asked for names, so nobody could say whether they have alarms.

    Not counted: excluded devices and those that left; OTA failures, which the error budget counts, and which among the
    others would speak for the update.
    """
    known = {group.id for group in snapshot.groups[: started_index(snapshot) + 1]}
    sides: dict[bool, list[bool]] = {True: [], False: []}
    for group, found in evidence.items():
        for device in found.devices.values():
            if group in known and device.member and device.device not in record.excluded:
                updated = device.first_claimed_at is not None
                sides[updated].append(any(_speaks(one, policy, kinds) for one in alarms.of(device)))
    return AlarmShares(
        read_at=alarms.read_at,
        updated=len(sides[True]),
        updated_with=sum(sides[True]),
        others=len(sides[False]),
        others_with=sum(sides[False]),
    )


def _speaks(alarm: OpenAlarm, policy: PromotionPolicy, kinds: AlarmKinds) -> bool:
    if alarm.type == kinds.ota_failure:
        return False
    return not policy.alarm_types or alarm.type in policy.alarm_types
