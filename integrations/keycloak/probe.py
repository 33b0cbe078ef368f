"""`cdm config check --probe`: is the bot's service account able to do its work, and nothing more?

With `query-users` but without `view-users`, every search answers 200 with an empty list: a bot configured so would
say "no such user" of everybody (measured on Keycloak 26.7.3). So an empty list is never read as an answer here; the
account looks for itself, which always exists.

What it may too much is told by its own token, and where a realm keeps rights out of tokens, by reading what must be
forbidden. Which client scopes it has, nobody tells it; but Keycloak refuses a token for a scope the client lacks.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import jwt
from keycloak.exceptions import KeycloakError as LibraryError
from keycloak.exceptions import KeycloakGetError

from integrations.keycloak.connection import AdminApi, group_by_path
from integrations.keycloak.errors import OddAnswer, by_status
from integrations.keycloak.shapes import ROLES, USERS, ManagedUserAnswer, UserAnswer

SCOPES = ("basic", "acr")
"""The first brings `auth_time` into an ID token, the second `acr`: without them no login is provably a fresh one."""
_NEEDED = frozenset({"view-users", "query-users", "query-groups"})
_FORBIDDEN_READS = {
    "clients": "view-clients",
    "roles": "view-realm",
    "events": "view-events",
    "identity-provider/instances": "view-identity-providers",
}
_FORBIDDEN = 403


@dataclass(frozen=True, slots=True)
class Probe:
    """`reads_people`: users, roles and groups can be read. `too_much`: rights of realm-management that the bot must not
    have. `missing_scopes`: those of SCOPES that its client lacks."""

    reads_people: bool
    missing_groups: tuple[str, ...] = ()
    too_much: tuple[str, ...] = ()
    missing_scopes: tuple[str, ...] = ()


async def own_account(api: AdminApi) -> UserAnswer | None:
    """The bot's service account as it reads itself; None where it may search, and is shown nobody."""
    name = f"service-account-{api.client_id}"
    found = USERS.validate_python(await api.library.a_get_users({"username": name, "exact": True, "max": 2}))
    return found[0] if [user.username for user in found] == [name] else None


async def probe(api: AdminApi, group_paths: Collection[str]) -> Probe:
    """Reads, and asks for tokens of its own. Nothing is tried that would change anything if it were allowed."""
    library = api.library
    try:
        found = await own_account(api)
        if found is None:
            return Probe(False)
        own = ManagedUserAnswer.model_validate(await library.a_get_user(str(found.id)))
        ROLES.validate_python(await library.a_get_composite_realm_roles_of_user(str(own.id)))
        missing = [path for path in group_paths if await group_by_path(api, path) is None]
    except KeycloakGetError as error:
        if error.response_code != _FORBIDDEN:
            raise
        return Probe(False)
    held = _told_rights(api) - _NEEDED
    held |= {
        right for flag, right in (("manage", "manage-users"), ("impersonate", "impersonation")) if own.access.get(flag)
    }
    held |= {right for path, right in _FORBIDDEN_READS.items() if await _may_read(api, path)}
    lacking = [scope for scope in SCOPES if not await _has_scope(api, scope)]
    return Probe(True, tuple(missing), _least(held), tuple(lacking))


def _told_rights(api: AdminApi) -> set[str]:
    """The rights in the account's own token; none where the realm's tokens do not tell."""
    token = api.token()
    try:
        claims = jwt.decode(token, options={"verify_signature": False})  # ours, and straight from Keycloak
        return set(claims.get("resource_access", {}).get("realm-management", {}).get("roles", ()))
    except (jwt.InvalidTokenError, AttributeError, TypeError) as error:
        raise OddAnswer("Keycloak gave the bot a token that it does not understand.") from error


def _least(held: set[str]) -> tuple[str, ...]:
    """One right for all where it brings all the others."""
    if "realm-admin" in held:
        return ("realm-admin",)
    return tuple(sorted(held - ({"query-clients"} if "view-clients" in held else set())))


async def _may_read(api: AdminApi, path: str) -> bool:
    """With query-clients alone the list of clients is empty and not forbidden."""
    answer: Any = await api.library.connection.a_raw_get(f"admin/realms/{api.realm}/{path}", max=1)
    if answer.status_code == _FORBIDDEN:
        return False
    if answer.status_code != 200:
        raise by_status(answer.status_code, answer.content, "checking the bot's own rights")
    return path != "clients" or bool(answer.json())


async def _has_scope(api: AdminApi, scope: str) -> bool:
    try:
        await api.library.connection.keycloak_openid.a_token(grant_type="client_credentials", scope=f"openid {scope}")
    except LibraryError as error:
        if error.response_code == 400 and b"invalid_scope" in (error.response_body or b""):
            return False
        raise
    return True
