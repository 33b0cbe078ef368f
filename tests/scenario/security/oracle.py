"""What the table says must happen, worked out anew: from its rows and the rules of the design, by none of the code that
decides in the bot.

Everybody's group is that of `HOME`. Roles of the realm count there and nowhere else, the platform's everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from core.access import TABLE, Action, Cell, Role

HOME, AWAY, THIRD = "customer-a", "customer-b", "customer-c"
TENANTS = (HOME, AWAY, THIRD)
ROLES: Mapping[str, Role | None] = {"none": None} | {role.value.replace("_", "-"): role for role in Role}
REALM_ROLES: Mapping[Role, str] = {
    Role.VIEWER: "cdm-viewer",
    Role.OPERATOR: "cdm-operator",
    Role.ADMIN: "cdm-admin",
    Role.PLATFORM_OPERATOR: "platform-operator",
    Role.PLATFORM_ADMIN: "platform-admin",
}


class Standing(StrEnum):
    """How somebody stands at the moment they ask; whatever their role is."""

    LINKED = "linked"
    UNLINKED = "unlinked"
    DISABLED = "disabled"
    UNVERIFIED = "unverified"


UNFIT: Mapping[Standing, tuple[str, str]] = {
    Standing.UNLINKED: ("not_linked", "not linked with a Keycloak account"),
    Standing.DISABLED: ("disabled", "account is disabled"),
    Standing.UNVERIFIED: ("email_unverified", "not verified in Keycloak"),
}
"""The reason in the audit, and the words in Slack."""


class Way(StrEnum):
    """How a thing is asked for, which decides what is looked at first."""

    LOOK = "look"  # it is shown, or does not exist for who may not see it
    NAMED = "named"  # by a name typed: it must be seen before it is acted upon
    ORDER = "order"  # by a button that names it
    ABOUT = "about"  # by a button of an incident, which must be seen, for the device it is about
    ASK = "ask"  # asked for, so that others decide
    DECIDE = "decide"  # deciding what somebody else asked for
    LIST = "list"  # a list of what is in the tenants where the right is
    PERSON = "person"  # an act on somebody, who must be in such a list first
    LOG = "log"  # the log of what was done, open to an admin of anything: of that, what concerns no other tenants


class End(StrEnum):
    DONE = "done"
    SECOND_PERSON = "second person"
    HIDDEN = "hidden"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Expected:
    """`words`: what is read in Slack (empty: what the case says). `noted`: what the audit log must hold of a refusal:
    action, object and reason."""

    end: End
    words: str = ""
    noted: tuple[str, str, str] | None = None


def expected(
    way: Way,
    action: Action,
    role: Role | None,
    standing: Standing,
    tenants: frozenset[str],
    thing: str,
    incident: str = "",
) -> Expected:
    """`tenants` are those of the object; `thing`, and the `incident` it is asked from, are names in the audit log."""
    if way is Way.ABOUT:
        seen = expected(Way.ORDER, Action.VIEW, role, standing, tenants, incident)
        return seen if seen.end is End.REFUSED else expected(Way.ORDER, action, role, standing, tenants, thing)
    first, named = (Action.VIEW, "") if way in (Way.LOOK, Way.NAMED) else (action, thing)
    if way in (Way.LIST, Way.PERSON, Way.LOG):
        named = ""
    if standing in UNFIT:
        reason, words = UNFIT[standing]
        return Expected(End.REFUSED, words, (first, named, reason))
    where = {tenant for tenant in TENANTS if cell_of(first, role, tenant) is Cell.YES}
    if way is Way.LOG:
        if not where:
            return Expected(End.REFUSED, "needs the role cdm-admin in any tenant;", (action, "", "role_missing"))
        return Expected(End.DONE if tenants <= where else End.HIDDEN)
    if way in (Way.LOOK, Way.NAMED, Way.LIST, Way.PERSON):
        if not where:
            return _refused(first, named, {HOME}, {Cell.YES})
        if not where & tenants:
            return Expected(End.HIDDEN)
    if way in (Way.LOOK, Way.LIST):
        return Expected(End.DONE)
    cells = {tenant: cell_of(action, role, tenant) for tenant in tenants}
    enough = {Cell.YES, Cell.PEER} if way is Way.DECIDE else {*Cell} - {Cell.NO}
    lacking = {tenant for tenant, cell in cells.items() if cell not in enough}
    if lacking:
        return _refused(action, thing, lacking, enough)
    if way not in (Way.ASK, Way.DECIDE) and {Cell.REQUEST, Cell.PEER} & set(cells.values()):
        return Expected(End.SECOND_PERSON)
    return Expected(End.DONE)


def cell_of(action: Action, role: Role | None, tenant: str) -> Cell:
    """What the role gives in that tenant."""
    everywhere = role in (Role.PLATFORM_OPERATOR, Role.PLATFORM_ADMIN)
    if role is None or not (everywhere or tenant == HOME):
        return Cell.NO
    row = TABLE[action]
    by_role = {
        Role.VIEWER: row.viewer,
        Role.OPERATOR: row.operator,
        Role.ADMIN: row.admin,
        Role.PLATFORM_OPERATOR: row.platform_operator,
        Role.PLATFORM_ADMIN: row.admin,
    }
    return by_role[role]


def _refused(action: Action, thing: str, lacking: set[str], enough: set[Cell]) -> Expected:
    """Told is the least role that may do it alone or, where none may, that is enough."""
    row = TABLE[action]
    ladder = ((Role.VIEWER, row.viewer), (Role.OPERATOR, row.operator), (Role.ADMIN, row.admin))
    alone = [role for role, cell in ladder if cell in (Cell.CAPPED, Cell.YES)]
    told = (alone or [role for role, cell in ladder if cell in enough])[0]
    words = f"needs the role {REALM_ROLES[told]} in {', '.join(sorted(lacking))};"
    return Expected(End.REFUSED, words, (action, thing, "role_missing" if HOME in lacking else "not_a_member"))
