"""The outbox decides from rows alone: what to do next, and what a failure makes of a row."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.budgets import Budgets, Priority
from core.ids import Channel
from core.messages.blocks import compose, section
from core.outbox import (
    Do,
    Row,
    Shape,
    State,
    Timing,
    Wanted,
    attempt,
    confirm,
    found,
    next_step,
    place,
    rechecked,
    render,
    unique_name,
    updated,
)
from core.outbox_failures import Failure, Kind, Reaction, Trouble, react, reaction_to

OPS, FALLBACK = Channel("C1"), Channel("C2")
TIMING = Timing()
ALARM = Wanted("incident:1", OPS, compose("OTA Failure", section("OTA Failure")), Priority.INCIDENT)
NEW = Row(ALARM.key)


def tried(at: float = 100.0) -> Row:
    return attempt(ALARM, NEW, (OPS, ""), at, at)


def shown(at: float = 100.0) -> Row:
    return confirm(tried(at), "1.5", at, TIMING)


def failed(row: Row, trouble: Trouble, kind: Kind, now: float = 200.0, wanted: Wanted = ALARM) -> Row:
    return react(wanted, row, Failure(trouble, kind, now, FALLBACK), TIMING).row


def step(row: Row, now: float = 100.0, wanted: Wanted = ALARM, parent: Row | None = None) -> Do:
    return next_step(wanted, row, parent, now, TIMING).do


def test_a_new_message_is_posted_then_left_alone_until_it_changes() -> None:
    assert step(NEW) is Do.POST
    assert step(shown()) is Do.REST
    changed = replace(ALARM, message=compose("cleared"))
    assert step(shown(), wanted=changed) is Do.UPDATE
    assert step(updated(shown(), changed.message.digest), wanted=changed) is Do.REST


def test_an_attempt_found_in_the_store_is_looked_up_never_posted() -> None:
    assert step(tried()) is Do.LOOK_UP
    assert step(failed(tried(), Trouble.OUTCOME_UNKNOWN, Kind.POST, 100), 100.5) is Do.WAIT


def test_it_looks_until_late_history_cannot_hide_the_message_and_only_then_repeats() -> None:
    row, now, looks = failed(tried(), Trouble.OUTCOME_UNKNOWN, Kind.POST, 100), 100.0, []
    while row.state is State.ATTEMPTED:
        now = row.not_before
        looks.append(now - 100)
        row = found(row, (), now, TIMING)
    assert looks == [1, 4, 9, 15]
    assert (row.state, row.repeats, row.outbox_id) == (State.PLANNED, 1, tried().outbox_id)
    assert step(row, now) is Do.POST


def test_after_a_repeat_it_looks_for_a_twin_once() -> None:
    row = confirm(replace(tried(), repeats=1), "1.5", 100, TIMING)
    assert step(row, 159) is Do.WAIT
    assert step(row, 160) is Do.RECHECK
    row, twins = rechecked(row, ("1.2", "1.5"))
    assert (row.ts, twins, step(row, 160)) == ("1.5", ("1.2",), Do.REST)
    assert rechecked(row, ("1.2",))[0].ts == "1.2"
    assert rechecked(row, ())[1] == ()


def test_two_found_at_once_leave_the_first() -> None:
    row = found(tried(), ("1.2", "1.5"), 120, TIMING)
    assert (row.state, row.ts, step(row, 120)) == (State.CONFIRMED, "1.2", Do.RECHECK)


def test_a_reply_waits_for_its_parent_and_goes_on_without_one_that_is_gone() -> None:
    reply = replace(ALARM, key="incident:1:a", parent=ALARM.key)
    row = Row(reply.key)
    assert step(row, wanted=reply, parent=None) is Do.WAIT
    assert step(row, wanted=reply, parent=tried()) is Do.WAIT
    assert place(reply, row, shown()) == (OPS, "1.5")
    assert place(reply, row, replace(tried(), state=State.DEAD)) == (OPS, "")
    deleted = failed(shown(), Trouble.MESSAGE_GONE, Kind.UPDATE)
    assert place(reply, row, deleted) == (OPS, "1.5")


def test_a_deleted_message_comes_back_once_while_its_thing_is_open() -> None:
    once = failed(shown(), Trouble.MESSAGE_GONE, Kind.UPDATE)
    assert (step(once), once.outbox_id != shown().outbox_id) == (Do.POST, True)
    again = confirm(attempt(ALARM, once, (OPS, ""), 300, 300), "3.0", 300, TIMING)
    twice = failed(again, Trouble.MESSAGE_GONE, Kind.UPDATE)
    assert (twice.state, step(twice)) == (State.GONE, Do.REST)
    ended = failed(shown(), Trouble.MESSAGE_GONE, Kind.UPDATE, wanted=replace(ALARM, open=False))
    assert ended.state is State.GONE


def test_a_message_that_cannot_be_edited_is_posted_anew() -> None:
    assert step(failed(shown(), Trouble.NOT_EDITABLE, Kind.UPDATE)) is Do.POST


@pytest.mark.parametrize("kind", [Kind.POST, Kind.UPDATE, Kind.LOOK_UP])
def test_what_was_meant_for_a_lost_channel_goes_to_the_fallback_and_says_so(kind: Kind) -> None:
    row = {Kind.POST: tried(), Kind.UPDATE: shown(), Kind.LOOK_UP: tried()}[kind]
    after = react(ALARM, row, Failure(Trouble.CHANNEL_GONE, kind, 200, FALLBACK), TIMING)
    assert (after.notice, step(after.row, 200), place(ALARM, after.row, None)) == (True, Do.POST, (FALLBACK, ""))
    assert "meant for `C1`" in render(ALARM, after.row).text
    lost = react(ALARM, after.row, Failure(Trouble.CHANNEL_GONE, kind, 200, FALLBACK), TIMING)
    assert (lost.row.channel, lost.row.not_before) == (FALLBACK, 201)


def test_only_what_is_critical_is_repeated_blindly_and_marked() -> None:
    critical = replace(ALARM, critical=True)
    row = failed(tried(), Trouble.SCOPE_MISSING, Kind.LOOK_UP, wanted=critical)
    assert step(row, 200, critical) is Do.POST
    assert "possible repeat" in render(critical, row).text
    kept = failed(tried(), Trouble.SCOPE_MISSING, Kind.LOOK_UP)
    assert (kept.state, step(kept, 200), step(kept, 201)) == (State.ATTEMPTED, Do.WAIT, Do.LOOK_UP)


def test_a_look_up_that_fails_for_long_counts_as_impossible() -> None:
    critical = replace(ALARM, critical=True)
    row = failed(tried(), Trouble.UNAVAILABLE, Kind.LOOK_UP, 200, critical)
    assert row.state is State.ATTEMPTED
    assert failed(row, Trouble.UNAVAILABLE, Kind.LOOK_UP, 259, critical).state is State.ATTEMPTED
    assert failed(row, Trouble.UNAVAILABLE, Kind.LOOK_UP, 260, critical).state is State.PLANNED


def test_refused_blocks_and_lengths_make_the_message_smaller_until_nothing_is_left_to_try() -> None:
    row = tried()
    shapes = []
    for trouble in (Trouble.TOO_LONG, Trouble.BLOCKS_REFUSED):
        row = failed(row, trouble, Kind.POST)
        shapes.append(row.shape)
    assert shapes == [Shape.SHORT, Shape.SHORT_TEXT]
    assert render(ALARM, row).blocks == ()
    assert failed(row, Trouble.TOO_LONG, Kind.POST).tries == 1
    other = replace(ALARM, message=compose("t", section("next state")))
    assert render(other, row).blocks == other.message.blocks
    assert react(ALARM, tried(), Failure(Trouble.TOO_LONG, Kind.POST, 1), TIMING).as_file


def test_unknown_errors_back_off_to_five_minutes_then_give_up_until_the_next_state() -> None:
    row, waits, now = tried(), [], 200.0
    while row.state is not State.DEAD:
        row = failed(row, Trouble.OTHER, Kind.POST, now)
        waits.append(row.not_before - now)
        now += 1000
    assert waits[:10] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
    assert len(waits) == TIMING.tries
    assert step(row, now) is Do.REST
    assert step(row, now, replace(ALARM, message=compose("cleared"))) is Do.POST


@pytest.mark.parametrize("trouble", [Trouble.UNAVAILABLE, Trouble.RATE_LIMITED, Trouble.TOKEN_REFUSED])
def test_troubles_that_are_not_the_messages_fault_never_give_it_up(trouble: Trouble) -> None:
    row = tried()
    for _ in range(100):
        row = failed(row, trouble, Kind.POST)
    assert row.state is State.PLANNED
    assert row.not_before <= 200 + TIMING.longest_s


def test_looking_for_twins_in_vain_holds_up_nothing_and_ends_with_its_thing() -> None:
    row = replace(confirm(replace(tried(), repeats=1), "1.5", 100, TIMING), recheck_at=160.0)
    ended = replace(ALARM, open=False)
    for _ in range(TIMING.tries):
        row = failed(row, Trouble.SCOPE_MISSING, Kind.RECHECK, wanted=ended)
        assert row.not_before == 0
        assert 200 < row.recheck_at <= 500
    assert step(failed(row, Trouble.SCOPE_MISSING, Kind.RECHECK, wanted=ended), 9999, ended) is Do.REST


def test_only_first_posts_of_incidents_and_approvals_say_that_they_are_late() -> None:
    late = attempt(ALARM, NEW, (OPS, ""), 100, 175)
    assert render(ALARM, late).text.endswith("shown 75 s late")
    assert render(ALARM, updated(confirm(late, "1.5", 176, TIMING), "x")).text.endswith("shown 75 s late")
    assert attempt(ALARM, NEW, (OPS, ""), 100, 160).late_s == 0
    note = replace(ALARM, priority=Priority.UPDATE)
    assert attempt(note, NEW, (OPS, ""), 100, 500).late_s == 0
    assert attempt(replace(ALARM, parent="x"), NEW, (OPS, "1.0"), 100, 500).late_s == 0


def test_the_failure_table() -> None:
    expected = {
        (Trouble.OUTCOME_UNKNOWN, Kind.POST): Reaction.LOOK_UP,
        (Trouble.OUTCOME_UNKNOWN, Kind.UPLOAD): Reaction.LOOK_UP,
        (Trouble.OUTCOME_UNKNOWN, Kind.UPDATE): Reaction.RETRY,
        (Trouble.MESSAGE_GONE, Kind.UPDATE): Reaction.REPOST,
        (Trouble.CHANNEL_GONE, Kind.POST): Reaction.FALLBACK,
        (Trouble.BLOCKS_REFUSED, Kind.UPDATE): Reaction.PLAIN,
        (Trouble.TOO_LONG, Kind.POST): Reaction.SHORTEN,
        (Trouble.RATE_LIMITED, Kind.UPDATE): Reaction.WAIT,
        (Trouble.TOKEN_REFUSED, Kind.LOOK_UP): Reaction.STOP,
        (Trouble.TOKEN_REFUSED, Kind.RESPOND): Reaction.ASK_ELSE,
        (Trouble.URL_SPENT, Kind.RESPOND): Reaction.ASK_ELSE,
        (Trouble.USER_UNREACHABLE, Kind.TELL): Reaction.DROP,
        (Trouble.OTHER, Kind.POST): Reaction.BACK_OFF,
    }
    assert {case: reaction_to(*case) for case in expected} == expected


def test_a_files_name_carries_the_id_before_its_ending() -> None:
    assert unique_name("journal.txt", "ab-0") == "journal-ab-0.txt"
    assert unique_name("journal", "ab-0") == "journal-ab-0"
    assert unique_name("dev\n\u202e" + "x" * 500 + ".txt", "ab-0").endswith("x…-ab-0.txt")


def test_the_budgets_stay_within_slacks_limits_in_any_minute() -> None:
    budgets = Budgets()
    for budget in (budgets.updates, budgets.reads):
        assert budget.burst + 60 * budget.per_s <= 50
        assert all(budget.needed(priority) <= budget.burst for priority in Priority)
    assert budgets.channel_posts.per_s <= 1
    assert budgets.posts.burst + 60 * budgets.posts.per_s <= 200
