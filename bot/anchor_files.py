"""What was known of the audit log outside the store: number and hash of its newest entry, time after time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import orjson

from core.errors import Refused

EVENT = "audit_anchored"
_PLAIN = re.compile(r"(\d{1,15}) ([0-9a-f]{64})")
_HASH = re.compile(r"[0-9a-f]{64}")


def read_anchors(paths: Iterable[Path]) -> dict[int, str]:
    """Hashes by number, out of the bot's JSON log (whatever stands before the JSON of a line) or of lines
    "<number> <hash>". A year of minutes takes some 100 MB. Raises Refused where there are none, or where two differ."""
    found: dict[int, str] = {}
    for path in paths:
        before = len(found)
        for number, hash in _anchors(path):
            if found.setdefault(number, hash) != hash:
                raise Refused(
                    f"The anchors name two different entries {number}: the log was written anew between them. If that "
                    "was a restore of yours, give only the anchors since; if not, somebody changed the log."
                )
        if len(found) == before == 0:
            raise Refused(
                f"{path} holds no anchor. Give the bot's JSON log, or a file with lines of a number and a hash."
            )
    return found


def _anchors(path: Path) -> Iterator[tuple[int, str]]:
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if plain := _PLAIN.fullmatch(line.strip().strip("`")):
                yield int(plain[1]), plain[2]
            elif EVENT in line:
                yield from _logged(line)


def _logged(line: str) -> Iterator[tuple[int, str]]:
    """The anchor of a line of the log; a line cut off or garbled has none."""
    try:
        event = orjson.loads(line[line.index("{") :])
    except ValueError:
        return
    if isinstance(event, dict) and event.get("event") == EVENT:
        seq, hash = event.get("seq"), event.get("hash")
        if isinstance(seq, int) and isinstance(hash, str) and _HASH.fullmatch(hash):
            yield seq, hash
