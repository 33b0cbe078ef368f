"""The table of rights, cell by cell, and the ways around it that must stay shut."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from core.access import (
    TABLE,
    Access,
    AccessReason,
    AccessRules,
    Action,
    Authority,
    Role,
    RoleScope,
    Verdict,
    decide_access,
    decide_approval,
    tenants_of,
)
from core.ids import Subject, Tenant

A, B, C = Tenant("a"), Tenant("b"), Tenant("c")
RULES = AccessRules(tenant_groups={A: "/customer-a", B: "/customer-b", C: "/customer-c"})
BY_SUBGROUP = AccessRules(tenant_groups=RULES.tenant_groups, role_scope=RoleScope.SUBGROUP)

# no = refused, ask = needs a second person, cap = alone up to the cap, yes = alone
# after the slash: may this role approve what another asked for? - = never asked for, ok, login = ok after a fresh login
MATRIX = """
                   nobody  viewer  operator  admin      platform-operator  platform-admin
view               no/-    yes/-   yes/-     yes/-      yes/-              yes/-
acknowledge        no/-    no/-    yes/-     yes/-      no/-               yes/-
assign             no/-    no/-    yes/-     yes/-      no/-               yes/-
comment            no/-    no/-    yes/-     yes/-      no/-               yes/-
snooze             no/-    no/-    yes/-     yes/-      no/-               yes/-
clear              no/-    no/-    yes/-     yes/-      no/-               yes/-
silence            no/-    no/-    yes/-     yes/-      no/-               yes/-
oncall             no/-    no/-    yes/-     yes/-      no/-               yes/-
run_read_one       no/-    no/-    yes/-     yes/-      no/-               yes/-
run_read_many      no/-    no/-    cap/-     yes/-      no/-               yes/-
run_change_one     no/-    no/-    yes/-     yes/-      no/-               yes/-
run_change_many    no/no   no/no   ask/no    ask/login  no/no              ask/login
start              no/no   no/no   yes/no    yes/ok     no/no              yes/ok
pause              no/-    no/-    yes/-     yes/-      no/-               yes/-
resume             no/-    no/-    yes/-     yes/-      no/-               yes/-
hold               no/-    no/-    yes/-     yes/-      no/-               yes/-
promote            no/-    no/-    yes/-     yes/-      no/-               yes/-
create             no/no   no/no   yes/no    yes/ok     no/no              yes/ok
stop               no/no   no/no   ask/no    yes/ok     no/no              yes/ok
exclude            no/no   no/no   ask/no    yes/ok     no/no              yes/ok
cancel_action      no/no   no/no   ask/no    yes/ok     no/no              yes/ok
continue_failed    no/no   no/no   ask/no    ask/login  no/no              ask/login
rollback           no/no   no/no   ask/no    ask/login  no/no              ask/login
override_freeze    no/no   no/no   ask/no    ask/login  no/no              ask/login
invalidate         no/no   no/no   ask/no    ask/login  no/no              ask/login
link_others        no/-    no/-    no/-      yes/-      no/-               yes/-
edit_policy        no/-    no/-    no/-      yes/-      no/-               yes/-
delete_rollout     no/-    no/-    no/-      yes/-      no/-               yes/-
audit_verify       no/-    no/-    no/-      yes/-      no/-               yes/-
maintain           no/-    no/-    no/-      yes/-      no/-               yes/-
"""

_HEAD, *_LINES = [line.split() for line in MATRIX.strip().splitlines()]
CELLS = [
    (Action(line[0]), column, *cell.split("/")) for line in _LINES for column, cell in zip(_HEAD, line[1:], strict=True)
]
REALM_ROLE = {
    "nobody": (),
    "viewer": ("cdm-viewer",),
    "operator": ("cdm-operator",),
    "admin": ("cdm-admin",),
    "platform-operator": ("platform-operator",),
    "platform-admin": ("platform-admin",),
}


def person(*roles: str, groups: tuple[str, ...] = (), enabled: bool = True, verified: bool = True) -> Authority:
    return Authority(
        subject=Subject("11111111-1111-4111-8111-111111111111"),
        username="somebody",
        email="somebody@cdm.example",
        email_verified=verified,
        enabled=enabled,
        realm_roles=frozenset(roles),
        groups=frozenset(groups),
        read_at=datetime(2026, 11, 24, tzinfo=UTC),
    )


def member(column: str) -> Authority:
    groups = ("/customer-a",) if not column.startswith("platform") else ()
    return person(*REALM_ROLE[column], groups=groups)


def word(access: Access) -> str:
    if access.verdict is Verdict.ALLOW:
        return "cap" if access.capped else "yes"
    return "no" if access.verdict is Verdict.REFUSE else "ask"


def may(action: Action, who: Authority, *tenants: Tenant, rules: AccessRules = RULES) -> bool:
    return decide_access(action, frozenset(tenants), who, rules).verdict is Verdict.ALLOW


def test_the_literal_table_names_every_action_once() -> None:
    assert sorted(line[0] for line in _LINES) == sorted(Action) == sorted(TABLE)


@pytest.mark.parametrize(("action", "column", "alone", "_approve"), CELLS)
def test_each_cell_of_the_table_in_the_own_tenant(action: Action, column: str, alone: str, _approve: str) -> None:
    assert word(decide_access(action, frozenset({A}), member(column), RULES)) == alone


@pytest.mark.parametrize(("action", "column", "_alone", "approve"), CELLS)
def test_each_cell_of_the_table_when_approving_what_another_asked_for(
    action: Action, column: str, _alone: str, approve: str
) -> None:
    access = decide_approval(action, frozenset({A}), Subject("the-requester"), member(column), RULES)
    if approve == "-":
        assert access == Access(Verdict.REFUSE, AccessReason.NOTHING_TO_APPROVE)
    elif approve == "no":
        assert (access.verdict, access.missing_role) == (Verdict.REFUSE, "cdm-admin")
    else:
        assert access == Access(Verdict.ALLOW, AccessReason.GRANTED, fresh_login=approve == "login")


@pytest.mark.parametrize(("action", "column"), [(a, c) for a, c, *_ in CELLS if a is not Action.AUDIT_VERIFY])
def test_no_tenant_role_reaches_into_another_tenant(action: Action, column: str) -> None:
    access = decide_access(action, frozenset({B}), member(column), RULES)
    if column == "platform-admin" or (column == "platform-operator" and action is Action.VIEW):
        assert access.verdict is not Verdict.REFUSE
    else:
        assert access.verdict is Verdict.REFUSE
        assert access.reason is AccessReason.NOT_A_MEMBER
        assert access.lacking == {B}


@pytest.mark.parametrize("action", list(Action))
def test_a_disabled_person_may_do_nothing_although_keycloak_still_lists_the_roles(action: Action) -> None:
    who = person("cdm-admin", "platform-admin", groups=("/customer-a",), enabled=False)
    refused = Access(Verdict.REFUSE, AccessReason.DISABLED)
    assert decide_access(action, frozenset({A}), who, RULES) == refused


def test_a_service_account_needs_no_address_and_everything_else() -> None:
    client = replace(person("cdm-admin", groups=("/customer-a",), verified=False), email="", service_account="cdm-ci")
    assert may(Action.PAUSE, client, A)
    assert not may(Action.PAUSE, client, A, B)
    assert not may(Action.PAUSE, replace(client, enabled=False), A)


def test_maintaining_takes_an_admin_of_every_tenant() -> None:
    everywhere = tuple(RULES.tenant_groups.values())
    assert may(Action.MAINTAIN, person("cdm-admin", groups=everywhere), A, B, C)
    assert may(Action.MAINTAIN, person("platform-admin"), A, B, C)
    assert not may(Action.MAINTAIN, person("cdm-admin", groups=everywhere[:2]), A, B, C)
    assert not may(Action.MAINTAIN, person("cdm-operator", groups=everywhere), A, B, C)


@pytest.mark.parametrize("action", list(Action))
def test_a_person_with_an_unverified_address_may_do_nothing(action: Action) -> None:
    who = person("cdm-admin", "platform-admin", groups=("/customer-a",), verified=False)
    refused = Access(Verdict.REFUSE, AccessReason.EMAIL_UNVERIFIED)
    assert decide_access(action, frozenset({A}), who, RULES) == refused


@pytest.mark.parametrize(
    "who",
    [person("platform-admin", enabled=False), person("platform-admin", verified=False)],
    ids=["disabled", "unverified"],
)
def test_nobody_unfit_approves(who: Authority) -> None:
    access = decide_approval(Action.ROLLBACK, frozenset({A}), Subject("the-requester"), who, RULES)
    assert access.verdict is Verdict.REFUSE


def test_nobody_approves_their_own_request() -> None:
    who = person("cdm-admin", groups=("/customer-a",))
    access = decide_approval(Action.ROLLBACK, frozenset({A}), who.subject, who, RULES)
    assert access == Access(Verdict.REFUSE, AccessReason.SAME_PERSON)


@pytest.mark.parametrize(
    "path",
    ["/evil/customer-b", "customer-b", "/customer-bb", "/customer-b-old", "/CUSTOMER-B", "//customer-b", "/", ""],
)
def test_a_group_that_is_only_called_like_the_tenant_is_not_the_tenant(path: str) -> None:
    who = person("cdm-operator", groups=(path,))
    assert tenants_of(who, RULES) == frozenset()
    access = decide_access(Action.VIEW, frozenset({B}), who, RULES)
    assert access.reason is AccessReason.NOT_A_MEMBER


@pytest.mark.parametrize("path", ["/customer-a/site-north", "/customer-a/site-north/hall-2", "/customer-a/customer-b"])
def test_a_member_of_a_group_below_the_tenant_is_a_member_of_that_tenant_alone(path: str) -> None:
    who = person("cdm-operator", groups=(path,))
    assert tenants_of(who, RULES) == {A}
    assert may(Action.PROMOTE, who, A)
    assert not may(Action.VIEW, who, B)


def test_an_admin_role_without_a_group_gives_nothing_in_any_tenant_but_may_verify_the_audit_log() -> None:
    who = person("cdm-admin")
    assert not any(may(action, who, A) for action in Action if action is not Action.AUDIT_VERIFY)
    assert decide_access(Action.AUDIT_VERIFY, frozenset(), who, RULES).verdict is Verdict.ALLOW


def test_a_rollout_that_spans_tenants_needs_the_right_in_every_one() -> None:
    who = person("cdm-operator", groups=("/customer-a", "/customer-c"))
    assert may(Action.PROMOTE, who, A, C)
    access = decide_access(Action.PROMOTE, frozenset({A, B, C}), who, RULES)
    assert access == Access(Verdict.REFUSE, AccessReason.NOT_A_MEMBER, "cdm-operator", frozenset({B}))


def test_the_refusal_names_the_least_role_that_would_do_and_where() -> None:
    viewer = person("cdm-viewer", groups=("/customer-a",))
    for action, role in {
        Action.ACKNOWLEDGE: "cdm-operator",
        Action.ROLLBACK: "cdm-operator",
        Action.DELETE_ROLLOUT: "cdm-admin",
    }.items():
        access = decide_access(action, frozenset({A}), viewer, RULES)
        assert access == Access(Verdict.REFUSE, AccessReason.ROLE_MISSING, role, frozenset({A}))
    nobody = decide_access(Action.VIEW, frozenset({A}), person(groups=("/customer-a",)), RULES)
    assert nobody.missing_role == "cdm-viewer"


def test_the_best_of_several_roles_counts() -> None:
    who = person("cdm-viewer", "cdm-operator", "cdm-admin", groups=("/customer-a",))
    assert decide_access(Action.RUN_READ_MANY, frozenset({A}), who, RULES).capped is False
    assert may(Action.STOP, who, A)


def test_a_cap_in_one_tenant_caps_the_whole_run() -> None:
    who = person(groups=("/customer-a/operators", "/customer-b/admins"))
    access = decide_access(Action.RUN_READ_MANY, frozenset({A, B}), who, BY_SUBGROUP)
    assert access == Access(Verdict.ALLOW, AccessReason.GRANTED, capped=True)


@pytest.mark.parametrize("action", [a for a in Action if a is not Action.AUDIT_VERIFY])
def test_where_no_tenant_is_known_the_answer_is_no_even_for_a_platform_admin(action: Action) -> None:
    who = person("platform-admin", "cdm-admin", groups=("/customer-a",))
    assert decide_access(action, frozenset(), who, RULES).reason is AccessReason.NO_TENANT


def test_a_tenant_nobody_configured_is_refused_even_for_a_platform_admin() -> None:
    access = decide_access(Action.VIEW, frozenset({A, Tenant("ghost")}), person("platform-admin"), RULES)
    assert access == Access(Verdict.REFUSE, AccessReason.UNKNOWN_TENANT, lacking=frozenset({Tenant("ghost")}))


@pytest.mark.parametrize("path", ["", "/"])
def test_an_empty_tenant_path_makes_nobody_a_member(path: str) -> None:
    rules = AccessRules(tenant_groups={A: path})
    assert not may(Action.VIEW, person("cdm-admin", groups=("/customer-a", "/")), A, rules=rules)


def test_by_subgroup_a_global_role_does_not_widen() -> None:
    """Operator in A and viewer in B can be said only this way; the realm roles of tenants are not read at all."""
    who = person("cdm-admin", groups=("/customer-a/operators", "/customer-b/viewers"))
    assert may(Action.PROMOTE, who, A, rules=BY_SUBGROUP)
    assert may(Action.VIEW, who, B, rules=BY_SUBGROUP)
    assert not may(Action.PROMOTE, who, B, rules=BY_SUBGROUP)
    assert not may(Action.AUDIT_VERIFY, who, rules=BY_SUBGROUP)


def test_by_subgroup_plain_membership_is_no_role_and_the_refusal_says_which_is_missing() -> None:
    access = decide_access(Action.VIEW, frozenset({A}), person("cdm-admin", groups=("/customer-a",)), BY_SUBGROUP)
    assert access == Access(Verdict.REFUSE, AccessReason.ROLE_MISSING, "cdm-viewer", frozenset({A}))


def test_by_subgroup_a_like_named_group_elsewhere_is_nothing() -> None:
    who = person(groups=("/evil/customer-a/admins", "/customer-a/not-admins", "/customer-a/sites/admins"))
    assert not may(Action.PROMOTE, who, A, rules=BY_SUBGROUP)


def test_by_subgroup_a_group_nested_in_the_role_group_inherits_it() -> None:
    assert may(Action.PROMOTE, person(groups=("/customer-a/operators/night",)), A, rules=BY_SUBGROUP)


def test_by_subgroup_an_admin_of_one_tenant_may_verify_the_audit_log() -> None:
    assert may(Action.AUDIT_VERIFY, person(groups=("/customer-c/admins",)), rules=BY_SUBGROUP)


def test_platform_roles_are_realm_roles_under_either_rule() -> None:
    assert may(Action.DELETE_ROLLOUT, person("platform-admin"), A, B, rules=BY_SUBGROUP)
    assert may(Action.VIEW, person("platform-operator"), A, B, rules=BY_SUBGROUP)
    assert not may(Action.ACKNOWLEDGE, person("platform-operator"), A, rules=BY_SUBGROUP)


def test_role_names_come_from_the_settings() -> None:
    renamed = AccessRules(
        tenant_groups={A: "/customer-a"}, role_names={**RULES.role_names, Role.OPERATOR: "fleet-operators"}
    )
    assert may(Action.PROMOTE, person("fleet-operators", groups=("/customer-a",)), A, rules=renamed)
    assert not may(Action.PROMOTE, person("cdm-operator", groups=("/customer-a",)), A, rules=renamed)
