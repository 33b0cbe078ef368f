"""Calendar files (ICS) as windows: each event, with its repetitions, of last year, this one and the two after it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import recurring_ical_events
from icalendar import Calendar, Event

from core.windows import Interval

MAX_BYTES = 2_000_000
MAX_EVENTS = 500
_NAME = 80
_FREQUENCIES = {"DAILY", "WEEKLY", "MONTHLY", "YEARLY"}


class BadCalendar(Exception):
    """The file cannot be used. Its text says why, and is one sentence."""


def read_calendar(path: Path, zone: ZoneInfo, now: datetime) -> tuple[Interval, ...]:
    """What the file says is so, in order. Days and times without a zone of their own are those of `zone`; what was
    cancelled is left out. Raises BadCalendar. Blocks: it reads a file and may repeat an event some thousand times."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadCalendar(f"it is larger than {MAX_BYTES:,} bytes")
        calendars = Calendar.from_ical(path.read_bytes(), multiple=True)
    except OSError as error:
        raise BadCalendar(f"it cannot be read ({error.strerror or error})") from error
    except (ValueError, KeyError, IndexError) as error:
        raise BadCalendar(f"it is no calendar ({str(error)[:120]})") from error
    if not calendars:
        raise BadCalendar("it holds no calendar (BEGIN:VCALENDAR … END:VCALENDAR)")
    found: list[Interval] = []
    try:
        for calendar in calendars:
            for event in _events(calendar, now.year):
                if interval := _interval(event, zone):
                    found.append(interval)
                if len(found) > MAX_EVENTS:
                    raise BadCalendar(f"it has more than {MAX_EVENTS} events in four years")
    except BadCalendar:
        raise
    except Exception as error:  # the parser believes what a file says, and fails in many ways where that is nonsense
        raise BadCalendar(
            f"an event in it cannot be understood ({type(error).__name__}: {str(error)[:120]})"
        ) from error
    return tuple(sorted(set(found), key=lambda one: (one.start_s, one.end_s, one.name)))


def _events(calendar: Calendar, year: int) -> Iterator[Event]:
    for event in calendar.events:
        _check(event)
    span = datetime(year - 1, 1, 1, tzinfo=UTC), datetime(year + 3, 1, 1, tzinfo=UTC)
    yield from recurring_ical_events.of(calendar, components=["VEVENT"]).between(*span)


def _check(event: Event) -> None:
    """What the parser could not read it leaves out: then a holiday is missing. And one event repeated each second would
    keep the bot busy for an hour: days are fine enough for windows."""
    if event.errors:
        raise BadCalendar(f"an event in it cannot be understood ({': '.join(map(str, event.errors[0]))[:120]})")
    for name in ("RRULE", "EXRULE"):
        given = event.get(name, [])
        for rule in given if isinstance(given, list) else [given]:
            often = {str(one).upper() for one in rule.get("FREQ", ["no frequency"])} - _FREQUENCIES
            if often or {"BYHOUR", "BYMINUTE", "BYSECOND"} & {key.upper() for key in rule}:
                raise BadCalendar("an event in it repeats otherwise than by days, weeks, months or years")


def _interval(event: Event, zone: ZoneInfo) -> Interval | None:
    if str(event.get("STATUS", "")).upper() == "CANCELLED":
        return None
    start_s, end_s = _second(event.start, zone), _second(event.end, zone)
    if end_s <= start_s:
        return None
    return Interval(start_s, end_s, " ".join(str(event.get("SUMMARY", "")).split())[:_NAME])


def _second(moment: datetime | date, zone: ZoneInfo) -> int:
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    return int((moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp())
