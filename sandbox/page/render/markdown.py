"""The `markdown` block: a subset of standard Markdown, without HTML. What it does not know stays text.

Slack's mentions, dates and entities are live in it as they are in mrkdwn.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import groupby

from sandbox.page.render import live
from sandbox.page.render.emoji import SHORTCODE, emoji, with_emoji
from sandbox.page.render.given import DEEPEST, Names
from sandbox.page.render.html import BREAK, Html, join, tag, text
from sandbox.page.render.marks import Mark, formatted
from sandbox.page.render.mrkdwn import code_block
from sandbox.page.render.table import grid

TAGS = {
    "*": ("em",), "_": ("em",), "**": ("strong",), "__": ("strong",),
    "***": ("strong", "em"), "___": ("strong", "em"), "~": ("del",), "~~": ("del",),
}  # fmt: skip

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r" {0,3}(#{1,6}) +(.*)$")
_RULE = re.compile(r" {0,3}([-*_])(?: *\1){2,} *$")
_QUOTE = re.compile(r" {0,3}(?:>|&gt;) ?")
_ITEM = re.compile(r"( *)([-*+]|\d{1,9}[.)]) +(?=\S)")
_TASK = re.compile(r"\[([ xX])\] ")
_DASHES = re.compile(r":?-+:?")
_INLINE = re.compile(
    rf"(?P<code>(?<!`)(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`))|\\(?P<literal>[!-/:-@\[-`{{-~])|(?P<control>{live.CONTROL})"
    rf"|(?P<entity>{live.ENTITY})|(?P<emoji>{SHORTCODE})|!?\[(?P<label>[^\[\]\n]*)\]\((?P<url>[^\s()<>]*)\)"
    rf"|(?P<address>{live.ADDRESS})|(?P<mark>\*+|_+|~+)|(?P<line>\n)|(?P<plain>[^`\\<&:!\[h*_~\n]+|.)"
)


def markdown_html(value: str, names: Names) -> Html:
    return join(_blocks(value.replace("\r\n", "\n").expandtabs(4).split("\n"), names, 0))


def _blocks(rows: list[str], names: Names, depth: int) -> Iterator[Html]:
    """The blocks of these lines one after the other; each takes its lines off the front."""
    at = 0
    while at < len(rows):
        row = rows[at]
        if not row.strip():
            at += 1
        elif fence := _FENCE.match(row):
            body = _until_fence(rows[at + 1 :], fence[1])
            yield code_block(live.resolve("\n".join(body)))
            at += len(body) + 2
        elif heading := _HEADING.match(row):
            shown = re.sub(r" #+$", "", heading[2].rstrip())
            yield tag("p", {"class": f"bk-md-heading bk-md-{len(heading[1])}"}, _inline(shown, names))
            at += 1
        elif _RULE.match(row):
            yield tag("hr", {"class": "bk-divider"})
            at += 1
        elif _QUOTE.match(row):
            count = _run(rows, at, lambda one: _QUOTE.match(one) is not None)
            inner = [_QUOTE.sub("", one, count=1) for one in rows[at : at + count]]
            yield tag("blockquote", {"class": "bk-quote"}, *_nested(inner, names, depth))
            at += count
        elif _ITEM.match(row):
            count = _run(rows, at, lambda one: not one.strip() or one.startswith(" ") or _ITEM.match(one) is not None)
            yield from _lists(rows[at : at + count], names, depth)
            at += count
        elif "|" in row and at + 1 < len(rows) and all(_DASHES.fullmatch(cell) for cell in _cells(rows[at + 1])):
            count = _run(rows, at, lambda one: "|" in one)
            yield _table(rows[at : at + count], names)
            at += count
        else:
            count = _run(rows, at, lambda one: not _starts_block(one))
            yield tag("p", {"class": "bk-text"}, _inline("\n".join(rows[at : at + count]), names))
            at += count


def _run(rows: list[str], at: int, belongs: Callable[[str], bool]) -> int:
    """How many lines from `at` on belong together; the first one does."""
    count = 1
    while at + count < len(rows) and belongs(rows[at + count]):
        count += 1
    return count


def _until_fence(rows: list[str], fence: str) -> list[str]:
    closing = re.compile(rf" {{0,3}}{re.escape(fence)}[`~]*[ \t]*$")
    return rows[: next((index for index, row in enumerate(rows) if closing.match(row)), len(rows))]


def _starts_block(row: str) -> bool:
    return not row.strip() or any(one.match(row) for one in (_FENCE, _HEADING, _RULE, _QUOTE, _ITEM))


def _nested(rows: list[str], names: Names, depth: int) -> Iterator[Html]:
    if depth < DEEPEST:
        yield from _blocks(rows, names, depth + 1)
    else:
        yield text("\n".join(rows))


def _lists(rows: list[str], names: Names, depth: int) -> Iterator[Html]:
    """A line that is indented further than its item's sign belongs to that item."""
    items: list[tuple[str, list[str]]] = []
    margin = len(rows[0]) - len(rows[0].lstrip(" "))
    for row in rows:
        found = _ITEM.match(row)
        if found and len(found[1]) < margin + 2:
            items.append((found[2], [row[found.end() :]]))
        else:
            items[-1][1].append(_dedented(row, margin + 2))
    for bullets, group in groupby(items, key=lambda item: item[0] in "-*+"):
        listed = list(group)
        shown = [tag("li", None, *_item(lines, names, depth)) for _, lines in listed]
        if bullets:
            yield tag("ul", {"class": "bk-list"}, *shown)
        else:
            yield tag("ol", {"class": "bk-list", "start": int(listed[0][0][:-1])}, *shown)


