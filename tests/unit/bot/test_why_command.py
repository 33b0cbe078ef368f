"""`cdm why`: a decision read from the store, also of a rollout that ended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.cli import app
from core.rollouts.actors import ActorKind
from core.rollouts.decide import decide_on
from core.rollouts.kept import moment
from integrations.store.connection import Store, connect
from integrations.store.embedded import EmbeddedStore
from integrations.store.rollout_past import add_moment
from integrations.store.rollouts import RolloutStore
from tests.unit.bot.conftest import Run
from tests.unit.core.rollouts.cases import NOW, Case, verified


@pytest.fixture
async def store(data_dir: Path) -> AsyncIterator[Store]:
    """A bot's store with two decisions about a rollout that ended since."""
    server = EmbeddedStore(data_dir / "store")
    await server.start()
    client = connect(server.url)
    record = replace(Case().record, ended_at=NOW)
    _, commands = RolloutStore(store).save(record)
    for case in (Case(evidence=verified(20, 25)), Case()):
        inputs = case.inputs(ActorKind.SCHEDULER)
        commands += add_moment(record.stack, record.rollout, moment(inputs, decide_on(inputs)))
    for command in commands:
        await client.execute_command(*command)
    yield client
    await client.aclose()
    await server.stop()


async def test_the_newest_decision_is_shown_and_the_one_before_it(run: Run, config: Path, store: Store) -> None:
    newest = await run(app, "why", "fw-2.0.0", "--config", config)
    assert newest.exit_code == 0, newest.stderr
    assert newest.stdout.startswith("🟢 PASS · *fw-2.0.0* on eu1: group 2 may start")
    assert "24 of 25 verified, 95 % needed" in newest.stdout
    before = await run(app, "why", "fw-2.0.0", "--at", "1", "--config", config)
    assert before.stdout.startswith("🟡 HOLD · *fw-2.0.0* on eu1: group 2 waits")


async def test_a_name_that_nobody_knows_is_refused(run: Run, config: Path, store: Store) -> None:
    done = await run(app, "why", "fw-2", "--config", config)
    assert done.exit_code == 1
    assert "The bot knows no rollout called 'fw-2'. Names are exact, as in hawkBit." in done.stderr
