"""What each realm last said of a person, kept 12 hours for Hold and for reading while it is away."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from core.access import AccessRules, Action, Authority, Verdict, decide_access
from core.ids import Caller, Realm, Tenant
from integrations.store.people import RememberedYes, Yes


def decided(
    action: Action, authority: Authority, rules: AccessRules, verdict: Verdict = Verdict.ALLOW
) -> frozenset[Tenant]:
    """The tenants in which that is the verdict on the person's doing it."""
    return frozenset(
        tenant
        for tenant in rules.tenant_groups
        if decide_access(action, frozenset({tenant}), authority, rules).verdict is verdict
    )


class LastYes:
    def __init__(self, remembered: RememberedYes, rules: AccessRules) -> None:
        self._remembered = remembered
        self._rules = rules

    async def keep(self, user: Caller, authority: Authority | None, asked: Iterable[Realm]) -> None:
        """What each realm asked says now; of those that were silent, what they said before."""
        for realm in asked:
            account = authority.at(realm) if authority is not None else None
            if account is not None:
                await self._keep(user, replace(account, elsewhere=()))
            elif authority is None or realm not in authority.silent:
                await self._remembered.forget(user, realm)

    async def _keep(self, user: Caller, alone: Authority) -> None:
        view, hold = decided(Action.VIEW, alone, self._rules), decided(Action.HOLD, alone, self._rules)
        if view or hold:
            await self._remembered.put(user, Yes(alone.subject, alone.username, view, hold, alone.read_at))
        else:
            await self._remembered.forget(user, alone.realm)

    async def of(self, user: Caller, realms: Collection[Realm]) -> list[Yes]:
        """By realm, as to the tenants that it owns now. None older than 12 hours."""
        found = []
        for realm in sorted(realms):
            yes = await self._remembered.get(user, realm)
            if yes is not None:
                own = frozenset(t for t in self._rules.tenant_groups if self._rules.realm_of(t) == realm)
                found.append(replace(yes, view=yes.view & own, hold=yes.hold & own))
        return found

    async def forget(self, user: Caller) -> None:
        await self._remembered.forget(user)
