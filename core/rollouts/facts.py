"""A rollout as one read of hawkBit shows it. Judge by counts, never by the status word (measured on hawkBit 1.1.0)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from core.ids import DeviceName, GroupId, RolloutId, Stack


class RolloutStatus(StrEnum):
    CREATING = "creating"
    WAITING_FOR_APPROVAL = "waiting_for_approval"
    APPROVAL_DENIED = "approval_denied"
    READY = "ready"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    STOPPING = "stopping"
    STOPPED = "stopped"
    DELETING = "deleting"
    DELETED = "deleted"
    UNKNOWN = "unknown"

    @property
    def terminal(self) -> bool:
        return self in (
            RolloutStatus.FINISHED,
            RolloutStatus.STOPPED,
            RolloutStatus.DELETED,
            RolloutStatus.APPROVAL_DENIED,
        )


class GroupStatus(StrEnum):
    CREATING = "creating"
    READY = "ready"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    FINISHED = "finished"
    ERROR = "error"
    UNKNOWN = "unknown"

    @property
    def started(self) -> bool:
        return self in (GroupStatus.RUNNING, GroupStatus.FINISHED, GroupStatus.ERROR)


@dataclass(frozen=True, slots=True)
class Counts:
    """Devices of a group or rollout by hawkBit's status. `running` includes actions that are being cancelled."""

    running: int = 0
    notstarted: int = 0
    scheduled: int = 0
    cancelled: int = 0
    finished: int = 0
    error: int = 0

    @property
    def total(self) -> int:
        return self.running + self.notstarted + self.scheduled + self.cancelled + self.finished + self.error


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """One deployment group. `total` shrinks when a target is deleted. `pauses` = success action PAUSE."""

    id: GroupId
    name: str
    status: GroupStatus
    total: int
    counts: Counts
    pauses: bool
    success_threshold_pct: float
    error_threshold_pct: float
    last_modified_at: datetime
    last_modified_by: str


@dataclass(frozen=True, slots=True)
class RolloutFacts:
    """One rollout. `last_modified_at` does not move on device feedback, only on status changes and edits."""

    id: RolloutId
    name: str
    status: RolloutStatus
    created_by: str
    created_at: datetime
    last_modified_by: str
    last_modified_at: datetime
    set_id: int
    total: int
    counts: Counts
    target_filter: str
    action_type: str
    total_groups: int


@dataclass(frozen=True, slots=True)
class DistributionSet:
    """The set a rollout brings. Versions repeat across products: always compare name and version."""

    id: int
    name: str
    version: str
    locked: bool
    valid: bool

    def __str__(self) -> str:
        return f"{self.name}:{self.version}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One rollout with all its groups in starting order (= by id), as one pair of reads saw it."""

    stack: Stack
    rollout: RolloutFacts
    groups: tuple[GroupFacts, ...]
    read_at: datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """hawkBit says this device has the wanted set. `installed_at` may be the device's own clock: not to be trusted."""

    device: DeviceName
    installed_at: datetime | None


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """One device as hawkBit knows it."""

    device: DeviceName
    update_status: str
    last_poll_at: datetime | None
    assigned: DistributionSet | None
    installed: DistributionSet | None
    address: str | None


@dataclass(frozen=True, slots=True)
class ActionFacts:
    """One action of a device. `set` is None where it was deleted since."""

    id: int
    status: str
    active: bool
    set_name: str
    set: DistributionSet | None
    rollout: RolloutId | None
    created_at: datetime
