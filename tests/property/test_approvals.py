"""What needs a second person, from whatever is asked, agreed, denied, withdrawn or changed, in whatever order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from core.access import Action
from core.approvals import (
    Answer,
    Kind,
    Order,
    Party,
    Phase,
    Request,
    Rule,
    agree,
    ask,
    deny,
    expire,
    finish,
    is_due_to_expire,
    refresh,
    sign,
    withdraw,
)
from core.evidence import Evidence, Fact, changed
from core.ids import ApprovalId, Channel, Stack, Subject, Tenant

START = datetime(2026, 11, 24, 10, 5, tzinfo=UTC)
A = Tenant("customer-a")
ORDER = Order(Action.STOP, "rollout:eu1/17", "Stop it", {"verb": "stop"}, Stack("eu1"), frozenset({A}), Channel("C1"))

PARTIES = st.builds(
    lambda subject, caller: Party(Subject(f"s-{subject}"), f"n-{subject}", f"T1/U{caller}"),
    st.integers(0, 3),
    st.integers(0, 3),
)
"""Few accounts and few Slack users, in any pairing: relinked, shared and second accounts are all among them."""
EVIDENCE = st.sampled_from([0] * 8 + [1, 2]).map(lambda started: Evidence({"groups started": started}))
"""Mostly as it was, or nobody would ever agree."""
WORDS = st.text("ab1 ,é", max_size=4)
FACTS = st.one_of(WORDS, st.integers(), st.booleans(), st.lists(WORDS, max_size=4))
MANY_FACTS = st.dictionaries(st.sampled_from(["set", "failed devices", "objections"]), FACTS)


@dataclass(frozen=True, slots=True)
class Step:
    """What somebody does `wait_s` after the last. `shown`: the evidence on their screen, None for nothing at all."""

    what: str
    by: Party
    shown: Evidence | None
    truth: Evidence
    wait_s: int


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(["agree"] * 12 + ["deny", "withdraw", "expire", "refresh", "finish", "sign"]),
        PARTIES,
        st.one_of(EVIDENCE, EVIDENCE, st.none()),
        EVIDENCE,
        st.sampled_from([1, 1, 60, 2000]),
    ),
    max_size=25,
)


def taken(request: Request, step: Step, now: datetime) -> Request:
    match step.what:
        case "agree":
            shown = step.shown.digest[:16] if step.shown else ""
            return agree(request, step.by, shown, step.truth, now)[0]
        case "deny":
            return deny(request, step.by, "no", now)[0]
        case "withdraw":
            return withdraw(request, step.by, now)[0]
        case "expire":
            return expire(request, now) if is_due_to_expire(request, now) else request
        case "refresh":
            return refresh(request, step.truth)
        case "finish":
            return finish(request, Phase.DONE, "done", now) if request.phase is Phase.AGREED else request
        case _:
            return sign(request, step.by, now)[0]


def path(quorum: int, by: Party, first: Evidence, steps: list[Step]) -> list[Request]:
    request = ask(ApprovalId("k7m2p9"), ORDER, by, "why", first, Rule(quorum=quorum, lasts_s=7200), START)
    found, now = [request], START
    for step in steps:
        now += timedelta(seconds=step.wait_s)
        request = taken(request, step, now)
        found.append(request)
    return found


def pairwise_different(parties: list[Party]) -> bool:
    return all(a.subject != b.subject and a.caller != b.caller for a, b in combinations(parties, 2))


@given(st.integers(1, 3), PARTIES, EVIDENCE, STEPS)
def test_agreed_means_enough_different_persons_none_of_them_the_requester_on_the_evidence_as_it_is(
    quorum: int, by: Party, first: Evidence, steps: list[Step]
) -> None:
    for request in path(quorum, by, first, steps):
        assert request.kind is Kind.REQUEST
        assert pairwise_different([request.by, *(vote.by for vote in request.votes)])
        assert all(vote.evidence == request.evidence.digest for vote in request.votes)
        if request.phase in (Phase.AGREED, Phase.DONE):
            assert len(request.votes) == quorum
            assert all(vote.at < request.expires_at for vote in request.votes)
        else:
            assert len(request.votes) < quorum


@given(st.integers(1, 2), PARTIES, EVIDENCE, STEPS)
def test_what_is_over_stays_as_it_ended(quorum: int, by: Party, first: Evidence, steps: list[Step]) -> None:
    requests = path(quorum, by, first, steps)
    for before, after in pairwise(requests):
        if before.phase.over:
            assert after == before


@given(st.integers(1, 3), PARTIES, EVIDENCE, STEPS)
def test_only_a_vote_that_counts_adds_one_and_only_news_takes_votes_away(
    quorum: int, by: Party, first: Evidence, steps: list[Step]
) -> None:
    request, now = path(quorum, by, first, [])[0], START
    for step in steps:
        now += timedelta(seconds=step.wait_s)
        after = taken(request, step, now)
        if len(after.votes) > len(request.votes):
            assert step.what == "agree"
            assert step.shown == step.truth == request.evidence
        if len(after.votes) < len(request.votes) or after.evidence != request.evidence:
            assert changed(request.evidence, after.evidence) or step.what == "refresh"
            assert after.phase is Phase.OPEN
        request = after


@given(st.integers(1, 2), PARTIES, EVIDENCE, STEPS)
def test_who_agrees_is_told_so_exactly_where_it_is_counted(
    quorum: int, by: Party, first: Evidence, steps: list[Step]
) -> None:
    request, now = path(quorum, by, first, [])[0], START
    for step in steps:
        now += timedelta(seconds=step.wait_s)
        if step.what == "agree":
            shown = step.shown.digest if step.shown else ""
            after, answer = agree(request, step.by, shown, step.truth, now)
            assert (answer in (Answer.COUNTED, Answer.AGREED)) == (len(after.votes) > len(request.votes))
            assert (answer is Answer.AGREED) == (after.phase is Phase.AGREED != request.phase)
        request = taken(request, step, now)


@given(MANY_FACTS, MANY_FACTS)
def test_evidence_has_the_same_digest_exactly_where_nothing_is_said_to_have_changed(
    old: dict[str, Fact], new: dict[str, Fact]
) -> None:
    assert (Evidence(old).digest == Evidence(new).digest) == (changed(Evidence(old), Evidence(new)) == ())


@given(MANY_FACTS)
def test_the_order_of_names_and_facts_means_nothing(facts: dict[str, Fact]) -> None:
    turned = {
        name: fact if isinstance(fact, (str, int)) else [*reversed(list(fact)), *list(fact)]
        for name, fact in reversed(facts.items())
    }
    assert Evidence(turned).digest == Evidence(facts).digest
    assert changed(Evidence(facts), Evidence(turned)) == ()
