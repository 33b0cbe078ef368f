"""Who may do what: roles and groups in, a verdict with its reason out. Pure; the table below is the whole policy.

The tenant of a group is told by its *path*, never by its name: `/evil/customer-b` is named `customer-b` too
(measured on Keycloak 26.7.3). Membership of `/customer-a/site-north` is membership of `/customer-a`, although
Keycloak does not list the parent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from core.ids import DEFAULT_REALM, Realm, Subject, Tenant, realm_of


@dataclass(frozen=True, slots=True)
class Authority:
    """What the identity provider said about one person at `read_at` (UTC): effective realm roles, full group paths.

    `service_account` names the client whose own account this is, if the settings let it act: it has no e-mail address,
    so none is asked of it.
    """

    subject: Subject
    username: str
    email: str
    email_verified: bool
    enabled: bool
    realm_roles: frozenset[str]
    groups: frozenset[str]
    read_at: datetime
    service_account: str = ""
    elsewhere: tuple[Authority, ...] = ()
    """What other realms said about the same person's accounts there."""
    silent: frozenset[Realm] = frozenset()
    """The realms that hold an account of theirs and did not answer."""

    @property
    def realm(self) -> Realm:
        return realm_of(self.subject)

    @property
    def accounts(self) -> tuple[Authority, ...]:
        """All that was read of the person, by realm."""
        return (self, *self.elsewhere)

    def at(self, realm: Realm) -> Authority | None:
        """The person's account in that realm; None where there is none, or it was not read."""
        return next((account for account in self.accounts if account.realm == realm), None)

    def subjects(self) -> frozenset[Subject]:
        return frozenset(account.subject for account in self.accounts)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who has just logged in, as the identity provider attests. Nothing here is a right."""

    subject: Subject
    username: str
    email: str
    email_verified: bool
    auth_time: datetime | None
    acr: str


class Proof(StrEnum):
    """What joined a Slack user with the account that logged in."""

    EMAIL = "email"  # the Slack profile shows the account's verified address
    CODE = "code"  # the Slack user typed what only the browser of the login was shown


@dataclass(frozen=True, slots=True)
class Link:
    """A Slack person has proven to be this account."""

    subject: Subject
    username: str
    email: str
    linked_at: datetime
    proof: Proof = Proof.EMAIL

    @property
    def realm(self) -> Realm:
        return realm_of(self.subject)


class Role(StrEnum):
    """The bot's own roles; what they are called in the realm is a setting (`AccessRules.role_names`)."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"
    PLATFORM_OPERATOR = "platform_operator"
    PLATFORM_ADMIN = "platform_admin"


class Action(StrEnum):
    VIEW = "view"
    ACKNOWLEDGE = "acknowledge"
    ASSIGN = "assign"
    COMMENT = "comment"
    SNOOZE = "snooze"
    CLEAR = "clear"
    SILENCE = "silence"
    ONCALL = "oncall"
    RUN_READ_ONE = "run_read_one"
    RUN_READ_MANY = "run_read_many"
    RUN_CHANGE_ONE = "run_change_one"
    RUN_CHANGE_MANY = "run_change_many"
    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    HOLD = "hold"
    PROMOTE = "promote"
    CREATE = "create"
    STOP = "stop"
    EXCLUDE = "exclude"
    CANCEL_ACTION = "cancel_action"
    CONTINUE_FAILED = "continue_failed"
    ROLLBACK = "rollback"
    OVERRIDE_FREEZE = "override_freeze"
    INVALIDATE = "invalidate"
    LINK_OTHERS = "link_others"
    EDIT_POLICY = "edit_policy"
    DELETE_ROLLOUT = "delete_rollout"
    AUDIT_VERIFY = "audit_verify"
    MAINTAIN = "maintain"


class Cell(StrEnum):
    """One cell of the table, from least to most."""

    NO = "no"
    REQUEST = "request"  # may ask for it; another subject approves
    PEER = "peer"  # may ask for it, and approve what another subject asked for, after a fresh login
    CAPPED = "capped"  # alone, up to the cap on the number of devices
    YES = "yes"  # alone; also approves what somebody with REQUEST asked for


class Scope(StrEnum):
    """Where the right is needed."""

    TENANTS = "tenants"  # in every tenant concerned; none known means no
    ANYWHERE = "anywhere"  # the role is enough: the act shows nothing of any tenant


