"""A schedule being played: what comes next, and what has come."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

from tests.statemachine.schedule import Delivery, Mishap, Schedule, Sending, Stop, Trouble

_CALM = Sending(Delivery.ANSWERED, 0.05)
_SLOW_SHARE, _SLOW_S = 0.05, 0.6


@dataclass(slots=True)
class Tape:
    """Nothing goes wrong while it is not `wild`. Counts what did, and the attempts written down."""

    schedule: Schedule
    wild: bool = False
    hits: Counter[str] = field(default_factory=Counter)
    attempts: int = 0
    _rng: random.Random = field(init=False)
    _mishap: int = 0
    _passed: int = 0
    _sending: int = 0

    def __post_init__(self) -> None:
        self._rng = random.Random(self.schedule.pace)

    @property
    def over(self) -> bool:
        return not self.wild or self._mishap >= len(self.schedule.mishaps)

    def pace_s(self) -> float:
        """How long an await takes, where nothing goes wrong at it."""
        if self.over:
            return 0.0
        return self._rng.random() * (_SLOW_S if self._rng.random() < _SLOW_SHARE else 0.04)

    def mishap(self) -> Mishap | None:
        """What goes wrong at this await."""
        if self.over:
            return None
        found = self.schedule.mishaps[self._mishap]
        self._passed += 1
        if self._passed <= found.after:
            return None
        self._mishap, self._passed = self._mishap + 1, 0
        self.hits[found.trouble] += 1
        return found

    def stop(self) -> Stop:
        """What befalls the process that has just written an attempt down."""
        self.attempts += 1
        if not self.wild or self.attempts > len(self.schedule.stops):
            return Stop(Trouble.NONE, 0.0)
        found = self.schedule.stops[self.attempts - 1]
        if found.trouble is not Trouble.NONE:
            self.hits[f"{found.trouble} before sending"] += 1
        return found

    def sending(self) -> Sending:
        self._sending += 1
        if not self.wild or self._sending > len(self.schedule.sendings):
            return _CALM
        found = self.schedule.sendings[self._sending - 1]
        if found.delivery is not Delivery.ANSWERED:
            self.hits[f"request {found.delivery}"] += 1
        return found if found.delivery is Delivery.LATE else Sending(found.delivery, 0.05 + self.pace_s())
