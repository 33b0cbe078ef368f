"""Windows, whatever they are: what is said about now, about the end and about the next opening fits together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from core.windows import Interval, Schedule, Weekly

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Sao_Paulo")
SECOND = timedelta(seconds=1)
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda moment: moment.replace(microsecond=0)
)
NEAR_CHANGES = st.builds(
    lambda base, minutes: base + timedelta(minutes=minutes),
    st.sampled_from([datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)]),
    st.integers(-300, 300),
)
NOWS = st.one_of(MOMENTS, NEAR_CHANGES)
DAYS = st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days)))
WEEKLY = st.builds(Weekly, DAYS, st.integers(0, 1439), st.integers(0, 1440)).filter(lambda w: w.opens != w.closes)
INTERVALS = st.builds(
    lambda start, length: Interval(int(start.timestamp()), int(start.timestamp()) + length),
    MOMENTS,
    st.integers(60, 40 * 86_400),
)


def few(one: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(one, max_size=3).map(tuple)


SCHEDULES = st.builds(Schedule, st.sampled_from(ZONES), few(WEEKLY), few(INTERVALS), few(INTERVALS))


@settings(deadline=None)
@given(SCHEDULES, NOWS)
def test_the_end_is_where_nothing_covers_and_up_to_it_everything_does(schedule: Schedule, now: datetime) -> None:
    window = schedule.covers(now)
    if window is None:
        assert schedule.next_end(now) is None
        return
    assert window.opens_at <= now
    if window.until is None:
        return
    assert schedule.covers(window.until) is None
    for part in range(8):
        assert schedule.covers(now + (window.until - now) * part / 8) is not None
    assert schedule.covers(window.until - SECOND) is not None


@settings(deadline=None)
@given(SCHEDULES, NOWS)
def test_the_next_opening_is_the_first_moment_covered_again(schedule: Schedule, now: datetime) -> None:
    ahead = schedule.next_opening(now)
    if ahead is None:
        return
    free_from = schedule.next_end(now) or now
    assert ahead.opens_at > now
    assert schedule.covers(ahead.opens_at - SECOND) is None
    assert schedule.covers(ahead.opens_at) is not None
    for part in range(8):
        assert schedule.covers(free_from + (ahead.opens_at - SECOND - free_from) * part / 8) is None


@settings(deadline=None)
@given(st.sampled_from(ZONES), WEEKLY, NOWS)
def test_whenever_the_wall_clock_lies_inside_it_is_covered(zone: str, weekly: Weekly, now: datetime) -> None:
    wall = now.astimezone(ZoneInfo(zone))
    minute, today = wall.hour * 60 + wall.minute, wall.weekday()
    past_midnight = weekly.closes <= weekly.opens
    inside = (
        (minute >= weekly.opens and today in weekly.days) or (minute < weekly.closes and (today - 1) % 7 in weekly.days)
        if past_midnight
        else weekly.opens <= minute < weekly.closes and today in weekly.days
    )
    if inside:
        assert Schedule(zone, (weekly,)).covers(now) is not None


@settings(deadline=None)
@given(st.sampled_from(ZONES), st.lists(WEEKLY, min_size=2, max_size=4), NOWS)
def test_the_order_of_windows_does_not_matter(zone: str, weekly: list[Weekly], now: datetime) -> None:
    one, other = Schedule(zone, tuple(weekly)).covers(now), Schedule(zone, tuple(reversed(weekly))).covers(now)
    assert (one and one.until) == (other and other.until)
