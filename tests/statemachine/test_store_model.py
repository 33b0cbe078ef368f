"""The store model answers as the real store does, word for word: leases, fenced commits, the audit's chain. Where its
leases end by themselves, the real store's are deleted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from redis.exceptions import ResponseError

from integrations.store import audit, leases
from integrations.store.connection import Store
from tests.statemachine.store import StoreModel

LEASE, FENCE, DOC = "cdm:lease:r", "cdm:fence:r", "cdm:rollout:doc:r"
Call = Callable[..., Awaitable[Any]]


async def talk(call: Call, let_end: Callable[[], Awaitable[None]]) -> list[Any]:
    """One conversation that meets every script and command; answers what was heard."""
    heard: list[Any] = []

    async def say(name: str, *args: Any) -> None:
        try:
            heard.append(await call(name, *args))
        except ResponseError as error:
            heard.append(str(error).split(" ", 1)[0])

    async def commit(token: str, *commands: tuple[Any, ...], expect: tuple[str, str] | None = None) -> None:
        keys, value = ([LEASE, expect[0]], expect[1]) if expect else ([LEASE], "")
        flat = [word for command in commands for word in (len(command), *command)]
        await say("eval", leases._COMMIT, len(keys), *keys, token, value, *flat)

    for holder in ("a", "a", "b"):
        await say("eval", leases._ACQUIRE, 2, LEASE, FENCE, holder, 5000)
    await say("eval", leases._RENEW, 1, LEASE, "a|1", 5000)
    await commit("a|1", ("SET", DOC, b"one", "EX", 60), ("HSET", "h", "x", b"1", "", b"2"), ("EXPIRE", "h", 60))
    await commit("a|1", ("HSET", "h", "x", b"3"), ("HDEL", "h", ""), expect=(DOC, "one"))
    await commit("a|1", ("SET", DOC, b"never"), expect=(DOC, "two"))
    await commit(
        "a|1", ("ZADD", "due", "1.0", "a"), ("SADD", "lanes", "a"), ("SET", "head", "1 x"), expect=("head", "")
    )
    await let_end()
    await commit("a|1", ("SET", DOC, b"never"))
    await say("eval", leases._ACQUIRE, 2, LEASE, FENCE, "b", 5000)
    for script in (leases._RENEW, leases._RELEASE):
        await say("eval", script, 1, LEASE, "a|1", 5000)
    await say("eval", leases._RELEASE, 1, LEASE, "b|2")
    await say("eval", leases._ACQUIRE, 2, LEASE, FENCE, "c", 5000)
    for head in ("1 x", "1 x"):
        await say("eval", audit._APPEND, 2, "head", "stream", head, "2 y", b"entry")
    for name, key in (
        ("get", DOC),
        ("get", "head"),
        ("get", "none"),
        ("hgetall", "h"),
        ("hkeys", "h"),
        ("hkeys", "no"),
    ):
        await say(name, key)
    return heard


async def test_it_answers_as_the_real_store_does(store: Store) -> None:
    now = 0.0
    model = StoreModel(lambda: now)

    async def of_model(name: str, *args: Any) -> Any:
        return getattr(model, name)(*args)

    async def of_store(name: str, *args: Any) -> Any:
        return await getattr(store, name)(*args)

    async def time_passes() -> None:
        nonlocal now
        now += 5.0

    async def lease_ends() -> None:
        await store.delete(LEASE)

    assert await talk(of_model, time_passes) == await talk(of_store, lease_ends)
