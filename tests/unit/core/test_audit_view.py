"""Which entries an auditor gets who asks for a person, a tenant, a device, a rollout, an action or a time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from core.audit import Entry
from core.audit_view import COLUMNS, Answer, Question, acts, cells


def entry(seq: int, object: str, *, kind: str = "note", action: str = "pause", ref: str = "", **data: Any) -> Entry:
    at = f"2026-11-24T0{seq}:00:00+00:00"
    return Entry(seq, at, kind, "sub-bob", action, object, ref, data, "", "")


LOG = (
    entry(1, "incident:i1", kind="intent", action="acknowledge", tenant="customer-a", name="bob"),
    entry(2, "rollout:eu1/17/group:3"),
    entry(3, "incident:i1", kind="outcome", action="acknowledge", ref="1", done=2),
    entry(4, "rollout:eu1/170"),
    entry(5, "device:eu1/b-gw-001", action="run:redeploy", tenants=["customer-b"]),
    entry(6, "device:us1/b-gw-001", action="run:logs"),
)


@pytest.mark.parametrize(
    ("question", "found"),
    [
        (Question(), [1, 2, 3, 4, 5, 6]),
        (Question(person="bob"), [1, 3]),
        (Question(person="sub-bob"), [1, 2, 3, 4, 5, 6]),
        (Question(tenant="customer-a"), [1, 3]),
        (Question(tenant="customer-b"), [5]),
        (Question(rollout="17"), [2]),
        (Question(rollout="eu1/170"), [4]),
        (Question(rollout="us1/17"), []),
        (Question(device="b-gw-001"), [5, 6]),
        (Question(device="eu1/b-gw-001"), [5]),
        (Question(action="run"), [5, 6]),
        (Question(action="run:logs"), [6]),
        (Question(object="rollout:eu1/17"), [2, 4]),
        (Question(since=datetime(2026, 11, 24, 3, tzinfo=UTC), until=datetime(2026, 11, 24, 5, tzinfo=UTC)), [3, 4]),
        (Question(tenant="customer-a", since=datetime(2026, 11, 24, 2, tzinfo=UTC)), [3]),
    ],
)
def test_what_is_asked_for(question: Question, found: list[int]) -> None:
    answer = Answer(question)
    assert [one.seq for one in LOG if answer.wants(one)] == found


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_no_cell_begins_a_formula(text: str) -> None:
    row = cells(Entry(1, text, text, text, text, text, text, {"name": text}, text, text))
    assert len(row) == len(COLUMNS)
    assert {cell[0] for cell in row if cell} == {"1", "'", "{"}


def shown(question: Question, tenants: frozenset[str] | None, log: tuple[Entry, ...] = LOG) -> list[tuple[int, int]]:
    """Numbers of the entries and of their outcomes, 0 for none."""
    found = acts(reversed(log), question, tenants)
    return [(act.entry.seq, act.outcome.seq if act.outcome else 0) for act in found]


def test_an_act_is_shown_once_with_its_outcome_newest_first() -> None:
    assert shown(Question(), None) == [(6, 0), (5, 0), (4, 0), (2, 0), (1, 3)]
    assert shown(Question(person="bob"), None) == [(1, 3)]
    assert shown(Question(), None, LOG[1:]) == [(6, 0), (5, 0), (4, 0), (2, 0)], "an outcome alone is nobody's"


def test_an_admin_of_some_tenants_sees_what_surely_concerns_no_other() -> None:
    spanning = entry(7, "rollout:eu1/18", tenants=["customer-a", "customer-b"])
    odd = entry(8, "rollout:eu1/19", tenants="customer-a", tenant=5)
    log = (*LOG, spanning, odd)
    assert shown(Question(), frozenset({"customer-a"}), log) == [(1, 3)]
    assert shown(Question(), frozenset({"customer-a", "customer-b"}), log) == [(7, 0), (5, 0), (1, 3)]
    assert shown(Question(), frozenset(), log) == []
