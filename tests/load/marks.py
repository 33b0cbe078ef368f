"""How an update is recognised on its way through a page, and what the marks say about how far behind its reader is."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.load.report import percentile

UPDATES_PER_S = 50
_MARK = re.compile(rb"update (\d{7}) due (\d{9}\.\d{6})")


def mark(number: int, due: float) -> str:
    """`due` is of this machine's monotonic clock, which all its processes share. Always as long."""
    return f"update {number:07d} due {due:016.6f}"


@dataclass(slots=True)
class Reader:
    """Fed with what arrives, knows how late and how far behind it is. Updates are due `UPDATES_PER_S` a second.

    A lag counts from the moment the update was due, not made, so a stall of the server is not hidden. How far behind a
    reader is, in updates, is taken just before each arrival, where it is most.
    """

    lags_ms: list[float] = field(default_factory=list)
    behind: list[int] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    _first: tuple[int, float] | None = None

    def feed(self, arrived: bytes, at: float) -> None:
        marks = sorted({(int(number), float(due)) for number, due in _MARK.findall(arrived)})
        fresh = [(number, due) for number, due in marks if number not in self.seen]
        if not fresh:
            return
        self._first = self._first or fresh[0]
        self.look(at)
        self.lags_ms += [(at - due) * 1000 for _, due in fresh]
        self.seen.update(number for number, _ in fresh)

    def look(self, at: float) -> None:
        """Note how far behind it is at `at`; also for the end, where nothing arrives."""
        if self._first is None:
            return
        number, due = self._first
        latest_due = number + int((at - due) * UPDATES_PER_S)
        self.behind.append(latest_due - max(self.seen, default=number - 1))

    @property
    def skipped(self) -> int:
        """Updates never shown, though a later one was."""
        return max(self.seen) - min(self.seen) + 1 - len(self.seen) if self.seen else 0

    def summary(self) -> dict[str, Any]:
        return {
            "updates_seen": len(self.seen),
            "updates_skipped": self.skipped,
            "lag_p50_ms": percentile(self.lags_ms, 50),
            "lag_p99_ms": percentile(self.lags_ms, 99),
            "lag_max_ms": max(self.lags_ms),
            "behind_max_updates": max(self.behind),
            "lags_ms": self.lags_ms,
        }


def due_times(start: float) -> Iterator[tuple[int, float]]:
    """(number, due) of each update without end, the first at `start` on the monotonic clock."""
    return ((number, start + number / UPDATES_PER_S) for number in itertools.count())


def wait_s(due: float) -> float:
    return max(0.0, due - time.monotonic())
