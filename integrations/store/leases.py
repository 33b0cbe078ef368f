"""Leases and what may be written under them: one owner per effect, checked by the store itself."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from redis.exceptions import ResponseError

from core.ports import Clock
from integrations.store.connection import Store

Command = Sequence[str | bytes | int | float]
"""One write, as the store's own words: ("HSET", key, field, value)."""

_ACQUIRE = """
local held = redis.call('GET', KEYS[1])
if held then
  if string.sub(held, 1, #ARGV[1] + 1) == ARGV[1] .. '|' then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    return held
  end
  return false
end
local fence = redis.call('INCR', KEYS[2])
local token = ARGV[1] .. '|' .. fence
redis.call('SET', KEYS[1], token, 'PX', ARGV[2])
return token
"""

_RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""

_RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""

_COMMIT = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return redis.error_reply('LEASELOST the lease has another holder') end
if KEYS[2] and (redis.call('GET', KEYS[2]) or '') ~= ARGV[2] then return redis.error_reply('CHANGED meanwhile') end
local at, last = 3, nil
while at <= #ARGV do
  local n = tonumber(ARGV[at])
  last = redis.call(unpack(ARGV, at + 1, at + n))
  at = at + n + 1
end
return last
"""


class LeaseLost(Exception):
    """Somebody else holds the lease now. Nothing of the commit was written."""


class ValueMoved(Exception):
    """What the commit was made for is not what the store holds now. Nothing of it was written."""


@dataclass(slots=True)
class Lease:
    """A lease held. `token` names holder and fence; `until` is our own monotonic reading of when it ends.

    `valid()` needs no I/O and keeps a safety margin, so it is also right in a process that was stopped and continued
    (the monotonic clock went on).
    """

    name: str
    token: str
    ttl_s: float
    until: float
    store: Store
    clock: Clock

    @property
    def fence(self) -> int:
        return int(self.token.rpartition("|")[2])

    def valid(self, margin_s: float = 0.0) -> bool:
        return self.clock.monotonic() + margin_s < self.until

    async def renew(self) -> bool:
        """Prolong it. False: it is lost. Raises redis errors while the store is away (then `valid` decides)."""
        asked = self.clock.monotonic()
        if not await self.store.eval(_RENEW, 1, _key(self.name), self.token, int(self.ttl_s * 1000)):
            self.until = 0.0
            return False
        self.until = asked + self.ttl_s
        return True

    async def release(self) -> None:
        self.until = 0.0
        await self.store.eval(_RELEASE, 1, _key(self.name), self.token)

    async def commit(self, commands: Sequence[Command], *, expect: tuple[str, str] | None = None) -> object:
        """Carry out all `commands` atomically, only while this lease is still ours. Raises LeaseLost.

        `expect` is a key and what it must hold ("" where it must not exist); if not, ValueMoved is raised."""
        flat: list[str | bytes | int | float] = []
        for command in commands:
            flat += [len(command), *command]
        keys, value = ([_key(self.name), expect[0]], expect[1]) if expect else ([_key(self.name)], "")
        try:
            return await self.store.eval(_COMMIT, len(keys), *keys, self.token, value, *flat)
        except ResponseError as error:
            if "LEASELOST" in str(error):
                self.until = 0.0
                raise LeaseLost(self.name) from error
            if "CHANGED" in str(error):
                raise ValueMoved(keys[-1]) from error
            raise


class Leases:
    """The leases of one process. `holder` is unique for each process that ever ran."""

    def __init__(self, store: Store, clock: Clock, holder: str | None = None) -> None:
        self._store = store
        self._clock = clock
        self.holder = holder or secrets.token_hex(8)

    async def acquire(self, name: str, ttl_s: float) -> Lease | None:
        """The lease, new or still ours; None where another holder has it. Acquiring anew raises the fence."""
        asked = self._clock.monotonic()
        token = await self._store.eval(_ACQUIRE, 2, _key(name), f"cdm:fence:{name}", self.holder, int(ttl_s * 1000))
        if not token:
            return None
        return Lease(name, token.decode(), ttl_s, asked + ttl_s, self._store, self._clock)

    @asynccontextmanager
    async def hold(self, name: str, ttl_s: float, *, holder: str | None = None) -> AsyncIterator[Lease | None]:
        """Hold it for the block, with an owner of its own: two blocks of one process exclude each other.

        `holder` names the owner by what it works on, so that the same work taken up after a crash finds its own lease.
        """
        own = Leases(self._store, self._clock, holder)
        lease = await own.acquire(name, ttl_s)
        try:
            yield lease
        finally:
            if lease is not None:
                await lease.release()


def _key(name: str) -> str:
    return f"cdm:lease:{name}"
