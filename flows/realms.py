"""Who people are, by the realm that owns each tenant."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from core.access import AccessRules, Authority
from core.errors import OutsideError
from core.ids import Realm, Subject, Tenant, realm_of
from core.ports import Roles


class Realms:
    """`roles` reads one realm each; `names` is what people call them."""

    def __init__(self, roles: Mapping[Realm, Roles], names: Mapping[Realm, str], rules: AccessRules) -> None:
        self._roles = roles
        self._names = names
        self._rules = rules

    async def authority(self, subjects: Collection[Subject], *, whole: bool = True) -> Authority | None:
        """One person's accounts, all read now: the first that is there, with the others `elsewhere`. None: all deleted.
        An account in a realm that the settings have no more counts as deleted.

        Raises OutsideError where a realm does not answer; unless `whole`, only where no other one has the person.
        """
        ordered = sorted(subjects, key=realm_of)
        read = await asyncio.gather(*(self._read(subject) for subject in ordered))
        failed = {realm_of(s): said for s, said in zip(ordered, read, strict=True) if isinstance(said, OutsideError)}
        found = [said for said in read if isinstance(said, Authority)]
        if failed and (whole or not found):
            raise next(iter(failed.values()))
        if not found:
            return None
        return replace(found[0], elsewhere=tuple(found[1:]), silent=frozenset(failed))

    async def admins_of(self, tenant: Tenant, *, limit: int) -> Sequence[str]:
        """By the word of the realm that owns the tenant."""
        roles = self._roles[self._rules.realm_of(tenant)]
        return await roles.admins_of(self._rules.tenant_groups[tenant], limit=limit)

    @property
    def all(self) -> Collection[Realm]:
        return self._roles.keys()

    def named(self, realms: Iterable[Realm]) -> list[str]:
        return [self._names[realm] for realm in sorted(realms)]

    async def _read(self, subject: Subject) -> Authority | OutsideError | None:
        roles = self._roles.get(realm_of(subject))
        if roles is None:
            return None
        try:
            return await roles.authority(subject)
        except OutsideError as error:
            return error
