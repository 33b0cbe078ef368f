"""How late and how far behind a reader of marked updates is."""

from __future__ import annotations

import itertools

import pytest

from tests.load.marks import UPDATES_PER_S, Reader, due_times, mark

STEP = 1 / UPDATES_PER_S
ALL = list(itertools.islice(due_times(1_000.0), 200))


def bytes_of(*numbers: int) -> bytes:
    return " … ".join(mark(*ALL[number]) for number in numbers).encode()


def test_updates_are_due_fifty_a_second() -> None:
    assert ALL[0] == (0, 1_000.0)
    assert ALL[100] == (100, 1_002.0)


def test_a_mark_is_always_as_long() -> None:
    assert len(mark(0, 0.25)) == len(mark(9_999_999, 12_345_678.123456))


def test_a_reader_that_gets_each_update_when_it_is_due_is_one_behind_at_the_most() -> None:
    reader = Reader()
    for number, due in ALL:
        reader.feed(bytes_of(number), due + 0.001)
    assert reader.lags_ms == pytest.approx([1.0] * len(ALL), abs=0.01)
    assert (max(reader.behind), reader.skipped) == (1, 0)


def test_a_lag_counts_from_when_the_update_was_due() -> None:
    reader = Reader()
    reader.feed(bytes_of(0, 1, 2), 1_000.0 + 2 * STEP)
    assert reader.lags_ms == pytest.approx([40.0, 20.0, 0.0], abs=0.01)


def test_a_stall_is_as_many_updates_behind_as_were_due_meanwhile() -> None:
    reader = Reader()
    reader.feed(bytes_of(0), 1_000.0)
    reader.feed(bytes_of(*range(1, 51)), 1_001.001)
    assert max(reader.behind) == 50


def test_silence_until_the_end_counts_too() -> None:
    reader = Reader()
    reader.feed(bytes_of(0), 1_000.0)
    reader.look(1_002.001)
    assert max(reader.behind) == 100


def test_an_update_shown_twice_counts_once() -> None:
    reader = Reader()
    reader.feed(bytes_of(0, 0, 1), 1_000.05)
    reader.feed(bytes_of(1, 2), 1_000.06)
    assert len(reader.lags_ms) == 3


def test_an_update_that_a_later_one_overtook_was_skipped() -> None:
    reader = Reader()
    reader.feed(bytes_of(3, 4, 7), 1_000.2)
    assert reader.skipped == 2
    assert reader.summary()["updates_skipped"] == 2


def test_what_is_no_mark_is_not_counted() -> None:
    reader = Reader()
    reader.feed(b": keep-alive\n\nupdate 12 due 3", 1_000.0)
    assert (reader.lags_ms, reader.behind) == ([], [])
