"""How much one person may ask of the bot: a token bucket each, so that one person's flood is nobody else's wait."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from core.budgets import Budget
from core.ids import SlackUser

MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Flood:
    """What one person asked for since it was last reported, and how much of it was not taken."""

    asked: int
    refused: int


@dataclass(frozen=True, slots=True)
class TooMany:
    """Not taken; in `wait_s` the next would be. `flood` is what to tell the person, None if they were told within the
    minute."""

    wait_s: float
    flood: Flood | None


@dataclass(slots=True)
class _Count:
    """Reported at most once a minute."""

    asked: int = 0
    refused: int = 0
    reported_at: float = -math.inf

    def due(self, now: float) -> Flood | None:
        late = self.refused > 0 and now - self.reported_at >= MINUTE_S
        return Flood(self.asked, self.refused) if late else None

    def reported(self, flood: Flood, now: float) -> None:
        self.asked -= flood.asked
        self.refused -= flood.refused
        self.reported_at = now


@dataclass(slots=True)
class _Asker:
    left: float
    at: float
    told: _Count = field(default_factory=_Count)
    noted: _Count = field(default_factory=_Count)


class Askers:
    """Everybody's bucket, in memory: those of who asked lately. Times are one process's monotonic seconds."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._askers: dict[SlackUser, _Asker] = {}

    def __len__(self) -> int:
        return len(self._askers)

    def ask(self, user: SlackUser, now: float) -> TooMany | None:
        """None: it is taken."""
        budget = self._budget
        asker = self._askers.setdefault(user, _Asker(budget.burst, now))
        quiet_s = now - asker.at
        asker.left, asker.at = min(budget.burst, asker.left + quiet_s * budget.per_s), now
        for count in (asker.told, asker.noted):
            if quiet_s >= MINUTE_S and not count.refused:
                count.asked = 0
            count.asked += 1
        if asker.left >= 1:
            asker.left -= 1
            return None
        asker.told.refused += 1
        asker.noted.refused += 1
        flood = asker.told.due(now)
        if flood is not None:
            asker.told.reported(flood, now)
        return TooMany((1 - asker.left) / budget.per_s, flood)

    def to_note(self, now: float) -> dict[SlackUser, Flood]:
        """What is to be written down now, of whom: once a minute for as long as there is anything new. Whoever asked
        nothing lately is forgotten."""
        refill_s = self._budget.burst / self._budget.per_s
        idle = [u for u, a in self._askers.items() if not a.noted.refused and now - a.at >= max(MINUTE_S, refill_s)]
        for user in idle:
            del self._askers[user]
        found = {user: asker.noted.due(now) for user, asker in self._askers.items()}
        return {user: flood for user, flood in found.items() if flood is not None}

    def noted(self, user: SlackUser, flood: Flood, now: float) -> None:
        """It was written down."""
        self._askers[user].noted.reported(flood, now)
