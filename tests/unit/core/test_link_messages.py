"""The list of links, however long and whatever the names in it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from core.access import Link
from core.ids import SlackUser, Subject
from core.messages.links import SHOWN_LINKS, LinkLine, links_message
from tests.unit.core.test_messages import assert_fits

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def lines(number: int, name: str) -> list[LinkLine]:
    return [
        LinkLine(SlackUser("T1", f"U{n}"), Link(Subject(f"s{n}"), f"{name}{n}", name, NOW - timedelta(days=n)))
        for n in range(number)
    ]


def test_a_list_longer_than_slack_takes_says_how_many_are_not_shown_and_how_many_were_not_read() -> None:
    message = links_message(lines(SHOWN_LINKS + 5, "<!channel> *" + "x" * 300), 7)
    assert_fits(message)
    assert f"{SHOWN_LINKS + 5} links" in message.text
    assert "5 older ones are not shown" in str(message.blocks)
    assert "7 links were not looked at" in str(message.blocks)
    assert "<!channel>" not in str(message.blocks)


def test_no_links_are_no_error() -> None:
    message = links_message([], 0)
    assert_fits(message)
    assert "0 links" in message.text
