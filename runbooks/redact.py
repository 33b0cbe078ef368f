"""Secrets taken out of what devices print: keys, tokens, passwords, PEM blocks, credentials in URLs and headers.

When in doubt it takes out too much. Every pattern either starts at a place no other start can lie inside of, or is
bounded, so the time grows with the length of the text only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

REDACTED = "[redacted]"

_PEM_BEGIN = re.compile(r"-----BEGIN [^-\n]{1,64}-----")

_NAMES = (
    r"pass(?:word|wd|phrase|code)|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|preshared[_-]?key"
    r"|credentials?|pwd|psk"
)
# A quote that is not closed ends with its line.
_VALUE = r"(?:\[redacted\]|\"(?:[^\"\\\n]|\\.)*\"?|'(?:[^'\\\n]|\\.)*'?|\S+)"

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # WireGuard: 32 bytes in base64, first since a key may hold "psk" and end like a name that is given a value
    (re.compile(r"(?<![\w+/=])[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=(?![\w+/=])"), REDACTED),
    # Authorization: Basic …, Cookie: …: whatever follows on the line
    (
        re.compile(
            r"(?i)\b((?:proxy-|x-)?authorization|(?:set-)?cookie|x-api-key|x-auth-token)([\"']?[ ]{0,8}[:=])[^\n]+"
        ),
        rf"\1\2 {REDACTED}",
    ),
    (re.compile(r"(?i)\b(bearer|gatewaytoken|targettoken)[ ]{1,8}[^\s\"',;]{4,}"), rf"\1 {REDACTED}"),
    (re.compile(r"(?i)\b(basic)[ ]{1,8}(?=[a-z]{0,64}[0-9+/=])[\w+/=-]{4,}"), rf"\1 {REDACTED}"),
    # scheme://user:password@host and scheme://token@host
    (re.compile(r"://[^\s/?#\"'<>]+@"), f"://{REDACTED}@"),
    (re.compile(r"://[^\s/:@?#\"'<>]{0,256}:[^\s@\"'<>]{1,512}(?:@[^\s/@\"'<>]+)*@"), f"://{REDACTED}@"),
    # password=…, "client_secret": "…", token: …
    (
        re.compile(rf"(?i)({_NAMES})([\w.-]{{0,40}}[\"']?[ ]{{0,8}}(?:=>|[:=])[ ]{{0,8}}){_VALUE}"),
        rf"\1\2{REDACTED}",
    ),
    # --password …, --token …
    (
        re.compile(rf"(?i)(--[\w-]{{0,40}}(?:{_NAMES})[\w-]{{0,40}}[ ]{{1,8}}){_VALUE}"),
        rf"\1{REDACTED}",
    ),
    # JSON web tokens, and the tokens of Slack, GitHub, AWS
    (re.compile(r"(?<![\w-])eyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)?"), REDACTED),
    (re.compile(r"(?<![\w-])(?:xox[a-z]|xapp)-[\w-]{8,}"), REDACTED),
    (re.compile(r"(?<!\w)(?:gh[a-z]_\w{20,}|github_pat_\w{20,}|(?:AKIA|ASIA)[0-9A-Z]{16})"), REDACTED),
)

_NESTED_REPEAT = re.compile(r"[*+}]\)[*+{]")


class Redactor:
    """Takes secrets out of text. `extra` are further patterns (regular expressions) whose matches are taken out.

    ValueError for an extra pattern that does not compile, matches the empty text, is longer than 300 characters or
    repeats a repeat (`(a+)+`), which may take for ever on a text made for it.
    """

    def __init__(self, extra: Iterable[str] = ()) -> None:
        self._extra = tuple(_checked(pattern) for pattern in extra)

    def __call__(self, text: str) -> str:
        text = _without_pem(text)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        for pattern in self._extra:
            text = pattern.sub(REDACTED, text)
        return text


def _checked(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"the redaction pattern {pattern!r} is no regular expression: {error}") from error
    if len(pattern) > 300 or _NESTED_REPEAT.search(pattern) or compiled.match(""):
        raise ValueError(
            f"the redaction pattern {pattern[:60]!r} is too long, repeats a repeat, or matches nothing at all"
        )
    return compiled


def _without_pem(text: str) -> str:
    """PEM blocks out, each with what stands between its marks; one cut off by the output limit to the end."""
    kept: list[str] = []
    at = 0
    while begin := _PEM_BEGIN.search(text, at):
        kept += [text[at : begin.start()], REDACTED]
        end = text.find("-----END ", begin.end())
        if end < 0:
            return "".join(kept)
        mark = text.find("-----", end + 9)
        at = len(text) if mark < 0 else mark + 5
    return "".join([*kept, text[at:]])
