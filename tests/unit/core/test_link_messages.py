"""The list of links, however long and whatever the names in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from core.access import Link, Proof
from core.ids import SlackUser, Subject
from core.messages.links import SHOWN_LINKS, LinkLine, linked_message, links_message
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


def test_each_link_says_how_it_was_proven() -> None:
    by_address, by_code = lines(2, "bob")
    told = str(links_message([by_address, replace(by_code, link=replace(by_code.link, proof=Proof.CODE))], 0).blocks)
    assert told.count("by the same e-mail address") == 1
    assert told.count("by a code typed in Slack") == 1


def test_who_typed_the_code_is_told_the_account_and_what_to_do_if_it_is_another() -> None:
    message = linked_message(replace(lines(1, "<!here>")[0].link, email="*x*@evil.example"))
    assert_fits(message)
    assert "<!here>" not in message.text
    assert "type `/cdm unlink` and tell an administrator" in message.text


def test_no_links_are_no_error() -> None:
    message = links_message([], 0)
    assert_fits(message)
    assert "0 links" in message.text
