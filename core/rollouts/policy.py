"""When a group may start: the numbers a person sets, and how they are compared."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from fractions import Fraction
from statistics import NormalDist
from typing import TypeVar

from core.ids import Tenant
from core.windows import Schedule

T = TypeVar("T")


class VersionMatch(StrEnum):
    """How a device's version is compared with the set's. NORMALIZED ignores case, blanks and a leading "v"."""

    EXACT = "exact"
    NORMALIZED = "normalized"


class Verification(StrEnum):
    """What proves that a device runs the new version. CLAIMED believes hawkBit, which says so before the reboot."""

    TELEMETRY = "telemetry"
    RAUC = "rauc"
    BOTH = "both"
    CLAIMED = "claimed"


class PromotedBy(StrEnum):
    """Who starts a group: the scheduler, a person, or a person with whom another one agreed."""

    SCHEDULER = "scheduler"
    PERSON = "person"
    APPROVAL = "approval"


@dataclass(frozen=True, slots=True)
class ReadingKeys:
    """The telemetry keys that carry proof. A stack whose devices send no version can never verify anything."""

    version: str = "sw_version"
    slot: str = "rauc_slot"
    boot_id: str = "boot_id"
    uptime_s: str = "uptime_s"

    def all(self) -> tuple[str, ...]:
        return (self.version, self.slot, self.boot_id, self.uptime_s)


@dataclass(frozen=True, slots=True)
class PromotionPolicy:
    """The policy of a rollout. Times in seconds, shares in per cent of the group less excluded devices.

    `owners`              hawkBit users whose rollouts are ours: only those are promoted by the scheduler
    `confidence_pct`      the verified share's lower Wilson bound at this (two-sided) confidence must reach the
                          threshold: 25 of 25 give 86.7 % at 95. None: the share alone counts
    `verify`              by group from 1, the last one for all after it
    `promoted_by`         by group to start from 2, the last one for all after it
    `hold_window_s`       so long the scheduler waits, and says so, before it starts a group
    `max_alarm_pct`       open alarms among updated devices may exceed those among the others by this many points
    `alarm_types`         those that count; empty: all
    `freeze`              no group starts meanwhile; `production`: nor one of a rollout with that tenant's devices
    `reboot_windows`      when that tenant's devices may be rebooted by the bot; none given: at any time
    `exclude_cap_pct`     of a group, at most so many devices may be excluded
    `*_deadline_s`        after this a device is stuck: never polled, installing, being cancelled
    `offline_hold_s`      so long the offline alarm of a device that reboots for the update is held
    `max_errors(_pct)`    errors and refuted devices a group may have; one more is a FAIL. None: only the other counts
    `agree_s`             two agreeing reads lie at least this far apart (hawkBit's cache age: 10 s with split services)
    `evidence_fresh_s`    older reads of hawkBit are no data
    `reboot_deadline_s`   a claimed device without proof of a new boot is `unknown` after this
    `follow_ended_s`      an ended rollout is followed until verified, at most this long
    `settle_s`            no two promotions of one rollout within this
    `tick_s`              hawkBit's scheduler delay. A resume that comes a tick late may start a group of its own
                          (measured on hawkBit 1.1.0), so `request_timeout_s` + `max_read_age_s` stay below it
    `triggers`            hawkBit 0.x, which has no success action PAUSE: a running rollout's next group is triggered.
                          Weaker: hawkBit goes on below the threshold too, and a call twice starts one group more
    `max_request_life_s`  the stated bound: no request of ours takes effect later than this after it was sent
    `lease_s`             a promotion's lease; never sent with less than `request_timeout_s` of it left
    """

    name: str = "default"
    enabled: bool = False
    owners: frozenset[str] = frozenset()
    threshold_pct: float = 95.0
    minimum_sample: int = 1
    confidence_pct: float | None = None
    max_errors: int | None = None
    max_errors_pct: float = 5.0
    soak_s: float = 0.0
    verify: tuple[Verification, ...] = (Verification.TELEMETRY,)
    promoted_by: tuple[PromotedBy, ...] = (PromotedBy.SCHEDULER,)
    hold_window_s: float = 0.0
    max_alarm_pct: float | None = None
    alarm_types: frozenset[str] = frozenset()
    freeze: Schedule = field(default_factory=Schedule)
    production: Mapping[Tenant, Schedule] = field(default_factory=dict)
    reboot_windows: Mapping[Tenant, Schedule] = field(default_factory=dict)
    exclude_cap_pct: float = 10.0
    poll_deadline_s: float = 86_400.0
    download_deadline_s: float = 7200.0
    cancel_deadline_s: float = 3600.0
    offline_hold_s: float = 900.0
    keys: ReadingKeys = ReadingKeys()
    version_match: VersionMatch = VersionMatch.EXACT
    reboot_deadline_s: float = 3600.0
    evidence_fresh_s: float = 900.0
    follow_ended_s: float = 7 * 86_400.0
    settle_s: float = 10.0
    agree_s: float = 2.5
    tick_s: float = 2.0
    triggers: bool = False
    request_timeout_s: float = 1.0
    max_read_age_s: float = 0.9
    max_request_life_s: float = 15.0
    lease_s: float = 15.0

    def policy_hash(self) -> str:
        """Equal exactly where every number is. Audited with each decision of the scheduler."""
        sets = {"owners": sorted(self.owners), "alarm_types": sorted(self.alarm_types)}
        raw = json.dumps(asdict(self) | sets, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(raw.encode()).hexdigest()[:16]

    def same_version(self, reported: str, wanted: str) -> bool:
        if self.version_match is VersionMatch.EXACT:
            return reported == wanted
        return _normal(reported) == _normal(wanted)

    def verified_by(self, group_index: int) -> Verification:
        """`group_index` from 1."""
        return _nth(self.verify, group_index - 1)

    def starter_of(self, group_index: int) -> PromotedBy:
        """Who starts this group, from 2: the first one starts with the rollout."""
        return _nth(self.promoted_by, group_index - 2)

    def errors_allowed(self, of: int) -> int:
        """The most errors a group of `of` devices may have."""
        by_share = int(Fraction(str(self.max_errors_pct)) * of / 100)
        return by_share if self.max_errors is None else min(by_share, self.max_errors)

    def problems(self, group_sizes: Sequence[int] = ()) -> tuple[str, ...]:
        """Why this policy is unsafe, or could never pass for groups of these sizes. Empty: it may be used."""
        found = []
        if not 0 < self.threshold_pct <= 100:
            found.append(f"threshold_pct is {self.threshold_pct:g}; it must lie above 0 and at most at 100.")
        if self.enabled and not self.owners:
            found.append("Promotion is enabled but owners is empty, so nothing would ever be promoted.")
        if self.request_timeout_s + self.max_read_age_s >= self.tick_s:
            found.append(
                f"request_timeout_s + max_read_age_s ({self.request_timeout_s + self.max_read_age_s:g} s) must stay "
                f"below hawkBit's tick ({self.tick_s:g} s): a resume that comes a tick late may start one group more."
            )
        if self.request_timeout_s >= self.lease_s:
            found.append("lease_s must be longer than request_timeout_s, or no promotion could ever be sent.")
        if self.request_timeout_s > self.max_request_life_s:
            found.append("max_request_life_s cannot be shorter than request_timeout_s.")
        if smaller := [size for size in group_sizes if size < self.minimum_sample]:
            found.append(
                f"minimum_sample {self.minimum_sample} can never be reached by a group of {min(smaller)} devices."
            )
        if self.confidence_pct is not None:
            if not 0 < self.confidence_pct < 100:
                found.append(f"confidence_pct is {self.confidence_pct:g}; it must lie between 0 and 100.")
            else:
                found += self._never_sure(group_sizes, self.confidence_pct)
        return tuple(found)

    def _never_sure(self, group_sizes: Sequence[int], confidence_pct: float) -> Iterable[str]:
        for size in sorted({size for size in group_sizes if size > 0})[:1]:
            best = wilson_lower_pct(size, size, confidence_pct)
            if best < self.threshold_pct:
                yield (
                    f"{size} of {size} verified devices give a lower bound of {best:.1f} % at {confidence_pct:g} % "
                    f"confidence, so {self.threshold_pct:g} % can never be reached by such a group. Make the group "
                    "greater, or lower threshold_pct or confidence_pct."
                )


def wilson_lower_pct(part: int, whole: int, confidence_pct: float) -> float:
    """Below which the true share does not lie, at this two-sided confidence (Wilson's score interval)."""
    if whole <= 0:
        return 0.0
    z = NormalDist().inv_cdf(0.5 + confidence_pct / 200)
    share, spread = part / whole, z * z / whole
    half = math.sqrt((share * (1 - share) + spread / 4) * spread)
    return max(0.0, 100 * (share + spread / 2 - half) / (1 + spread))


def reaches(part: int, whole: int, pct: float) -> bool:
    """part / whole >= pct, in exact arithmetic. A whole of nothing reaches nothing: no data is no pass."""
    return whole > 0 and Fraction(part, whole) * 100 >= Fraction(str(pct))


def _normal(version: str) -> str:
    return version.strip().lower().removeprefix("v")


def _nth(given: tuple[T, ...], index: int) -> T:
    """The last one stands for all after it."""
    return given[max(0, min(index, len(given) - 1))]
