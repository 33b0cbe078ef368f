"""`cdm config check --probe`: is the bot's service account able to do its work, and nothing more?

With `query-users` but without `view-users`, every search answers 200 with an empty list: a bot configured so would
say "no such user" of everybody (measured on Keycloak 26.7.3). So an empty list is never read as an answer here; the
account looks for itself, which always exists.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from keycloak.exceptions import KeycloakGetError

from integrations.keycloak.connection import AdminApi, group_by_path
from integrations.keycloak.shapes import ROLES, USERS, ManagedUserAnswer, UserAnswer

_FORBIDDEN = 403


@dataclass(frozen=True, slots=True)
class Probe:
    """`reads_people`: users, roles and groups can be read. `too_much`: rights the bot must not have."""

    reads_people: bool
    missing_groups: tuple[str, ...]
    too_much: tuple[str, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """What a person must mend, in words; empty when all is well."""
        found = [] if self.reads_people else ["Keycloak: give the bot's service account the role view-users."]
        found += [f"Keycloak: there is no group {path}." for path in self.missing_groups]
        found += [f"Keycloak: take the right {right} from the bot's service account." for right in self.too_much]
        return tuple(found)


async def own_account(api: AdminApi) -> UserAnswer | None:
    """The bot's service account as it reads itself; None where it may search, and is shown nobody."""
    name = f"service-account-{api.client_id}"
    found = USERS.validate_python(await api.library.a_get_users({"username": name, "exact": True, "max": 2}))
    return found[0] if [user.username for user in found] == [name] else None


async def probe(api: AdminApi, group_paths: Collection[str]) -> Probe:
    library = api.library
    try:
        found = await own_account(api)
        if found is None:
            return Probe(False, (), ())
        own = ManagedUserAnswer.model_validate(await library.a_get_user(str(found.id)))
        ROLES.validate_python(await library.a_get_composite_realm_roles_of_user(str(own.id)))
        missing = [path for path in group_paths if await group_by_path(api, path) is None]
    except KeycloakGetError as error:
        if error.response_code != _FORBIDDEN:
            raise
        return Probe(False, (), ())
    too_much = ["manage-users"] if own.access.get("manage") else []
    if await _allowed_clients(api):
        too_much.append("view-clients")
    return Probe(True, tuple(missing), tuple(too_much))


async def _allowed_clients(api: AdminApi) -> bool:
    """With view-clients the account could read client secrets in clear."""
    try:
        return bool(await api.library.a_get_clients())
    except KeycloakGetError as error:
        if error.response_code == _FORBIDDEN:
            return False
        raise