@dataclass(frozen=True, slots=True)
class Row:
    viewer: Cell
    operator: Cell
    admin: Cell
    platform_operator: Cell = Cell.NO
    scope: Scope = Scope.TENANTS

    def of(self, role: Role) -> Cell:
        """The cell of `role`; a platform admin is an admin everywhere."""
        cells = {
            Role.VIEWER: self.viewer,
            Role.OPERATOR: self.operator,
            Role.ADMIN: self.admin,
            Role.PLATFORM_OPERATOR: self.platform_operator,
            Role.PLATFORM_ADMIN: self.admin,
        }
        return cells[role]


_READ = Row(Cell.YES, Cell.YES, Cell.YES, platform_operator=Cell.YES)
_WORK = Row(Cell.NO, Cell.YES, Cell.YES)
_WORK_CAPPED = Row(Cell.NO, Cell.CAPPED, Cell.YES)
_FINAL = Row(Cell.NO, Cell.REQUEST, Cell.YES)
_GRAVE = Row(Cell.NO, Cell.REQUEST, Cell.PEER)
_ADMIN = Row(Cell.NO, Cell.NO, Cell.YES)

TABLE: Mapping[Action, Row] = MappingProxyType(
    {
        Action.VIEW: _READ,
        Action.ACKNOWLEDGE: _WORK,
        Action.ASSIGN: _WORK,
        Action.COMMENT: _WORK,
        Action.SNOOZE: _WORK,
        Action.CLEAR: _WORK,
        Action.SILENCE: _WORK,
        Action.ONCALL: _WORK,
        Action.RUN_READ_ONE: _WORK,
        Action.RUN_READ_MANY: _WORK_CAPPED,
        Action.RUN_CHANGE_ONE: _WORK,
        Action.START: _WORK,
        Action.PAUSE: _WORK,
        Action.RESUME: _WORK,
        Action.HOLD: _WORK,
        Action.PROMOTE: _WORK,
        Action.CREATE: _WORK,
        Action.STOP: _FINAL,
        Action.EXCLUDE: _FINAL,
        Action.CANCEL_ACTION: _FINAL,
        Action.CONTINUE_FAILED: _GRAVE,
        Action.ROLLBACK: _GRAVE,
        Action.RUN_CHANGE_MANY: _GRAVE,
        Action.OVERRIDE_FREEZE: _GRAVE,
        Action.INVALIDATE: _GRAVE,
        Action.LINK_OTHERS: _ADMIN,
        Action.EDIT_POLICY: _ADMIN,
        Action.DELETE_ROLLOUT: _ADMIN,
        Action.AUDIT_VERIFY: Row(Cell.NO, Cell.NO, Cell.YES, scope=Scope.ANYWHERE),
        Action.MAINTAIN: _ADMIN,
    }
)

_BY_POLICY = (Action.CREATE, Action.START)
APPROVABLE: tuple[Action, ...] = tuple(
    action
    for action, row in TABLE.items()
    if Cell.REQUEST in (row.viewer, row.operator, row.admin) or action in _BY_POLICY
)
"""What some may only ask for, and others approve; and what the settings may ask a second person for."""

_RANK = (Cell.NO, Cell.REQUEST, Cell.PEER, Cell.CAPPED, Cell.YES)


