"""The path of a decision says each step, and its verdict is the table's."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from core.access import Action, Link, Proof, decide_access
from core.access_path import decision, linked_in_words, standing
from core.ids import SlackUser, Subject
from tests.unit.core.test_access import BY_SUBGROUP, CELLS, RULES, A, B, member, person

BOB = SlackUser("T1", "UBOB")


def test_the_link_names_both_accounts_and_since_when_or_says_there_is_none() -> None:
    link = Link(Subject("s-1"), "bob", "bob@cdm.example", datetime(2026, 11, 24, 9, 30, tzinfo=UTC))
    told = "link: Slack user T1/UBOB is bob (s-1) since 2026-11-24 09:30 UTC, proven by "
    assert linked_in_words(BOB, link) == told + "the same e-mail address"
    assert linked_in_words(BOB, replace(link, proof=Proof.CODE)) == told + "a code typed in Slack"
    assert "not linked" in linked_in_words(BOB, None)


def test_groups_are_told_by_path_and_roles_by_whether_they_mean_anything() -> None:
    who = person("cdm-operator", "offline_access", groups=("/customer-a/site-north", "/evil/customer-b"))
    told = "\n".join(standing(who, RULES))
    assert "groups: /customer-a/site-north (tenant a), /evil/customer-b (no tenant)" in told
    assert "realm roles: cdm-operator (operator), offline_access (means nothing here)" in told
    assert told.endswith("roles that count: a: cdm-operator")
    assert "role scope: realm x group" in told


def test_by_subgroup_a_realm_role_does_not_count() -> None:
    told = standing(person("cdm-admin", groups=("/customer-a/operators",)), BY_SUBGROUP)
    assert told[-1] == "roles that count: a: cdm-operator"


def test_what_refuses_everything_stands_out() -> None:
    told = "\n".join(standing(person("cdm-admin", enabled=False, verified=False), RULES))
    assert "DISABLED" in told
    assert "NOT VERIFIED" in told
    assert "groups: none" in told
    assert "roles that count: none" in told


def test_of_a_service_account_it_says_that_no_address_is_asked() -> None:
    told = "\n".join(standing(replace(person("cdm-operator", verified=False), service_account="deploy"), RULES))
    assert "not asked of the service account of the client deploy" in told
    assert "NOT VERIFIED" not in told


def test_what_is_missing_is_named_with_where() -> None:
    told = decision(Action.PROMOTE, "rollout:eu1/7", frozenset({A, B}), member("operator"), RULES)
    assert told == (
        "object: rollout:eu1/7 belongs to a, b",
        "table: promote: viewer no, operator yes, admin yes, platform_operator no, platform_admin yes; "
        "needed in every tenant of the object",
        "verdict: refuse (not_a_member, needs cdm-operator in b)",
    )


@pytest.mark.parametrize(("action", "column", "_alone", "_approve"), CELLS)
def test_the_verdict_told_is_the_one_the_gate_gives(action: Action, column: str, _alone: str, _approve: str) -> None:
    access = decide_access(action, frozenset({A}), member(column), RULES)
    verdict = decision(action, "tenant:a", frozenset({A}), member(column), RULES)[-1]
    assert verdict.startswith(f"verdict: {access.verdict} ({access.reason}")
