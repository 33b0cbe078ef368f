"""The chain that makes the log tell when it was bent: each entry's hash covers the entry before it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the audit log. `kind` is "intent", "outcome" or "note"; an outcome names its intent in `ref`.

    `actor` is a Keycloak subject, "scheduler" or "bot"; `object` is what is acted on ("rollout:eu1/17/group:3").
    """

    seq: int
    at: str
    kind: str
    actor: str
    action: str
    object: str
    ref: str
    data: Mapping[str, Any]
    prev: str
    hash: str


def seal(
    *, seq: int, at: str, kind: str, actor: str, action: str, object: str, ref: str, data: Mapping[str, Any], prev: str
) -> Entry:
    """The entry with its hash: SHA-256 over canonical JSON of everything else, the previous hash included."""
    digest = _digest(seq, at, kind, actor, action, object, ref, data, prev)
    return Entry(seq, at, kind, actor, action, object, ref, data, prev, digest)


def first_break(entries: Iterable[Entry], *, start: str = GENESIS) -> str | None:
    """Why the chain does not hold, naming the first bad entry; None where it holds from `start` to the end."""
    prev, expected = start, None
    for entry in entries:
        if expected is not None and entry.seq != expected:
            return f"entry {expected} is missing (next is {entry.seq})"
        if entry.prev != prev:
            return f"entry {entry.seq} does not follow the one before it"
        fields = (entry.seq, entry.at, entry.kind, entry.actor, entry.action, entry.object, entry.ref, entry.data)
        if _digest(*fields, entry.prev) != entry.hash:
            return f"entry {entry.seq} was changed after it was written"
        prev, expected = entry.hash, entry.seq + 1
    return None


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
