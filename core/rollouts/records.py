"""What the bot itself knows about a rollout and hawkBit does not: holds, pauses, attempts, evidence. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from core.devices import Reading
from core.ids import DeviceName, GroupId, RolloutId, Stack, Tenant
from core.rollouts.actors import Actor
from core.rollouts.policy import Verification
from core.rollouts.reboot import Reboot
from core.rollouts.views import Progress
from core.rollouts.work import DeviceWork, FinishedWork, Sweep

ATTEMPTS_KEPT = 50
PAUSES_KEPT = 20


class DeviceState(StrEnum):
    """How far one device of a started group is. Only `verified` counts for a promotion."""

    PENDING = "pending"
    """hawkBit does not claim it."""
    CLAIMED = "claimed"
    """hawkBit says installed; we have not looked at the device since."""
    AWAITING_REBOOT = "awaiting_reboot"
    """Looked at since the claim; nothing proves a new boot yet."""
    VERIFIED = "verified"
    REFUTED = "refuted"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a device's latest readings. `read_at` is our clock; a reading's own time may be the device's."""

    read_at: datetime
    readings: Mapping[str, Reading]


@dataclass(frozen=True, slots=True)
class SlotLook:
    """What RAUC said on the device itself, over the relay. `read_at` is when it was asked, by our clock; nothing else
    here has a time. `slot` is booted, `status` and `version` are its; `primary` boots next; `bad` are the versions in
    other slots that are marked bad."""

    read_at: datetime
    boot_id: str
    slot: str
    primary: str | None
    status: str | None
    version: str | None
    bad: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SlotLooks:
    """The looks over the relay, named as those at the telemetry. `looked_at`: when it was last tried, also in vain."""

    before: SlotLook | None = None
    mark: SlotLook | None = None
    latest: SlotLook | None = None
    looked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DeviceEvidence:
    """All the bot keeps about one device of a group.

    `first_claimed_at`  when WE first saw hawkBit's claim (our clock), None while there is none
    `before`            our newest look at its telemetry that surely came before the claim
    `mark`              our first look after we saw it
    `latest`            our newest look since the mark; while there is no claim, the newest look
    `slots`             the same over the relay
    `member`            was in the group at the last count
    `proof`             what `state` was judged by
    `alarmed`           has an open OTA failure that was raised since this update began
    `failed`            hawkBit counts its action as an error, as far as that was asked
    """

    device: DeviceName
    state: DeviceState = DeviceState.PENDING
    why: str = ""
    member: bool = True
    first_claimed_at: datetime | None = None
    before: Look | None = None
    mark: Look | None = None
    latest: Look | None = None
    looked_at: datetime | None = None
    tenant: str | None = None
    slots: SlotLooks = SlotLooks()
    proof: Verification = Verification.TELEMETRY
    alarmed: bool = False
    failed: bool = False


@dataclass(frozen=True, slots=True)
class GroupEvidence:
    """The evidence of one group. Every device ever seen in it stays: a deleted device must not better the share.
    `failed`: how many hawkBit counted as errors when their names were asked; 0 where they were not."""

    group: GroupId
    devices: Mapping[DeviceName, DeviceEvidence] = field(default_factory=dict)
    claims_read_at: datetime | None = None
    members_read_at: datetime | None = None
    failed: int = 0


class PauseState(StrEnum):
    SENT = "sent"
    """Recorded; whether it took hold is not known (yet)."""
    APPLIED = "applied"
    OVER = "over"
    """It took hold, and the rollout was resumed since."""
    VOID = "void"
    """It never took hold."""

    @property
    def stands(self) -> bool:
        return self in (PauseState.SENT, PauseState.APPLIED)


@dataclass(frozen=True, slots=True)
class PauseIntent:
    """The bot's own pause, written down before the call: it outranks whatever hawkBit seems to say. `group` is the last
    started group at that time."""

    at: datetime
    by: Actor
    reason: str
    state: PauseState = PauseState.SENT
    group: GroupId | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """The bot's own: blocks promotion, changes nothing in hawkBit."""

    at: datetime
    by: Actor
    reason: str


