"""Slack's own markup, mrkdwn: `*bold* _italic_ ~strike~`, code, quotes, and what is live between `<` and `>`.

Formatting starts and ends at word borders and within one line; code stops it; lists stay text. A line that starts with
`>` is a quote, also where the sign is escaped, and `>>>` quotes all that follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

from sandbox.page.render import live
from sandbox.page.render.emoji import SHORTCODE, emoji
from sandbox.page.render.given import Names
from sandbox.page.render.html import BREAK, Html, join, tag, text
from sandbox.page.render.marks import Mark, formatted

TAGS = {"*": ("strong",), "_": ("em",), "~": ("del",)}

_FENCE = r"```(?P<code>.+?)```"
_BLOCK = re.compile(rf"{_FENCE}|^(?P<rest>(?:>|&gt;){{3}})", re.DOTALL | re.MULTILINE)
_CODE = re.compile(_FENCE, re.DOTALL)
_QUOTE = re.compile(r"(?:>|&gt;) ?")


def _inline_tokens(address: str) -> re.Pattern[str]:
    return re.compile(
        rf"(?P<code>`[^`\n]+`)|(?P<control>{live.CONTROL})|(?P<entity>{live.ENTITY})|(?P<emoji>{SHORTCODE}){address}"
        r"|(?P<mark>[*_~])|(?P<line>\n)|(?P<plain>[^`<&:h*_~\n]+|.)"
    )


_VERBATIM, _LINKED = _inline_tokens(""), _inline_tokens(f"|(?P<address>{live.ADDRESS})")


def mrkdwn_html(text: str, names: Names, *, verbatim: bool = False) -> Html:
    """Mrkdwn as HTML. `verbatim`: bare addresses stay text."""
    return join(_blocks(text.replace("\r\n", "\n"), names, verbatim))


def code_block(body: str) -> Html:
    """Lines shown as they are, in a box of their own that scrolls."""
    # The browser drops a line feed right after <pre>, as Slack drops the one after the fence.
    return tag("pre", {"class": "bk-pre", "tabindex": "0"}, tag("code", None, body.removeprefix("\n").rstrip("\n")))


def _blocks(value: str, names: Names, verbatim: bool) -> Iterator[Html]:
    rest = next((found for found in _BLOCK.finditer(value) if found["rest"]), None)
    yield from _fenced(value[: rest.start()] if rest else value, names, verbatim, quotes=True)
    if rest:
        said = _fenced(value[rest.end() :].lstrip(" "), names, verbatim, quotes=False)
        yield tag("blockquote", {"class": "bk-quote"}, join(said))


def _fenced(value: str, names: Names, verbatim: bool, *, quotes: bool) -> Iterator[Html]:
    """Lines and the code blocks between them, which begin and end lines of their own."""
    at = 0
    for found in _CODE.finditer(value):
        yield from _lines(value[at : found.start()].removesuffix("\n"), names, verbatim, quotes)
        yield code_block(live.resolve(found["code"]))
        at = found.end() + value.startswith("\n", found.end())
    yield from _lines(value[at:].removesuffix("\n"), names, verbatim, quotes)


def _lines(value: str, names: Names, verbatim: bool, quotes: bool) -> Iterator[Html]:
    for quoted, rows in groupby(value.split("\n"), key=lambda row: quotes and _QUOTE.match(row) is not None):
        if quoted:
            said = "\n".join(_QUOTE.sub("", row, count=1) for row in rows)
            yield tag("blockquote", {"class": "bk-quote"}, _inline(said, names, verbatim))
        else:
            yield _inline("\n".join(rows), names, verbatim)


def _inline(value: str, names: Names, verbatim: bool) -> Html:
    return formatted(_pieces(value, names, verbatim), TAGS)


def _pieces(value: str, names: Names, verbatim: bool) -> Iterator[Html | Mark | None]:
    for found in (_VERBATIM if verbatim else _LINKED).finditer(value):
        piece = found[0]
        match found.lastgroup:
            case "code":
                yield tag("code", {"class": "bk-code"}, live.resolve(piece[1:-1]))
            case "control":
                yield live.control(piece, names)
            case "emoji":
                yield emoji(piece[1:-1])
            case "address":
                url = live.resolve(piece)
                yield live.link(url, url)
            case "mark":
                yield _mark(value, found.start())
            case "line":
                yield None
                yield BREAK
            case _:
                yield text(live.resolve(piece))


def _mark(value: str, at: int) -> Mark:
    """Whether the sign at `at` stands at the beginning or the end of a word."""
    sign, before, after = value[at], value[at - 1 : at], value[at + 1 : at + 2]
    if sign in (before, after):  # two of a kind format nothing
        return Mark(sign, False, False)
    opens = not before.isalnum() and bool(after.strip())
    return Mark(sign, opens, bool(before.strip()) and not after.isalnum())
