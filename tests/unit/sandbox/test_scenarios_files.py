"""A scenario file is checked as a whole before anything is played; each fault names its line and the cure."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from sandbox.scenarios.files import BadScenario, catalog, parse
from sandbox.scenarios.schema import CHECKS, SHAPES, VERBS, Release

MANUAL = (Path(__file__).parents[3] / "docs" / "scenarios.md").read_text()

HEAD = "title: A day\nabout: What happens.\ndevices: 12\n"


def faults(text: str) -> list[str]:
    with pytest.raises(BadScenario) as wrong:
        parse(text, "day.yaml")
    return str(wrong.value).splitlines()


def test_the_scenarios_that_ship_are_these_and_each_checks_something_at_the_end() -> None:
    found = {scenario.name: scenario for scenario in catalog()}
    assert set(found) >= {
        "default-day", "bad-bundle", "alarm-storm", "site-outage", "hawkbit-error-stop", "keycloak-down",
    }  # fmt: skip
    assert all(scenario.at_the_end for scenario in found.values())
    assert {step.verb for scenario in found.values() for step in (*scenario.steps, *scenario.at_the_end)} <= set(VERBS)


def test_a_scenario_is_read_with_the_shapes_of_its_steps() -> None:
    scenario = parse(
        HEAD + "steps:\n  - say: hello\n  - release: {keep: it, name: x, version: 1.1.0, groups: [{rest: true}]}\n"
        "at_the_end:\n  - started: {rollout: it, group: 1, by: pipeline}\n",
        "day.yaml",
    )
    assert (scenario.name, scenario.title, scenario.devices) == ("day", "A day", 12)
    assert [step.verb for step in scenario.steps] == ["say", "release"]
    assert isinstance(scenario.steps[1].body, Release)
    assert scenario.steps[1].line == 6


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ("steps:\n  - dance: now\n", "day.yaml:5: dance: a step has one key, one of: say, control, link"),
        ("steps:\n  - {say: a, link: [bob]}\n", "day.yaml:5: say, link: a step has one key"),
        ("steps:\n  - say: a\n  - link: [zoe]\n", "day.yaml:6: steps.1.link.0: there is no person 'zoe'; there are al"),
        ("steps:\n  - types:\n      who: bob\n", "day.yaml:5: steps.0.types.text: Field required"),
        (
            "steps:\n  - types:\n      who: bob\n      text: hi\n      wher: ops\n",
            "day.yaml:8: steps.0.types.wher: an unknown key",
        ),
        ("steps:\n  - message: {where: ops}\n", "there is no channel 'ops'; there are alarms-a"),
        ("steps:\n  - status: {rollout: it, status: paused}\n", "nothing is kept as 'it' before this step; kept: noth"),
        (
            "steps:\n  - choose: {keep: some, tenant: customer-a, count: 1}\n  - say: hello ${some.boss}\n",
            "day.yaml:6: say: a device has tenant, channel, operator, but no 'boss'",
        ),
        ("steps:\n  - control: break gw ${it} fails\n", "nothing is kept as 'it'"),
        ("steps:\n  - say: a\nat_the_end:\n  - say: b\n", "day.yaml:7: say: at_the_end holds checks alone: message"),
        (
            "steps:\n  - release: {keep: x, name: x, version: 1.1.0, groups: [{rest: true, share: 5}]}\n",
            "a group has a share (and at_least), or rest: true",
        ),
        ("steps: []\n", "day.yaml:4: steps: Tuple should have at least 1 item"),
        ("steps:\n  - say: [\n", "day.yaml:6: "),
    ],
)
def test_a_fault_names_the_line_what_is_wrong_and_what_would_be_right(steps: str, told: str) -> None:
    assert told in faults(HEAD + steps)[0]


def test_all_faults_are_told_at_once() -> None:
    assert len(faults(HEAD + "steps:\n  - dance: now\n  - link: [zoe]\n  - types: {who: bob}\n")) == 3


def test_what_is_no_mapping_is_said_to_need_one() -> None:
    assert "a scenario is a mapping with title" in faults("- say: hello\n")[0]


def test_every_check_is_a_verb() -> None:
    assert set(CHECKS) < set(VERBS)


def test_the_manual_lists_every_verb_with_every_key_and_every_file() -> None:
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", MANUAL, re.MULTILINE))
    assert set(rows) == set(VERBS) | {scenario.name for scenario in catalog()}
    for verb, shape in SHAPES.items():
        if isinstance(shape, type) and issubclass(shape, BaseModel):
            missing = {key for key in shape.model_fields if not re.search(rf"`{key}[`:]", rows[verb])}
            assert missing <= {"within_s", "answer"}, verb


def test_the_example_in_the_manual_is_a_scenario() -> None:
    example = re.search(r"^## A file\n\n((?:    .*\n)+)", MANUAL, re.MULTILINE)
    assert example is not None
    assert parse(re.sub(r"^    ", "", example[1], flags=re.MULTILINE), "example.yaml").devices == 12
