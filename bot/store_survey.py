"""How much of each key family the store holds, against its caps. For `cdm doctor`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from flows import keycloak_watch, policy_changes, reconcile
from integrations.store.connection import Store
from integrations.store.families import Family
from integrations.store.registry import STORE_FAMILIES

ALL_FAMILIES: tuple[Family, ...] = (
    *STORE_FAMILIES,
    *reconcile.FAMILIES,
    *keycloak_watch.FAMILIES,
    *policy_changes.FAMILIES,
)
SAMPLES = 50
"""So many keys of a family are measured. SCAN returns keys in no order, so they are as good as drawn by lot."""
_LENGTH = {
    b"string": "STRLEN",
    b"stream": "XLEN",
    b"zset": "ZCARD",
    b"set": "SCARD",
    b"list": "LLEN",
    b"hash": "HLEN",
}
_KEY_ITSELF = 128
"""What the store needs for a key besides what is in it, about; a cap is on the content."""
_SHOWN_STRANGERS = 10


@dataclass(frozen=True, slots=True)
class FamilyUse:
    """`longest` and `largest` are those of the measured keys: entries of a stream, set or hash, and bytes of content.
    `bytes` of memory is reckoned from the measured keys where not all were measured."""

    family: Family
    keys: int = 0
    longest: int = 0
    largest: int = 0
    bytes: int = 0

    @property
    def over(self) -> tuple[str, ...]:
        """Which caps are passed, in words."""
        found = []
        entries, most = max(self.keys, self.longest), self.family.max_entries
        if most is not None and entries > most:
            found.append(f"{entries:,} entries, the cap is {most:,}")
        if self.family.max_bytes is not None and self.largest > self.family.max_bytes:
            found.append(f"one key has {self.largest:,} bytes, the cap is {self.family.max_bytes:,}")
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Survey:
    """`strangers`: some of the `stranger_count` keys under `cdm:` that belong to no family."""

    families: tuple[FamilyUse, ...]
    strangers: tuple[str, ...]
    stranger_count: int


@dataclass(slots=True)
class _Tally:
    keys: int = 0
    sample: list[bytes] = field(default_factory=list)


async def survey(store: Store, families: Sequence[Family] = ALL_FAMILIES) -> Survey:
    """One pass over the keys; blocks the store for no longer than one SCAN step at a time."""
    tallies = {family.pattern: _Tally() for family in families}
    strangers: list[str] = []
    stranger_count = 0
    async for key in store.scan_iter(match="cdm:*", count=1000):
        family = family_of(key.decode(errors="replace"), families)
        if family is None:
            stranger_count += 1
            strangers += [key.decode(errors="replace")] if stranger_count <= _SHOWN_STRANGERS else []
            continue
        tally = tallies[family.pattern]
        tally.keys += 1
        if len(tally.sample) < SAMPLES:
            tally.sample.append(key)
    used = [await _measured(store, family, tallies[family.pattern]) for family in families]
    return Survey(tuple(used), tuple(strangers), stranger_count)


def family_of(key: str, families: Iterable[Family]) -> Family | None:
    """The family whose pattern fits the key, the longest pattern first. Patterns are whole keys or end in `*`."""
    fitting = [f for f in families if _fits(f.pattern, key)]
    return max(fitting, key=lambda f: (not f.pattern.endswith("*"), len(f.pattern)), default=None)


def _fits(pattern: str, key: str) -> bool:
    return key.startswith(pattern[:-1]) if pattern.endswith("*") else key == pattern


async def _measured(store: Store, family: Family, tally: _Tally) -> FamilyUse:
    if not tally.sample:
        return FamilyUse(family, tally.keys)
    async with store.pipeline(transaction=False) as pipe:
        for key in tally.sample:
            pipe.type(key)
            pipe.memory_usage(key)
        answers = await pipe.execute()
    kinds, sizes = answers[::2], [size or 0 for size in answers[1::2]]
    async with store.pipeline(transaction=False) as pipe:
        for key, kind in zip(tally.sample, kinds, strict=True):
            pipe.execute_command(_LENGTH.get(kind, "EXISTS"), key)  # gone meanwhile: 0
        lengths = await pipe.execute()
    texts = [length for length, kind in zip(lengths, kinds, strict=True) if kind == b"string"]
    others = [size - _KEY_ITSELF for size, kind in zip(sizes, kinds, strict=True) if kind != b"string"]
    longest = max((n for n, kind in zip(lengths, kinds, strict=True) if kind != b"string"), default=0)
    total = sum(sizes) * tally.keys // len(sizes)
    return FamilyUse(family, tally.keys, longest, max([0, *texts, *others]), total)
