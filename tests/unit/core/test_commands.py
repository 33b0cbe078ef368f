"""What people type, half-type and mistype after /cdm."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.commands import FORMS, Command, NotUnderstood, parse


@pytest.mark.parametrize(
    ("typed", "understood"),
    [
        ("", Command("help")),
        ("  help ", Command("help")),
        ("rollout status", Command("rollout status")),
        ("Rollout  STATUS  release-1.1.0", Command("rollout status", ("release-1.1.0",))),
        ("alarms customer-a", Command("alarms", ("customer-a",))),
        ("run", Command("run")),
        ("run journal", Command("run", ("journal",))),
        ("run journal gw-001", Command("run", ("journal", "gw-001"))),
        ("run journal gw-001 lines=20 unit=wg-quick@wg0", Command("run", ("journal", "gw-001"))),
        ("link", Command("link")),
    ],
)
def test_a_command_is_understood(typed: str, understood: Command) -> None:
    assert parse(typed) == understood or (
        isinstance(parse(typed), Command) and parse(typed).name == understood.name and parse(typed).options
    )


def test_options_of_a_run_are_kept() -> None:
    command = parse("run journal gw-001 lines=20 unit=a=b")
    assert isinstance(command, Command)
    assert command.options == {"lines": "20", "unit": "a=b"}


@pytest.mark.parametrize(
    ("typed", "nearest"),
    [
        ("rollot status", "/cdm rollout status [name]"),
        ("statsu", "/cdm rollout status [name]"),
        ("promote rel", "/cdm rollout promote <name>"),
        ("rollout", "/cdm rollout list"),
        ("rollout prmote x", "/cdm rollout promote <name>"),
        ("device", "/cdm device <id>"),
        ("run journal gw 20", "/cdm run [runbook] [device] [name=value…]"),
        ("whoami now", "/cdm whoami"),
        ("xyzzy", "/cdm help"),
    ],
)
def test_what_is_not_understood_is_answered_with_the_nearest_command(typed: str, nearest: str) -> None:
    answer = parse(typed)
    assert isinstance(answer, NotUnderstood)
    assert nearest in answer.nearest


@given(st.text(max_size=200))
def test_anything_typed_gets_an_answer(typed: str) -> None:
    answer = parse(typed)
    if isinstance(answer, Command):
        assert answer.name in {f.name for f in FORMS}
    else:
        assert answer.problem
        assert answer.nearest
