"""The chain of the audit log: what it is made of, and which forms and keys it takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from core.audit import GENESIS, NO_KEYS, ChainCheck, Entry, Keyring, canonical, key_id, seal

ONE, TWO, THIEF = (
    b"the first key of this installation",
    b"the second key of this installation",
    b"a key of a thief's own",
)

OF_OLD = Entry(
    **{"seq": 1, "at": "2026-11-24T03:00:00+00:00", "kind": "intent", "actor": "sub-bob", "action": "pause"},
    **{"object": "rollout:eu1/17", "ref": "", "data": {"name": "bób", "n": 1.5}, "prev": GENESIS},
    hash="8d9f0ed5007552995ceca71a7ce11c75923fde94e97e4f119fdbb90d189d8155",
)
"""As bots wrote it before entries had a version."""


def chain(count: int, keys: Keyring = NO_KEYS, *, after: Iterable[Entry] = ()) -> list[Entry]:
    made = list(after)
    for seq in range(len(made) + 1, len(made) + count + 1):
        words: Mapping[str, Any] = {"at": "2026-11-24T03:00:00+00:00", "kind": "note", "actor": "bot", "ref": ""}
        prev = made[-1].hash if made else GENESIS
        made.append(seal(seq=seq, action="decided", object=f"it:{seq}", data={"n": seq}, prev=prev, keys=keys, **words))
    return made


def why_not(entries: Iterable[Entry], keys: Keyring = NO_KEYS, anchors: Mapping[int, str] | None = None) -> str | None:
    check = ChainCheck(keys, anchors)
    return check.end() if all(check.see(entry) for entry in entries) else check.broken


def test_an_entry_is_hashed_as_canonical_json() -> None:
    entry = seal(
        **{"seq": 1, "at": "t", "kind": "note", "actor": "ö", "action": "a", "object": "o", "ref": "", "prev": "p"},
        data={"b": 1e21, "a": [1.0, 0.000001, True, None], "\u20ac": "\n\u0007"},
    )
    assert canonical(entry).decode() == (
        '{"action":"a","actor":"ö","at":"t","data":{"a":[1,0.000001,true,null],"b":1e+21,"€":"\\n\\u0007"},"key":"",'
        '"kind":"note","object":"o","prev":"p","ref":"","seq":1,"v":2}'
    )


def test_what_was_written_before_entries_had_a_version_still_holds_and_the_chain_goes_on() -> None:
    assert why_not([OF_OLD]) is None
    assert why_not(chain(2, after=[OF_OLD])) is None
    assert why_not([replace(OF_OLD, actor="sub-eve")]) == "entry 1 was changed after it was written"


def test_a_chain_written_anew_without_the_key_does_not_hold() -> None:
    keys = Keyring(ONE)
    assert why_not(chain(3, keys), keys) is None
    assert "bears no key" in str(why_not(chain(3), keys))
    assert "settings do not have" in str(why_not(chain(3, Keyring(THIEF)), keys))
    posing = [replace(entry, key=key_id(ONE)) for entry in chain(3, Keyring(THIEF))]
    assert why_not(posing, keys) == "entry 1 was changed after it was written"
    assert "a form that no bot writes" in str(why_not([replace(OF_OLD, key=key_id(ONE))], keys))


def test_a_log_that_began_without_a_key_says_from_where_it_must_have_one() -> None:
    mixed = chain(2, Keyring(ONE), after=chain(2))
    assert "entry 1 bears no key" in str(why_not(mixed, Keyring(ONE)))
    assert why_not(mixed, Keyring(ONE, keyed_from=3)) is None
    assert "entry 3 bears no key" in str(why_not(chain(4), Keyring(ONE, keyed_from=3)))


def test_after_a_rotation_both_keys_are_needed() -> None:
    both = chain(2, Keyring(TWO, [ONE]), after=chain(2, Keyring(ONE)))
    assert why_not(both, Keyring(TWO, [ONE])) is None
    assert "entry 1 bears the key" in str(why_not(both, Keyring(TWO)))


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        ([1, 2, 4], "entry 3 is missing (next is 4)"),
        ([2, 3, 4], "entry 1 is missing (next is 2)"),
        ([1, 3, 2, 4], "entry 2 is missing (next is 3)"),
        ([1, 2, 2, 3], "entry 2 stands where entry 3 should"),
        ([1, 2, 3], "entries after 3 are missing: there was an entry 4"),
        ([], "every entry is missing: there was an entry 4"),
    ],
)
def test_it_says_where(kept: list[int], told: str) -> None:
    entries = chain(4)
    assert why_not([entries[seq - 1] for seq in kept], anchors={4: entries[3].hash}) == told


def test_a_log_written_anew_without_a_key_is_found_by_an_anchor() -> None:
    entries = chain(4)
    other = chain(3, after=[seal(**{**_said(entries[0]), "actor": "eve"})])
    assert why_not(other) is None
    assert "entry 2 is not the one that was anchored" in str(why_not(other, anchors={2: entries[1].hash}))


def _said(entry: Entry) -> dict[str, Any]:
    names = ("seq", "at", "kind", "actor", "action", "object", "ref", "data", "prev")
    return {name: getattr(entry, name) for name in names}
