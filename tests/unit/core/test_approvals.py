"""Requests for a second person and their evidence, at the edges: what is said, and what does not count."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from core.access import Action
from core.approvals import (
    CHANGES_KEPT,
    REASON_LIMIT,
    Answer,
    Kind,
    Order,
    Party,
    Phase,
    Request,
    Rule,
    agree,
    agreed_alone,
    ask,
    deny,
    expire,
    finish,
    is_due_for_reminder,
    is_due_to_expire,
    refresh,
    sign,
    withdraw,
)
from core.evidence import Evidence, Fact, changed, in_words
from core.ids import ApprovalId, Channel, Stack, Subject, Tenant

NOW = datetime(2026, 11, 24, 10, 5, tzinfo=UTC)
ORDER = Order(
    action=Action.STOP,
    object="rollout:eu1/17",
    title="Stop release-1.1.0 on eu1 for good",
    params={"verb": "stop", "stack": "eu1", "rollout": "17"},
    stack=Stack("eu1"),
    tenants=frozenset({Tenant("customer-a")}),
    channel=Channel("C1"),
)
BOB = Party(Subject("s-bob"), "bob", "T1/UBOB")
ALICE = Party(Subject("s-alice"), "alice", "T1/UALICE")
HEIDI = Party(Subject("s-heidi"), "heidi", "T1/UHEIDI")
FACTS = Evidence({"groups started": "1 of 3", "failed devices": ("gw-001",)})
NEWS = Evidence({"groups started": "2 of 3", "failed devices": ("gw-001",)})


def asked(reason: str = "it bricks slot B", quorum: int = 1) -> Request:
    return ask(ApprovalId("k7m2p9"), ORDER, BOB, reason, FACTS, Rule(quorum=quorum), NOW)


def glass() -> Request:
    id, now = ApprovalId("g7m2p9"), NOW
    return agreed_alone(id, Kind.BREAK_GLASS, ORDER, ALICE, "it bricks slot B", FACTS, Rule(), now, now)


def later(**more: float) -> datetime:
    return NOW + timedelta(**more)


# who counts


@pytest.mark.parametrize(
    "by",
    [BOB, replace(BOB, caller="T1/UOTHER"), replace(ALICE, caller=BOB.caller), Party(BOB.subject, "bob", "cli/s-bob")],
    ids=["the same", "a second Slack user", "the same Slack user, linked anew", "at the command line"],
)
def test_nobody_agrees_to_or_denies_their_own(by: Party) -> None:
    assert agree(asked(), by, FACTS.digest, FACTS, NOW) == (asked(), Answer.SAME_PERSON)
    assert deny(asked(), by, "no", NOW) == (asked(), Answer.SAME_PERSON)


def test_one_person_with_two_slack_users_is_one_of_two() -> None:
    once, answer = agree(asked(quorum=2), ALICE, FACTS.digest, FACTS, NOW)
    assert answer is Answer.COUNTED
    assert agree(once, replace(ALICE, caller="T1/USECOND"), FACTS.digest, FACTS, NOW) == (once, Answer.ALREADY)
    assert agree(once, HEIDI, FACTS.digest, FACTS, NOW)[1] is Answer.AGREED


def test_an_order_is_the_same_whatever_its_title_says() -> None:
    assert replace(ORDER, title="Stop it", channel=Channel("C2")).key == ORDER.key
    assert replace(ORDER, params={**ORDER.params, "rollout": "18"}).key != ORDER.key


# evidence


def test_who_was_shown_something_else_has_agreed_to_nothing() -> None:
    assert agree(asked(), ALICE, NEWS.digest, FACTS, NOW) == (asked(), Answer.STALE)
    assert agree(asked(), ALICE, "", FACTS, NOW) == (asked(), Answer.STALE)


def test_news_take_the_votes_back_and_are_said() -> None:
    once, _ = agree(asked(quorum=2), ALICE, FACTS.digest, FACTS, NOW)
    fresh, answer = agree(once, HEIDI, FACTS.digest, NEWS, NOW)
    assert answer is Answer.STALE
    assert (fresh.votes, fresh.evidence, fresh.changes) == ((), NEWS, ("groups started: 1 of 3, now 2 of 3",))


def test_of_many_changes_the_newest_are_kept() -> None:
    request = asked()
    for number in range(20):
        request = refresh(request, Evidence({"groups started": f"{number} of 30"}))
    assert len(request.changes) == CHANGES_KEPT
    assert request.changes[-1] == "groups started: 18 of 30, now 19 of 30"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("1 of 3", "2 of 3", "fact: 1 of 3, now 2 of 3"),
        (True, False, "fact: yes, now no"),
        (3, 5, "fact: 3, now 5"),
        ("", "on", "fact: none, now on"),
        (("gw-001",), ("gw-001", "gw-002", "gw-003"), "fact: 2 more: gw-[002-003]"),
        (("gw-001", "gw-002"), ("gw-002",), "fact: 1 no longer: gw-001"),
        (("errors: too many",), ("errors: too many", "soak: too short"), "fact: soak: too short more"),
        ((), ("gw-001",), "fact: 1 more: gw-001"),
    ],
)
def test_a_change_is_said_in_words_with_its_number(old: Fact, new: Fact, said: str) -> None:
    assert changed(Evidence({"fact": old}), Evidence({"fact": new})) == (said,)


def test_names_that_changed_both_ways_are_two_lines() -> None:
    lines = changed(Evidence({"failed": ("gw-001",)}), Evidence({"failed": ("gw-002",)}))
    assert lines == ("failed: 1 more: gw-002", "failed: 1 no longer: gw-001")


@pytest.mark.parametrize("old", ["", (), ("",)])
def test_what_is_empty_is_as_good_as_not_there(old: Fact) -> None:
    assert Evidence({"failed": old}).digest == Evidence({}).digest
    assert changed(Evidence({"failed": old}), Evidence({})) == ()


def test_a_fact_reads_as_short_as_it_may() -> None:
    assert in_words([f"gw-{n:03}" for n in range(1, 126)]) == "125: gw-[001-125]"
    assert in_words(["soak: too short", "errors: too many"]) == "errors: too many; soak: too short"
    assert in_words(()) == in_words("") == "none"
    scattered = in_words([f"{'x' * 30}{n}{'y' * n}" for n in range(9)])
    assert scattered.startswith("9: ")
    assert scattered.endswith(" more")
    assert len(scattered) < 150


# its course


def test_a_reason_longer_than_anybody_reads_is_cut() -> None:
    assert len(asked("x" * 1000).reason) == REASON_LIMIT


def test_only_who_asked_withdraws_and_only_while_it_is_open() -> None:
    assert withdraw(asked(), ALICE, NOW) == (asked(), Answer.NOT_YOURS)
    gone, answer = withdraw(asked(), BOB, NOW)
    assert (gone.phase, answer) == (Phase.WITHDRAWN, Answer.COUNTED)
    assert withdraw(gone, BOB, NOW) == (gone, Answer.OVER)


def test_who_decides_a_moment_too_late_decides_nothing() -> None:
    end = asked().expires_at
    assert agree(asked(), ALICE, FACTS.digest, FACTS, end - timedelta(seconds=1))[1] is Answer.AGREED
    late, answer = agree(asked(), ALICE, FACTS.digest, FACTS, end)
    assert (late.phase, answer) == (Phase.EXPIRED, Answer.EXPIRED)
    assert is_due_to_expire(asked(), end)
    assert not is_due_to_expire(late, end)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase.over])
def test_nothing_moves_what_is_over(phase: Phase) -> None:
    over = replace(asked(), phase=phase, ended_at=NOW)
    for act in (
        agree(over, ALICE, FACTS.digest, FACTS, NOW),
        deny(over, ALICE, "no", NOW),
        withdraw(over, BOB, NOW),
        sign(over, ALICE, NOW),
    ):
        assert act == (over, Answer.OVER)
    assert refresh(over, NEWS) == expire(over, NOW) == finish(over, Phase.DONE, "done", NOW) == over


def test_agreed_and_changed_before_it_was_done_it_is_open_again() -> None:
    agreed, _ = agree(asked(), ALICE, FACTS.digest, FACTS, NOW)
    again = refresh(agreed, NEWS)
    assert (again.phase, again.votes, again.live) == (Phase.OPEN, (), True)


def test_a_broken_glass_stays_until_another_one_signs_it() -> None:
    done = finish(glass(), Phase.DONE, "Stopped for good.", NOW)
    assert done.live
    assert sign(done, ALICE, NOW) == (done, Answer.SAME_PERSON)
    signed, answer = sign(done, HEIDI, later(hours=1))
    assert answer is Answer.COUNTED
    assert (signed.signed_by, signed.signed_at, signed.live) == (HEIDI, later(hours=1), False)
    assert sign(signed, BOB, NOW) == (signed, Answer.OVER)


def test_it_is_reminded_of_once_while_it_waits() -> None:
    soon = later(seconds=Rule().remind_s)
    for waits in (asked(), finish(glass(), Phase.DONE, "", NOW)):
        assert not is_due_for_reminder(waits, later(minutes=1))
        assert is_due_for_reminder(waits, soon)
        assert not is_due_for_reminder(replace(waits, reminded=True), soon)
    assert not is_due_for_reminder(glass(), soon), "it is being carried out"
    assert not is_due_for_reminder(deny(asked(), ALICE, "no", NOW)[0], soon)
