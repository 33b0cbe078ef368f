"""Texts made for Slack, for a terminal."""

from __future__ import annotations

import re

from core.messages.text import clean, unescape

_DATE = re.compile(r"<!date\^[^<>|]*\|([^<>]*)>")
_LINK = re.compile(r"<(https?://[^<>|]+)\|([^<>]*)>")


def as_lines(mrkdwn: str) -> str:
    """What a person would read in Slack; times in UTC, links with their addresses. Nothing in it moves a cursor."""
    return clean(unescape(_LINK.sub(r"\2 (\1)", _DATE.sub(r"\1", mrkdwn))))
