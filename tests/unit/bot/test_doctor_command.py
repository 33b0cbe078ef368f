"""`cdm doctor` on a store at rest, on one that a bot is running, and on one that nobody has yet."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path

import orjson
import pytest

from bot.commands import doctor
from bot.config_file import load_settings
from core.budgets import Priority
from core.ids import Channel, Stack, Tenant
from core.messages.blocks import compose
from core.outbox import Row, State
from flows.keycloak_watch import Standing
from integrations.store.connection import Store, check_schema, connect
from integrations.store.embedded import EmbeddedStore
from integrations.store.intake import Intake
from integrations.store.leases import Leases
from integrations.store.outbox import Outbox, OutboxRows, Wanted
from integrations.store.work import WorkQueue
from tests.conftest import ManualClock
from tests.unit.bot.conftest import Run, edit

URL_OF_AN_ANSWER = "https://hooks.example/commands/very-private"


@pytest.fixture
async def bot_store(data_dir: Path) -> AsyncIterator[EmbeddedStore]:
    """The store of a bot that is running on `data_dir`."""
    server = EmbeddedStore(data_dir / "store")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def store(bot_store: EmbeddedStore) -> AsyncIterator[Store]:
    client = connect(bot_store.url)
    await check_schema(client)
    yield client
    await client.aclose()


async def give_up_on_something(store: Store, clock: ManualClock) -> None:
    """One dead letter of each kind, and one message that waits."""
    intake = Intake(store)
    await intake.append(Stack("eu1"), Tenant("customer-a"), b"{}", 1)
    (entry,) = await intake.take(count=1, wait_ms=1)
    for command in intake.bury(entry, "no alarm id\x1b[31m"):
        await store.execute_command(*command)
    queue = WorkQueue(store, "here")
    await queue.prepare()
    order = {"kind": "command", "user": "U1", "text": "rollout stop x", "response_url": URL_OF_AN_ANSWER}
    await queue.put(order, once="1")
    (item,) = await queue.take(wait_ms=1)
    await queue.bury(item, "KeyError: 'x'")
    outbox, rows = Outbox(store, clock), OutboxRows(store)
    for key in ("incident:1", "incident:2"):
        await outbox.put(Wanted(key, Channel("C1"), compose("hello"), Priority.INCIDENT))
    now = clock.now().timestamp()
    job = next(job for job in await rows.due(Channel("C1"), now) if job.wanted.key == "incident:1")
    refused = Row("incident:1", state=State.DEAD, channel=Channel("C1"), trouble="Slack refuses the call (odd).")
    for command in [*rows.keep(job, refused), *rows.dead(job, now)]:
        await store.execute_command(*command)


async def test_a_running_bots_store_is_read_by_its_socket(
    run: Run, config: Path, store: Store, bot_store: EmbeddedStore, clock: ManualClock
) -> None:
    await give_up_on_something(store, clock)
    lease = await Leases(store, clock, "replica-7").acquire("fold", 60)
    assert lease is not None
    running = bot_store.pid
    done = await run(doctor.app, "--config", config)
    assert done.exit_code == 0, done.output
    assert "append-only, fsync always, noeviction" in done.stdout
    assert "schema                1, this bot knows 1" in done.stdout
    assert "not asked yet by a bot on this store" in done.stdout
    assert "fold                  held by replica-7, fence 1" in done.stdout
    assert "alarm of eu1/customer-a: no alarm id" in done.stdout
    assert "command 'rollout stop x' of U1: KeyError: 'x'" in done.stdout
    assert "incident:1 in C1: Slack refuses the call (odd)." in done.stdout
    assert "messages to show      1, the oldest for" in done.stdout
    assert "\x1b" not in done.stdout
    assert URL_OF_AN_ANSWER not in done.stdout
    assert (bot_store.pid, await store.ping()) == (running, True)


async def test_it_says_whether_keycloak_answers(run: Run, config: Path, store: Store) -> None:
    realm = load_settings(config).keycloak.realm
    answered = Standing(good_ms=int((time.time() - 5.5 * 60) * 1000))
    away = Standing(good_ms=1_764_000_000_000, failures=2, away_ms=1_764_000_010_000)
    for standing, said in ((answered, "answered 5 min ago"), (away, "since 2025-11-24 16:00:10Z: nobody's act is")):
        await store.set(f"cdm:keycloak:{realm}", orjson.dumps(asdict(standing)))
        done = await run(doctor.app, "--config", config)
        assert done.exit_code == 0, done.output
        assert said in done.stdout


async def test_a_store_at_rest_is_started_for_the_moment_only(
    run: Run, config: Path, bot_store: EmbeddedStore, data_dir: Path
) -> None:
    await bot_store.stop()
    done = await run(doctor.app, "--config", config)
    assert done.exit_code == 0, done.output
    assert "no bot is at work" in done.stdout
    await bot_store.start()  # the directory is free again


async def test_where_no_bot_has_run_no_store_is_made(run: Run, config: Path, data_dir: Path) -> None:
    done = await run(doctor.app, "--config", config)
    assert done.exit_code == 1
    assert "no bot has run with this data_dir yet" in done.stderr
    assert not (data_dir / "store").exists()


async def test_a_store_that_loses_data_or_was_written_by_a_newer_bot_is_a_problem(
    run: Run, config: Path, store: Store
) -> None:
    await store.config_set("appendonly", "no")
    await store.set("cdm:schema", 9)
    done = await run(doctor.app, "--config", config)
    assert done.exit_code == 1
    assert "Set 'appendonly yes'" in done.stdout
    assert "A newer bot wrote this store" in done.stdout


async def test_a_key_of_no_family_is_shown(run: Run, config: Path, store: Store) -> None:
    await store.set("cdm:forgotten", "1")
    done = await run(doctor.app, "--config", config)
    assert done.exit_code == 1
    assert "1 keys of no family: cdm:forgotten" in done.stdout


async def test_a_store_that_does_not_answer_is_named_as_such(run: Run, config: Path) -> None:
    edit(config, "store: {}", "store: {url: 'redis://127.0.0.1:1/0'}")
    done = await run(doctor.app, "--config", config)
    assert done.exit_code == 1
    assert "correct store.url in cdm.yaml" in done.stderr
