"""What every area is told, from the command line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """`seconds` is the length of one measurement, and the most a round of `requests` alarms may take; None leaves it to
    the area. `alertmanager` is the path of its program, None if there is none."""

    seconds: float | None
    requests: int
    rounds: int
    alertmanager: str | None


class BenchFailed(Exception):
    """The area could not be measured; the text says why."""
