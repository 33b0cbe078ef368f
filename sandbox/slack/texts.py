"""Text as Slack stores it, as people read it, and what in it reaches out: pings and links."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

CONTROL = re.compile(r"(<(?:[@#!][^<>]+|(?:https?|mailto|tel|slack):[^<>]+)>)")
PING = re.compile(r"<(!(?:channel|here|everyone)|@[UW][A-Z0-9]+|!subteam\^[A-Z0-9]+)(?:\|[^<>]*)?>")
LINK = re.compile(r"https?://[^\s<>|]+")
NAMED = re.compile(r"(?<!\S)@(channel|here|everyone)\b")


def as_stored(text: str) -> str:
    """`&`, `<` and `>` outside of Slack's own control sequences are escaped, once."""
    pieces = CONTROL.split(text)
    return "".join(piece if index % 2 else _escape(piece) for index, piece in enumerate(pieces))


def _escape(text: str) -> str:
    text = re.sub(r"&(?!(?:amp|lt|gt);)", "&amp;", text)
    return text.replace("<", "&lt;").replace(">", "&gt;")


def as_read(text: str, blocks: list[dict[str, Any]]) -> str:
    """What a person reads: the blocks if there are any, else the text; entities resolved, buttons as `[label]`."""
    lines = [line for block in blocks for line in _lines(block)] if blocks else [text]
    return html.unescape("\n".join(line for line in lines if line))


def _lines(part: dict[str, Any]) -> Iterator[str]:
    kind = part.get("type")
    if kind in ("plain_text", "mrkdwn", "markdown", "raw_text", "text"):
        yield str(part.get("text", ""))
    elif kind == "raw_number":
        yield str(part.get("value", part.get("text", "")))
    elif kind in ("button", "workflow_button"):
        yield f"[{part['text']['text']}]"
    elif kind in ("rich_text_section", "rich_text_preformatted", "rich_text_quote"):
        yield "".join(_leaf(leaf) for leaf in part.get("elements", []))
    elif kind in ("table", "data_table"):
        if part.get("caption"):
            yield str(part["caption"])
        for row in part["rows"]:
            yield " | ".join(" ".join(_lines(cell)) for cell in row)
    else:
        for name in ("title", "subtitle", "label", "text", "body", "fields", "elements", "accessory", "element",
                     "child_blocks", "tasks", "actions", "details", "output", "hint", "placeholder"):  # fmt: skip
            value = part.get(name)
            if isinstance(value, str):
                yield value
            elif isinstance(value, dict):
                yield from _lines(value)
            elif isinstance(value, list):
                for item in value:
                    yield from _lines(item)


def _leaf(leaf: dict[str, Any]) -> str:
    match leaf.get("type"):
        case "user":
            return f"<@{leaf['user_id']}>"
        case "usergroup":
            return f"<!subteam^{leaf['usergroup_id']}>"
        case "broadcast":
            return f"<!{leaf['range']}>"
        case "channel":
            return f"<#{leaf['channel_id']}>"
        case "link":
            return str(leaf.get("text") or leaf["url"])
        case "emoji":
            return f":{leaf['name']}:"
    return html.escape(str(leaf.get("text", "")), quote=False)


def _live(part: object) -> Iterator[str]:
    """Texts in which markup is live: mrkdwn and markdown, and the rich text leaves that stand for a person."""
    if isinstance(part, list):
        for item in part:
            yield from _live(item)
    elif isinstance(part, dict):
        if part.get("type") in ("mrkdwn", "markdown"):
            yield str(part.get("text", ""))
        elif part.get("type") in ("user", "usergroup", "broadcast"):
            yield _leaf(part)
        elif part.get("type") == "link":
            yield str(part.get("url", ""))
        else:
            for value in part.values():
                yield from _live(value)


def pings(text: str, blocks: list[dict[str, Any]], *, names_are_live: bool = False) -> list[str]:
    """Whom a message notifies (`!channel`, `@U…`, `!subteam^S…`); the top-level text pings too beside blocks.

    `names_are_live`: link_names or parse=full, which turn a plain @name into a mention.
    """
    live = [text, *_live(blocks)]
    found = [hit for piece in live for hit in PING.findall(piece)]
    if names_are_live:
        found += [f"!{name}" for piece in live for name in NAMED.findall(piece)]
    return sorted(set(found))


def links(text: str, blocks: list[dict[str, Any]]) -> list[str]:
    """URLs Slack would fetch to unfurl, if the post lets it."""
    return sorted({hit for piece in [text, *_live(blocks)] for hit in LINK.findall(piece)})


def text_size(part: object) -> int:
    """Characters of text anywhere in `part`."""
    if isinstance(part, list):
        return sum(text_size(item) for item in part)
    if isinstance(part, dict):
        own = len(part["text"]) if isinstance(part.get("text"), str) else 0
        return own + sum(text_size(value) for value in part.values() if isinstance(value, dict | list))
    return 0
