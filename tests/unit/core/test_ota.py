"""The device's own word on why its update failed, out of all that was said about it."""

from __future__ import annotations

from datetime import UTC, datetime

from core.ota import last_error
from core.rollouts.release import ActionWord

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def words(*newest_first: tuple[str, ...]) -> list[ActionWord]:
    return [ActionWord(NOW, "running", messages, None) for messages in newest_first]


def test_the_cause_stands_before_the_general_last_word() -> None:
    said = words(("Failed to install software bundle.",), ("idle",), ("LastError: no slot is writable",), ("60% done",))
    assert last_error(said) == "no slot is writable"


def test_the_last_of_several_counts_and_an_empty_one_says_nothing() -> None:
    said = words(("LastError: ",), ("LastError: first", "LastError: second"), ("LastError: older",))
    assert last_error(said) == "second"


def test_without_such_a_line_there_is_none() -> None:
    assert last_error(words(("Software bundle installed successfully.",))) == ""
    assert last_error([]) == ""
