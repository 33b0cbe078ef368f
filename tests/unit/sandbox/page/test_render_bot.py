"""What the bot really says, as its reader sees it in the page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from core.messages.blocks import Message
from core.messages.incident import unreadable_message
from sandbox.page.render import Names, message_html
from tests.unit.core.message_samples import EU1, NOW, SAMPLES, A
from tests.unit.sandbox.page.reading import Reading, read

NAMES = Names({}, {})
WORDS = ("title", "text", "confirm", "deny")
MESSAGES = {**SAMPLES, "unreadable": unreadable_message(EU1, A, "no JSON", b'{"a": <b>\n`x` *y* &amp; <!channel>', NOW)}


def shown(message: Message) -> Reading:
    return read(message_html(message.text, message.blocks, NAMES))


def parts(message: Message, kind: str) -> Iterator[dict[str, Any]]:
    for block in message.blocks:
        for part in [block.get("accessory"), *block.get("elements", [])]:
            if part and part["type"] == kind:
                yield part


@pytest.mark.parametrize("name", MESSAGES)
def test_no_markup_is_left_for_the_reader_to_decode(name: str) -> None:
    html = message_html(MESSAGES[name].text, MESSAGES[name].blocks, NAMES)
    without_code = re.sub(r"<code.*?</code>", "", html, flags=re.DOTALL)
    assert not re.search(r"[*`]|<!|&amp;[lga]|:[a-z_]+:", read(without_code).shown)


@pytest.mark.parametrize("name", MESSAGES)
def test_every_time_is_one_that_the_page_can_show_in_the_readers_zone(name: str) -> None:
    times = shown(MESSAGES[name]).all("time")
    assert len(times) == json.dumps(MESSAGES[name].blocks).count("<!date^")
    for time in times:
        assert int(time.attributes["data-unix"] or "") > 1_700_000_000
        assert "{" in (time.attributes["data-format"] or "")
        assert time.shown.endswith("UTC")


@pytest.mark.parametrize("name", MESSAGES)
def test_every_button_acts_as_the_bot_meant_it(name: str) -> None:
    reading = shown(MESSAGES[name])
    pressed = reading.all("button", data_act="press")
    buttons = list(parts(MESSAGES[name], "button"))
    assert len(pressed) == len(buttons)
    for element, button in zip(pressed, buttons, strict=True):
        assert element.attributes["data-action"] == button["action_id"]
        assert element.attributes.get("data-value") == button.get("value")
        assert element.shown == button["text"]["text"]
        assert ("bk-danger" in (element.attributes["class"] or "")) == (button.get("style") == "danger")
        asked = json.loads(element.attributes.get("data-confirm") or "{}")
        confirm = button.get("confirm", {})
        assert {name: asked.get(name) for name in WORDS} == {name: confirm.get(name, {}).get("text") for name in WORDS}
        assert asked.get("style", "") == confirm.get("style", "")


@pytest.mark.parametrize("name", MESSAGES)
def test_every_choice_of_a_menu_is_there(name: str) -> None:
    chosen = [(e.attributes["data-value"], e.shown) for e in shown(MESSAGES[name]).all("button", data_act="choose")]
    menus = parts(MESSAGES[name], "overflow")
    assert chosen == [(option["value"], option["text"]["text"]) for menu in menus for option in menu["options"]]


def test_the_samples_have_times_buttons_and_menus() -> None:
    everything = json.dumps([message.blocks for message in MESSAGES.values()])
    for wanted in ("<!date^", '"button"', '"overflow"', '"confirm"', "```"):
        assert wanted in everything


def test_a_rollouts_bar_stays_whole_in_a_code_span() -> None:
    codes = [code.shown for code in shown(SAMPLES["rollout-running"]).all("code")]
    bars = [code for code in codes if re.fullmatch("[█▓▒░]{10}", code)]
    assert len(bars) == 2


def test_foreign_lines_are_shown_as_they_came() -> None:
    (block,) = shown(MESSAGES["unreadable"]).all("pre")
    assert block.shown == "{\"a\": <b>\n'x' *y* &amp; <!channel>"
