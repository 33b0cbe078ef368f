"""Token buckets in the store, so that all replicas together stay within a budget."""

from __future__ import annotations

from collections.abc import Sequence

from core.budgets import Budget, Priority
from integrations.store.connection import Store
from integrations.store.families import HOUR, Family

FAMILIES = (Family("budgets", "cdm:outbox:budget:*", "an hour after its last use", HOUR, 10_000, 256),)

_TAKE = """
local now, wait, left = tonumber(ARGV[1]), 0, {}
for i, key in ipairs(KEYS) do
  local rate, burst, need = tonumber(ARGV[i * 3 - 1]), tonumber(ARGV[i * 3]), tonumber(ARGV[i * 3 + 1])
  local v = redis.call('HMGET', key, 'left', 'at', 'closed')
  local at = tonumber(v[2] or now)
  left[i] = math.min(burst, tonumber(v[1] or burst) + math.max(0, now - at) * rate)
  wait = math.max(wait, (need - left[i]) / rate, tonumber(v[3] or 0) - now)
end
if wait > 0 then return tostring(wait) end
for i, key in ipairs(KEYS) do
  redis.call('HSET', key, 'left', tostring(left[i] - 1), 'at', ARGV[1])
  redis.call('EXPIRE', key, ARGV[#ARGV])
end
return '0'
"""


class Buckets:
    """`now` is the caller's clock, seconds since 1970; replicas' clocks may differ by a little."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def take(self, buckets: Sequence[tuple[str, Budget]], priority: Priority, now: float) -> float:
        """Take one token from each, or none: then the answer is how many seconds to wait."""
        sizes = [x for _, budget in buckets for x in (budget.per_s, budget.burst, budget.needed(priority))]
        keys = [_key(name) for name, _ in buckets]
        return float(await self._store.eval(_TAKE, len(keys), *keys, repr(now), *sizes, HOUR))

    async def close(self, name: str, until: float) -> None:
        """Slack said how long to wait: nothing is let through before."""
        async with self._store.pipeline(transaction=True) as pipe:
            pipe.hset(_key(name), "closed", repr(until))
            pipe.expire(_key(name), HOUR)
            await pipe.execute()


def _key(name: str) -> str:
    return f"cdm:outbox:budget:{name}"
