"""What a decision needs to know about a group's devices: how many stand where, and how old that is. No names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from core.ids import DeviceName, GroupId
from core.rollouts.records import DeviceEvidence, DeviceState, GroupEvidence
from core.rollouts.verify import Tally, tally


@dataclass(frozen=True, slots=True)
class GroupNumbers:
    """`present`: devices counted in the group at `members_read_at`, excluded ones among them. `alarmed`: devices whose
    OTA failure alarm is all that tells of their error. `failed`: those that hawkBit counted as errors when `alarmed`
    was told apart from them."""

    group: GroupId
    tally: Tally
    present: int
    claims_read_at: datetime | None
    members_read_at: datetime | None
    alarmed: int = 0
    failed: int = 0


def numbers_of(evidence: GroupEvidence | None, excluded: Iterable[DeviceName] = ()) -> GroupNumbers | None:
    if evidence is None:
        return None
    out = frozenset(excluded)
    return GroupNumbers(
        group=evidence.group,
        tally=tally(evidence, out),
        present=sum(device.member for device in evidence.devices.values()),
        claims_read_at=evidence.claims_read_at,
        members_read_at=evidence.members_read_at,
        alarmed=sum(only_alarmed(one) for name, one in evidence.devices.items() if name not in out),
        failed=evidence.failed,
    )


def only_alarmed(device: DeviceEvidence) -> bool:
    """Its OTA failure alarm is the only sign of its error: neither hawkBit nor its proof counts as one already."""
    refuted = device.member and device.state is DeviceState.REFUTED
    return device.alarmed and not device.failed and not refuted


@dataclass(frozen=True, slots=True)
class AlarmShares:
    """Open alarms among the devices that run the new version, and among the others of the rollout."""

    read_at: datetime
    updated: int
    updated_with: int
    others: int
    others_with: int

    @property
    def excess_pct(self) -> float:
        """By how many per cent points more updated devices have an open alarm than others do."""
        return _pct(self.updated_with, self.updated) - _pct(self.others_with, self.others)


def _pct(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0
