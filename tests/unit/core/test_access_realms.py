"""Several realms: each one's word counts for the tenants it owns, whatever it says about others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.access import AccessReason, AccessRules, Action, Authority, Role, Verdict, decide_access, decide_approval
from core.access import roles_in as roles
from core.access import tenants_of as tenants
from core.ids import DEFAULT_REALM, Realm, Subject, id_of, realm_of, subject_in
from tests.unit.core.test_access import RULES, A, B, C, may, person

SOUTH = Realm("south")
TWO = AccessRules(tenant_groups=RULES.tenant_groups, realms={C: SOUTH})
THERE = subject_in(SOUTH, "22222222-2222-4222-8222-222222222222")


def in_south(account: Authority) -> Authority:
    return replace(account, subject=THERE)


def both(here: Authority, there: Authority) -> Authority:
    return replace(here, elsewhere=(in_south(there),))


ADMIN = person("cdm-admin", groups=("/customer-a", "/customer-b", "/customer-c"))
STRANGER = person()


def test_the_same_id_in_another_realm_is_another_account() -> None:
    id = str(ADMIN.subject)
    there = subject_in(SOUTH, id)
    assert there != subject_in(DEFAULT_REALM, id) == ADMIN.subject
    assert (realm_of(there), id_of(there)) == (SOUTH, id)
    assert (realm_of(ADMIN.subject), id_of(ADMIN.subject)) == (DEFAULT_REALM, id)
    twin = replace(ADMIN, subject=there)
    access = decide_approval(Action.STOP, frozenset({C}), ADMIN.subject, twin, TWO)
    assert access.verdict is Verdict.ALLOW, "the requester's namesake of another realm is not the requester"


def test_an_id_that_would_pass_for_one_of_another_realm_is_none() -> None:
    with pytest.raises(ValueError, match="colon"):
        subject_in(DEFAULT_REALM, THERE)


@pytest.mark.parametrize("role", ["cdm-admin", "platform-admin"])
def test_an_admin_of_one_realm_is_nobody_in_the_others_tenants(role: str) -> None:
    everywhere = person(role, groups=("/customer-a", "/customer-b", "/customer-c"))
    here, there = both(everywhere, STRANGER), both(STRANGER, everywhere)
    assert [may(Action.PROMOTE, here, t, rules=TWO) for t in (A, B, C)] == [True, True, False]
    assert [may(Action.PROMOTE, there, t, rules=TWO) for t in (A, B, C)] == [False, False, True]
    assert [may(Action.PROMOTE, everywhere, t, rules=TWO) for t in (A, B, C)] == [True, True, False]
    assert tenants(here, TWO) == {A, B}
    assert tenants(there, TWO) == {C}
    assert roles(C, everywhere, TWO) == frozenset()
    assert may(Action.PROMOTE, in_south(everywhere), C, rules=TWO)


def test_what_spans_realms_needs_the_right_in_each_and_says_where_it_is_missing() -> None:
    assert may(Action.PROMOTE, both(ADMIN, ADMIN), A, C, rules=TWO)
    access = decide_access(Action.PROMOTE, frozenset({A, C}), both(ADMIN, STRANGER), TWO)
    assert (access.verdict, access.lacking, access.missing_role) == (Verdict.REFUSE, frozenset({C}), "cdm-operator")


@pytest.mark.parametrize(
    ("unfit", "reason"),
    [
        (replace(ADMIN, enabled=False), AccessReason.DISABLED),
        (replace(ADMIN, email_verified=False), AccessReason.EMAIL_UNVERIFIED),
    ],
)
def test_an_account_unfit_in_one_realm_is_unfit_for_that_realms_tenants(unfit: Authority, reason: AccessReason) -> None:
    who = both(ADMIN, unfit)
    assert may(Action.PROMOTE, who, A, B, rules=TWO)
    for concerned in ({C}, {A, C}):
        assert decide_access(Action.PROMOTE, frozenset(concerned), who, TWO).reason is reason
    other_way = both(unfit, ADMIN)
    assert decide_access(Action.PROMOTE, frozenset({A}), other_way, TWO).reason is reason
    assert may(Action.PROMOTE, other_way, C, rules=TWO)


def test_nobody_approves_what_another_account_of_theirs_asked_for() -> None:
    who = both(ADMIN, ADMIN)
    for subject in who.subjects():
        access = decide_approval(Action.STOP, frozenset({A, C}), subject, who, TWO)
        assert access.reason is AccessReason.SAME_PERSON
    assert len(who.subjects()) == 2


def test_where_a_platform_admin_must_approve_it_is_one_of_each_tenants_realm() -> None:
    platform = person("platform-admin")
    nobody = Subject("")

    def approves(who: Authority, *concerned: str) -> tuple[Verdict, frozenset[str]]:
        access = decide_approval(Action.STOP, frozenset(concerned), nobody, who, TWO, Role.PLATFORM_ADMIN)
        return access.verdict, access.lacking

    assert approves(both(platform, ADMIN), A) == (Verdict.ALLOW, frozenset())
    assert approves(both(platform, ADMIN), C) == (Verdict.REFUSE, frozenset({C}))
    assert approves(both(platform, ADMIN), A, C) == (Verdict.REFUSE, frozenset({C}))
    assert approves(in_south(platform), C) == (Verdict.ALLOW, frozenset())


def test_the_log_is_read_by_who_is_an_admin_in_the_realm_asked() -> None:
    assert may(Action.AUDIT_VERIFY, both(ADMIN, STRANGER), A, rules=TWO)
    assert not may(Action.AUDIT_VERIFY, both(ADMIN, STRANGER), C, rules=TWO)
    assert not may(Action.AUDIT_VERIFY, both(STRANGER, ADMIN), rules=TWO)
    assert may(Action.AUDIT_VERIFY, both(replace(ADMIN, enabled=False), ADMIN), C, rules=TWO)
