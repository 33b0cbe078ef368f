"""Slack's text objects, plain_text and mrkdwn."""

from __future__ import annotations

from sandbox.page.render.emoji import with_emoji
from sandbox.page.render.given import Names, kind, part, words
from sandbox.page.render.html import BREAK, Html, join, plain, text
from sandbox.page.render.mrkdwn import mrkdwn_html


def text_html(value: object, names: Names) -> Html:
    """A text object as HTML; nothing where there is none. A bare string (some blocks have those) is plain text."""
    if isinstance(value, str):
        return plain_html(value)
    given = part(value)
    if kind(given) == "mrkdwn":
        return mrkdwn_html(words(given.get("text")), names, verbatim=given.get("verbatim") is True)
    return label_html(given)


def label_html(value: object) -> Html:
    """A text object where Slack takes plain text only, whatever its type: buttons, titles, hints."""
    given = part(value)
    return plain_html(words(given.get("text")), live=given.get("emoji", True) is not False)


def text_plain(value: object, names: Names) -> str:
    """A text object as plain text, for options, questions and accessible names."""
    return plain(text_html(value, names))


def plain_html(value: str, *, live: bool = True) -> Html:
    """Plain text, in which only the names of emoji are live, if any."""
    return join((join(with_emoji(line)) if live else text(line) for line in value.split("\n")), BREAK)
