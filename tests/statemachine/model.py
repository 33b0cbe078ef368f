"""A model of hawkBit 1.1.0 and of devices, for this test alone: one rollout whose groups all pause, as measured
(docs/facts/hawkbit.md, sections 3 to 5 and 11). It keeps a log of what began, when, and by whose request.

It is written from the measurements and knows neither the stand-in nor the bot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from core.errors import Conflict
from core.ids import DeviceName, GroupId, RolloutId
from core.rollouts.facts import Counts, GroupFacts, GroupStatus, RolloutFacts, RolloutStatus
from tests.statemachine.schedule import Fate, Schedule, Unit
from tests.statemachine.virtual import wall

ROLLOUT = RolloutId(17)
OLD, NEW = "1.0.0", "2.0.0"
BOT, ADMIN, SYSTEM = "bot", "admin", "system"
_MIXED_S = 0.3


@dataclass(slots=True)
class Device:
    """`group_began` is when its group did; the rest follows from its fate and the time."""

    name: DeviceName
    unit: Unit
    group_began: float | None = None
    seen_new_at: float | None = None
    """When anybody first read from it that it runs the new version."""

    def claimed(self, now: float) -> bool:
        return self._ended(now) and self.unit.fate is not Fate.BROKEN

    def failed(self, now: float) -> bool:
        return self._ended(now) and self.unit.fate is Fate.BROKEN

    def fell_back(self, now: float) -> bool:
        return self._booted(now) and self.unit.fate is Fate.FALLS_BACK

    def runs_new(self, now: float) -> bool:
        return self._booted(now) and self.unit.fate in (Fate.GOOD, Fate.UNREAD)

    def telemetry(self, now: float) -> Mapping[str, str]:
        """What it has sent a moment ago."""
        new = self.runs_new(now)
        if new and self.seen_new_at is None:
            self.seen_new_at = now
        return {"sw_version": NEW if new else OLD, "boot_id": f"boot-{int(self._booted(now))}"}

    def _ended(self, now: float) -> bool:
        began = self.group_began
        return began is not None and self.unit.fate is not Fate.SILENT and now >= began + self.unit.installs_s

    def _booted(self, now: float) -> bool:
        """A broken one stays as it is; one that `stays` claims, and never boots."""
        if self.group_began is None or not self.claimed(now) or self.unit.fate is Fate.STAYS:
            return False
        return now >= self.group_began + self.unit.installs_s + self.unit.boots_s


@dataclass(slots=True)
class Group:
    index: int
    devices: tuple[Device, ...]
    status: GroupStatus = GroupStatus.SCHEDULED
    began: float | None = None
    modified: tuple[float, str] = (0.0, SYSTEM)

    @property
    def id(self) -> GroupId:
        return GroupId(100 + self.index)

    def counts(self, now: float) -> Counts:
        if self.began is None:
            return Counts(scheduled=len(self.devices))
        finished = sum(d.claimed(now) for d in self.devices)
        error = sum(d.failed(now) for d in self.devices)
        return Counts(running=len(self.devices) - finished - error, finished=finished, error=error)


@dataclass(slots=True)
class Request:
    """One that changes something, ours or a person's. `meant` is the group it was sent for, from 1; `attempt` its
    number. `scheduler`: sent by policy, not for a person."""

    sender: str
    does: str
    sent_at: float
    meant: int = 0
    attempt: int = 0
    scheduler: bool = False
    applied_at: float | None = None
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    """A group that began. `request` is the resume that brought it about; None for the first."""

    index: int
    at: float
    request: Request | None


@dataclass(frozen=True, slots=True)
class Resumed:
    """A resume that counted: who had paused, and the last started group, from 1, as it was then."""

    request: Request
    paused_by: str
    last_started: int
    in_error: bool


@dataclass(slots=True)
class HawkbitModel:
    """`time` is the true time. Every pass of the scheduler is one call of `tick`."""

    schedule: Schedule
    time: Callable[[], float]
    trace: Callable[[str], None]
    groups: Sequence[Group] = ()
    status: RolloutStatus = RolloutStatus.READY
    modified: tuple[float, str] = (0.0, SYSTEM)
    starts: list[Start] = field(default_factory=list)
    resumes: list[Resumed] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    _resumed_by: Request | None = None

    def __post_init__(self) -> None:
        self.groups = [
            Group(g, tuple(Device(DeviceName(f"d{g}-{n}"), unit) for n, unit in enumerate(units, 1)))
            for g, units in enumerate(self.schedule.groups, 1)
        ]

    @property
    def devices(self) -> Mapping[DeviceName, Device]:
        return {device.name: device for group in self.groups for device in group.devices}

    @property
    def started(self) -> int:
        """How many groups have begun."""
        return sum(group.began is not None for group in self.groups)

    # the scheduler

    def tick(self) -> None:
        if self.status is RolloutStatus.STARTING:
            self._move(RolloutStatus.RUNNING, SYSTEM)
            self._begin(None)
        elif self.status is RolloutStatus.RUNNING:
            self._evaluate()

    def _evaluate(self) -> None:
        now, running = self.time(), [g for g in self.groups if g.status is GroupStatus.RUNNING]
        if not running and self.started < len(self.groups):
            # Resumed after a group that had ended below its threshold: the next one, a tick later.
            self._begin(self._resumed_by)
        for group in running:
            counts, total = group.counts(now), len(group.devices)
            if Fraction(counts.error, total) * 100 > self.schedule.error_pct:
                group.status, group.modified = GroupStatus.ERROR, (now, BOT)
                self._move(RolloutStatus.PAUSED, BOT)
                continue
            complete = counts.running == 0
            if (complete or self._met(group)) and group.index < len(self.groups) and self.started == group.index:
                self._move(RolloutStatus.PAUSED, BOT)
            if complete:
                group.status, group.modified = GroupStatus.FINISHED, (now, BOT)
        if not any(g.status in (GroupStatus.RUNNING, GroupStatus.SCHEDULED) for g in self.groups):
            self._move(RolloutStatus.FINISHED, SYSTEM)

    # what is asked of it

    def start(self) -> None:
        assert self.status is RolloutStatus.READY
        self._move(RolloutStatus.STARTING, ADMIN)

    def arrive(self, request: Request) -> None:
        """Carry a request out now, or refuse it."""
        request.applied_at = self.time()
        by = ADMIN if request.sender == ADMIN else BOT
        request.refused = not (self._resume(request, by) if request.does == "resume" else self._pause(by))
        what = "refused" if request.refused else "done"
        self.trace(f"hawkBit: {request.does} of {request.sender} (sent {request.sent_at:.2f}): {what}")

    def answer(self, request: Request) -> None:
        """What its sender hears. Raises Conflict where it was refused."""
        if request.refused:
            raise Conflict("It is in another state.", system="hawkBit")

    def _resume(self, request: Request, by: str) -> bool:
        """Compares `paused` and nothing else. Starts the next group at once after an error, or where the last started
        one meets its threshold now; else the next tick decides."""
        if self.status is not RolloutStatus.PAUSED:
            return False
        last = self.groups[self.started - 1]
        self.resumes.append(Resumed(request, self.modified[1], self.started, last.status is GroupStatus.ERROR))
        self._resumed_by = request
        self._move(RolloutStatus.RUNNING, by)
        if (last.status is GroupStatus.ERROR or self._met(last)) and self.started < len(self.groups):
            self._begin(request)
        return True

    def _pause(self, by: str) -> bool:
        if self.status is not RolloutStatus.RUNNING:
            return False
        self._move(RolloutStatus.PAUSED, by)
        return True

    # what is read from it

    def facts(self) -> RolloutFacts:
        return RolloutFacts(
            id=ROLLOUT,
            name="fw-2.0.0",
            status=self.status,
            created_by=BOT,
            created_at=wall(0),
            last_modified_by=self.modified[1],
            last_modified_at=wall(self.modified[0]),
            set_id=2,
            total=sum(len(g.devices) for g in self.groups),
            counts=Counts(),
            target_filter="name==*",
            action_type="forced",
            total_groups=len(self.groups),
        )

    def group_facts(self) -> tuple[GroupFacts, ...]:
        """A mixed reply shows a group that has just begun as still scheduled, its devices as running already."""
        now = self.time()

        def shown(group: Group) -> GroupStatus:
            fresh = group.began is not None and now < group.began + _MIXED_S and group.index > 1
            return GroupStatus.SCHEDULED if fresh and self.schedule.mixed else group.status

        return tuple(
            GroupFacts(
                id=group.id,
                name=f"g{group.index}",
                status=shown(group),
                total=len(group.devices),
                counts=group.counts(now),
                pauses=True,
                success_threshold_pct=self.schedule.success_pct,
                error_threshold_pct=self.schedule.error_pct,
                last_modified_at=wall(group.modified[0]),
                last_modified_by=group.modified[1],
            )
            for group in self.groups
        )

    def group(self, group: GroupId) -> Group:
        return next(g for g in self.groups if g.id == group)

    # parts

    def _met(self, group: Group) -> bool:
        return Fraction(group.counts(self.time()).finished, len(group.devices)) * 100 >= self.schedule.success_pct

    def _move(self, status: RolloutStatus, by: str) -> None:
        self.status, self.modified = status, (self.time(), by)
        self.trace(f"hawkBit: {status.value} by {by}")

    def _begin(self, request: Request | None) -> None:
        group, now = self.groups[self.started], self.time()
        group.status, group.began, group.modified = GroupStatus.RUNNING, now, (now, SYSTEM)
        for device in group.devices:
            device.group_began = now
        self.starts.append(Start(group.index, now, request))
        self.trace(f"hawkBit: group {group.index} begins")
