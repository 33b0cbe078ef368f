"""Why somebody may not, in words for that person alone: what is missing, where, and who can help."""

from __future__ import annotations

import structlog

from core.access import (
    TABLE,
    Access,
    AccessReason,
    AccessRules,
    Action,
    Authority,
    Cell,
    Role,
    tenants_of,
)
from core.errors import OutsideError
from core.ids import DEFAULT_REALM, Tenant
from core.messages.answers import in_words
from core.messages.text import literal
from flows.realms import Realms

log = structlog.get_logger(__name__)

MEMBERS_READ = 20


class Refusals:
    """Texts are mrkdwn. Names of helpers are told to members of their tenant only (DESIGN.md section 4)."""

    def __init__(self, roles: Realms, rules: AccessRules) -> None:
        self._roles = roles
        self._rules = rules

    async def why_not(self, action: Action, tenants: frozenset[Tenant], access: Access, authority: Authority) -> str:
        what = f"*{in_words(action).capitalize()}*"
        match access.reason:
            case AccessReason.DISABLED:
                return f"Your Keycloak account{self._of(tenants)} is disabled. Ask an administrator."
            case AccessReason.EMAIL_UNVERIFIED:
                where = self._of(tenants)
                return f"Your e-mail address is not verified in Keycloak{where}. Verify it there, then try again."
            case AccessReason.SECOND_PERSON:
                text = f"{what} needs a second person: it is done once somebody else has approved it."
                alone = _least_alone(action)
                if alone is not None and not access.peer:
                    text += f" With the role `{self._rules.role_names[alone]}` it can be done alone."
                return text + await self.helpers(tenants, authority)
            case AccessReason.SAME_PERSON:
                return f"You asked for this yourself, so somebody else must approve it. {NOTHING}"
            case AccessReason.NOTHING_TO_APPROVE:
                return f"{what} is nothing that is approved by others. {NOTHING}"
            case AccessReason.NO_TENANT | AccessReason.UNKNOWN_TENANT:
                return (
                    f"Nothing was done: it is not known to which tenant this belongs, so {what} would need the right "
                    "in every tenant."
                )
            case _:
                where = ", ".join(sorted(access.lacking)) or "any tenant"
                alone = _least_alone(action)  # less would only do for a request
                role = self._rules.role_names[alone] if alone else access.missing_role
                text = f"{what} needs the role `{role}` in {where}; you do not have it there."
                return text + await self.helpers(access.lacking, authority)

    def _of(self, tenants: frozenset[Tenant]) -> str:
        """Which realm it is about, where that is one, and not the default one."""
        realms = {self._rules.realm_of(tenant) for tenant in tenants}
        return f" (realm {self._roles.named(realms)[0]})" if len(realms) == 1 and DEFAULT_REALM not in realms else ""

    async def helpers(self, tenants: frozenset[Tenant], authority: Authority) -> str:
        """Which admins of these tenants can help, told only to members of each."""
        names: list[str] = []
        for tenant in sorted(tenants & tenants_of(authority, self._rules)):
            try:
                names += await self._roles.admins_of(tenant, limit=MEMBERS_READ)
            except OutsideError as error:
                log.info("admins_not_read", tenant=tenant, reason=error.reason)
        others = [literal(name, 80) for name in dict.fromkeys(names) if name != authority.username]
        return f" Who can help: {', '.join(others[:10])}." if others else ""


NOTHING = "Nothing was done."


def _least_alone(action: Action) -> Role | None:
    """The least role that may do it without anybody else, if there is one."""
    roles = (Role.VIEWER, Role.OPERATOR, Role.ADMIN)
    return next((role for role in roles if TABLE[action].of(role) in (Cell.CAPPED, Cell.YES)), None)
