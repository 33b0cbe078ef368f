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
from core.ids import Tenant
from core.messages.answers import in_words
from core.messages.text import literal
from core.ports import Roles

log = structlog.get_logger(__name__)

MEMBERS_READ = 20


class Refusals:
    """Texts are mrkdwn. Names of helpers are told to members of their tenant only (DESIGN.md section 4)."""

    def __init__(self, roles: Roles, rules: AccessRules) -> None:
        self._roles = roles
        self._rules = rules

    async def why_not(self, action: Action, tenants: frozenset[Tenant], access: Access, authority: Authority) -> str:
        what = f"*{in_words(action).capitalize()}*"
        match access.reason:
            case AccessReason.DISABLED:
                return "Your Keycloak account is disabled. Ask an administrator."
            case AccessReason.EMAIL_UNVERIFIED:
                return "Your e-mail address is not verified in Keycloak. Verify it there, then try again."
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

    async def helpers(self, tenants: frozenset[Tenant], authority: Authority) -> str:
        """Which admins of these tenants can help, told only to members of each."""
        names: list[str] = []
        for tenant in sorted(tenants & tenants_of(authority, self._rules)):
            try:
                names += await self._roles.admins_of(self._rules.tenant_groups[tenant], limit=MEMBERS_READ)
            except OutsideError as error:
                log.info("admins_not_read", tenant=tenant, reason=error.reason)
        others = [literal(name, 80) for name in dict.fromkeys(names) if name != authority.username]
        return f" Who can help: {', '.join(others[:10])}." if others else ""


NOTHING = "Nothing was done."


def _least_alone(action: Action) -> Role | None:
    """The least role that may do it without anybody else, if there is one."""
    roles = (Role.VIEWER, Role.OPERATOR, Role.ADMIN)
    return next((role for role in roles if TABLE[action].of(role) in (Cell.CAPPED, Cell.YES)), None)
