"""What somebody agrees to: the facts they were shown, and a digest that changes exactly when those do."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import rfc8785

from core.messages.fold import fold
from core.messages.text import plain

Fact: TypeAlias = str | int | bool | Sequence[str]
_NAMES, _VALUE = 120, 120


@dataclass(frozen=True, slots=True)
class Evidence:
    """`facts` by what they are called in front of people. Lists are sets of names: their order means nothing."""

    facts: Mapping[str, Fact]

    @property
    def digest(self) -> str:
        """Equal exactly where every fact is (SHA-256 over canonical JSON, RFC 8785)."""
        facts = {name: fact if isinstance(fact, (str, int)) else sorted(set(fact)) for name, fact in self.facts.items()}
        return hashlib.sha256(rfc8785.dumps(facts)).hexdigest()


def changed(old: Evidence, new: Evidence) -> tuple[str, ...]:
    """What is different now, in words: plain text with foreign names in it. Empty exactly where the digests agree."""
    if old.digest == new.digest:
        return ()
    names = [*old.facts, *(name for name in new.facts if name not in old.facts)]
    return tuple(line for name in names for line in _difference(name, old.facts.get(name, ""), new.facts.get(name, "")))


def in_words(fact: Fact) -> str:
    """One fact, shortened: plain text."""
    if isinstance(fact, bool):
        return "yes" if fact else "no"
    if isinstance(fact, (str, int)):
        return plain(str(fact), _VALUE) or "none"
    return _folded(fact)


def _difference(name: str, old: Fact, new: Fact) -> Iterable[str]:
    if isinstance(old, (str, int)) and isinstance(new, (str, int)):
        if old != new:
            yield f"{name}: {in_words(old)}, now {in_words(new)}"
        return
    before, after = _names(old), _names(new)
    if after - before:
        yield f"{name}: {_folded(after - before)} more"
    if before - after:
        yield f"{name}: {_folded(before - after)} no longer"


def _names(fact: Fact) -> frozenset[str]:
    return frozenset({str(fact)} - {""} if isinstance(fact, (str, int)) else fact)


def _folded(names: Iterable[str]) -> str:
    found = fold(names, _NAMES)
    more = f" and {found.more} more" if found.more else ""
    return f"{found.text}{more}" or "none"
