"""The adapters to each Keycloak realm of the settings."""

from __future__ import annotations

from dataclasses import dataclass

from bot.settings import Keycloak, Settings
from core.access import AccessRules, Role, RoleScope
from core.errors import Refused
from core.ids import DEFAULT_REALM, Realm, Tenant
from core.ports import Clock
from integrations.keycloak.device_grant import DeviceGrant
from integrations.keycloak.login import KeycloakLogin
from integrations.keycloak.roles import KeycloakRoles


@dataclass(frozen=True, slots=True)
class RealmAdapters:
    """`device` only where people link by it."""

    section: Keycloak
    roles: KeycloakRoles
    login: KeycloakLogin
    device: DeviceGrant | None

    async def aclose(self) -> None:
        for one in (self.roles, self.login, self.device):
            if one is not None:
                await one.aclose()


def realm_adapters(settings: Settings, realm: Realm, clock: Clock) -> RealmAdapters:
    section = settings.realms()[realm]
    return RealmAdapters(
        section,
        keycloak_roles(settings, realm, clock),
        keycloak_login(section, realm, clock),
        device_grant(section) if section.link_by == "device" else None,
    )


def keycloak_roles(settings: Settings, realm: Realm, clock: Clock, timeout_s: float | None = None) -> KeycloakRoles:
    """`timeout_s`: other than that of the settings. The command line's service account is the default realm's."""
    section, account = settings.realms()[realm], settings.cli.service_account
    subgroup = RoleScope(settings.access.role_scope) is RoleScope.SUBGROUP
    return KeycloakRoles(
        server_url=section.url,
        realm=section.realm,
        client_id=section.client_id,
        client_secret=section.client_secret.read,
        clock=clock,
        timeout_s=timeout_s or section.timeout_s,
        admin_role=settings.access.admin,
        admin_subgroup=access_rules(settings).subgroup_names[Role.ADMIN] if subgroup else "",
        service_accounts=[account.client_id] if account is not None and realm == DEFAULT_REALM else [],
        name=realm,
    )


def keycloak_login(section: Keycloak, realm: Realm, clock: Clock) -> KeycloakLogin:
    return KeycloakLogin(
        server_url=section.url,
        realm=section.realm,
        client_id=section.client_id,
        client_secret=section.client_secret.read,
        clock=clock,
        name=realm,
    )


def device_grant(section: Keycloak) -> DeviceGrant:
    return DeviceGrant(
        server_url=section.url,
        realm=section.realm,
        client_id=section.client_id,
        client_secret=section.client_secret.read,
    )


def realm_called(settings: Settings, name: str) -> Realm:
    """The realm that people call so; without a name the default one. Raises Refused."""
    names = {section.called: realm for realm, section in settings.realms().items()}
    found = next((realm for called, realm in names.items() if called.casefold() == name.casefold()), None)
    if name and found is None:
        raise Refused(f"There is no Keycloak realm {name!r} in cdm.yaml. There are: {', '.join(names)}.")
    return found or DEFAULT_REALM


def access_rules(settings: Settings) -> AccessRules:
    access = settings.access
    return AccessRules(
        tenant_groups={Tenant(t.id): t.keycloak_group for s in settings.stacks for t in s.tenants},
        realms={Tenant(t.id): settings.realm_of(s) for s in settings.stacks for t in s.tenants},
        role_scope=RoleScope(access.role_scope),
        role_names={
            Role.VIEWER: access.viewer,
            Role.OPERATOR: access.operator,
            Role.ADMIN: access.admin,
            Role.PLATFORM_OPERATOR: access.platform_operator,
            Role.PLATFORM_ADMIN: access.platform_admin,
        },
    )
