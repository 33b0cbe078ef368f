"""One client for the store, and the refusal of a store that would lose what it acknowledged."""

from __future__ import annotations

import asyncio
from typing import Any, TypeAlias

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as StoreTimeout

from core.errors import OutsideError, Unavailable
from integrations.store.families import SCHEMA_VERSION

Store: TypeAlias = Any
"""A `redis.asyncio.Redis` whose answers are bytes. Any to the type checker: redis-py types each answer as a union over
sync, async, bytes and str, and a cast at every call would say less than the tests do."""

__all__ = [
    "STORE_DOWN",
    "Store",
    "StoreTimeout",
    "StoreUnsafe",
    "check_schema",
    "check_store",
    "connect",
    "in_danger",
]

STORE_DOWN = (RedisConnectionError, StoreTimeout)
"""What redis-py raises while the store is away."""


class _Cancellable:
    """redis-py bounds each write by `asyncio.wait_for`, which on Python 3.11 can swallow a cancellation that arrives in
    the same turn (measured: loops over the store outlived their `cancel()`); it also makes a task per command. The
    same bound by `asyncio.timeout` does neither."""

    socket_timeout: float | None

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        bound, self.socket_timeout = self.socket_timeout, None
        try:
            async with asyncio.timeout(bound):
                await super().send_packed_command(command, check_health)  # type: ignore[misc]
        except TimeoutError as error:
            raise StoreTimeout("the store took no command in time") from error
        finally:
            self.socket_timeout = bound


class _TcpConnection(_Cancellable, Connection):
    pass


class _TlsConnection(_Cancellable, SSLConnection):
    pass


class _UnixConnection(_Cancellable, UnixDomainSocketConnection):
    pass


_OURS = {Connection: _TcpConnection, SSLConnection: _TlsConnection, UnixDomainSocketConnection: _UnixConnection}


class StoreUnsafe(OutsideError):
    """The store would lose acknowledged data: it keeps nothing on disk, or evicts. The text carries the fix."""

    reason = "store_unsafe"


def connect(url: str, *, password: str | None = None, timeout_s: float = 2.0, connections: int = 64) -> Store:
    """A client for `redis://`, `rediss://` or `unix://`. Opens nothing yet.

    Only connecting is retried: a command whose answer was lost may have been carried out, and the callers that may
    repeat say so themselves.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        password=password,
        max_connections=connections,
        timeout=timeout_s,
        socket_timeout=max(timeout_s, 1.0),
        socket_connect_timeout=timeout_s,
        health_check_interval=0,
        retry=Retry(ExponentialBackoff(cap=0.2, base=0.02), 0),
    )
    pool.connection_class = _OURS[pool.connection_class]
    return Redis(connection_pool=pool)


async def check_store(store: Store) -> dict[str, str]:
    """What the store guarantees, as {setting: value}; raises StoreUnsafe where that is not enough."""
    try:
        config = await _config(store, "appendonly", "appendfsync", "maxmemory-policy", "maxmemory", "save")
        info: dict[str, Any] = await store.info("server")
    except AuthenticationError as error:
        raise StoreUnsafe(
            "The store refuses the bot's password, or wants one that is not given. Set store.password in cdm.yaml to "
            "{env: NAME} or {file: path} with the right one.",
            system="store",
        ) from error
    except STORE_DOWN as error:
        raise Unavailable(
            f"The store does not answer ({error}). Start it, or correct store.url in cdm.yaml.", system="store"
        ) from error
    version = str(info.get("valkey_version") or info.get("redis_version", "unknown"))
    if config is None:
        raise StoreUnsafe(
            "The store does not let the bot read its settings (CONFIG GET is refused), so nobody can say whether it "
            "keeps data on disk. Allow CONFIG|GET for the bot's store user, or set store.trust_persistence: true "
            "after checking appendonly and maxmemory-policy yourself.",
            system="store",
        )
    if config.get("appendonly") != "yes":
        raise StoreUnsafe(
            "The store keeps no append-only file, so an alarm it acknowledged is gone after a crash. "
            "Set 'appendonly yes' and 'appendfsync always' (or 'everysec', losing up to a second) and start again.",
            system="store",
        )
    policy = config.get("maxmemory-policy", "noeviction")
    if policy != "noeviction" and config.get("maxmemory", "0") != "0":
        raise StoreUnsafe(
            f"The store evicts keys when memory is short (maxmemory-policy {policy}), so incidents and promotion "
            "records can vanish. Set 'maxmemory-policy noeviction' and start again.",
            system="store",
        )
    return {"version": version, **config}


async def check_schema(store: Store) -> None:
    """Mark a fresh store with our schema version; refuse one written by a newer bot."""
    await store.set("cdm:schema", SCHEMA_VERSION, nx=True)
    found = int(await store.get("cdm:schema") or SCHEMA_VERSION)
    if found > SCHEMA_VERSION:
        raise StoreUnsafe(
            f"The store was written by a newer bot (schema {found}, this one knows {SCHEMA_VERSION}). "
            "Run that version again, or restore a backup made with this one.",
            system="store",
        )


async def _config(store: Store, *names: str) -> dict[str, str] | None:
    found: dict[str, str] = {}
    try:
        for name in names:
            answer: dict[Any, Any] = await store.config_get(name)
            for key, value in answer.items():
                found[_text(key)] = _text(value)
    except ResponseError:
        return None
    return found


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


async def in_danger(store: Store) -> str | None:
    """Why the store may not keep the next write (disk error, memory full, loading), or None. For /readyz."""
    try:
        info: dict[str, Any] = await store.info("persistence")
    except RedisError as error:
        return f"does not answer: {error}"
    if info.get("aof_last_write_status", "ok") != "ok":
        return "cannot write its append-only file (disk full?)"
    if int(info.get("loading", 0)):
        return "is still loading its append-only file"
    return None
