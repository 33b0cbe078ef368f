"""Whatever is changed, removed, moved or cut off before the newest anchor is found, and where it begins; and so is what
is changed in archives of older entries, or in the checkpoint that stands in their place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.audit import GENESIS, NO_KEYS, ChainCheck, Entry, Keyring, seal
from core.audit_checkpoint import Archived, Checkpoint, checkpoint_trouble, seal_checkpoint

KEYS = Keyring(b"the key of this installation, random")
WORDS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
SAID = st.tuples(WORDS, WORDS, WORDS, WORDS, WORDS, WORDS, st.dictionaries(WORDS, JSON, max_size=3))
NAMES = ("at", "kind", "actor", "action", "object", "ref", "data")
RINGS = st.sampled_from([NO_KEYS, KEYS])


def chained(all_said: list[tuple[Any, ...]], keys: Keyring) -> list[Entry]:
    made: list[Entry] = []
    for seq, said in enumerate(all_said, 1):
        prev = made[-1].hash if made else GENESIS
        made.append(seal(seq=seq, prev=prev, keys=keys, **dict(zip(NAMES, said, strict=True))))
    return made


CHAINS = st.lists(SAID, min_size=2, max_size=8)


def checked(entries: list[Entry], keys: Keyring, anchors: Mapping[int, str]) -> tuple[str | None, int]:
    """What is wrong, and how many entries were found good before it."""
    check = ChainCheck(keys, anchors)
    for entry in entries:
        if not check.see(entry):
            return check.broken, check.last
    return check.end(), check.last


@given(CHAINS, RINGS)
def test_what_was_sealed_holds(said: list[tuple[Any, ...]], keys: Keyring) -> None:
    entries = chained(said, keys)
    assert checked(entries, keys, {entry.seq: entry.hash for entry in entries}) == (None, len(entries))


@given(CHAINS, RINGS, st.data())
def test_any_change_of_any_field_is_found_there(
    said: list[tuple[Any, ...]], keys: Keyring, data: st.DataObject
) -> None:
    entries = chained(said, keys)
    at = data.draw(st.integers(0, len(entries) - 1))
    name = data.draw(st.sampled_from([field.name for field in fields(Entry)]))
    old = getattr(entries[at], name)
    values = {"seq": st.integers(1, 99), "v": st.integers(0, 3), "data": st.dictionaries(WORDS, JSON, max_size=3)}
    new = data.draw(values.get(name, WORDS | st.just("0" * 64)).filter(lambda value: value != old))
    entries[at] = replace(entries[at], **{name: new})
    broken, good = checked(entries, keys, {len(entries): entries[-1].hash})
    assert broken is not None
    assert good == at


@given(CHAINS, RINGS, st.data())
def test_any_removal_is_found_there(said: list[tuple[Any, ...]], keys: Keyring, data: st.DataObject) -> None:
    entries = chained(said, keys)
    gone = data.draw(st.sets(st.integers(0, len(entries) - 1), min_size=1))
    left = [entry for at, entry in enumerate(entries) if at not in gone]
    broken, good = checked(left, keys, {len(entries): entries[-1].hash})
    assert broken is not None
    assert good == min(gone)


@given(CHAINS, RINGS, st.data())
def test_any_swap_is_found_at_its_first_place(said: list[tuple[Any, ...]], keys: Keyring, data: st.DataObject) -> None:
    entries = chained(said, keys)
    one, other = sorted(data.draw(st.lists(st.integers(0, len(entries) - 1), min_size=2, max_size=2, unique=True)))
    entries[one], entries[other] = entries[other], entries[one]
    broken, good = checked(entries, keys, {})
    assert broken is not None
    assert good == one


@given(CHAINS, RINGS, st.data())
def test_a_log_cut_off_before_an_anchor_is_found_and_after_it_is_not(
    said: list[tuple[Any, ...]], keys: Keyring, data: st.DataObject
) -> None:
    entries = chained(said, keys)
    anchor = data.draw(st.integers(1, len(entries)))
    kept = data.draw(st.integers(0, len(entries)))
    broken, good = checked(entries[:kept], keys, {anchor: entries[anchor - 1].hash})
    assert good == kept
    assert (broken is not None) == (kept < anchor)


@given(CHAINS, CHAINS, st.data())
def test_a_log_written_anew_is_found_by_the_key_and_by_any_anchor_within_it(
    said: list[tuple[Any, ...]], instead: list[tuple[Any, ...]], data: st.DataObject
) -> None:
    entries, forged = chained(said, KEYS), chained(instead, Keyring(b"a thief's own key, also random enough"))
    assert checked(forged, KEYS, {})[1] == 0
    plain, plainly = chained(said, NO_KEYS), chained(instead, NO_KEYS)
    anchor = data.draw(st.integers(1, len(plain)))
    same = plainly[:anchor] == plain[:anchor]
    broken, _ = checked(plainly, NO_KEYS, {anchor: plain[anchor - 1].hash})
    assert (broken is None) == same
    assert entries[0].hash != plain[0].hash


def trimmed(entries: list[Entry], ends: list[int]) -> Checkpoint:
    """After a trim up to each of these entries."""
    spans = zip([1, *(end + 1 for end in ends)], ends, strict=False)
    archives = [Archived(first, last, entries[last - 1].hash, "f" * 64, "2026-11-24") for first, last in spans]
    return seal_checkpoint(archives, KEYS)


def begun_at(checkpoint: Checkpoint, entries: list[Entry]) -> str | None:
    """What is wrong with a log that begins there, as `cdm audit verify` goes about it."""
    check = ChainCheck(KEYS)
    check.broken = checkpoint_trouble(checkpoint, KEYS)
    if check.broken is None:
        check.begin_after(checkpoint.first - 1, checkpoint.hash)
        if all(check.see(entry) for entry in entries):
            return check.end()
    return check.broken


@st.composite
def trims(draw: st.DrawFn) -> tuple[list[Entry], list[int]]:
    """A chain, and the last entry of each of its archives."""
    said = draw(CHAINS)
    return chained(said, KEYS), sorted(draw(st.sets(st.integers(1, len(said) - 1), min_size=1, max_size=3)))


TRIMS = trims()


@given(TRIMS)
def test_a_log_that_begins_at_its_checkpoint_holds_and_at_no_other_entry(found: tuple[list[Entry], list[int]]) -> None:
    entries, ends = found
    checkpoint = trimmed(entries, ends)
    for cut in range(len(entries)):
        assert (begun_at(checkpoint, entries[cut:]) is None) == (cut == ends[-1])


@given(TRIMS, st.data())
def test_any_change_of_a_checkpoint_is_found(found: tuple[list[Entry], list[int]], data: st.DataObject) -> None:
    entries, ends = found
    checkpoint = trimmed(entries, ends)
    at = data.draw(st.integers(0, len(ends) - 1))
    name = data.draw(st.sampled_from([field.name for field in fields(Archived)]))
    old = getattr(checkpoint.archives[at], name)
    kind = st.integers(-9, 2**70) if isinstance(old, int) else WORDS | st.just("0" * 64)
    archives = list(checkpoint.archives)
    archives[at] = replace(archives[at], **{name: data.draw(kind.filter(lambda value: value != old))})
    assert checkpoint_trouble(replace(checkpoint, archives=tuple(archives)), KEYS) is not None


@given(TRIMS, st.data())
def test_a_checkpoint_without_the_key_or_made_of_less_is_found(
    found: tuple[list[Entry], list[int]], data: st.DataObject
) -> None:
    entries, ends = found
    checkpoint = trimmed(entries, ends)
    thief = Keyring(b"a thief's own key, also random enough")
    assert checkpoint_trouble(checkpoint, KEYS) is None
    assert checkpoint_trouble(checkpoint, thief) is not None
    assert checkpoint_trouble(seal_checkpoint(checkpoint.archives, thief), KEYS) is not None
    posing = replace(seal_checkpoint(checkpoint.archives, thief), key=checkpoint.key)
    assert checkpoint_trouble(posing, KEYS) is not None
    assert checkpoint_trouble(replace(checkpoint, key=""), KEYS) is not None
    fewer = data.draw(st.integers(0, len(ends) - 1))
    assert checkpoint_trouble(replace(checkpoint, archives=checkpoint.archives[:fewer]), KEYS) is not None
    for entry in entries:
        assert checkpoint_trouble(replace(checkpoint, archives=checkpoint.archives, seal=entry.hash), KEYS) is not None
