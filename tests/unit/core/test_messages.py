"""P5 for what is shown: foreign text is only text. And every message fits Slack."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from slack_sdk.models.blocks import Block as VendorBlock

from core.messages.blocks import (
    BUDGET,
    TEXT_LIMIT,
    Button,
    Confirm,
    Message,
    actions,
    annotate,
    code,
    compose,
    context,
    divider,
    fields,
    header,
    section,
    shorter,
    text_only,
)
from core.messages.text import ago, at, clean, escape, link, literal, mention, mono, plain, preformatted, shorten, size

NIGHT = datetime(2026, 11, 24, 3, 4, 5, tzinfo=UTC)


def shown_texts(message: Message) -> list[str]:
    found: list[str] = []

    def walk(value: object) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                if key == "text" and isinstance(inner, str):
                    found.append(inner)
                walk(inner)
        elif isinstance(value, list | tuple):
            for inner in value:
                walk(inner)

    walk(message.blocks)
    return found


def assert_fits(message: Message) -> None:
    assert 0 < size(message.text) <= TEXT_LIMIT
    assert len(message.blocks) <= 50
    assert sum(size(text) for text in shown_texts(message)) <= BUDGET
    for block in message.blocks:
        parsed = VendorBlock.parse(block)
        assert parsed is not None
        parsed.validate_json()
        for element in (inner for outer in block.get("elements", []) for inner in outer.get("options", [outer])):
            assert size(element["text"] if isinstance(element["text"], str) else element["text"]["text"]) <= 3000
        for field in block.get("fields", []):
            assert size(field["text"]) <= 2000
        if block["type"] == "actions":
            names = [element["action_id"] for element in block["elements"]]
            assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "evil",
    ["<!channel>", "<!here|x>", "<@U012AB3CD>", "<https://evil.example|Approve>", "<!subteam^S1>", "<#C1>", "a & <b>"],
)
def test_foreign_text_cannot_write_anything_live(evil: str) -> None:
    for shown in (literal(evil, 200), mono(evil, 200), preformatted(evil, 200)):
        assert "<" not in shown
        assert ">" not in shown
        assert not re.search(r"&(?!amp;|lt;|gt;)", shown)


def test_foreign_text_formats_nothing_and_forges_no_emoji_quote_or_second_line() -> None:
    assert not set("*~`") & set(literal("*bold* ~gone~ `code` ```block```", 200))
    assert "_" not in literal("_slanted_", 200)
    assert ":white_check_mark:" not in literal("rollout :white_check_mark: done", 200)
    assert not literal("> approved by the boss", 200).startswith("&gt;")
    assert "\n" not in literal("ok\r\n*Approved*\u2028x", 200)


def test_foreign_addresses_are_not_made_links_by_slack() -> None:
    assert "https://evil" not in literal("see https://evil.example/x", 200)
    assert "evil.example" not in literal("see evil.example/x", 200)
    message = compose("t", section(literal("https://evil.example", 200)))
    assert message.blocks[0]["text"]["verbatim"] is True


def test_names_numbers_and_placeholders_stay_as_they_are() -> None:
    for text in ("edge_device_0017", "${deviceName}", "12:34:56", "v1.2.3", "37.5 %", "naïve 温度 ✅"):
        assert literal(text, 200) == text
    assert mono("00:1b:ab:cd_*", 50) == "`00:1b:ab:cd_*`"


def test_control_characters_colours_and_direction_marks_are_removed() -> None:
    assert clean("\x1b[31mred\x1b[0m\x00\x07 \u202egnp.exe\u202c \x1b]0;title\x07end") == "red gnp.exe end"
    assert clean("a\tb\r\nc\rd") == "a    b\nc\nd"
    assert clean("\ud800x") == "\ufffdx"
    assert plain(" two\nlines ", 20) == "two lines"


def test_long_text_is_shortened_without_cutting_what_is_escaped() -> None:
    for limit in range(5, 60):
        cut = literal("&" * 10_000, limit)
        assert size(cut) <= limit
        assert re.fullmatch(r"(&amp;)*…", cut)
        emoji = literal("🔥" * 5_000, limit)
        assert size(emoji) <= limit
        assert emoji.encode("utf-8")


def test_a_cut_code_block_or_span_is_closed_again() -> None:
    block = shorten("```\n" + "x" * 100 + "\n```", 40)
    assert block.endswith("…\n```")
    assert size(block) <= 40
    span = shorten("device " + mono("*" * 100, 80), 40)
    assert span.count("`") == 2
    assert size(span) <= 40
    assert shorten("see <https://a.example|a long label>", 20) == "see…"


def test_times_are_absolute_and_readable_without_slack() -> None:
    assert at(NIGHT) == "<!date^1795489445^{date_short_pretty} {time}|2026-11-24 03:04 UTC>"
    assert ago(NIGHT) == "<!date^1795489445^{ago}|2026-11-24 03:04 UTC>"


def test_mentions_and_links_are_made_only_from_what_is_one() -> None:
    assert mention("U012AB3CD") == "<@U012AB3CD>"
    assert mention("U1><!channel") == "U1&gt;&lt;!channel"
    assert link("https://tb.example/a?b=1&c=2", "Device *x*") == "<https://tb.example/a?b=1&amp;c=2|Device ∗x∗>"
    assert link("javascript:alert(1)", "Device") == "Device"
    assert link("https://a.example/><!channel>", "Device") == "Device"
    assert escape("<&>") == "&lt;&amp;&gt;"


def test_no_text_calls_a_whole_channel_whoever_wrote_it() -> None:
    message = compose("<!channel> alarm", section("<!here> look"), context("<!everyone|all>"))
    assert not re.search("<!(channel|here|everyone)", message.text + "".join(shown_texts(message)))


def test_the_text_says_everything_the_blocks_say() -> None:
    message = compose(
        "OTA Failure on `dev-1`",
        header("OTA Failure"),
        section("OTA Failure on `dev-1`", accessory=Button("open", "Open")),
        fields(("Severity", "critical"), ("State", "")),
        context("since 03:04"),
        code("line 1\nline <2>"),
        actions(Button("acknowledge", "Acknowledge", "inc-1")),
    )
    first, *rest = message.text.split("\n")
    assert first == "OTA Failure on `dev-1`"
    assert rest == ["*Severity*", "critical", "*State*", "-", "since 03:04", "```", "line 1", "line &lt;2&gt;", "```"]
    assert_fits(message)
    assert compose("", section("only blocks")).text == "only blocks"
    assert compose("").text == "(no text)"


def test_too_much_is_shortened_and_the_buttons_stay() -> None:
    confirm = Confirm("Sure?", "This starts 125 devices. " * 2)
    message = compose(
        "t" * 10_000,
        header("h" * 500),
        *[section(literal("<!channel> *x* \x1b[1m" * 1000, 20_000)) for _ in range(60)],
        fields(*[("label", "v" * 5_000) for _ in range(23)]),
        context(*["c" * 4_000 for _ in range(12)]),
        actions(*[Button(f"a{i}", "label " * 30, "v" * 2_000, "danger", confirm) for i in range(30)]),
        code("log\n" * 20_000),
    )
    assert_fits(message)
    buttons = [e for b in message.blocks if b["type"] == "actions" for e in b["elements"]]
    assert len(buttons) == 30
    assert any("more parts do not fit" in text for text in shown_texts(message))


def test_a_small_text_keeps_its_words_beside_a_large_one() -> None:
    message = compose("t", section("short and important"), *[code("log\n" * 5_000) for _ in range(5)])
    assert message.blocks[0]["text"]["text"] == "short and important"
    assert_fits(message)


def test_a_button_is_left_out_rather_than_acting_on_a_cut_id() -> None:
    row = actions(Button("stop", "Stop", "x" * 2_001), Button("hold", "Hold", "eu1/17"), Button("x", " "))
    assert [b["action_id"] for b in row["elements"]] == ["hold"]


def test_two_buttons_of_one_name_stand_in_rows_of_their_own() -> None:
    message = compose("t", actions(Button("redeploy", "A", "a"), Button("redeploy", "B", "b"), Button("hold", "H")))
    assert [[b["action_id"] for b in block["elements"]] for block in message.blocks] == [
        ["redeploy", "hold"],
        ["redeploy"],
    ]


def test_what_stands_under_more_actions_is_chosen_by_action_and_value() -> None:
    row = actions(
        Button("hold", "Hold", "eu1/17"), more=[Button("clear", "Clear", "i1"), Button("run-form", "Run…", "i1")]
    )
    button, menu = row["elements"]
    assert (button["type"], menu["type"], menu["action_id"]) == ("button", "overflow", "more")
    assert [(o["text"]["text"], o["value"]) for o in menu["options"]] == [
        ("Clear", "clear:i1"),
        ("Run…", "run-form:i1"),
    ]
    assert_fits(compose("t", row))


def test_a_menu_of_one_is_a_button() -> None:
    row = actions(more=[Button("clear", "Clear", "i1")])
    assert [(part["type"], part["value"]) for part in row["elements"]] == [("button", "i1")]


def test_what_fits_no_menu_stays_a_button() -> None:
    ambiguous, long = Button("hold", "Hold", "a:b"), Button("stop", "Stop", "x" * 150)
    more = [ambiguous, *(Button(f"a{n}", "A", "i1") for n in range(6)), long]
    row = actions(more=more)["elements"]
    assert [part["action_id"] for part in row] == ["hold", "a5", "stop", "more"]
    assert len(row[-1]["options"]) == 5


def test_what_is_dangerous_is_asked_about_in_red() -> None:
    confirm = Confirm("Sure?", "It ends.")
    row = actions(Button("stop", "Stop", "1", "danger", confirm), Button("clear", "Clear", "1", None, confirm))
    assert [part["confirm"].get("style") for part in row["elements"]] == ["danger", None]


def test_messages_can_be_annotated_halved_and_bared() -> None:
    message = compose("t" * 5_000, *[section("x" * 3_000) for _ in range(5)], divider())
    noted = annotate(message, "shown 75 s late")
    assert_fits(noted)
    assert noted.text.endswith("\nshown 75 s late")
    assert noted.blocks[-1]["elements"][0]["text"] == "shown 75 s late"
    half = shorter(message)
    assert size(half.text) <= TEXT_LIMIT / 2
    assert sum(map(size, shown_texts(half))) <= BUDGET / 2
    assert text_only(message) == Message(message.text)


def test_the_digest_changes_with_what_is_shown_only() -> None:
    one = compose("t", section("a"))
    assert one.digest == compose("t", section("a")).digest
    assert one.digest != compose("t", section("b")).digest
