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
    """`facts` by what they are called in front of people. Lists are sets of names: their order means nothing. What is
    empty is as good as not there."""

    facts: Mapping[str, Fact]

    @property
    def digest(self) -> str:
        """Equal exactly where every fact reads the same (SHA-256 over canonical JSON, RFC 8785)."""
        facts = {name: sorted(said) for name, fact in self.facts.items() if (said := _said(fact))}
        return hashlib.sha256(rfc8785.dumps(facts)).hexdigest()


def changed(old: Evidence, new: Evidence) -> tuple[str, ...]:
    """What is different now, in words: plain text with foreign names in it. Empty exactly where the digests agree."""
    names = [*old.facts, *(name for name in new.facts if name not in old.facts)]
    return tuple(line for name in names for line in _difference(name, old.facts.get(name, ""), new.facts.get(name, "")))


def in_words(fact: Fact) -> str:
    """One fact, shortened: plain text. Of names, how many there are and which."""
    if isinstance(fact, bool):
        return "yes" if fact else "no"
    if isinstance(fact, (str, int)):
        return plain(str(fact), _VALUE) or "none"
    return _listed(_said(fact), "") or "none"


def are_names(fact: Fact) -> bool:
    """Whether it lists things by name, as devices, and not in sentences."""
    return not isinstance(fact, (str, int)) and not any(" " in one for one in fact)


def _difference(name: str, old: Fact, new: Fact) -> Iterable[str]:
    before, after = _said(old), _said(new)
    if before == after:
        return
    if isinstance(old, (str, int)) and isinstance(new, (str, int)):
        yield f"{name}: {in_words(old)}, now {in_words(new)}"
        return
    if after - before:
        yield f"{name}: {_listed(after - before, 'more')}"
    if before - after:
        yield f"{name}: {_listed(before - after, 'no longer')}"


def _said(fact: Fact) -> frozenset[str]:
    """The fact as a set of what it says: the form in which facts are compared."""
    if isinstance(fact, (str, int)):
        return frozenset({in_words(fact) if isinstance(fact, bool) else str(fact)}) - {""}
    return frozenset(fact) - {""}


def _listed(said: frozenset[str], word: str) -> str:
    """ "2 more: gw-[003,007]"; sentences as they are. "" where there is nothing."""
    if not said:
        return ""
    if not are_names(tuple(said)):
        return " ".join(part for part in (plain("; ".join(sorted(said)), _NAMES), word) if part)
    found = fold(said, _NAMES)
    more = f" and {found.more} more" if found.more and found.text else ""
    number = " ".join(part for part in (f"{len(said)}", word) if part)
    return f"{number}: {found.text}{more}" if found.text else number
