"""How fast the bot may speak: a few named buckets, shared by all replicas, that stay within Slack's rate limits.

Posts: about 1/s per channel and several hundred a minute per workspace. chat.update and the history methods: 50 a
minute for the whole workspace. A bucket lets through at most `burst` + 60 * `per_s` calls in any minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Priority(IntEnum):
    """What goes out first when not everything can."""

    APPROVAL = 0
    INCIDENT = 1
    UPDATE = 2
    NOTE = 3


@dataclass(frozen=True, slots=True)
class Budget:
    """A token bucket. `reserve` tokens are kept from each priority for the ones before it."""

    per_s: float
    burst: float
    reserve: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    def needed(self, priority: Priority) -> float:
        """How many tokens must be there for a call of this priority to take one."""
        return 1.0 + self.reserve[priority]


@dataclass(frozen=True, slots=True)
class Budgets:
    channel_posts: Budget = Budget(1.0, 2.0)
    posts: Budget = Budget(3.0, 20.0, (0.0, 2.0, 4.0, 8.0))
    updates: Budget = Budget(0.7, 8.0, (0.0, 1.0, 3.0, 4.0))
    reads: Budget = Budget(0.7, 8.0)
