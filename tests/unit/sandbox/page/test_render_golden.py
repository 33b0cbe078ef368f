"""Every block, element and input of Block Kit as HTML, compared with files that a person has read.

`pytest tests/unit/sandbox/page --write-golden` writes them anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.page.render import Names, home_html, message_html, modal_html, mrkdwn_html
from sandbox.slack.blocks import check_message_blocks
from sandbox.slack.elements import CONTEXT_ACTIONS, INPUTS, INTERACTIVE
from sandbox.slack.limits import Limits
from sandbox.slack.views import problems_of_view
from tests.unit.sandbox.page.reading import read

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(path.stem for path in GOLDEN.glob("*.json"))
NAMES = Names({"U0ALICE1": "alice", "U0BOB": "bob"}, {"C0ALARMS": "alarms", "C0ROLLOUTS": "rollouts"})
BLOCKS = {
    "section", "header", "divider", "context", "actions", "context_actions", "image", "input", "rich_text", "markdown",
    "table", "data_table", "data_visualization", "card", "carousel", "container", "plan", "task_card", "alert", "video",
    "file",
}  # fmt: skip
"""All that the Slack stand-in takes."""


def given(name: str) -> dict[str, Any]:
    case: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))
    return case


def rendered(case: dict[str, Any]) -> str:
    if "message" in case:
        return message_html(case["message"]["text"], case["message"]["blocks"], NAMES)
    if "modal" in case:
        return modal_html(case["modal"]["view"], case["modal"]["errors"], NAMES)
    if "home" in case:
        return home_html(case["home"], NAMES)
    verbatim = case.get("verbatim", False)
    return "\n\n".join(mrkdwn_html(text, NAMES, verbatim=verbatim) for text in case["mrkdwn"])


def on_lines(html: str) -> str:
    """One element a line, so that a difference can be read."""
    return html.replace("><", ">\n<") + "\n"


@pytest.mark.parametrize("name", CASES)
def test_is_rendered_as_in_its_golden_file(name: str, writes_golden: bool) -> None:
    path, html = GOLDEN / f"{name}.html", on_lines(rendered(given(name)))
    if writes_golden:
        path.write_text(html, "utf-8")
    assert path.read_text("utf-8") == html


@pytest.mark.parametrize("name", CASES)
def test_a_golden_case_is_one_that_slack_would_show(name: str) -> None:
    case, limits = given(name), Limits()
    if "message" in case and case["message"]["blocks"]:
        check_message_blocks(case["message"]["blocks"], limits)
    elif "modal" in case:
        assert problems_of_view(case["modal"]["view"], "modal", limits) == []
    elif "home" in case:
        assert problems_of_view(case["home"], "home", limits) == []


def kinds(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("type"), str):
            yield value["type"]
        for inner in value.values():
            yield from kinds(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from kinds(inner)


def test_the_golden_cases_cover_all_that_the_stand_in_takes() -> None:
    seen = {kind for name in CASES for kind in kinds(given(name))}
    assert seen >= BLOCKS | INTERACTIVE | INPUTS | CONTEXT_ACTIONS


def test_nothing_known_is_shown_as_unknown() -> None:
    for name in CASES:
        shown = read(rendered(given(name))).shown
        assert "[block of type" not in shown
        assert "[element of type" not in shown


def test_an_unknown_block_or_element_is_named_to_the_reader() -> None:
    blocks: list[dict[str, Any]] = [
        {"type": "hologram"},
        {"type": "actions", "elements": [{"type": "lever"}]},
        {"no": "type"},
    ]
    shown = read(message_html("", blocks, NAMES)).shown
    assert "[block of type hologram]" in shown
    assert "[element of type lever]" in shown
    assert "[block of type ]" in shown
