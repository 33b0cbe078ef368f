"""Slack's markup by its rules, each shown on its smallest case."""

from __future__ import annotations

import time

import pytest

from sandbox.page.render import Names, message_html, mrkdwn_html
from tests.unit.sandbox.page.reading import read

NAMES = Names({"U0ALICE1": "alice"}, {"C0ALARMS": "alarms"})


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("*bold*", "<strong>bold</strong>"),
        ("a *b* c", "a <strong>b</strong> c"),
        ("*a _b_*", "<strong>a <em>b</em></strong>"),
        ("_*a*_", "<em><strong>a</strong></em>"),
        ("a*b*c", "a*b*c"),
        ("2 * 3 * 4", "2 * 3 * 4"),
        ("* a*", "* a*"),
        ("*a *", "*a *"),
        ("**a**", "**a**"),
        ("*a\nb*", "*a<br>b*"),
        ("*a _b* c_", "<strong>a _b</strong> c_"),
        ("gw_a_1", "gw_a_1"),
    ],
)
def test_formatting_begins_and_ends_at_word_borders_within_a_line(text: str, html: str) -> None:
    assert mrkdwn_html(text, NAMES) == html


def test_nothing_is_live_in_code() -> None:
    for text in ("`*a* _b_ :x: <@U0ALICE1> https://example.org`", "```*a* _b_ :x: <@U0ALICE1> https://example.org```"):
        reading = read(mrkdwn_html(text, NAMES))
        assert reading.shown.strip() == "*a* _b_ :x: <@U0ALICE1> https://example.org"
        assert {element.name for element in reading.elements} <= {"pre", "code"}


def test_the_three_entities_are_resolved_once_and_no_others() -> None:
    assert read(mrkdwn_html("&lt;&amp;&gt; &amp;lt; &nbsp; &#60;", NAMES)).shown == "<&> &lt; &nbsp; &#60;"
    assert read(mrkdwn_html("`&lt;&amp;gt;`", NAMES)).shown == "<&gt;"


def test_a_line_is_a_quote_whether_its_sign_is_escaped_or_not() -> None:
    for text in ("> a\n> b\nc", "&gt; a\n&gt; b\nc"):
        assert mrkdwn_html(text, NAMES) == '<blockquote class="bk-quote">a<br>b</blockquote>c'
    assert mrkdwn_html("a > b", NAMES) == "a &gt; b"


def test_three_signs_quote_all_that_follows() -> None:
    assert read(mrkdwn_html("a\n>>> b\nc\n> d", NAMES)).one("blockquote").shown == "b\nc\n> d"


def test_a_code_block_keeps_its_lines_and_loses_only_those_of_its_fences() -> None:
    assert read(mrkdwn_html("```\n\n  a\n\n b\n```", NAMES)).one("code").shown == "\n  a\n\n b"


def test_only_web_and_mail_addresses_become_links() -> None:
    live = read(mrkdwn_html("<https://example.org/a?b&amp;c|x> <mailto:a@example.org|y>", NAMES))
    assert [link.attributes["href"] for link in live.all("a")] == ["https://example.org/a?b&c", "mailto:a@example.org"]
    for text in ("<javascript:alert(1)|press>", "<data:text/html,x|press>", "<vbscript:x|press>", "<https:x|press>"):
        reading = read(mrkdwn_html(text, NAMES))
        assert reading.all("a") == []
        assert reading.shown == "press"


def test_a_bare_address_is_a_link_unless_the_text_is_verbatim() -> None:
    reading = read(mrkdwn_html("see https://example.org/a_b_c.", NAMES))
    assert reading.one("a").attributes["href"] == "https://example.org/a_b_c"
    assert reading.shown == "see https://example.org/a_b_c."
    assert read(mrkdwn_html("see https://example.org", NAMES, verbatim=True)).all("a") == []


def test_people_and_channels_are_shown_by_name() -> None:
    reading = read(mrkdwn_html("<@U0ALICE1> <@U0GONE|zed> <#C0ALARMS> <!here> <!subteam^S1|@oncall>", NAMES))
    assert reading.shown == "@alice @zed #alarms @here @oncall"
    assert reading.one("button", data_act="goto").attributes["data-channel"] == "C0ALARMS"


def test_a_time_carries_all_that_the_page_needs_to_show_it_in_the_readers_zone() -> None:
    reading = read(mrkdwn_html("<!date^0^{date_short_pretty} {time}|1970-01-01 00:00 UTC>", NAMES))
    time_element = reading.one("time")
    assert time_element.shown == "1970-01-01 00:00 UTC"
    assert time_element.attributes["data-unix"] == "0"
    assert time_element.attributes["data-format"] == "{date_short_pretty} {time}"
    assert time_element.attributes["datetime"] == "1970-01-01T00:00:00Z"


def test_a_time_beyond_the_calendar_is_its_fallback() -> None:
    assert mrkdwn_html("<!date^999999999999^{time}|far off>", NAMES) == "far off"


def test_an_emoji_has_a_name_for_those_who_do_not_see_it_and_an_unknown_one_stays_text() -> None:
    emoji = read(mrkdwn_html(":red_circle:", NAMES)).one("span", role="img")
    assert (emoji.shown, emoji.attributes["aria-label"]) == ("🔴", "red circle")
    assert mrkdwn_html("12:30:45 :nothing_known:", NAMES) == "12:30:45 :nothing_known:"


def test_blocks_are_shown_instead_of_the_text_and_the_text_where_there_are_none() -> None:
    block = {"type": "section", "text": {"type": "mrkdwn", "text": "*b*"}}
    assert read(message_html("the text", [block], NAMES)).shown.strip() == "b"
    assert read(message_html("the *text*", [], NAMES)).shown.strip() == "the text"


@pytest.mark.parametrize(
    "unit",
    ["*a ", "_a *b ~c ", "`", "```", "<", "<a", "[", "[a](", ":a", "> ", "http://", "**a ", "~~ `` ", "&lt", "- "],
)
def test_text_made_to_be_slow_is_not(unit: str) -> None:
    began = time.process_time()
    text = unit * (40_000 // len(unit))
    read(mrkdwn_html(text, NAMES))
    read(message_html("", [{"type": "markdown", "text": text[:12_000]}], NAMES))
    read(message_html("", [{"type": "markdown", "text": text[:12_000].replace(" ", "\n")}], NAMES))
    assert time.process_time() - began < 4