class AttemptState(StrEnum):
    SENT = "sent"
    """Recorded, about to be sent or sent; the outcome is open."""
    ANSWERED = "answered"
    """hawkBit answered 204; the group is not seen running yet."""
    STARTED = "started"
    NOT_APPLIED = "not_applied"
    """Proven: the request did nothing and can do nothing any more."""
    NOT_STARTED = "not_started"
    """Resumed, but the group did not start."""
    UNEXPECTED = "unexpected"
    """A group beyond the one meant was started."""

    @property
    def open(self) -> bool:
        return self in (AttemptState.SENT, AttemptState.ANSWERED)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to start one group, written down before it is sent. Never sent twice.

    `group_index` counts from 1. `modified_at/by` are the rollout's as read just before: a resume changes them.
    """

    number: int
    group_index: int
    group: GroupId
    at: datetime
    by: Actor
    audit_ref: str
    modified_at: datetime
    modified_by: str
    state: AttemptState = AttemptState.SENT
    detail: str = ""
    settled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Agreement:
    """Since when every read has shown the same."""

    fingerprint: str
    since: datetime


@dataclass(frozen=True, slots=True)
class PauseEpisode:
    """One pause as hawkBit shows it, and the cause we found while it still could be told."""

    modified_at: datetime
    modified_by: str
    cause: str


@dataclass(frozen=True, slots=True)
class RolloutRecord:
    """`reached`: since when the verified share of the group has been high enough, for the soak. `seen_before`: the next
    group, and how many of its devices were seen as they are before it starts. `ready`: since when everything passes for
    the scheduler's start of that group but its own wait. `policy`: the one chosen by name when the rollout was made, ""
    for the one that fits. `sampled_at`: when its curve was last written down. `reboot`: the last order to reboot
    devices of it. `told`: the verdict and reasons last told. `shown`: digest of the message last wanted. `revision`
    grows with each write. `excluded_in`: how many devices of which group were excluded. `work`: what was begun on
    single devices and is not over."""

    stack: Stack
    rollout: RolloutId
    name: str = ""
    revision: int = 0
    hold: Hold | None = None
    pauses: tuple[PauseIntent, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    agreement: Agreement | None = None
    episode: PauseEpisode | None = None
    reached: tuple[GroupId, datetime] | None = None
    seen_before: tuple[GroupId, int] | None = None
    excluded: tuple[DeviceName, ...] = ()
    last_promoted_at: datetime | None = None
    last_read_at: datetime | None = None
    ended_at: datetime | None = None
    ready: tuple[GroupId, datetime] | None = None
    sampled_at: datetime | None = None
    reboot: Reboot | None = None
    told: str = ""
    shown: str = ""
    stale: bool = False
    progress: Progress | None = None
    tenants: tuple[Tenant, ...] = ()
    excluded_in: tuple[tuple[GroupId, int], ...] = ()
    work: DeviceWork | None = None
    last_work: FinishedWork | None = None
    sweep: Sweep | None = None
    policy: str = ""

    def concerned(self, by: Actor | None = None) -> Mapping[str, list[str]]:
        """For the audit: whose rollout it is, as far as is known."""
        found = {*self.tenants, *(by.tenants if by is not None else ())}
        return {"tenants": sorted(found)} if found else {}

    @property
    def open_attempt(self) -> Attempt | None:
        return next((a for a in reversed(self.attempts) if a.state.open), None)

    @property
    def own_pause(self) -> PauseIntent | None:
        """The newest pause of ours that may stand."""
        return next((p for p in reversed(self.pauses) if p.state.stands), None)

    def excluded_of(self, group: GroupId) -> int:
        return dict(self.excluded_in).get(group, 0)

    def started(self, group: GroupId) -> bool:
        """True where an attempt of ours already started this group."""
        return any(
            a.group == group and a.state in (AttemptState.STARTED, AttemptState.UNEXPECTED) for a in self.attempts
        )

    def with_attempt(self, attempt: Attempt) -> RolloutRecord:
        """The record with this attempt added, or put in the place of the one with its number."""
        others = tuple(a for a in self.attempts if a.number != attempt.number)
        return replace(self, attempts=(*others, attempt)[-ATTEMPTS_KEPT:])

    def with_pause(self, pause: PauseIntent) -> RolloutRecord:
        others = tuple(p for p in self.pauses if p.at != pause.at or p.by != pause.by)
        return replace(self, pauses=(*others, pause)[-PAUSES_KEPT:])
