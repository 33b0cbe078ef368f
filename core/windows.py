"""Times of the week, of the year and of a calendar during which something is so: a freeze, production, a reboot.

A weekly window is written in the wall clock of its zone. It opens when that clock first shows `opens` and closes when
it last shows `closes`, so every moment whose wall clock lies inside is covered: in the night that has an hour twice it
is an hour longer; where the clock jumps over `opens` or `closes`, the jump is the edge, and a window that lies inside
the jump alone is none on that day. Everything else is an instant.

All fields are numbers and strings, so that `dataclasses.asdict` of a schedule is JSON and can be hashed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
HORIZON = timedelta(days=400)
"""What covers longer than this without a gap is said to cover for ever."""

_DAY_MIN = 24 * 60
_WEEK_AND_MORE = range(-2, 16)
"""Days around a moment whose weekly windows may matter to it: also where a zone skipped a whole day."""


@dataclass(frozen=True, slots=True)
class Weekly:
    """`days` by number, Monday is 0: the day it opens. `opens`, `closes` in minutes of the wall clock's day; `closes`
    at or before `opens` is on the next day, 1440 is midnight."""

    days: tuple[int, ...]
    opens: int
    closes: int
    name: str = ""

    def __str__(self) -> str:
        return f"{', '.join(DAYS[day] for day in self.days)} {_clock(self.opens)}-{_clock(self.closes)}"


@dataclass(frozen=True, slots=True)
class Interval:
    """From one instant to another, in seconds since 1970 UTC."""

    start_s: int
    end_s: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """One window that is or will be open. `until` also counts windows that follow without a gap; None: for ever."""

    name: str
    opens_at: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Schedule:
    """`calendar` is what was read from a calendar file. An empty schedule covers nothing."""

    zone: str = "UTC"
    weekly: tuple[Weekly, ...] = ()
    fixed: tuple[Interval, ...] = ()
    calendar: tuple[Interval, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.weekly or self.fixed or self.calendar)

    def covers(self, now: datetime) -> Window | None:
        """The window open at `now`: of several the one that stays open longest."""
        current = max(self._open(now), key=lambda one: one[1], default=None)
        if current is None:
            return None
        opens_at, _, name = current
        return Window(name, opens_at, self._unbroken(now))

    def next_opening(self, now: datetime) -> Window | None:
        """The next window to open after `now`, and after what covers `now`. None: there is none any more."""
        after = now
        if self._open(now):
            end = self._unbroken(now)
            if end is None:
                return None
            after = end
        ahead = [one for one in self._around(after) if one[0] > after]
        if not ahead:
            return None
        opens_at, _, name = min(ahead, key=lambda one: (one[0], -one[1].timestamp()))
        return Window(name, opens_at, self._unbroken(opens_at))

    def next_end(self, now: datetime) -> datetime | None:
        """When what covers `now` ends. None: nothing covers it, or it never ends."""
        return self._unbroken(now) if self._open(now) else None

    def problems(self) -> tuple[str, ...]:
        """What is wrong with it, in words. Empty: it may be used."""
        found = []
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            found.append(f"the zone {self.zone!r} is unknown; write one as Europe/Berlin.")
        for week in self.weekly:
            if not week.days or not set(week.days) <= set(range(7)):
                found.append(f"the weekly window {week.name or _clock(week.opens)} names no day of the week.")
            elif not (0 <= week.opens < _DAY_MIN and 0 <= week.closes <= _DAY_MIN):
                found.append(f"the weekly window {week}: a time of day lies between 00:00 and 24:00.")
            elif week.opens == week.closes:
                found.append(f"the weekly window {week} opens and closes at once; a whole day is 00:00-24:00.")
        found += [
            f"the window {one.name or 'without a name'} ends at {_instant(one.end_s):%Y-%m-%d %H:%M} UTC, not after it "
            f"begins ({_instant(one.start_s):%Y-%m-%d %H:%M} UTC)."
            for one in (*self.fixed, *self.calendar)
            if one.end_s <= one.start_s
        ]
        return tuple(found)

    def _unbroken(self, now: datetime) -> datetime | None:
        """How long it is covered from `now` on without a gap. None: beyond the horizon."""
        until, before = now, None
        while until != before:
            before = until
            for opens, ends, _ in sorted(self._around(until)):
                if opens <= until < ends:
                    until = ends
            if until > now + HORIZON:
                return None
        return until

    def _open(self, now: datetime) -> Sequence[tuple[datetime, datetime, str]]:
        return [one for one in self._around(now) if one[0] <= now < one[1]]

    def _around(self, now: datetime) -> Iterator[tuple[datetime, datetime, str]]:
        """(opens, ends, name) of every fixed interval, and of the weekly windows of the days around `now`."""
        for one in (*self.fixed, *self.calendar):
            yield _instant(one.start_s), _instant(one.end_s), one.name
        if not self.weekly:
            return
        zone = ZoneInfo(self.zone)
        today = now.astimezone(zone).date()
        for day in (today + timedelta(days=offset) for offset in _WEEK_AND_MORE):
            for week in self.weekly:
                if day.weekday() not in week.days:
                    continue
                last = day + timedelta(days=1) if week.closes <= week.opens else day
                opens, ends = _first(day, week.opens, zone), _last(last, week.closes, zone)
                if opens < ends:
                    yield opens, ends, week.name


def next_free(schedules: Iterable[Schedule], now: datetime) -> datetime | None:
    """The first moment from `now` on that none of them covers. None: beyond the horizon."""
    free, every = now, tuple(schedules)
    while free <= now + HORIZON:
        ends = [schedule.next_end(free) for schedule in every if schedule.covers(free)]
        if not ends:
            return free
        known = [end for end in ends if end is not None]
        if len(known) < len(ends):
            return None
        free = max(known)
    return None


def _first(day: date, minute: int, zone: ZoneInfo) -> datetime:
    """When the wall clock first shows this minute of the day, or jumps over it."""
    return _shown(day, minute, zone, fold=0)


def _last(day: date, minute: int, zone: ZoneInfo) -> datetime:
    """When the wall clock last shows this minute of the day, or jumps over it."""
    return _shown(day, minute, zone, fold=1)


def _shown(day: date, minute: int, zone: ZoneInfo, *, fold: int) -> datetime:
    wall = datetime.combine(day, time()) + timedelta(minutes=minute)
    once, again = (wall.replace(tzinfo=zone, fold=side).astimezone(UTC) for side in (0, 1))
    if once <= again:
        return again if fold else once
    low, high = again, once  # the clock jumps over it: between the two readings lies the jump
    before = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=int((high - low).total_seconds()) // 2)
        low, high = (middle, high) if middle.astimezone(zone).utcoffset() == before else (low, middle)
    return high


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
