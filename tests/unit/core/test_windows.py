"""Windows: what is open when, until when, and what the two nights do in which the clock is changed."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from core.windows import HORIZON, Interval, Schedule, Weekly, Window, next_free

BERLIN = "Europe/Berlin"
ALL_DAYS = tuple(range(7))


def at(text: str, zone: str = "UTC", fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


def berlin(*weekly: Weekly) -> Schedule:
    return Schedule(BERLIN, weekly)


def interval(begins: str, ends: str, name: str = "") -> Interval:
    return Interval(int(at(begins).timestamp()), int(at(ends).timestamp()), name)


def minutes(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])


def weekly(days: tuple[int, ...], opens: str, closes: str, name: str = "") -> Weekly:
    return Weekly(days, minutes(opens), minutes(closes), name)


def test_an_empty_schedule_covers_nothing() -> None:
    empty, now = Schedule(), at("2026-11-24 12:00")
    assert not empty
    assert (empty.covers(now), empty.next_opening(now), empty.next_end(now), empty.problems()) == (None, None, None, ())


def test_a_weekly_window_is_open_from_its_first_to_before_its_last_minute() -> None:
    friday = berlin(weekly((4,), "14:00", "18:30", "Friday afternoon"))
    opened, closed = at("2026-11-27 14:00", BERLIN), at("2026-11-27 18:30", BERLIN)
    assert friday.covers(opened - timedelta(seconds=1)) is None
    assert friday.covers(opened) == Window("Friday afternoon", opened, closed)
    assert friday.covers(closed - timedelta(seconds=1)) == Window("Friday afternoon", opened, closed)
    assert friday.covers(closed) is None
    assert friday.next_end(opened) == closed
    assert friday.next_opening(opened - timedelta(days=3)) == Window("Friday afternoon", opened, closed)
    assert friday.next_opening(opened) == Window(
        "Friday afternoon", opened + timedelta(days=7), closed + timedelta(days=7)
    )


def test_a_window_past_midnight_belongs_to_the_day_it_opens() -> None:
    night = berlin(weekly((6,), "22:00", "04:00", "Sunday night"))
    assert night.covers(at("2026-11-29 23:00", BERLIN)) is not None
    assert night.covers(at("2026-11-30 03:59", BERLIN)) is not None
    assert night.covers(at("2026-11-30 04:00", BERLIN)) is None
    assert night.covers(at("2026-11-29 03:00", BERLIN)) is None


def test_windows_that_follow_each_other_without_a_gap_are_one_as_to_their_end() -> None:
    weekend = berlin(weekly((4,), "18:00", "24:00", "Friday"), weekly((5, 6), "00:00", "24:00", "weekend"))
    window = weekend.covers(at("2026-11-27 20:00", BERLIN))
    assert window is not None
    assert (window.name, window.until) == ("Friday", at("2026-11-30 00:00", BERLIN))
    monday = weekend.next_opening(at("2026-11-27 20:00", BERLIN))
    assert monday is not None
    assert monday.opens_at == at("2026-12-04 18:00", BERLIN)


def test_of_several_open_windows_the_one_that_lasts_longest_is_named() -> None:
    both = Schedule(
        fixed=(interval("2026-12-20", "2027-01-07", "plant shutdown"),),
        calendar=(interval("2026-12-25", "2026-12-26", "Christmas Day"),),
    )
    window = both.covers(at("2026-12-25 12:00"))
    assert window == Window("plant shutdown", at("2026-12-20"), at("2027-01-07"))


def test_what_is_always_covered_has_no_end_and_no_next_opening() -> None:
    always = berlin(weekly(ALL_DAYS, "00:00", "24:00", "for ever"))
    now = at("2026-11-24 12:00")
    window = always.covers(now)
    assert window is not None
    assert (window.until, always.next_end(now), always.next_opening(now)) == (None, None, None)


def test_a_fixed_window_that_is_over_never_opens_again() -> None:
    over = Schedule(fixed=(interval("2025-12-20", "2026-01-07"),))
    assert over.next_opening(at("2026-11-24")) is None
    assert over.covers(at("2026-11-24")) is None
    far = at("2026-11-24") + HORIZON * 3
    ahead = Schedule(fixed=(Interval(int(far.timestamp()), int(far.timestamp()) + 60),)).next_opening(at("2026-11-24"))
    assert ahead == Window("", far, far + timedelta(seconds=60))


@pytest.mark.parametrize(
    ("opens", "closes", "from_utc", "to_utc"),
    [
        ("01:00", "05:00", "2026-03-29 00:00", "2026-03-29 03:00"),
        ("02:30", "05:00", "2026-03-29 01:00", "2026-03-29 03:00"),
        ("01:00", "02:30", "2026-03-29 00:00", "2026-03-29 01:00"),
    ],
)
def test_where_the_clock_jumps_over_an_edge_the_jump_is_the_edge(
    opens: str, closes: str, from_utc: str, to_utc: str
) -> None:
    sunday = berlin(weekly((6,), opens, closes))
    ahead = sunday.next_opening(at("2026-03-28 20:00"))
    assert ahead == Window("", at(from_utc), at(to_utc))


def test_a_window_inside_the_jump_is_none_on_that_day() -> None:
    sunday = berlin(weekly((6,), "02:10", "02:50"))
    ahead = sunday.next_opening(at("2026-03-28 20:00"))
    assert ahead is not None
    assert ahead.opens_at == at("2026-04-05 02:10", BERLIN)


@pytest.mark.parametrize(
    ("opens", "closes", "from_utc", "to_utc"),
    [
        ("01:00", "05:00", "2026-10-24 23:00", "2026-10-25 04:00"),
        ("02:30", "05:00", "2026-10-25 00:30", "2026-10-25 04:00"),
        ("01:00", "02:30", "2026-10-24 23:00", "2026-10-25 01:30"),
        ("02:10", "02:50", "2026-10-25 00:10", "2026-10-25 01:50"),
    ],
)
def test_in_the_night_with_an_hour_twice_both_are_covered(opens: str, closes: str, from_utc: str, to_utc: str) -> None:
    ahead = berlin(weekly((6,), opens, closes)).next_opening(at("2026-10-24 12:00"))
    assert ahead == Window("", at(from_utc), at(to_utc))


def test_a_day_that_a_zone_skipped_covers_nothing() -> None:
    apia = Schedule("Pacific/Apia", (weekly((4,), "08:00", "16:00"),))
    ahead = apia.next_opening(at("2011-12-25"))  # 2011-12-30, a Friday, never was there
    assert ahead is not None
    assert ahead.opens_at == at("2012-01-06 08:00", "Pacific/Apia")


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        (Schedule("Europe/Berlln"), "'Europe/Berlln' is unknown"),
        (Schedule(weekly=(Weekly((), 0, 60, "odd"),)), "window odd names no day"),
        (Schedule(weekly=(Weekly((7,), 0, 60, "odd"),)), "window odd names no day"),
        (Schedule(weekly=(Weekly((0,), 1440, 60),)), "between 00:00 and 24:00"),
        (Schedule(weekly=(Weekly((0,), 60, 60),)), "a whole day is 00:00-24:00"),
        (Schedule(fixed=(interval("2026-12-24", "2026-12-20", "shutdown"),)), "shutdown ends at 2026-12-20 00:00 UTC"),
    ],
)
def test_what_is_wrong_is_said(schedule: Schedule, said: str) -> None:
    (problem,) = schedule.problems()
    assert said in problem


def test_it_can_be_hashed_in_memory_and_as_json() -> None:
    one = Schedule(BERLIN, (weekly((0,), "08:00", "16:00"),), (interval("2026-12-24", "2026-12-27"),))
    same = Schedule(BERLIN, (weekly((0,), "08:00", "16:00"),), (interval("2026-12-24", "2026-12-27"),))
    assert hash(one) == hash(same)
    assert json.dumps(asdict(one)) == json.dumps(asdict(same))


def test_free_is_the_first_moment_that_none_of_several_covers() -> None:
    mornings = berlin(weekly(ALL_DAYS, "00:00", "12:00"))
    days = Schedule("America/New_York", (weekly(ALL_DAYS, "05:00", "13:00"),))  # 11:00 to 19:00 in Berlin
    assert next_free([mornings, days], at("2026-11-24 06:00", BERLIN)) == at("2026-11-24 19:00", BERLIN)
    assert next_free([mornings, days], at("2026-11-24 20:00", BERLIN)) == at("2026-11-24 20:00", BERLIN)
    rest = berlin(weekly(ALL_DAYS, "12:00", "24:00"))
    assert next_free([mornings, rest], at("2026-11-24 06:00", BERLIN)) is None
    assert next_free([], at("2026-11-24 06:00")) == at("2026-11-24 06:00")
