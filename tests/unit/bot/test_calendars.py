"""Calendar files as they come: whole days, zones, repetitions; and broken ones, which are never half read."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bot.calendars import BadCalendar, read_calendar
from core.windows import Interval

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def calendar(*events: str) -> bytes:
    body = "".join(f"BEGIN:VEVENT\nUID:{n}\n{event.strip()}\nEND:VEVENT\n" for n, event in enumerate(events))
    return f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//test//EN\n{body}END:VCALENDAR\n".replace("\n", "\r\n").encode()


def read(path: Path, content: bytes) -> tuple[Interval, ...]:
    file = path / "holidays.ics"
    file.write_bytes(content)
    return read_calendar(file, BERLIN, NOW)


def said(intervals: tuple[Interval, ...]) -> list[str]:
    return [f"{shown(i.start_s, '%Y-%m-%d %H:%M')}-{shown(i.end_s, '%d %H:%M')} {i.name}" for i in intervals]


def shown(second: int, form: str) -> str:
    return datetime.fromtimestamp(second, UTC).strftime(form)


def test_days_are_those_of_the_zone_and_times_those_of_their_own(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        calendar(
            "DTSTART;VALUE=DATE:20261201\nSUMMARY:one day",
            "DTSTART;VALUE=DATE:20261224\nDTEND;VALUE=DATE:20261227\nSUMMARY:Christmas",
            "DTSTART:20261202T080000\nDURATION:PT2H\nSUMMARY:of the zone",
            "DTSTART;TZID=America/New_York:20261203T080000\nDTEND;TZID=America/New_York:20261203T090000\nSUMMARY:there",
            "DTSTART:20261204T080000Z\nDTEND:20261204T090000Z\nSUMMARY:called off\nSTATUS:CANCELLED",
            "DTSTART:20200101T080000Z\nDTEND:20200101T090000Z\nSUMMARY:long ago",
        ),
    )
    assert said(found) == [
        "2026-11-30 23:00-01 23:00 one day",
        "2026-12-02 07:00-02 09:00 of the zone",
        "2026-12-03 13:00-03 14:00 there",
        "2026-12-23 23:00-26 23:00 Christmas",
    ]


def test_a_yearly_holiday_is_there_each_year_but_the_one_it_is_excepted(tmp_path: Path) -> None:
    yearly = "DTSTART;VALUE=DATE:20200501\nRRULE:FREQ=YEARLY\nEXDATE;VALUE=DATE:20270501\nSUMMARY:May Day"
    assert said(read(tmp_path, calendar(yearly))) == [
        "2025-04-30 22:00-01 22:00 May Day",
        "2026-04-30 22:00-01 22:00 May Day",
        "2028-04-30 22:00-01 22:00 May Day",
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"<html>Please log in</html>", "no calendar"),
        (b"", "holds no calendar"),
        (b"BEGIN:VCALENDAR\nBEGIN:VEVENT\n", "holds no calendar"),
        (calendar("SUMMARY:when?"), "cannot be understood"),
        (calendar("DTSTART:soon"), "cannot be understood"),
        (calendar("DTSTART:20260101T000000Z\nRRULE:FREQ=NEVER"), "cannot be understood"),
        (calendar("DTSTART:20260101T000000Z\nRRULE:nonsense"), "repeats otherwise"),
        (calendar("DTSTART:20260101T000000Z\nRRULE:FREQ=SECONDLY"), "repeats otherwise"),
        (calendar("DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY\nRRULE:FREQ=MINUTELY"), "repeats otherwise"),
        (calendar("DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY;BYSECOND=1,2,3"), "repeats otherwise"),
        (calendar(*(f"DTSTART;VALUE=DATE:20260101\nRRULE:FREQ=DAILY\nSUMMARY:{n}" for n in "ab")), "more than 500"),
        (b"BEGIN:VCALENDAR\n" + b" " * 2_000_000, "larger than"),
    ],
)
def test_a_broken_file_is_refused_whole_and_at_once(tmp_path: Path, content: bytes, why: str) -> None:
    with pytest.raises(BadCalendar, match=why):
        read(tmp_path, content)


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(BadCalendar, match="No such file"):
        read_calendar(tmp_path / "none.ics", BERLIN, NOW)
