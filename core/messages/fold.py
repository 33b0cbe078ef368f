"""Names of devices folded to what a person can read: `gw-[001-004,007], press-12`. Pure text, nothing is escaped.

A range counts in the last number of a name and keeps its leading zeros: [08-11] is 08, 09, 10, 11, and [8-11] is 8, 9,
10, 11. A name that holds a bracket, a comma, a quote, a backslash or a space stands alone, in JSON's quotes. What was
folded unfolds to exactly the same names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from core.messages.text import count, mono, size

_NUMBERED = re.compile(r"(.*?)([0-9]{1,9})([^0-9]*)")
_ODD = re.compile(r'[\[\],"\\\s]')
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[^\[\],"]*(?:\[([0-9,-]+)\][^\[\],"]*)?')
_JOIN = ", "


@dataclass(frozen=True, slots=True)
class Folded:
    """`more` names did not fit into `text`."""

    text: str
    more: int


def fold(names: Iterable[str], limit: int | None = None) -> Folded:
    """The names, each once and in order, in at most `limit` UTF-16 units. The same names always give the same text."""
    wanted = frozenset(names)
    done, open_ones, shown = "", "", 0
    for before, after, runs in _alike(wanted):
        pieces: list[str] = []
        for piece, held in runs:
            token = _token(before, [*pieces, piece], after)
            text = f"{done}{_JOIN if done else ''}{token}"
            if limit is not None and size(text) > limit:
                return Folded(open_ones, len(wanted) - shown)
            pieces.append(piece)
            open_ones, shown = text, shown + held
        done = open_ones
    return Folded(done, 0)


def unfold(text: str) -> tuple[str, ...]:
    """The names in a folded text, in its order."""
    names: list[str] = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or not found[0]:
            raise ValueError(f"no folded names: {text[at : at + 40]!r}")
        names += _names(found[0], found[1])
        at = found.end() + len(_JOIN)
    return tuple(names)


def folded(names: Collection[str], limit: int, total: int = 0) -> str:
    """The names for mrkdwn, those that do not fit counted: "`gw-[001-004]` and 12 more". `total`: how many there are,
    where `names` are only the first of them."""
    found = fold(names, limit)
    left = found.more + max(total - len(frozenset(names)), 0)
    if not found.text:
        return f"{count(left, 'device')} with long names"
    more = f" and {left} more" if left else ""
    return mono(found.text, 5 * limit + 2) + more


def _alike(names: frozenset[str]) -> Iterator[tuple[str, str, list[tuple[str, int]]]]:
    """What stands before and after the number, and the runs of numbers between; a name without one is its own run."""
    for (before, after, _), group in groupby(sorted(map(_parts, names)), key=lambda p: (p[0], p[1], p[2] > 0)):
        yield before, after, list(_runs([digits for *_, digits in group]))


def _parts(name: str) -> tuple[str, str, int, str]:
    """Before, after, how many digits, digits: the order in which names are listed (9 before 10)."""
    if not name or _ODD.search(name):
        return json.dumps(name, ensure_ascii=False), "", 0, ""
    found = _NUMBERED.fullmatch(name)
    return (found[1], found[3], len(found[2]), found[2]) if found else (name, "", 0, "")


def _runs(numbers: list[str]) -> Iterator[tuple[str, int]]:
    """`numbers` by length and value -> pieces such as "004" and "007-012", each with how many numbers it holds."""
    first = last = numbers[0]
    held = 1
    for number in numbers[1:]:
        if number == f"{int(last) + 1:0{len(last)}d}":
            last, held = number, held + 1
            continue
        yield _piece(first, last), held
        first, last, held = number, number, 1
    yield _piece(first, last), held


def _piece(first: str, last: str) -> str:
    return first if first == last else f"{first}-{last}"


def _token(before: str, pieces: list[str], after: str) -> str:
    alone = len(pieces) == 1 and "-" not in pieces[0]
    return f"{before}{pieces[0]}{after}" if alone else f"{before}[{','.join(pieces)}]{after}"


def _names(token: str, numbers: str | None) -> list[str]:
    if token.startswith('"'):
        return [str(json.loads(token))]
    if numbers is None:
        return [token]
    before, _, after = token.partition(f"[{numbers}]")
    return [f"{before}{number}{after}" for piece in numbers.split(",") for number in _numbers(piece)]


def _numbers(piece: str) -> list[str]:
    first, _, last = piece.partition("-")
    return [f"{number:0{len(first)}d}" for number in range(int(first), int(last or first) + 1)]
