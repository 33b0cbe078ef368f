"""When a group may start: the numbers a person sets, and how they are compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from fractions import Fraction


class VersionMatch(StrEnum):
    """How a device's version is compared with the set's. NORMALIZED ignores case, blanks and a leading "v"."""

    EXACT = "exact"
    NORMALIZED = "normalized"


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
    """One stack's policy. Times in seconds, shares in per cent of the group less excluded devices.

    `owners`              hawkBit users whose rollouts are ours: only those are promoted by the scheduler
    `max_errors(_pct)`    errors and refuted devices a group may have; one more is a FAIL. None: only the other counts
    `agree_s`             two agreeing reads lie at least this far apart (hawkBit's cache age: 10 s with split services)
    `evidence_fresh_s`    older reads of hawkBit are no data
    `reboot_deadline_s`   a claimed device without proof of a new boot is `unknown` after this
    `follow_ended_s`      an ended rollout is followed until verified, at most this long
    `settle_s`            no two promotions of one rollout within this
    `tick_s`              hawkBit's scheduler delay. A resume that comes a tick late may start a group of its own
                          (measured on hawkBit 1.1.0), so `request_timeout_s` + `max_read_age_s` stay below it
    `max_request_life_s`  the stated bound: no request of ours takes effect later than this after it was sent
    `lease_s`             a promotion's lease; never sent with less than `request_timeout_s` of it left
    """

    enabled: bool = False
    owners: frozenset[str] = frozenset()
    threshold_pct: float = 95.0
    minimum_sample: int = 1
    max_errors: int | None = None
    max_errors_pct: float = 5.0
    soak_s: float = 0.0
    keys: ReadingKeys = ReadingKeys()
    version_match: VersionMatch = VersionMatch.EXACT
    reboot_deadline_s: float = 3600.0
    evidence_fresh_s: float = 900.0
    follow_ended_s: float = 7 * 86_400.0
    settle_s: float = 10.0
    agree_s: float = 2.5
    tick_s: float = 2.0
    request_timeout_s: float = 1.0
    max_read_age_s: float = 0.9
    max_request_life_s: float = 15.0
    lease_s: float = 15.0

    def policy_hash(self) -> str:
        """Equal exactly where every number is. Audited with each decision of the scheduler."""
        raw = json.dumps(asdict(self) | {"owners": sorted(self.owners)}, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(raw.encode()).hexdigest()[:16]

    def same_version(self, reported: str, wanted: str) -> bool:
        if self.version_match is VersionMatch.EXACT:
            return reported == wanted
        return _normal(reported) == _normal(wanted)

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
        return tuple(found)


def reaches(part: int, whole: int, pct: float) -> bool:
    """part / whole >= pct, in exact arithmetic. A whole of nothing reaches nothing: no data is no pass."""
    return whole > 0 and Fraction(part, whole) * 100 >= Fraction(str(pct))


def _normal(version: str) -> str:
    return version.strip().lower().removeprefix("v")
