"""What all messages keep to, whatever they are about: docs/messages.md, held to the code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from core.incidents import Phase
from core.messages.blocks import Message
from core.messages.incident import incident_message
from core.messages.rollout import rollout_message
from core.messages.run import RunState, run_message
from core.messages.states import (
    APPROVALS,
    DEVICES,
    HAWKBIT,
    MOODS,
    NOTICES,
    PHASES,
    RUNS,
    SEVERITIES,
    VERDICTS,
    Colour,
    Look,
)
from core.rollouts.views import Mood
from tests.unit.core import message_samples as samples
from tests.unit.core.message_samples import SAMPLES, as_text, notification
from tests.unit.core.test_messages import assert_fits

DOC = (Path(__file__).parents[3] / "docs" / "messages.md").read_text()
TABLES: Mapping[str, Mapping[Any, Look]] = {
    "severity": SEVERITIES,
    "incident": PHASES,
    "rollout": MOODS,
    "hawkBit": HAWKBIT,
    "run": RUNS,
    "approval": APPROVALS,
    "verdict": VERDICTS,
    "device": DEVICES,
    "notice": NOTICES,
}
DANGEROUS = {"redeploy", "stop", "start", "promote", "resume", "approve"}


def elements(message: Message) -> Iterator[Mapping[str, Any]]:
    return (part for block in message.blocks if block["type"] == "actions" for part in block["elements"])


def every_message() -> Iterator[tuple[str, Message]]:
    """The samples, and every combination of buttons a rollout may have in any state."""
    yield from SAMPLES.items()
    for mood in Mood:
        for flags in range(64):
            given: dict[str, Any] = {
                name: bool(flags >> bit & 1) for bit, name in enumerate(("promote", "resume", "pause", "hold"))
            }
            if given["promote"] + given["resume"] + given["pause"] > 1:
                continue  # `progress` permits at most one of them
            can: dict[str, Any] = {f"can_{name}": value for name, value in given.items()}
            view = replace(samples.PROGRESS, mood=mood, can_unhold=not given["hold"], can_stop=bool(flags >> 5), **can)
            yield f"{mood} {flags}", rollout_message(view)


# the table of states


def test_the_table_of_states_in_the_docs_is_the_one_in_the_code() -> None:
    rows = re.findall(r"^\| (\w+) \| ([^|]+) \| (\S+) \| (\w+) \| ([^|]+) \|", DOC, re.MULTILINE)
    written = {(family, name.strip(), icon, colour, word.strip()) for family, name, icon, colour, word in rows}
    table = {
        (family, _name(state), look.icon, look.colour.value, look.word)
        for family, looks in TABLES.items()
        for state, look in looks.items()
    }
    assert written - {("family", "state", "icon", "colour", "text")} == table


def _name(state: Enum) -> str:
    return state.name.lower().replace("_", " ")


def test_every_state_has_a_look_but_an_open_incident_which_shows_its_severity() -> None:
    for looks in TABLES.values():
        kind: Any = type(next(iter(looks)))
        assert set(kind) - set(looks) == ({Phase.OPEN} if looks is PHASES else set())


def test_no_two_states_of_a_family_read_alike_and_each_begins_in_capitals() -> None:
    for looks in TABLES.values():
        words = [look.word for look in looks.values()]
        assert len(set(words)) == len(words)
        assert all(word.split()[0].rstrip(":,").isupper() for word in words)


def test_an_icon_means_one_colour_everywhere() -> None:
    meant = {(look.icon, look.colour) for looks in TABLES.values() for look in looks.values()}
    assert len({icon for icon, _ in meant}) == len(meant)
    assert {colour for _, colour in meant} == set(Colour)


# what every message keeps to


def test_a_message_begins_with_its_state() -> None:
    looks = [str(look) for table in TABLES.values() for look in table.values()]
    for name, message in SAMPLES.items():
        if not name.endswith("-list"):
            assert any(message.text.startswith(f"{look} · ") for look in looks), name


def test_the_text_of_a_message_begins_as_its_blocks_do() -> None:
    for name, message in every_message():
        assert message.text.startswith(message.blocks[0]["text"]["text"]), name


def test_no_message_is_a_wall_of_buttons() -> None:
    for name, message in every_message():
        shown = list(elements(message))
        assert sum(part["type"] == "button" for part in shown) <= 4, name
        assert sum(part.get("style") == "primary" for part in shown) <= 1, name
        assert len({part["action_id"] for part in shown}) == len(shown), name
        assert_fits(message)


def test_what_cannot_be_taken_back_is_asked_about_and_said_to_be_final() -> None:
    asked = set()
    for name, message in every_message():
        for part in elements(message):
            if part["type"] == "button" and part["action_id"] in DANGEROUS:
                question = part["confirm"]["text"]["text"]
                assert re.search(r"cannot be (taken back|called back|resumed)", question), name
                assert re.search(r"\d+ devices?", question), name
                asked.add(part["action_id"])
            assert "style" not in part or part["style"] != "danger" or "confirm" in part, name
    assert asked == DANGEROUS


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        ("incident-single", ("CRITICAL", "OTA Failure", "a-gw-007", "10:02", "customer-a")),
        ("incident-many", ("CRITICAL", "OTA Failure", "44 devices", "41 devices failing", "customer-a")),
        ("incident-acknowledged", ("ACKNOWLEDGED", "OTA Failure", "a-gw-007", "10:02", "customer-a")),
        ("incident-cleared", ("CLEARED", "OTA Failure", "a-gw-007", "10:04", "customer-a")),
        ("rollout", ("READY to promote", "release-1.1.0", "eu1", "24 of 25 verified")),
        ("rollout-failed", ("FAILED", "release-1.1.0", "eu1", "3 errors, 2 refuted")),
        ("rollout-done", ("DONE", "release-1.1.0", "eu1", "150 of 150 verified")),
        ("rollout-reboot", ("WAITING", "release-1.1.0", "eu1", "21 of 25 verified")),
        ("reboot", ("FAILED", "Reboot 4 devices", "release-1.1.0", "3 back")),
        ("why", ("PASS", "release-1.1.0", "eu1", "group 2 may start")),
        ("why-waits", ("HOLD", "release-1.1.0", "eu1", "group 2 waits")),
        ("run", ("DONE", "RAUC slots", "a-gw-007", "slot A")),
        ("device", ("OFFLINE", "a-gw-007", "1 active alarm")),
        ("unexpected", ("UNEXPECTED", "release-1.1.0", "eu1", "group 3")),
        ("approval", ("APPROVAL WANTED", "Stop", "release-1.1.0", "eu1", "0 of 1 agreed", "475 devices")),
        ("approval-done", ("DONE", "Stop", "release-1.1.0", "eu1", "1 of 1 agreed", "alice")),
        ("approval-denied", ("DENIED", "Stop", "release-1.1.0", "eu1")),
        ("glass-told", ("BREAK GLASS", "Stop", "release-1.1.0", "eu1", "alice alone")),
        ("away", ("AWAY", "ThingsBoard", "customer-a", "eu1", "10:00")),
        ("keycloak-away", ("AWAY", "Keycloak", "cdm", "who may do what", "10:00")),
        ("keycloak-back", ("BACK", "Keycloak", "cdm", "09:53", "10:05")),
    ],
)
def test_a_notification_tells_state_what_where_and_number_in_its_first_hundred_characters(
    sample: str, words: tuple[str, ...]
) -> None:
    shown = notification(SAMPLES[sample])[:100]
    assert [word for word in words if word not in shown] == []


def test_no_message_leans_on_emoji_names() -> None:
    for name, message in every_message():
        assert not re.search(r":[a-z_]+:", as_text(message)), name


def test_times_are_absolute_first_and_relative_after() -> None:
    for name, message in every_message():
        for found in re.finditer(r"<!date\^(\d+)\^\{ago\}", message.text):
            before = message.text[: found.start()]
            assert before.rstrip("*").endswith(" ("), name
            assert f"<!date^{found[1]}^{{date_short_pretty}} {{time}}" in before, name


@pytest.mark.parametrize("phase", [samples.KNOWN_MANY, samples.OVER_MANY], ids=["acknowledged", "over"])
def test_a_group_in_hand_or_over_offers_no_primary_action(phase: Any) -> None:
    shown = list(elements(incident_message(phase, {})))
    assert [part for part in shown if part.get("style") == "primary"] == []


def test_a_run_says_how_it_ended_in_each_state() -> None:
    for state in RunState:
        assert run_message(replace(samples.RUN, state=state)).text.startswith(f"{RUNS[state]} · *RAUC slots*")


# the mock-ups


@pytest.mark.parametrize("name", SAMPLES)
def test_the_mock_up_in_the_docs_is_what_is_sent(name: str) -> None:
    drawn = re.search(rf"^````text mock={name}\n(.*?)\n````$", DOC, re.MULTILINE | re.DOTALL)
    assert drawn is not None, f"docs/messages.md has no mock-up {name!r}"
    assert drawn[1] == as_text(SAMPLES[name])


def test_there_is_no_mock_up_of_a_message_that_is_not_sent() -> None:
    assert set(re.findall(r"^````text mock=(\S+)$", DOC, re.MULTILINE)) == set(SAMPLES)
