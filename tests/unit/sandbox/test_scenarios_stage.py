"""How a scenario reads what is on screen, and how it tells what was there instead."""

from __future__ import annotations

import pytest

from sandbox.scenarios.acts import shares
from sandbox.scenarios.schema import Group
from sandbox.scenarios.stage import devices_in, nearest, plain, quoted


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("*OTA Failure* on `a-gw-003`", {"a-gw-003"}),
        ("(3): a-gw-[001-002,017], c-gw-009", {"a-gw-001", "a-gw-002", "a-gw-017", "c-gw-009"}),
        ("and 12 more, group 1 of 3", set()),
    ],
)
def test_devices_are_found_by_name_and_where_they_are_folded(text: str, names: set[str]) -> None:
    assert devices_in(text) == names


def test_case_markup_and_line_breaks_do_not_count() -> None:
    assert plain("✅ *DONE*: `edge`\n  finished\u200b") == "✅ done: edge finished"


def test_a_failure_quotes_the_message_that_came_nearest_and_says_what_it_lacks() -> None:
    shown = [("first\nrollout", ["lacks 'a'", "lacks 'b'"]), ("second", ["lacks 'b'"]), ("third", ["lacks 'b'"])]
    assert nearest(shown, "#rollouts") == "#rollouts shows 3 messages, the nearest is 'third': it lacks 'b'"
    assert nearest([], "#rollouts") == "#rollouts shows nothing"


def test_a_long_message_is_quoted_in_one_line_and_cut() -> None:
    assert quoted("a\n\nb") == "'a / b'"
    assert len(quoted("word " * 500)) < 310


def test_groups_are_shares_of_all_devices_but_no_smaller_than_they_must_be() -> None:
    groups = (Group(share=5, at_least=20), Group(share=25), Group(rest=True))
    assert shares(groups, 500) == [5, 25, 70]
    assert shares(groups, 100) == [20, 25, 55]
    assert shares((Group(share=50), Group(rest=True)), 4) == [50, 50]