def _dedented(row: str, width: int) -> str:
    return row[min(width, len(row) - len(row.lstrip(" "))) :]


def _item(rows: list[str], names: Names, depth: int) -> Iterator[Html]:
    count = _run(rows, 0, lambda one: not _starts_block(one))
    said = "\n".join(rows[:count])
    if task := _TASK.match(said):
        yield text("☐ " if task[1] == " " else "☑ ")
        said = said[task.end() :]
    yield _inline(said, names)
    yield from _nested(rows[count:], names, depth)


def _table(rows: list[str], names: Names) -> Html:
    aligns = [_align(cell) for cell in _cells(rows[1])]
    shown = [[_inline(cell, names) for cell in _cells(row)] for row in (rows[0], *rows[2:])]
    return grid(shown, aligns)


def _cells(row: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row.strip().strip("|"))]


def _align(dashes: str) -> str:
    if dashes.endswith(":"):
        return "center" if dashes.startswith(":") else "right"
    return "left"


def _inline(value: str, names: Names) -> Html:
    return formatted(_pieces(value, names), TAGS, nests=True)


def _pieces(value: str, names: Names) -> Iterator[Html | Mark]:
    for found in _INLINE.finditer(value):
        piece = found[0]
        match found.lastgroup:
            case "code":
                yield tag("code", {"class": "bk-code"}, live.resolve(piece.strip("`")))
            case "literal":
                yield text(found["literal"])
            case "control":
                yield live.control(piece, names)
            case "emoji":
                yield emoji(piece[1:-1])
            case "url":  # a picture is a link too: the page fetches nothing from outside
                url = live.resolve(found["url"])
                yield live.link(url, *with_emoji(live.resolve(found["label"]) or url))
            case "address":
                url = live.resolve(piece)
                yield live.link(url, url)
            case "mark":
                yield _mark(value, found.start(), found.end())
            case "line":
                yield BREAK
            case _:
                yield text(live.resolve(piece))


def _mark(value: str, start: int, end: int) -> Html | Mark:
    """Whether the signs stand at the beginning or the end of what they format; `_` formats nothing inside a word."""
    sign, before, after = value[start:end], value[start - 1 : start], value[end : end + 1]
    if sign not in TAGS:
        return text(sign)
    inside = sign[0] == "_"
    opens = bool(after.strip()) and not (inside and before.isalnum())
    return Mark(sign, opens, bool(before.strip()) and not (inside and after.isalnum()))
