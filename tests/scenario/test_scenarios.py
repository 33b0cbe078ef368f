"""Every scenario file comes true on the real bot, with a small quick fleet, and without the page."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox.controls import Controls
from sandbox.fleet import Pace
from sandbox.scenarios import Player, Scenario, catalog
from sandbox.world import SandboxWorld
from tests.scenario.people import ONE_LOOP
from tests.scenario.program import running

pytestmark = ONE_LOOP
LIVELY = Pace(poll_s=1.0, telemetry_s=2.0, install_s=(1.0, 2.0), before_reboot_s=(1.0, 1.5), reboot_s=(0.2, 0.8))
"""Quick, but no quicker than the bot looks at devices."""
AT_ONCE = 3
"""They mostly wait, each in a world of its own."""
Plays = dict[str, asyncio.Task[list[str]]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plays(request: pytest.FixtureRequest) -> AsyncIterator[Plays]:
    """The scenarios whose tests were asked for, a few at a time."""
    turns = asyncio.Semaphore(AT_ONCE)
    asked = [item.callspec.params["scenario"] for item in request.session.items if item.path == request.path]  # type: ignore[attr-defined]

    async def in_turn(scenario: Scenario) -> list[str]:
        async with turns:
            return await play(scenario)

    tasks = {scenario.name: asyncio.create_task(in_turn(scenario)) for scenario in asked}
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


async def play(scenario: Scenario) -> list[str]:
    """What did not come true."""
    directory = Path(tempfile.mkdtemp(prefix="cdm-"))
    quick = {"pace": LIVELY, "thingsboard_pace": 0.2, "slack_rate": 20.0}
    try:
        async with SandboxWorld(directory, devices=scenario.devices, **quick) as world, running(world):  # type: ignore[arg-type]
            player = Player(world, Controls(world), scenario, print)
            await player.play()
            assert player.finished
            return player.failures
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.mark.parametrize("scenario", catalog(), ids=lambda scenario: scenario.name)
async def test_every_promise_of_the_scenario_is_kept(scenario: Scenario, plays: Plays) -> None:
    assert await plays[scenario.name] == []
