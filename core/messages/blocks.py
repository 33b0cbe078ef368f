"""Blocks and whole messages that fit Slack's limits by construction: what is too long is shortened, never refused.

Builders take mrkdwn that is already safe (`core.messages.text`), except where they say that they take foreign text.
Limits: Slack's block reference. The sum over a message is undocumented: 9,597 characters were accepted and 11,341
refused as `msg_blocks_too_long` (bolt-js 2509), so 9,000 is the budget here.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from core.messages.text import clean, escape, plain, preformatted, shorten, size

Block: TypeAlias = dict[str, Any]

TEXT_LIMIT = 4_000  # chat.update refuses more (`msg_too_long`), although chat.postMessage takes 40,000
BLOCKS_LIMIT = 50
BUDGET = 9_000
_SECTION = 3_000
_FIELD, _FIELDS = 2_000, 10
_HEADER = 150
_CONTEXTS = 10
_BUTTONS = 25
_OPTIONS, _OPTION_VALUE = 5, 150
_LABEL, _VALUE, _ACTION_ID = 75, 2_000, 255
_LEAST = 20


@dataclass(frozen=True, slots=True)
class Confirm:
    """The question Slack asks before it sends the click. Plain text."""

    title: str
    text: str
    confirm: str = "Yes"
    deny: str = "Cancel"


@dataclass(frozen=True, slots=True)
class Button:
    """`value` is the id of the thing it acts on. A button whose value does not fit is left out, never cut.

    In a menu, `style` and `confirm` are not shown: what needs them stays a button.
    """

    action_id: str
    label: str
    value: str = ""
    style: Literal["primary", "danger"] | None = None
    confirm: Confirm | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """`text` says everything the blocks say: notifications, search and screen readers see only it."""

    text: str
    blocks: tuple[Block, ...] = ()

    @property
    def digest(self) -> str:
        """Equal exactly where Slack would show the same."""
        raw = json.dumps([self.text, self.blocks], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(raw.encode()).hexdigest()[:32]


def header(text: str) -> Block:
    """A large line of plain text (foreign text may stand in it)."""
    return {"type": "header", "text": _plain(text, _HEADER)}


def section(text: str, accessory: Button | None = None) -> Block:
    block: Block = {"type": "section", "text": _mrkdwn(text)}
    if accessory is not None and _fits(accessory):
        block["accessory"] = _button(accessory)
    return block


def fields(*pairs: tuple[str, str]) -> Block:
    """Label and value, two columns. More than ten become several blocks in `compose`."""
    return {"type": "section", "fields": [_mrkdwn(f"*{label}*\n{value or '-'}") for label, value in pairs]}


def context(*texts: str) -> Block:
    return {"type": "context", "elements": [_mrkdwn(text) for text in texts]}


def actions(*buttons: Button, more: Sequence[Button] = ()) -> Block:
    """Buttons in a row, then `more` of them in the menu "More actions". What fits no menu, or would be alone in it,
    stays a button.

    The menu's action_id is "more", each option's value "<action_id>:<value>"; a value with a colon fits no menu.
    """
    menu = [button for button in more if _fits(button) and _fits_menu(button)][:_OPTIONS]
    if len(menu) == 1:
        menu = []
    row = [_button(button) for button in (*buttons, *more) if _fits(button) and button not in menu]
    if menu:
        row.append({"type": "overflow", "action_id": "more", "options": [_option(button) for button in menu]})
    return {"type": "actions", "elements": row}


def divider() -> Block:
    return {"type": "divider"}


def code(text: str) -> Block:
    """Foreign text of several lines, shown as it is."""
    return section(preformatted(text, _SECTION))


def compose(text: str, *blocks: Block) -> Message:
    """The message: first `text` (mrkdwn, what a notification shows), then what the blocks say beyond it."""
    fitting = _fit(_trim(blocks, _SECTION), BUDGET)
    return Message(_full_text(text, fitting), tuple(fitting))


def annotate(message: Message, note: str) -> Message:
    """The message with one more context line, in blocks and text."""
    blocks = _fit(_trim([*message.blocks, context(note)], _SECTION), BUDGET) if message.blocks else []
    room = TEXT_LIMIT - size(note) - 1
    return Message(f"{shorten(message.text, room)}\n{note}", tuple(blocks))


def shorter(message: Message) -> Message:
    """The same message in about half the room, for a Slack that refused the length."""
    half = BUDGET // 2
    return Message(shorten(message.text, TEXT_LIMIT // 2), tuple(_fit(_trim(message.blocks, _SECTION), half)))


def text_only(message: Message) -> Message:
    """The same message without blocks, for a Slack that refused them."""
    return Message(message.text)


def broadcast_free(text: str) -> str:
    """The bot never calls a whole channel, whoever wrote the text."""
    for name in ("channel", "here", "everyone"):
        text = text.replace(f"<!{name}", f"&lt;!{name}")
    return text


def _plain(text: str, limit: int) -> Block:
    return {"type": "plain_text", "text": plain(text, limit), "emoji": False}


def _mrkdwn(text: str) -> Block:
    # verbatim: addresses, @names and #names in the text stay text
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _button(button: Button) -> Block:
    built: Block = {
        "type": "button",
        "action_id": button.action_id,
        "text": _plain(button.label, _LABEL),
    }
    if button.value:
        built["value"] = button.value
    if button.style:
        built["style"] = button.style
    if button.confirm:
        asked = button.confirm
        built["confirm"] = {
            "title": _plain(asked.title, 100),
            "text": _plain(asked.text, 300),
            "confirm": _plain(asked.confirm, 30),
            "deny": _plain(asked.deny, 30),
        }
        if button.style:
            built["confirm"]["style"] = button.style
    return built


def _option(button: Button) -> Block:
    return {"text": _plain(button.label, _LABEL), "value": f"{button.action_id}:{button.value}"}


def _fits_menu(button: Button) -> bool:
    return ":" not in button.value and size(f"{button.action_id}:{button.value}") <= _OPTION_VALUE


def _fits(button: Button) -> bool:
    asked = (
        (button.confirm.title, button.confirm.text, button.confirm.confirm, button.confirm.deny)
        if button.confirm
        else ()
    )
    return (
        0 < size(button.action_id) <= _ACTION_ID
        and size(button.value) <= _VALUE
        and all(plain(text, 30) for text in (button.label, *asked))
    )


def _trim(blocks: Iterable[Block], cap: int) -> list[Block]:
    """Each block within its own limits and each mrkdwn text within `cap`; empty ones gone, overfull ones split."""
    return [fit for block in blocks for fit in _trim_block(block, cap)]


def _trim_block(block: Block, cap: int) -> Iterator[Block]:
    kind = block["type"]
    if kind == "context":
        for part in _parts(_capped(block["elements"], min(cap, _SECTION)), _CONTEXTS):
            yield {**block, "elements": part}
    elif kind == "actions":
        for part in _button_rows(block["elements"]):
            yield {**block, "elements": part}
    elif "fields" in block:
        for part in _parts(_capped(block["fields"], min(cap, _FIELD)), _FIELDS):
            yield {**block, "fields": part}
    elif kind == "section":
        for text in _capped([block["text"]], min(cap, _SECTION)):
            yield {**block, "text": text}
    elif kind != "header" or block["text"]["text"]:
        yield block


def _capped(texts: Iterable[Block], cap: int) -> list[Block]:
    return [{**t, "text": shorten(broadcast_free(t["text"]), cap)} for t in texts if t["text"].strip()]


def _parts(items: list[Block], count: int) -> Iterator[list[Block]]:
    for at in range(0, len(items), count):
        yield items[at : at + count]


def _button_rows(buttons: Iterable[Block]) -> list[list[Block]]:
    """Rows in which every action_id is the only one of its name, as Slack demands."""
    rows: list[list[Block]] = []
    for button in buttons:
        for row in rows:
            if len(row) < _BUTTONS and all(b["action_id"] != button["action_id"] for b in row):
                row.append(button)
                break
        else:
            rows.append([button])
    return rows


def _fit(blocks: list[Block], budget: int) -> list[Block]:
    """At most 50 blocks, and all their text within `budget`: the longest texts give way first, then the last blocks."""
    # Rows of buttons go last: what one can do is worth more than one more detail.
    going = sorted(range(len(blocks)), key=lambda i: (blocks[i]["type"] == "actions", -i))

    def without(count: int) -> list[Block]:
        gone = set(going[:count])
        kept = [block for i, block in enumerate(blocks) if i not in gone]
        return [*kept, context(f"{count} more parts do not fit.")] if count else kept

    def fits(count: int) -> bool:
        shown = without(count)
        return len(shown) <= BLOCKS_LIMIT and _total(_trim(shown, _LEAST)) <= budget

    shown = without(bisect_left(range(len(blocks)), True, key=fits))
    caps = range(_LEAST, _SECTION + 1)
    first_too_wide = bisect_right(caps, budget, key=lambda cap: _total(_trim(shown, cap)))
    return _trim(shown, caps[max(first_too_wide - 1, 0)])


def _texts(value: Any) -> Iterator[str]:
    """Every text in a block, at any depth."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key == "text" and isinstance(inner, str):
                yield inner
            else:
                yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _total(blocks: list[Block]) -> int:
    return sum(size(text) for text in _texts(blocks))


def _full_text(text: str, blocks: list[Block]) -> str:
    """`text`, then each text of the blocks (buttons aside) that is not in it already."""
    lines = [broadcast_free(text)] if clean(text).strip() else []
    for block in blocks:
        if block["type"] == "actions":
            continue
        shown = {key: value for key, value in block.items() if key != "accessory"}
        said = [escape(t) if block["type"] == "header" else t for t in _texts(shown)]
        lines += [t for t in said if not any(t in line for line in lines)]
    return shorten("\n".join(lines), TEXT_LIMIT) or "(no text)"