class RoleScope(StrEnum):
    """How a realm role and a tenant group make a right. Realm roles are global in Keycloak."""

    REALM_X_GROUP = "realm x group"  # a realm role counts in each tenant group of the person
    SUBGROUP = "subgroup"  # the subgroup `/customer-a/operators` makes an operator in customer-a alone


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Names from the settings: what a role is called in the realm, and which group path is which tenant."""

    tenant_groups: Mapping[Tenant, str]
    role_scope: RoleScope = RoleScope.REALM_X_GROUP
    role_names: Mapping[Role, str] = field(
        default_factory=lambda: {
            Role.VIEWER: "cdm-viewer",
            Role.OPERATOR: "cdm-operator",
            Role.ADMIN: "cdm-admin",
            Role.PLATFORM_OPERATOR: "platform-operator",
            Role.PLATFORM_ADMIN: "platform-admin",
        }
    )
    subgroup_names: Mapping[Role, str] = field(
        default_factory=lambda: {
            Role.VIEWER: "viewers",
            Role.OPERATOR: "operators",
            Role.ADMIN: "admins",
        }
    )
    realms: Mapping[Tenant, Realm] = field(default_factory=dict)
    """Which realm owns a tenant, where it is not the default one: only its word counts there."""

    def realm_of(self, tenant: Tenant) -> Realm:
        return self.realms.get(tenant, DEFAULT_REALM)


class Verdict(StrEnum):
    ALLOW = "allow"
    REFUSE = "refuse"
    NEEDS_SECOND_PERSON = "needs_second_person"


class AccessReason(StrEnum):
    GRANTED = "granted"
    SECOND_PERSON = "second_person"
    DISABLED = "disabled"
    EMAIL_UNVERIFIED = "email_unverified"
    NO_TENANT = "no_tenant"
    UNKNOWN_TENANT = "unknown_tenant"
    NOT_A_MEMBER = "not_a_member"
    ROLE_MISSING = "role_missing"
    SAME_PERSON = "same_person"
    NOTHING_TO_APPROVE = "nothing_to_approve"


@dataclass(frozen=True, slots=True)
class Access:
    """`missing_role` is the realm's name of the least role that would do, `lacking` the tenants it is missing in.

    `capped`: allowed up to the cap on the number of devices only. `fresh_login`: the person must log in anew first.
    `peer`: needs a second person, and could be that person for another one.
    """

    verdict: Verdict
    reason: AccessReason
    missing_role: str = ""
    lacking: frozenset[Tenant] = frozenset()
    capped: bool = False
    fresh_login: bool = False
    peer: bool = False


def decide_access(action: Action, tenants: frozenset[Tenant], authority: Authority, rules: AccessRules) -> Access:
    """May this person do `action` in every one of `tenants`? The weakest tenant decides."""
    row = TABLE[action]
    refused = _unfit(authority, tenants, row, rules)
    if refused is not None:
        return refused
    cells = _cells(row, tenants, authority, rules)
    weakest = min(cells.values(), key=_RANK.index)
    if weakest is Cell.NO:
        return _refuse(row, {*Cell} - {Cell.NO}, cells, authority, rules)
    if weakest in (Cell.REQUEST, Cell.PEER):
        return Access(Verdict.NEEDS_SECOND_PERSON, AccessReason.SECOND_PERSON, peer=weakest is Cell.PEER)
    return Access(Verdict.ALLOW, AccessReason.GRANTED, capped=weakest is Cell.CAPPED)


def decide_approval(
    action: Action,
    tenants: frozenset[Tenant],
    requester: Subject,
    authority: Authority,
    rules: AccessRules,
    least: Role = Role.ADMIN,
) -> Access:
    """May this person approve what `requester` asked for? Never the same subject; an admin, with the right in every
    tenant.

    `least`: PLATFORM_ADMIN where the policy lets only those approve."""
    row = replace(TABLE[action], operator=Cell.NO)
    if action not in APPROVABLE:
        return Access(Verdict.REFUSE, AccessReason.NOTHING_TO_APPROVE)
    refused = _unfit(authority, tenants, row, rules)
    if refused is not None:
        return refused
    if requester in authority.subjects():
        return Access(Verdict.REFUSE, AccessReason.SAME_PERSON)
    cells = _cells(row, tenants, authority, rules)
    enough = {Cell.PEER, Cell.YES}
    if not enough.issuperset(cells.values()):
        return _refuse(row, enough, cells, authority, rules)
    if least is Role.PLATFORM_ADMIN:
        lacking = frozenset(t for t in tenants if Role.PLATFORM_ADMIN not in roles_in(t, authority, rules))
        if lacking:
            return Access(Verdict.REFUSE, AccessReason.ROLE_MISSING, rules.role_names[Role.PLATFORM_ADMIN], lacking)
    return Access(Verdict.ALLOW, AccessReason.GRANTED, fresh_login=Cell.PEER in cells.values())


def tenants_of(authority: Authority, rules: AccessRules) -> frozenset[Tenant]:
    """The tenants whose group, or a group below it, the person is in."""
    return frozenset(
        tenant
        for tenant, path in rules.tenant_groups.items()
        if (account := authority.at(rules.realm_of(tenant))) is not None and _within(path, account.groups)
    )


def roles_in(tenant: Tenant, authority: Authority, rules: AccessRules) -> frozenset[Role]:
    """The roles that count in one tenant, by the word of the realm that owns it: the platform's everywhere in that
    realm, the tenant's own by the rule of the settings."""
    account = authority.at(rules.realm_of(tenant))
    if account is None:
        return frozenset()
    held = {r for r in (Role.PLATFORM_OPERATOR, Role.PLATFORM_ADMIN) if _has_realm_role(r, account, rules)}
    path = rules.tenant_groups.get(tenant)
    if path is None or not _within(path, account.groups):
        return frozenset(held)
    for role in (Role.VIEWER, Role.OPERATOR, Role.ADMIN):
        if rules.role_scope is RoleScope.SUBGROUP:
            if _within(f"{path.rstrip('/')}/{rules.subgroup_names[role]}", account.groups):
                held.add(role)
        elif _has_realm_role(role, account, rules):
            held.add(role)
    return frozenset(held)


