"""The chain that makes the log tell when it was bent: each entry's hash covers the entry before it.

Two forms. Entries without a version (v 1) hash a JSON list by SHA-256. Entries of version 2 hash the whole entry as
canonical JSON (RFC 8785): by HMAC-SHA-256 where the installation has a key, which they name, else by SHA-256.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import rfc8785

GENESIS = "0" * 64
VERSION = 2
MAX_EXACT = 2**53 - 1
"""Integers beyond it have no canonical form (RFC 8785 takes numbers as IEEE 754 doubles)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the audit log. `kind` is "intent", "outcome" or "note"; an outcome names its intent in `ref`.

    `actor` is a Keycloak subject, "scheduler" or "bot"; `object` is what is acted on ("rollout:eu1/17/group:3");
    `key` is the id of the key that `hash` was made with, "" for none.
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
    v: int = 1
    key: str = ""


class Keyring:
    """The installation's key, and those it had before. Entries before `keyed_from` may lack one: a log that began
    without a key. Where there is no key at all, none is asked for."""

    def __init__(self, current: bytes | None = None, old: Iterable[bytes] = (), *, keyed_from: int = 1) -> None:
        self.current = key_id(current) if current else ""
        self.keyed_from = keyed_from
        self._keys = {key_id(key): key for key in (*([current] if current else []), *old)}

    def wants_key(self, seq: int) -> bool:
        return bool(self._keys) and seq >= self.keyed_from

    def knows(self, id: str) -> bool:
        return id in self._keys

    def digest(self, id: str, content: bytes) -> str:
        """By the key of that id, "" for none. Raises KeyError where it is not known."""
        return hmac.digest(self._keys[id], content, "sha256").hex() if id else hashlib.sha256(content).hexdigest()


NO_KEYS = Keyring()


def key_id(key: bytes) -> str:
    """Names a key without telling it."""
    return hmac.digest(key, b"cdm audit key id", "sha256").hex()[:16]


def seal(
    *,
    seq: int,
    at: str,
    kind: str,
    actor: str,
    action: str,
    object: str,
    ref: str,
    data: Mapping[str, Any],
    prev: str,
    keys: Keyring = NO_KEYS,
) -> Entry:
    """The entry with its hash, which covers everything else, the previous hash and the key's id included."""
    entry = Entry(seq, at, kind, actor, action, object, ref, data, prev, "", VERSION, keys.current)
    return replace(entry, hash=keys.digest(keys.current, canonical(entry)))


def canonical(entry: Entry) -> bytes:
    """What the hash of an entry covers. Raises ValueError where its data has no canonical form."""
    if entry.v == 1:
        fields = (entry.seq, entry.at, entry.kind, entry.actor, entry.action, entry.object, entry.ref, entry.data)
        return json.dumps((*fields, entry.prev), sort_keys=True, separators=(",", ":")).encode()
    return rfc8785.dumps(
        {
            "v": entry.v,
            "seq": entry.seq,
            "at": entry.at,
            "kind": entry.kind,
            "actor": entry.actor,
            "action": entry.action,
            "object": entry.object,
            "ref": entry.ref,
            "data": dict(entry.data),
            "prev": entry.prev,
            "key": entry.key,
        }
    )


class ChainCheck:
    """Sees a log entry by entry, oldest first, and keeps none of them. `anchors` are hashes by number, known from
    elsewhere: the log must hold each, and reach the newest. `broken` names the first entry that does not hold."""

    def __init__(self, keys: Keyring = NO_KEYS, anchors: Mapping[int, str] | None = None) -> None:
        self.entries = 0
        self.keyed = 0
        self.last = 0
        self.begun_after = 0
        self.broken: str | None = None
        self._prev = GENESIS
        self._keys = keys
        self._anchors = anchors or {}

    def begin_after(self, seq: int, hash: str) -> None:
        """Before anything is seen: the log begins after this entry, whose hash is known from elsewhere."""
        self.begun_after = self.last = seq
        self._prev = hash
        if self._anchors.get(seq, hash) != hash:
            self.broken = f"entry {seq}, after which the log begins, is not the one that was anchored"

    def follows(self, seq: int, hash: str) -> bool:
        """Whether that is the newest entry seen."""
        return (self.last, self._prev) == (seq, hash)

    def see(self, entry: Entry) -> bool:
        """Whether it holds. Nothing is to be seen after one that does not."""
        self.entries += 1
        self.broken = self._place(entry) or self._seal(entry)
        if self.broken is not None:
            return False
        self.keyed += bool(entry.key)
        self.last, self._prev = entry.seq, entry.hash
        return True

    def end(self) -> str | None:
        """Why the log does not hold, None where it does up to its end and up to the newest anchor."""
        newest = max(self._anchors, default=0)
        if self.broken is None and newest > self.last:
            after = f"entries after {self.last} are missing" if self.last else "every entry is missing"
            self.broken = f"{after}: there was an entry {newest}"
        return self.broken

    def _place(self, entry: Entry) -> str | None:
        expected = self.last + 1
        if entry.seq > expected:
            return f"entry {expected} is missing (next is {entry.seq})"
        if entry.seq < expected:
            return f"entry {entry.seq} stands where entry {expected} should"
        if entry.prev != self._prev:
            return f"entry {entry.seq} does not follow the one before it"
        return None

    def _seal(self, entry: Entry) -> str | None:
        seq = entry.seq
        if entry.v not in (1, VERSION) or (entry.v == 1 and entry.key):
            return f"entry {seq} has a form that no bot writes"
        if not entry.key and self._keys.wants_key(seq):
            return f"entry {seq} bears no key (audit.keyed_from says which is the first that must)"
        if entry.key and not self._keys.knows(entry.key):
            return f"entry {seq} bears the key {entry.key}, which the settings do not have"
        if entry.hash != _digest(self._keys, entry):
            return f"entry {seq} was changed after it was written"
        if self._anchors.get(seq, entry.hash) != entry.hash:
            return f"entry {seq} is not the one that was anchored: the log up to it was written anew"
        return None


def _digest(keys: Keyring, entry: Entry) -> str | None:
    try:
        return keys.digest(entry.key, canonical(entry))
    except ValueError:  # nothing that was sealed has no canonical form
        return None
