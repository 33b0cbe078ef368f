"""Bytes from a device made fit to be shown: no control characters, no direction tricks, bounded."""

from __future__ import annotations

import re
from collections.abc import Sequence

MAX_LINES = 60
MAX_LINE = 500

_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]{0,64}[ -/]{0,8}[@-~]?"  # colours and cursor movements
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]{0,256}(?:\x07|\x1b\\|\x9c)?"  # titles and other strings
    r"|\x1b[ -/]{0,8}[0-~]?"
)
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)


def clean(raw: bytes | str) -> str:
    """Readable text: the only control character left is the newline.

    Undecodable bytes become U+FFFD. Output that is mostly not text becomes one line that says so.
    """
    text = raw.decode("utf-8", errors="replace") if isinstance(raw, bytes) else raw
    if _is_binary(text):
        return f"[binary output, {len(raw)} bytes, not shown]"
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    ")
    return _UNSEEN.sub("", _ESCAPES.sub("", text))


def _is_binary(text: str) -> bool:
    """A third or more of it undecodable or NUL; short scraps are shown as they are."""
    return len(text) >= 32 and text.count("\ufffd") + text.count("\x00") >= len(text) / 3


def flat(text: str) -> str:
    """`text` cleaned, on one line."""
    return " ".join(clean(text).split("\n")).strip()


def cut(line: str, limit: int = MAX_LINE) -> str:
    """At most `limit` characters. Cut only what is redacted already: half a token is not recognised."""
    return line if len(line) <= limit else line[: limit - 1] + "…"


def bounded(lines: Sequence[str], limit: int = MAX_LINES) -> tuple[str, ...]:
    """The last `limit` lines at most, the first of them saying how many were left out."""
    if len(lines) <= limit:
        return tuple(lines)
    return (f"… {len(lines) - limit + 1} earlier lines left out", *lines[len(lines) - limit + 1 :])
