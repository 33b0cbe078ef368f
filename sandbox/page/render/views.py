"""What is shown as a whole: a message, a modal, the app's home."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.page.render.blocks import blocks_html
from sandbox.page.render.given import Names, part, parts
from sandbox.page.render.html import Attributes, tag
from sandbox.page.render.mrkdwn import mrkdwn_html
from sandbox.page.render.place import Place
from sandbox.page.render.textobjects import text_plain


def message_html(text: str, blocks: Sequence[Mapping[str, Any]], names: Names) -> str:
    """A message: its blocks if it has any, else its text."""
    if blocks:
        return tag("div", {"class": "bk-blocks"}, blocks_html(blocks, Place(names)))
    return tag("div", {"class": "bk-blocks"}, tag("div", {"class": "bk-text"}, mrkdwn_html(text, names)))


def modal_html(view: Mapping[str, Any], errors: Mapping[str, str], names: Names) -> str:
    """The inside of a dialog: title, form with the blocks, and the buttons that close and submit it.

    `errors` are by block_id, as the app answered the last submission. What closes it has `data-close-view`.
    """
    title = tag("h2", {"class": "bk-modal-title"}, _label(view, "title", "", names))
    closes: Attributes = {"type": "button", "data-close-view": True}
    cross = tag("button", {**closes, "class": "bk-cross", "aria-label": "Close"}, "✕")
    buttons = [
        tag(
            "button",
            {**closes, "class": "bk-button"},
            _label(view, "close", "Cancel" if view.get("submit") else "Close", names),
        )
    ]
    if view.get("submit"):
        disabled = view.get("submit_disabled") is True
        submit: Attributes = {"type": "submit", "class": "bk-button bk-primary", "disabled": disabled}
        buttons.append(tag("button", submit, _label(view, "submit", "Submit", names)))
    inside = blocks_html(parts(view.get("blocks")), Place(names, errors, heading="h3"))
    return tag("header", {"class": "bk-modal-head"}, title, cross) + tag(
        "form",
        {"class": "bk-form"},
        tag("div", {"class": "bk-blocks bk-modal-body"}, inside),
        tag("footer", {"class": "bk-modal-foot"}, *buttons),
    )


def home_html(view: Mapping[str, Any], names: Names) -> str:
    """The app's home tab."""
    inside = blocks_html(parts(view.get("blocks")), Place(names, heading="h3"))
    return tag("div", {"class": "bk-blocks bk-home"}, inside)


def _label(view: Mapping[str, Any], name: str, otherwise: str, names: Names) -> str:
    return text_plain(part(view.get(name)), names) or otherwise
