"""The rows a hawkBit server keeps. Times are milliseconds since the epoch, as its JSON shows them.

Counts are kept per group as actions change (`Group.counts`), so that a scheduler pass and a read cost what is
active, not what exists.
"""

from __future__ import annotations

from dataclasses import dataclass, field

BUCKETS = ("running", "notstarted", "scheduled", "cancelled", "finished", "error")
BUCKET_OF = {
    "scheduled": "scheduled",
    "running": "running",
    "retrieved": "running",
    "canceling": "running",  # a device that has not confirmed the cancellation counts as running (measured)
    "canceled": "cancelled",
    "finished": "finished",
    "error": "error",
}
ENDED = frozenset({"canceled", "finished", "error", "downloaded"})
"""Action statuses that end an action. `downloaded` is set for downloadonly actions alone."""

STOPPABLE = ("running", "creating", "paused", "ready", "starting", "waiting_for_approval", "approval_denied")
SCHEDULED_BY_TICK = frozenset({"creating", "starting", "running", "stopping", "deleting"})
"""Handled at every scheduler pass; `ready` only where a start time is set. Paused rollouts are not looked at."""


@dataclass(slots=True, eq=False)
class Row:
    id: int
    created_at: int
    created_by: str
    modified_at: int
    modified_by: str

    def touch(self, now: int, by: str) -> None:
        self.modified_at, self.modified_by = now, by


@dataclass(slots=True, eq=False)
class SoftwareModule(Row):
    name: str
    version: str
    type: str
    vendor: str | None
    locked: bool = False
    artifacts: list[Artifact] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Artifact(Row):
    filename: str
    size: int
    hashes: dict[str, str]


@dataclass(slots=True, eq=False)
class DistributionSet(Row):
    name: str
    version: str
    type: str
    modules: list[SoftwareModule]
    description: str | None = None
    locked: bool = False
    valid: bool = True

    @property
    def complete(self) -> bool:
        return any(module.type == "os" for module in self.modules)


@dataclass(slots=True)
class StatusEntry:
    """One line of an action's history: `timestamp` may be the device's clock, `reported_at` is the server's."""

    id: int
    type: str
    messages: list[str]
    timestamp: int
    reported_at: int
    code: int | None = None


@dataclass(slots=True, eq=False)
class Target(Row):
    controller_id: str
    name: str
    security_token: str
    description: str | None = None
    update_status: str = "unknown"
    assigned: DistributionSet | None = None
    installed: DistributionSet | None = None
    installed_at: int | None = None
    polled_at: int | None = None
    address: str | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    wants_attributes: bool = True
    actions: list[Action] = field(default_factory=list)

    def active_actions(self) -> list[Action]:
        return [action for action in self.actions if action.active]


@dataclass(slots=True, eq=False)
class Action(Row):
    target: Target
    set: DistributionSet
    status: str
    active: bool
    force_type: str
    weight: int
    force_time: int | None = None
    group: Group | None = None
    last_code: int | None = None
    history: list[StatusEntry] = field(default_factory=list)

    @property
    def cancelling(self) -> bool:
        return self.status in ("canceling", "canceled")

    @property
    def bucket(self) -> str:
        if self.status == "downloaded":
            return "finished"
        return BUCKET_OF[self.status]


@dataclass(slots=True)
class Conditions:
    """When a group counts as done or failed, and what happens then. Expressions are percent, kept as sent."""

    success_condition: str = "THRESHOLD"
    success_threshold: str = "50"
    success_action: str = "NEXTGROUP"
    error_condition: str = "THRESHOLD"
    error_threshold: str = "50"
    error_action: str = "PAUSE"


@dataclass(slots=True, eq=False)
class Group(Row):
    rollout: Rollout
    index: int
    name: str
    percentage: float
    conditions: Conditions
    description: str | None = None
    filter: str = ""
    status: str = "creating"
    total: int = 0
    members: list[Target] = field(default_factory=list)
    actions: dict[int, Action] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(BUCKETS, 0))
    unread_start: bool = False

    def counted(self) -> dict[str, int]:
        """All six keys; `notstarted` is what no action accounts for, so the sum is `total`."""
        counts = dict(self.counts)
        counts["notstarted"] = max(0, self.total - sum(self.counts.values()))
        return counts

    def success_met(self) -> bool:
        return self.counts["finished"] * 100 >= int(self.conditions.success_threshold) * self.total

    def error_met(self) -> bool:
        return self.total > 0 and self.counts["error"] * 100 > int(self.conditions.error_threshold) * self.total

    def complete(self) -> bool:
        return not (self.counts["running"] or self.counts["scheduled"])


@dataclass(slots=True, eq=False)
class Rollout(Row):
    name: str
    set: DistributionSet
    filter: str
    type: str
    weight: int
    description: str | None = None
    force_time: int = 0
    start_at: int | None = None
    status: str = "creating"
    deleted: bool = False
    total: int = 0
    groups: list[Group] = field(default_factory=list)
    approval_by: str | None = None
    approval_remark: str | None = None
    started_by: str = ""
    overtaken_pause: bool = False

    def counted(self) -> dict[str, int]:
        counts = dict.fromkeys(BUCKETS, 0)
        for group in self.groups:
            for bucket, number in group.counts.items():
                counts[bucket] += number
        counts["notstarted"] = max(0, self.total - sum(counts.values()))
        return counts

    def last_started(self) -> Group | None:
        started = [group for group in self.groups if group.status != "scheduled"]
        return started[-1] if started else None

    def next_scheduled(self, after: Group) -> Group | None:
        """The child of `after`, if it still waits."""
        child = self.groups[after.index + 1] if after.index + 1 < len(self.groups) else None
        return child if child is not None and child.status == "scheduled" else None
