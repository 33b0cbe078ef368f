"""Every recorded answer of the real server against the stand-in's answer to the same situation."""

from __future__ import annotations

import pytest

from tests.contract.hawkbit import scenarios_devices, scenarios_refusals, scenarios_rollouts
from tests.contract.hawkbit.recordings import (
    NOT_REPRODUCED,
    SCENARIOS,
    names,
    shape_of_answer,
    shape_of_recording,
)
from tests.contract.hawkbit.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

REGISTERED = (scenarios_devices, scenarios_refusals, scenarios_rollouts)


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_answers_equal_the_recordings(world: World, scenario: str) -> None:
    world.stand_in()
    enact, expected = SCENARIOS[scenario]
    answers = await enact(world)
    assert set(answers) == set(expected)
    for name in expected:
        assert shape_of_answer(answers[name]) == shape_of_recording(name), name


async def test_every_recording_is_reproduced_or_excused() -> None:
    reproduced = [name for _, recordings in SCENARIOS.values() for name in recordings]
    assert len(reproduced) == len(set(reproduced))
    assert set(reproduced) | set(NOT_REPRODUCED) == names()
