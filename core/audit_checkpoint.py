"""Where the log in the store begins, its older entries lying in archives: sealed, so that only the bot can say so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import rfc8785

from core.audit import Keyring


@dataclass(frozen=True, slots=True)
class Archived:
    """A stretch of the log that lies in a file. `hash` is that of its last entry, `sha256` the file's; `at` is when it
    was taken out."""

    first: int
    last: int
    hash: str
    sha256: str
    at: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`archives`, oldest first, reach from entry 1 to the one before the log's first. `key` is the id of the key that
    `seal` was made with."""

    archives: tuple[Archived, ...]
    key: str
    seal: str

    @property
    def first(self) -> int:
        """The first entry that is in the store."""
        return self.archives[-1].last + 1

    @property
    def hash(self) -> str:
        """Of the entry before it."""
        return self.archives[-1].hash

    def before(self, seq: int) -> Archived | None:
        """The archive that ends right before that entry."""
        return next((one for one in self.archives if one.last == seq - 1), None)


def seal_checkpoint(archives: Sequence[Archived], keys: Keyring) -> Checkpoint:
    """By the current key. Raises ValueError where there is none, or where the archives are not one stretch."""
    if not keys.current or not _adjacent(archives):
        raise ValueError("no key, or a gap")
    return Checkpoint(tuple(archives), keys.current, keys.digest(keys.current, _canonical(archives, keys.current)))


def checkpoint_trouble(checkpoint: Checkpoint, keys: Keyring) -> str | None:
    """Why it does not hold, None where it does."""
    if not _adjacent(checkpoint.archives):
        return "the checkpoint at which the log begins names no unbroken stretch of entries"
    if not checkpoint.key:
        return "the checkpoint at which the log begins bears no key"
    if not keys.knows(checkpoint.key):
        return f"the checkpoint at which the log begins bears the key {checkpoint.key}, which the settings do not have"
    if checkpoint.seal != _seal(checkpoint, keys):
        return "the checkpoint at which the log begins was changed, or made by somebody without the key"
    return None


def _adjacent(archives: Sequence[Archived]) -> bool:
    ends = [0, *(one.last for one in archives)]
    return bool(archives) and all(one.first == end + 1 <= one.last for one, end in zip(archives, ends, strict=False))


def _seal(checkpoint: Checkpoint, keys: Keyring) -> str | None:
    try:
        return keys.digest(checkpoint.key, _canonical(checkpoint.archives, checkpoint.key))
    except ValueError:  # nothing that was sealed has no canonical form
        return None


def _canonical(archives: Sequence[Archived], key: str) -> bytes:
    """No entry of the log looks like it, so that no entry's hash can pose as a seal."""
    return rfc8785.dumps({"what": "audit checkpoint", "archives": [asdict(one) for one in archives], "key": key})
