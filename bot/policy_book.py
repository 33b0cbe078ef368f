"""The policies as they stand: what the settings say, with the calendar files read again when they change."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path
from zoneinfo import ZoneInfo

import structlog

from bot.calendars import BadCalendar, read_calendar
from bot.config_file import dotted
from bot.policies import calendar_files, policies_of
from bot.settings import Settings
from core.errors import Refused
from core.ids import Channel, Stack
from core.messages.policy import calendar_message
from core.ports import Clock
from core.rollouts.policies import Policies
from core.windows import Interval
from flows.rollouts.site import Site
from integrations.store.outbox import Outbox, Priority, Wanted

log = structlog.get_logger(__name__)

LOOK_S = 3600.0
_File = tuple[Path, str]
_Stamp = tuple[int, int, int, int]


class PolicyBook:
    """What a calendar file said when it could last be read stays in force while it is missing or broken."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._files = calendar_files(settings)
        self._known: dict[_File, tuple[Interval, ...]] = {}
        self._stamps: dict[_File, _Stamp] = {}

    async def load(self) -> None:
        """Read every calendar. Raises Refused where one cannot be read: nobody knows yet what it says."""
        for (path, _), problem in (await self._read()).items():
            raise Refused(
                f"The calendar {path} ({self._where(path)} in cdm.yaml) cannot be used: {problem}. Correct the file, "
                "or take the line out.",
                system="settings",
            )

    async def reread(self) -> Mapping[Path, str]:
        """Read what changed. Which files cannot be used, and why."""
        return {path: problem for (path, _), problem in (await self._read()).items()}

    def of(self, stack: Stack) -> Policies:
        section = next(section for section in self._settings.stacks if section.name == stack)
        return policies_of(self._settings, section, self._known)

    async def _read(self) -> Mapping[_File, str]:
        problems: dict[_File, str] = {}
        now = self._clock.now()
        for file in self._files:
            path, zone = file
            stamp = _stamp(path, now.year)
            if stamp is not None and self._stamps.get(file) == stamp:
                continue
            try:
                self._known[file] = await asyncio.to_thread(read_calendar, path, ZoneInfo(zone), now)
            except BadCalendar as error:
                problems[file] = str(error)
            else:
                if stamp is not None:
                    self._stamps[file] = stamp
        return problems

    def _where(self, path: Path) -> str:
        return dotted(next(loc for (one, _), loc in self._files.items() if one == path))


class CalendarWatch:
    """`tick` as often as one likes: the files are looked at once an hour."""

    def __init__(
        self, *, book: PolicyBook, sites: Mapping[Stack, Site], outbox: Outbox, clock: Clock, channel: Channel
    ) -> None:
        self._book = book
        self._sites = sites
        self._outbox = outbox
        self._clock = clock
        self._channel = channel
        self._looked_at = clock.monotonic()
        self._broken: dict[Path, str] = {}

    async def tick(self) -> None:
        if self._clock.monotonic() - self._looked_at < LOOK_S:
            return
        self._looked_at = self._clock.monotonic()
        broken = await self._book.reread()
        for name, site in self._sites.items():
            site.adopt(self._book.of(name))
        for path, problem in broken.items():
            if path not in self._broken:
                log.warning("calendar_not_read", file=str(path), problem=problem)
            await self._tell(path, problem)
        for path in self._broken.keys() - broken.keys():
            log.info("calendar_read_again", file=str(path))
            await self._tell(path, "")
        self._broken = dict(broken)

    async def _tell(self, path: Path, problem: str) -> None:
        key = f"calendar:{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
        message = calendar_message(path.name, problem)
        await self._outbox.put(Wanted(key, self._channel, message, Priority.UPDATE, open=bool(problem)))


def _stamp(path: Path, year: int) -> _Stamp | None:
    """Another one where the file was changed, and in another year, since only some years of it are read."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, year
