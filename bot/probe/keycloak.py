"""Keycloak: can the bot read who people are, and no more; do logins prove when and how; has each tenant its admins?"""

from __future__ import annotations

from collections.abc import AsyncIterator

from bot.probe import command_line
from bot.probe.finding import Finding, fail, ok, warn
from bot.realms import access_rules, keycloak_roles
from bot.settings import Keycloak, Settings
from core.ids import Realm
from integrations.clock import SystemClock
from integrations.keycloak.roles import KeycloakRoles

SYSTEM = "Keycloak"
ADMINS_WANTED = 2
MEMBERS_READ = 100
TIMEOUT_S = 10.0
_RISKS = {
    "realm-admin": "it could change everything in the realm",
    "manage-realm": "it could change how the whole realm works",
    "manage-users": "it could give itself or anybody any role",
    "impersonation": "it could act as anybody in every system that uses this realm",
    "manage-clients": "it could make clients, and read the secrets of all",
    "view-clients": "it could read the secrets of every client",
    "view-events": "it could read who logged in when, and from where",
}
_NO_USE = "nothing the bot does needs it"


async def look(settings: Settings) -> AsyncIterator[Finding]:
    """Each realm that owns tenants."""
    owning = {settings.realm_of(stack) for stack in settings.stacks}
    for realm, section in settings.realms().items():
        if realm in owning:
            async for finding in _look(settings, realm, section):
                yield finding


async def _look(settings: Settings, realm: Realm, keycloak: Keycloak) -> AsyncIterator[Finding]:
    rules = access_rules(settings)
    roles = keycloak_roles(settings, realm, SystemClock(), TIMEOUT_S)
    groups = sorted({path for tenant, path in rules.tenant_groups.items() if rules.realm_of(tenant) == realm})
    try:
        probed = await roles.probe(groups)
        if not probed.reads_people:
            yield _blind(keycloak)
            return
        yield ok(SYSTEM, f"The bot's service account reads people, roles and groups in realm {keycloak.called}.")
        for right in probed.too_much:
            yield warn(
                SYSTEM,
                f"The bot's service account holds {right}, which it must not have: {_RISKS.get(right, _NO_USE)}.",
                f"Take {right} from service-account-{keycloak.client_id}; view-users is all it needs.",
            )
        if probed.missing_scopes:
            yield _unproved_logins(keycloak.client_id, probed.missing_scopes)
        for path in probed.missing_groups:
            yield fail(
                SYSTEM,
                f"There is no group {path}, so nobody can do anything in its tenant.",
                "Create the group in Keycloak, or correct keycloak_group in cdm.yaml.",
            )
        for path in groups:
            if path not in probed.missing_groups:
                yield await _admins(roles, path, settings)
        async for finding in command_line.look(settings, realm):
            yield finding
    finally:
        await roles.aclose()


def _blind(keycloak: Keycloak) -> Finding:
    return fail(
        SYSTEM,
        f"The bot's service account cannot read people in realm {keycloak.called}: Keycloak answers its searches with "
        "an empty list or a refusal, so the bot would take everybody for a stranger.",
        f"Give service-account-{keycloak.client_id} the role view-users of the client realm-management (query-users "
        "alone is not enough: with it searches come back empty and no error is shown).",
    )


def _unproved_logins(client_id: str, scopes: tuple[str, ...]) -> Finding:
    told = " and ".join({"basic": "when", "acr": "how"}[scope] for scope in scopes)
    named = " and ".join(scopes)
    return warn(
        SYSTEM,
        f"The client {client_id} lacks the client scope{'s' * (len(scopes) > 1)} {named}: a login does not say {told} "
        "the person logged in, so acts that need a fresh login cannot be allowed.",
        f"Run deploy/keycloak/apply.py, or make {named} in the realm and default scopes of the client (a realm whose "
        "import lists its own scopes, as CDM's does, has neither).",
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
