"""One person's requests within a minute: so many are taken, the rest is refused at the door, before the queue."""

from __future__ import annotations

import math
from dataclasses import dataclass

import structlog
from prometheus_client import Counter

from core.asking import Askers, Flood, TooMany
from core.budgets import Budget
from core.ids import SlackUser
from core.messages.text import count
from core.ports import Clock
from integrations.store.audit import AuditLog

log = structlog.get_logger(__name__)

REFUSED = Counter("cdm_slack_refused", "Requests not taken, since one person asked for too many", ["kind"])


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """A request that was not taken. `tell`: the person was not told within the last minute."""

    text: str
    tell: bool


class RequestLimit:
    """In this process alone, so that a flood costs the store nothing: with several replicas, each takes as many."""

    def __init__(self, budget: Budget, audit: AuditLog, clock: Clock) -> None:
        self._per_minute = round(budget.per_s * 60)
        self._askers = Askers(budget)
        self._audit = audit
        self._clock = clock

    def ask(self, user: SlackUser, kind: str) -> TurnedAway | None:
        """None: it is taken."""
        refused = self._askers.ask(user, self._clock.monotonic())
        if refused is None:
            return None
        REFUSED.labels(kind).inc()
        return TurnedAway(self._told(refused), tell=refused.flood is not None)

    async def tick(self) -> None:
        """Write down who was refused: within seconds, then once a minute for as long as it goes on."""
        for user, flood in self._askers.to_note(self._clock.monotonic()).items():
            data = {"reason": "too_many", "asked": flood.asked, "not_taken": flood.refused}
            await self._audit.note(f"slack:{user}", "refused:request", "", data)
            self._askers.noted(user, flood, self._clock.monotonic())
            log.warning("requests_refused", user=str(user), asked=flood.asked, not_taken=flood.refused)

    def _told(self, refused: TooMany) -> str:
        wait = count(math.ceil(refused.wait_s), "second")
        what = _in_words(refused.flood) if refused.flood else "This was not taken."
        return (
            f"⛔ {what} The bot takes {self._per_minute} requests a minute from one person, so that others are not "
            f"kept waiting. Nothing that was not taken will be done later: wait {wait}, then ask again."
        )


def _in_words(flood: Flood) -> str:
    were = "was" if flood.refused == 1 else "were"
    return f"You have asked {flood.asked:,} times within a minute; {flood.refused:,} of that {were} not taken."
