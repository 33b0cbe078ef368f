"""Texts made for Slack, for a terminal."""

from __future__ import annotations

import re

from core.messages.text import clean, unescape

_DATE = re.compile(r"<!date\^[^<>|]*\|([^<>]*)>")
_CHANNEL = re.compile(r"<#([CG][A-Z0-9]+)>")
_LINK = re.compile(r"<(https?://[^<>|]+)\|([^<>]*)>")


def as_lines(mrkdwn: str) -> str:
    """What a person would read in Slack; times in UTC, links with their addresses. Nothing in it moves a cursor."""
    text = _CHANNEL.sub(r"the channel \1", _LINK.sub(r"\2 (\1)", _DATE.sub(r"\1", mrkdwn)))
    return clean(unescape(text))