def _unfit(authority: Authority, tenants: frozenset[Tenant], row: Row, rules: AccessRules) -> Access | None:
    """What refuses before any role is looked at."""
    accounts = _asked(tenants, authority, rules)
    if any(account.enabled is not True for account in accounts):
        return Access(Verdict.REFUSE, AccessReason.DISABLED)
    if any(account.email_verified is not True and not account.service_account for account in accounts):
        return Access(Verdict.REFUSE, AccessReason.EMAIL_UNVERIFIED)
    if row.scope is Scope.ANYWHERE:
        return None
    if not tenants:
        return Access(Verdict.REFUSE, AccessReason.NO_TENANT)
    unknown = frozenset(tenants - rules.tenant_groups.keys())
    return Access(Verdict.REFUSE, AccessReason.UNKNOWN_TENANT, lacking=unknown) if unknown else None


def _asked(tenants: frozenset[Tenant], authority: Authority, rules: AccessRules) -> list[Authority]:
    """The person's accounts in the realms that own `tenants`; where there is none, or no tenant, the first one."""
    realms = {rules.realm_of(tenant) for tenant in tenants}
    return [account for account in authority.accounts if account.realm in realms] or [authority]


def _cells(row: Row, tenants: frozenset[Tenant], authority: Authority, rules: AccessRules) -> dict[Tenant | None, Cell]:
    """The best cell in each tenant; under None where the act concerns no tenant."""
    if row.scope is Scope.TENANTS:
        return {t: _best(row, roles_in(t, authority, rules)) for t in tenants}
    held: set[Role] = set()
    for account in _asked(tenants, authority, rules):
        alone = replace(account, elsewhere=())
        held |= {role for t in rules.tenant_groups for role in roles_in(t, alone, rules)}
        platform = (Role.PLATFORM_OPERATOR, Role.PLATFORM_ADMIN)
        by_name = Role if rules.role_scope is RoleScope.REALM_X_GROUP else platform
        held |= {role for role in by_name if _has_realm_role(role, account, rules)}
    return {None: _best(row, held)}


def _has_realm_role(role: Role, authority: Authority, rules: AccessRules) -> bool:
    return rules.role_names[role] in authority.realm_roles


def _best(row: Row, roles: Iterable[Role]) -> Cell:
    return max((row.of(role) for role in roles), key=_RANK.index, default=Cell.NO)


def _refuse(
    row: Row,
    enough: set[Cell],
    cells: Mapping[Tenant | None, Cell],
    authority: Authority,
    rules: AccessRules,
) -> Access:
    lacking = frozenset(t for t, cell in cells.items() if t is not None and cell not in enough)
    outside = bool(lacking) and lacking.isdisjoint(tenants_of(authority, rules))
    reason = AccessReason.NOT_A_MEMBER if outside else AccessReason.ROLE_MISSING
    least = next(r for r in (Role.VIEWER, Role.OPERATOR, Role.ADMIN) if row.of(r) in enough)
    return Access(Verdict.REFUSE, reason, rules.role_names[least], lacking)


def _within(path: str, groups: frozenset[str]) -> bool:
    """Is the person in the group `path` or in a group nested below it? Compared by whole segments."""
    root = path.rstrip("/")
    return bool(root) and any(g == root or g.startswith(root + "/") for g in groups)
