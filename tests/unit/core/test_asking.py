"""What one person may ask within a minute, when they are told, and when it is written down."""

from __future__ import annotations

from core.asking import Askers, Flood, TooMany
from core.budgets import Budget
from core.ids import SlackUser

EVE, BOB = SlackUser("T0CDM", "U0EVE"), SlackUser("T0CDM", "U0BOB")
PER_MINUTE = Budget(1.0, 30.0)


def refused(found: TooMany | None) -> TooMany:
    assert found is not None
    return found


def flooded(askers: Askers, seconds: int, per_s: int, start: float = 0.0) -> list[TooMany | None]:
    return [askers.ask(EVE, start + n / per_s) for n in range(seconds * per_s)]


def test_thirty_at_once_are_taken_then_one_a_second() -> None:
    found = flooded(Askers(PER_MINUTE), 60, 83)
    assert found[:30] == [None] * 30
    assert 30 + 59 <= found.count(None) <= 30 + 60


def test_another_person_is_not_concerned() -> None:
    askers = Askers(PER_MINUTE)
    flooded(askers, 10, 83)
    assert [askers.ask(BOB, 10.0) for _ in range(30)] == [None] * 30


def test_a_person_who_asks_within_the_measure_is_always_heard() -> None:
    askers = Askers(PER_MINUTE)
    assert [askers.ask(BOB, n * 1.0) for n in range(600)] == [None] * 600


def test_it_is_told_at_the_first_refusal_and_then_once_a_minute_with_the_numbers_since() -> None:
    found = [one for one in flooded(Askers(PER_MINUTE), 130, 10) if one is not None]
    told = [one.flood for one in found if one.flood is not None]
    assert told[0] == Flood(34, 1), "the thirty, and what was refilled meanwhile"
    assert len(told) == 3
    assert told[1].asked == 600
    assert 539 <= told[1].refused <= 541
    assert all(0 < one.wait_s <= 1 for one in found)


def test_what_was_asked_long_before_does_not_count_as_within_the_minute() -> None:
    askers = Askers(PER_MINUTE)
    for n in range(20):
        askers.ask(EVE, n * 1.0)
    found = [askers.ask(EVE, 300.0) for _ in range(31)]
    assert refused(found[-1]).flood == Flood(31, 1)


def test_a_flood_is_written_down_at_once_and_then_what_came_since_once_a_minute() -> None:
    askers = Askers(PER_MINUTE)
    flooded(askers, 10, 10)
    assert askers.to_note(10.0) == {EVE: Flood(100, 61)}
    askers.noted(EVE, Flood(100, 61), 10.0)
    flooded(askers, 20, 10, start=10.0)
    assert askers.to_note(30.0) == {}
    ((_, since),) = askers.to_note(70.0).items()
    assert since.asked == 200
    askers.noted(EVE, since, 70.0)
    assert askers.to_note(200.0) == {}


def test_what_could_not_be_written_down_is_still_to_be() -> None:
    askers = Askers(PER_MINUTE)
    flooded(askers, 10, 10)
    askers.to_note(10.0)
    assert askers.to_note(12.0) == {EVE: Flood(100, 61)}


def test_who_has_been_quiet_is_forgotten_and_nothing_of_a_flood_is() -> None:
    askers = Askers(PER_MINUTE)
    flooded(askers, 10, 10)
    askers.ask(BOB, 10.0)
    assert len(askers) == 2
    assert list(askers.to_note(90.0)) == [EVE]
    assert len(askers) == 1
    askers.noted(EVE, Flood(100, 61), 90.0)
    askers.to_note(90.0)
    assert len(askers) == 0
