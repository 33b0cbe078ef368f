"""`core.ports.Roles` from Keycloak's admin API: who a person is right now, or no."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog
from prometheus_client import Counter

from core.access import Authority
from core.ids import DEFAULT_REALM, Realm, Subject, subject_in
from core.ports import Clock
from integrations.keycloak.connection import AdminApi, checked_id, group_by_path, user_not_found
from integrations.keycloak.errors import KeycloakError, OddAnswer, by_status
from integrations.keycloak.probe import Probe, own_account, probe
from integrations.keycloak.shapes import GROUPS, ROLES, USERS, GroupAnswer, UserAnswer

log = structlog.get_logger(__name__)

READS = Counter("cdm_keycloak_reads", "Live readings of a person's rights", ["outcome"])

MOST_GROUPS = 500
"""More groups than this on one person are not read in part: the reading fails."""


class KeycloakRoles:
    """Needs the realm-management role `view-users` and nothing more. `timeout_s` bounds a whole reading.

    `service_accounts` are the clients whose own accounts may act. Keycloak does not say of a user that it is a client's
    account (measured on Keycloak 26.7.3 with view-users), but the name is taken for as long as the client has one.
    `admin_role` is the realm role an admin of a tenant holds; with `admin_subgroup` they are instead the members of
    the subgroup of that name. `name` is what the settings call the realm.
    """

    def __init__(
        self,
        *,
        server_url: str,
        realm: str,
        client_id: str,
        client_secret: Callable[[], str],
        clock: Clock,
        timeout_s: float = 2.0,
        admin_role: str = "cdm-admin",
        admin_subgroup: str = "",
        service_accounts: Collection[str] = (),
        name: Realm = DEFAULT_REALM,
    ) -> None:
        self._name = name
        self._api = AdminApi(
            server_url=server_url, realm=realm, client_id=client_id, client_secret=client_secret, timeout_s=timeout_s
        )
        self._clock = clock
        self._admin_role = admin_role
        self._admin_subgroup = admin_subgroup
        self._service_accounts = {f"service-account-{client}".lower(): client for client in service_accounts}
        self._away = False
        self._answered_at = 0.0

    async def authority(self, subject: Subject) -> Authority | None:
        """Three reads at once, taken as one answer. None: deleted. `enabled` is read with the roles, since Keycloak
        goes on listing every role of a disabled person (measured on Keycloak 26.7.3)."""
        read_at, user_id = self._clock.now(), checked_id(subject, self._name)
        try:
            async with self._told_once(), self._api.guard("reading a person's rights"):
                found = await self._read(user_id)
        except KeycloakError as error:
            READS.labels(error.reason).inc()
            raise
        READS.labels("read" if found else "deleted").inc()
        if found is None:
            return None
        user, roles, groups = found
        return Authority(
            subject=subject_in(self._name, str(user.id)),
            username=user.username,
            email=user.email,
            email_verified=user.email_verified,
            enabled=user.enabled,
            realm_roles=roles,
            groups=groups,
            read_at=read_at,
            service_account="" if user.email else self._service_accounts.get(user.username, ""),
        )

    async def _read(self, user_id: str) -> tuple[UserAnswer, frozenset[str], frozenset[str]] | None:
        library = self._api.library
        answers = await asyncio.gather(
            library.a_get_user(user_id),
            library.a_get_composite_realm_roles_of_user(user_id),
            library.a_get_user_groups(user_id, query={"max": MOST_GROUPS}),
            return_exceptions=True,
        )
        failed = [answer for answer in answers if isinstance(answer, BaseException)]
        if any(user_not_found(error) for error in failed):
            return None
        if failed:
            raise failed[0]
        user = UserAnswer.model_validate(answers[0])
        if str(user.id) != user_id:
            raise OddAnswer("Keycloak answered with another person than the one asked for.")
        return user, _realm_roles(answers[1]), await self._paths(answers[2])

    async def _paths(self, answer: Any) -> frozenset[str]:
        """The paths that are what they seem.

        A slash in a group's name is not escaped: a group of its own, named `customer-a/x`, shows as `/customer-a/x`.
        It is left out; and where an ancestor may carry such a name, the path is looked up, which fails for it.
        """
        groups = GROUPS.validate_python(answer)
        if len(groups) >= MOST_GROUPS:
            raise OddAnswer(f"Keycloak lists {MOST_GROUPS} groups or more for one person, which the bot does not read.")
        plain = [group for group in groups if "/" not in group.name and group.path.endswith(f"/{group.name}")]
        real = await asyncio.gather(*(self._is_real(group) for group in plain))
        kept = frozenset(group.path for group, is_real in zip(plain, real, strict=True) if is_real)
        if len(kept) < len(groups):
            log.warning("keycloak_groups_left_out", paths=sorted({g.path for g in groups} - kept))
        return kept

    async def _is_real(self, group: GroupAnswer) -> bool:
        if group.depth < 3:  # the parent's path is one segment, so its name has no slash
            return True
        found = await group_by_path(self._api, group.path)
        return found is not None and found.id == group.id

    async def admins_of(self, group_path: str, *, limit: int = 20) -> Sequence[str]:
        """User names of enabled admins among the first `limit` members of the group itself (not of those below it)."""
        async with self._api.guard("reading who the admins are"):
            path = f"{group_path.rstrip('/')}/{self._admin_subgroup}" if self._admin_subgroup else group_path
            group = await group_by_path(self._api, path)
            if group is None:
                return ()
            answer = await self._api.library.a_get_group_members(str(group.id), {"max": limit})
            members = [user for user in USERS.validate_python(answer) if user.enabled]
            if self._admin_subgroup:
                return tuple(user.username for user in members)
            read = self._api.library.a_get_composite_realm_roles_of_user
            roles = await asyncio.gather(*(read(str(user.id)) for user in members))
            return tuple(
                user.username
                for user, held in zip(members, roles, strict=True)
                if self._admin_role in _realm_roles(held)
            )

    async def answers(self) -> None:
        """Reads a person, its own account, as it reads everybody. Raises KeycloakError where nobody can be read now."""
        async with self._told_once(), self._api.guard("checking whether people can be read"):
            if await own_account(self._api) is None:
                raise by_status(403, b"", "checking whether people can be read")

    async def probe(self, group_paths: Collection[str]) -> Probe:
        """What the bot's own account can read, and what it should not be able to."""
        async with self._api.guard("checking the bot's own rights"):
            return await probe(self._api, group_paths)

    async def aclose(self) -> None:
        await self._api.aclose()

    @asynccontextmanager
    async def _told_once(self) -> AsyncIterator[None]:
        """One line in the log when Keycloak goes away, one when it is back. What fails after a later reading was
        answered is no new absence."""
        begun = self._clock.monotonic()
        try:
            yield
        except KeycloakError as error:
            if not self._away and begun >= self._answered_at:
                self._away = True
                log.warning("keycloak_went_away", realm=self._name or self._api.realm, reason=error.reason)
            raise
        self._answered_at = self._clock.monotonic()
        if self._away:
            self._away = False
            log.info("keycloak_returned", realm=self._name or self._api.realm)


def _realm_roles(answer: Any) -> frozenset[str]:
    return frozenset(role.name for role in ROLES.validate_python(answer) if not role.client_role)
