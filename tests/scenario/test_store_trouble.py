"""The store is away, unsafe, taken, frozen or comes back: what the bot refuses, what it says, and that it recovers."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from integrations.store.connection import connect
from integrations.store.embedded import EmbeddedStore
from sandbox.cast import PEOPLE, ROLLOUTS
from sandbox.world import SandboxWorld
from tests.scenario.program import (
    CHANNEL,
    WEBHOOK,
    bearer,
    ended_at_start,
    raised,
    ready,
    running,
    still_world,
    until,
)

A, BOB = "customer-a", PEOPLE["bob"].id


@pytest.fixture
async def world() -> AsyncIterator[SandboxWorld]:
    async with still_world() as made:
        yield made


@pytest.fixture
async def valkey() -> AsyncIterator[EmbeddedStore]:
    """A store that is not the bot's own: the bot knows it by its address."""
    directory = Path(tempfile.mkdtemp(prefix="cdm-"))
    server = EmbeddedStore(directory)
    await server.start()
    yield server
    await server.stop()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.mark.parametrize(
    ("store", "told"),
    [
        ({"url": "redis://127.0.0.1:1"}, "Start it, or correct store.url in cdm.yaml"),
        ({"url": "redis://127.0.0.1:1", "trust_persistence": True}, "Start it, or correct store.url in cdm.yaml"),
        ({"url": "unix:///nowhere/store.sock"}, "Start it, or correct store.url in cdm.yaml"),
        ({"url": "http://:s3cret@127.0.0.1:1"}, "store.url in cdm.yaml is no address of a store"),
        ({"url": "redis://:s3cret/x@127.0.0.1:1"}, "store.url in cdm.yaml is no address of a store"),
    ],
)
async def test_a_bot_that_cannot_reach_its_store_ends_with_1_and_says_what_to_do(
    world: SandboxWorld, store: dict[str, Any], told: str
) -> None:
    code, said = await ended_at_start(world.write_config(store=store))
    assert code == 1
    assert told in said
    assert "Traceback" not in said
    assert "s3cret" not in said


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"appendonly": "no"}, "Set 'appendonly yes' and 'appendfsync always'"),
        ({"maxmemory": "100mb", "maxmemory-policy": "allkeys-lru"}, "Set 'maxmemory-policy noeviction'"),
    ],
)
async def test_p1_a_store_that_may_lose_what_it_took_is_refused_with_the_fix(
    world: SandboxWorld, valkey: EmbeddedStore, settings: dict[str, str], told: str
) -> None:
    store = connect(valkey.url)
    for name, value in settings.items():
        await store.config_set(name, value)
    await store.aclose()
    code, said = await ended_at_start(world.write_config(store={"url": valkey.url}))
    assert (code, told in said, "Traceback" in said) == (1, True, False), said


async def test_a_second_bot_on_the_same_data_directory_is_refused_and_the_first_goes_on(world: SandboxWorld) -> None:
    async with running(world), httpx.AsyncClient(base_url=world.bot_url, trust_env=False) as http:
        second = world.write_config(name="second.yaml", port=world.bot_port + 1)
        code, said = await ended_at_start(second)
        assert code == 1
        assert "Another bot already uses the data directory" in said
        assert "Traceback" not in said
        alarm = raised(world, A, "a-still-served")
        assert (await http.post(WEBHOOK, content=alarm.body, headers=bearer(world, A))).status_code == 202
        await world.people.wait_for(CHANNEL[A], lambda m: "a-still-served" in m.shown)


async def test_while_the_store_is_away_the_bot_takes_nothing_says_so_and_recovers_by_itself(
    world: SandboxWorld, valkey: EmbeddedStore
) -> None:
    world.write_config(store={"url": valkey.url})
    async with running(world) as bot, httpx.AsyncClient(base_url=world.bot_url, timeout=10, trust_env=False) as http:
        before, during, after = (raised(world, A, f"a-{when}", when) for when in ("before", "during", "after"))
        headers = bearer(world, A)
        assert (await http.post(WEBHOOK, content=before.body, headers=headers)).status_code == 202
        shown = await world.people.wait_for(CHANNEL[A], lambda m: "a-before" in m.shown)

        await valkey.stop()
        answer = await http.post(WEBHOOK, content=during.body, headers=headers)
        assert (answer.status_code, answer.json()["reason"]) == (503, "store_in_danger")
        assert int(answer.headers["retry-after"]) >= 1
        unready = await http.get("/readyz")
        assert (unready.status_code, list(unready.json()["not_ready"])) == (503, ["store"])
        assert (await http.get("/healthz")).status_code == 200
        told = await world.people.slash(BOB, ROLLOUTS, "/cdm", "alarms")
        assert told.acked
        assert "store" in (await world.people.wait_for_ephemeral(BOB, lambda e: "Nothing was done" in e.shown)).shown
        pressed = await world.people.click(BOB, CHANNEL[A], shown.ts, "acknowledge")
        assert pressed.acked
        await world.people.wait_for_ephemeral(BOB, lambda e: e.channel == CHANNEL[A] and "Nothing was done" in e.shown)
        assert bot.alive

        await valkey.start()
        await until(lambda: ready(http), "the bot is ready again")
        assert (await http.post(WEBHOOK, content=after.body, headers=headers)).status_code == 202
        await world.people.wait_for(CHANNEL[A], lambda m: "a-after" in m.shown)
        await world.people.slash(BOB, ROLLOUTS, "/cdm", "whoami")
        await world.people.wait_for_ephemeral(BOB, lambda e: "not linked" in e.shown, 20)
        # Its webhook was refused, and nobody sent it again: ThingsBoard still has it.
        await world.people.wait_for(CHANNEL[A], lambda m: "a-during" in m.shown, 20)


async def test_a_store_that_stands_still_is_said_in_time_for_thingsboard_and_slack(
    world: SandboxWorld, valkey: EmbeddedStore
) -> None:
    """ThingsBoard delivers again after 2 s (measured on CE 4.2.1), Slack shows an error after 3 s."""
    world.write_config(store={"url": valkey.url})
    async with running(world), httpx.AsyncClient(base_url=world.bot_url, timeout=10, trust_env=False) as http:
        alarm, pid = raised(world, A, "a-frozen"), valkey.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            answer = await http.post(WEBHOOK, content=alarm.body, headers=bearer(world, A))
            took = time.monotonic() - began
            told = await world.people.slash(BOB, ROLLOUTS, "/cdm", "alarms")
        finally:
            os.kill(pid, signal.SIGCONT)
        assert (answer.status_code, took < 2) == (503, True)
        assert told.acked, told.error
        await world.people.wait_for_ephemeral(BOB, lambda e: "store" in e.shown)
        await until(lambda: ready(http), "the bot is ready again")
        await world.people.wait_for(CHANNEL[A], lambda m: "a-frozen" in m.shown, 20)
