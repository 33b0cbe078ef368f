"""Keycloak: can the bot read who people are, does each tenant have its group and its admins, and may it do too much?"""

from __future__ import annotations

from collections.abc import AsyncIterator

from bot.adapters import access_rules
from bot.probe import command_line
from bot.probe.finding import Finding, fail, ok, warn
from bot.settings import Settings
from core.access import Role, RoleScope
from integrations.clock import SystemClock
from integrations.keycloak.roles import KeycloakRoles

SYSTEM = "Keycloak"
ADMINS_WANTED = 2
MEMBERS_READ = 100
TIMEOUT_S = 10.0
_RISKS = {
    "manage-users": "it could give itself or anybody any role",
    "view-clients": "it could read the secrets of every client",
}


async def look(settings: Settings) -> AsyncIterator[Finding]:
    keycloak, rules = settings.keycloak, access_rules(settings)
    by_subgroup = rules.role_scope is RoleScope.SUBGROUP
    roles = KeycloakRoles(
        server_url=keycloak.url,
        realm=keycloak.realm,
        client_id=keycloak.client_id,
        client_secret=keycloak.client_secret.read,
        clock=SystemClock(),
        timeout_s=TIMEOUT_S,
        admin_role=settings.access.admin,
        admin_subgroup=rules.subgroup_names[Role.ADMIN] if by_subgroup else "",
    )
    groups = sorted(set(rules.tenant_groups.values()))
    try:
        probed = await roles.probe(groups)
        if not probed.reads_people:
            yield _blind(keycloak.client_id)
            return
        yield ok(SYSTEM, f"The bot's service account reads people, roles and groups in realm {keycloak.realm}.")
        for right in probed.too_much:
            yield warn(
                SYSTEM,
                f"The bot's service account holds {right}, which it must not have: {_RISKS[right]}.",
                f"Take {right} from service-account-{keycloak.client_id}; view-users is all it needs.",
            )
        for path in probed.missing_groups:
            yield fail(
                SYSTEM,
                f"There is no group {path}, so nobody can do anything in its tenant.",
                "Create the group in Keycloak, or correct keycloak_group in cdm.yaml.",
            )
        for path in groups:
            if path not in probed.missing_groups:
                yield await _admins(roles, path, settings)
        async for finding in command_line.look(settings):
            yield finding
    finally:
        await roles.aclose()


def _blind(client_id: str) -> Finding:
    return fail(
        SYSTEM,
        "The bot's service account cannot read people: Keycloak answers its searches with an empty list or a refusal, "
        "so the bot would take everybody for a stranger.",
        f"Give service-account-{client_id} the role view-users of the client realm-management (query-users alone is "
        "not enough: with it searches come back empty and no error is shown).",
    )


async def _admins(roles: KeycloakRoles, path: str, settings: Settings) -> Finding:
    names = await roles.admins_of(path, limit=MEMBERS_READ)
    if len(names) >= ADMINS_WANTED:
        return ok(SYSTEM, f"{path} has {len(names)} admins.")
    has = f"only one admin ({names[0]})" if names else "no admin"
    scope = settings.access.role_scope
    how = f"role {settings.access.admin}" if scope == "realm x group" else "subgroup admins"
    return warn(
        SYSTEM,
        f"{path} has {has}: acts that need a second person (rollback, continuing past a failed gate) wait there for a "
        f"{settings.access.platform_admin}.",
        f"Give at least {ADMINS_WANTED} members of {path} the {how}.",
    )
