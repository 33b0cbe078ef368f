"""Every recorded answer of the real server against the stand-in's answer to the same situation."""

from __future__ import annotations

import pytest

from integrations.hawkbit.models import ActionRow, ArtifactRow, AssignmentRow, MadeSets, Page, StatusRow
from tests.contract.hawkbit import scenarios_devices, scenarios_refusals, scenarios_rollouts
from tests.contract.hawkbit.recordings import (
    NOT_REPRODUCED,
    SCENARIOS,
    names,
    recorded,
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


@pytest.mark.parametrize(
    ("name", "last"),
    [("rauc_updater_action_status_failure", "error"), ("rauc_updater_action_status_success", "finished")],
)
async def test_the_words_of_a_real_updater_are_read_with_the_cause_before_the_end(name: str, last: str) -> None:
    words = [row.word() for row in Page[StatusRow].model_validate(recorded(name)["body"]).content]
    ends = [word for word in words if word.kind == last]
    assert ends[0].messages[0].startswith("Software bundle" if last == "finished" else "Failed to install")
    causes = [text for word in words for text in word.messages if "LastError" in text]
    assert any(text.split("LastError:")[1].strip() for text in causes) is (last == "error")


async def test_what_the_real_server_answered_is_read_as_it_meant_it() -> None:
    artifact = ArtifactRow.model_validate(recorded("artifact_created")["body"]).facts()
    assert (artifact.filename, artifact.size, len(artifact.sha256)) == ("edge-1.0.0.raucb", 4101, 64)
    (made,) = MadeSets.model_validate(recorded("distributionset_created_201")["body"]).root
    assert (str(made.facts()), made.locked, [one.name for one in made.modules]) == ("edge:1.0.0", False, ["edge-os"])
    assert AssignmentRow.model_validate(recorded("ds_assignedTargets_200")["body"]).assigned == 2
    asked = ActionRow.model_validate(recorded("action_canceling")["body"])
    assert (asked.over, asked.open_action().forced, asked.open_action().set_name) == (False, True, "edge:2.0.0")
    quit_ = ActionRow.model_validate(recorded("f1_action_force_quitted")["body"])
    assert (quit_.over, quit_.open_action().forced) == (True, False)
