"""How a verdict comes about, step by step, for `/cdm whoami` and `cdm access explain`. Plain text, not escaped."""

from __future__ import annotations

from collections.abc import Iterable

from core.access import (
    TABLE,
    AccessRules,
    Action,
    Authority,
    Link,
    Proof,
    Role,
    RoleScope,
    Scope,
    decide_access,
    roles_in,
)
from core.ids import Realm, SlackUser, Tenant, id_of

PROOFS = {Proof.EMAIL: "the same e-mail address", Proof.CODE: "a code typed in Slack"}
_SCOPES = {
    RoleScope.REALM_X_GROUP: "a realm role counts in each tenant whose group the person is in",
    RoleScope.SUBGROUP: "a tenant's role is membership of its subgroup; of realm roles only the platform's count",
}


def linked_in_words(user: SlackUser, link: Link | None) -> str:
    """The first step: who the Slack user is in Keycloak."""
    if link is None:
        return f"link: Slack user {user} is not linked, so the bot refuses everything"
    return (
        f"link: Slack user {user} is {link.username} ({id_of(link.subject)}){_in(link.realm)} "
        f"since {link.linked_at:%Y-%m-%d %H:%M} UTC, proven by {PROOFS[link.proof]}"
    )


def standing(authority: Authority, rules: AccessRules) -> tuple[str, ...]:
    """Who the person is now, and what counts of it: enabled, verified, groups, roles, scope rule. Names no tenant in
    which the person has nothing: the person reads this too."""
    held = {tenant: roles_in(tenant, authority, rules) for tenant in sorted(_owned(authority.realm, rules))}
    counted = [f"{tenant}: {_listed(_names(roles, rules))}" for tenant, roles in held.items() if roles]
    return (
        f"account: {authority.username} ({id_of(authority.subject)}){_in(authority.realm)}, "
        f"{'enabled' if authority.enabled else 'DISABLED, so everything is refused'}",
        _email(authority),
        f"groups: {_listed(_group(path, authority.realm, rules) for path in sorted(authority.groups))}",
        f"realm roles: {_listed(_role(name, rules) for name in sorted(authority.realm_roles))}",
        f"role scope: {rules.role_scope} ({_SCOPES[rules.role_scope]})",
        f"roles that count: {'; '.join(counted) or 'none, in no tenant'}",
    )


def decision(
    action: Action, object: str, tenants: frozenset[Tenant], authority: Authority, rules: AccessRules
) -> tuple[str, ...]:
    """From the object to the verdict. `tenants` are those the object belongs to."""
    row = TABLE[action]
    cells = ", ".join(f"{role.value} {row.of(role).value}" for role in Role)
    where = "in every tenant of the object" if row.scope is Scope.TENANTS else "anywhere"
    access = decide_access(action, tenants, authority, rules)
    reason = [access.reason.value]
    if access.missing_role:
        reason.append(f"needs {access.missing_role} in {_listed(sorted(access.lacking))}")
    if access.capped:
        reason.append("up to the cap on the number of devices")
    return (
        f"object: {object} belongs to {_listed(sorted(tenants))}",
        f"table: {action.value}: {cells}; needed {where}",
        f"verdict: {access.verdict} ({', '.join(reason)})",
    )


def _email(authority: Authority) -> str:
    if authority.service_account:
        return f"e-mail: not asked of the service account of the client {authority.service_account}"
    verified = "verified" if authority.email_verified else "NOT VERIFIED, so everything is refused"
    return f"e-mail: {authority.email or 'none'}, {verified}"


def _listed(parts: Iterable[str]) -> str:
    return ", ".join(parts) or "none"


def _names(roles: Iterable[Role], rules: AccessRules) -> list[str]:
    held = set(roles)
    return [rules.role_names[role] for role in Role if role in held]


def _in(realm: Realm) -> str:
    return f" in realm {realm}" if realm else ""


def _owned(realm: Realm, rules: AccessRules) -> dict[Tenant, str]:
    """The realm's own tenants and their groups: those of another are nothing in it."""
    return {tenant: own for tenant, own in rules.tenant_groups.items() if rules.realm_of(tenant) == realm}


def _group(path: str, realm: Realm, rules: AccessRules) -> str:
    groups = _owned(realm, rules)
    root = next((tenant for tenant, own in groups.items() if f"{path}/".startswith(f"{own.rstrip('/')}/")), None)
    return f"{path} (tenant {root})" if root else f"{path} (no tenant)"


def _role(name: str, rules: AccessRules) -> str:
    known = next((role for role, own in rules.role_names.items() if own == name), None)
    return f"{name} ({known.value})" if known else f"{name} (means nothing here)"
