"""HTML that is escaped by construction: a plain `str` becomes text, only `Html` is taken as markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from html import escape as _escape
from html import unescape
from typing import TypeAlias

Attribute: TypeAlias = str | int | bool | None
Attributes: TypeAlias = Mapping[str, Attribute]

VOID = {"br", "hr", "input"}
_NOT_HTML = re.compile("[\x00\ud800-\udfff]")  # cannot stand in a document, and cannot be sent as UTF-8


class Html(str):
    """Markup. Made only by this module, so whatever else is put into a document is escaped."""

    __slots__ = ()


EMPTY = Html()
BREAK = Html("<br>")


def text(value: str) -> Html:
    """Foreign text as text."""
    # A bare carriage return would come out of the browser's parser as a line feed.
    return Html(_escape(_NOT_HTML.sub("\ufffd", value)).replace("\r", "&#13;"))


def join(pieces: Iterable[str], between: Html = EMPTY) -> Html:
    """The pieces one after the other; each that is no `Html` is escaped."""
    return Html(between.join(piece if isinstance(piece, Html) else text(piece) for piece in pieces))


def tag(name: str, attributes: Attributes | None = None, *children: str | None) -> Html:
    """An element. `name` and the attributes' names are the program's own; None and False leave an attribute out."""
    written = "".join(_attribute(key, value) for key, value in (attributes or {}).items())
    if name in VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(child for child in children if child is not None)}</{name}>")


def plain(markup: Html) -> str:
    """What is read in it, as plain text."""
    # Exact, since neither sign can stand in a text or in an attribute's value.
    return unescape(re.sub(r"<[^>]+>", "", markup.replace(BREAK, "\n")))


def _attribute(name: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{text(str(value))}"'
