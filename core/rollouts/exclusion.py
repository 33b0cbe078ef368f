"""Which devices of a started group nobody can reach, and how many may be left out of the count. Facts in, answer out.

A group with a silent device never completes: hawkBit waits for ever, without a deadline (measured on hawkBit 1.1.0).
Once their actions are ended by force it completes, and pauses at whatever share.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction

from core.ids import DeviceName, GroupId
from core.messages.text import count
from core.rollouts.records import RolloutRecord
from core.rollouts.release import OpenAction, TargetSeen
from core.rollouts.work import Meant


@dataclass(frozen=True, slots=True)
class Exclusion:
    """What leaving out the silent devices of one group comes to. `of` is the whole group, `before` how many of it were
    left out earlier, `most` how many may be in all. A device without an action was cancelled in hawkBit already: only
    the count changes."""

    group: GroupId
    index: int
    of: int
    before: int
    most: int
    cap_pct: float
    devices: tuple[Meant, ...]

    @property
    def refused(self) -> str:
        """Why it must not be done, in words; "" where it may."""
        if not self.devices:
            return f"Every device of group {self.index} that is not done was heard of lately: there is none to exclude."
        asked = self.before + len(self.devices)
        if asked <= self.most:
            return ""
        before = f", with {self.before} excluded before" if self.before else ""
        return (
            f"{count(len(self.devices), 'device')} of group {self.index} cannot be reached{before}: that makes {asked} "
            f"of {self.of}, and the policy allows {self.most} ({self.cap_pct:g} %). Look after the devices first, or "
            "roll back."
        )


def is_silent(last_poll_at: datetime | None, now: datetime, after_s: float) -> bool:
    """Never heard of, or not within `after_s`."""
    return last_poll_at is None or now - last_poll_at > timedelta(seconds=after_s)


def silent_devices(
    actions: Sequence[OpenAction],
    cancelled: Collection[DeviceName],
    seen: Sequence[TargetSeen],
    *,
    now: datetime,
    after_s: float,
) -> tuple[Meant, ...]:
    """Of a started group: those hawkBit waits for (`actions`) and those `cancelled` without having got the set, if
    they are silent. A device that nobody has seen is not named: no data is no proof of silence."""
    silent = {one.device for one in seen if is_silent(one.last_poll_at, now, after_s)}
    waits = {one.device: one.id for one in actions}
    found = [Meant(name, waits[name]) for name in waits if name in silent]
    found += [Meant(name) for name in cancelled if name in silent and name not in waits]
    return tuple(sorted(found, key=lambda one: one.device))


def most_excluded(of: int, cap_pct: float) -> int:
    return int(Fraction(str(cap_pct)) * of / 100)


def with_excluded(record: RolloutRecord, group: GroupId, names: Collection[DeviceName]) -> RolloutRecord:
    """The record with these devices of a group left out of its count, too."""
    return _counted(record, group, set(record.excluded) | set(names), len(set(names) - set(record.excluded)))


def without_excluded(record: RolloutRecord, group: GroupId, names: Collection[DeviceName]) -> RolloutRecord:
    """The record with these devices counted again: they were done before they could be left out."""
    return _counted(record, group, set(record.excluded) - set(names), -len(set(names) & set(record.excluded)))


def _counted(record: RolloutRecord, group: GroupId, names: set[DeviceName], more: int) -> RolloutRecord:
    numbers = {**dict(record.excluded_in), group: record.excluded_of(group) + more}
    return replace(
        record,
        excluded=tuple(sorted(names)),
        excluded_in=tuple((g, n) for g, n in numbers.items() if n > 0),
    )
