"""Links once made: a person ends their own, an admin sees and ends those of the people of their tenants."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from core.access import Action, Authority, Link
from core.errors import NotFound, Refused
from core.ids import Caller, SlackUser, Tenant
from core.messages.blocks import Message
from core.messages.links import LinkLine, links_message, revoked_message, unlinked_message
from core.messages.text import plain
from flows.gate import Gate
from flows.realms import Realms
from integrations.store.audit import AuditLog
from integrations.store.people import Links, RememberedYes

MOST_READ = 200
"""Keycloak is asked about so many people for one list."""
AT_ONCE = 4
_MENTION = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^>]*)?>")


_Found: TypeAlias = Sequence[tuple[SlackUser, Link]]


@dataclass(frozen=True, slots=True)
class _Reading:
    """Whose link it is now. `authority` is None where the account is deleted."""

    user: SlackUser
    link: Link
    authority: Authority | None


class LinkDesk:
    """An admin of every tenant (as a platform admin is) sees each link, also of people of no tenant."""

    def __init__(self, *, gate: Gate, links: Links, roles: Realms, audit: AuditLog, remembered: RememberedYes) -> None:
        self._gate = gate
        self._links = links
        self._roles = roles
        self._audit = audit
        self._remembered = remembered

    async def unlink(self, user: SlackUser) -> Message:
        """End one's own links, in every realm. Needs no right, and no Keycloak."""
        mine = [link for other, link in (await self._links.book()).links if other == user]
        if not mine:
            raise NotFound("Your Slack user is not linked with a Keycloak account. Nothing was changed.")
        for link in mine:
            await self._end(user, link, link.subject, {"name": link.username})
        return unlinked_message(mine)

    async def listed(self, user: Caller) -> Message:
        """The links of the people of the admin's tenants, newest first. Raises Denied or OutsideError."""
        mine = await self._mine(user)
        links = self._within((await self._links.book()).links, mine)
        newest = sorted(links, key=lambda found: found[1].linked_at, reverse=True)[:MOST_READ]
        readings = await self._read(newest)
        lines = [LinkLine(r.user, r.link, _standing(r)) for r in readings if self._is_of(r, mine)]
        return links_message(lines, len(links) - len(newest))

    async def revoke(self, user: Caller, person: str) -> Message:
        """End the links of `person`, a Slack user id or a Keycloak user name, in the realms of the admin's tenants.
        Needs the right in every tenant of that person there. Raises Denied, NotFound, Refused or OutsideError; then
        nothing was ended."""
        mine = await self._mine(user)
        links = (await self._links.book()).links
        within = self._within(links, mine)
        meant = _named(person, within)
        readings = await self._read([(other, link) for other, link in within if other in meant])
        seen = {r.user for r in readings if self._is_of(r, mine)}
        if not seen:
            raise NotFound(f"There is no link of {plain(person, 80)!r} among those of your tenants' people.")
        if len(seen) > 1:
            ids = ", ".join(sorted(other.user for other in seen))
            raise Refused(f"Several Slack users are linked with {plain(person, 80)!r}: {ids}. Name one by its id.")
        (found,) = seen
        theirs = [r for r in readings if r.user == found]
        tenants = frozenset(tenant for r in theirs for tenant in self._tenants(r))
        by = await self._gate.require(user, Action.LINK_OTHERS, tenants or self._gate.tenants, _of(found))
        read_at = {"rights_read_at": by.read_at.isoformat()}
        for r in theirs:
            about = {"subject": r.link.subject, "tenants": sorted(self._tenants(r))}
            await self._end(found, r.link, by.subject, {"name": by.username, **about, **read_at})
        left = [link for other, link in links if other == found and link not in [r.link for r in theirs]]
        return revoked_message(found, [r.link for r in theirs], left)

    async def _mine(self, user: Caller) -> frozenset[Tenant]:
        return (await self._gate.where(user, (Action.LINK_OTHERS,)))[Action.LINK_OTHERS]

    def _within(self, links: _Found, tenants: frozenset[Tenant]) -> _Found:
        """Those in the realms that own these tenants; to an admin of every tenant also those of realms gone since."""
        realms, every = self._gate.realms(tenants), tenants == self._gate.tenants
        return [(user, link) for user, link in links if every or link.realm in realms]

    def _is_of(self, reading: _Reading, tenants: frozenset[Tenant]) -> bool:
        return tenants == self._gate.tenants or bool(self._tenants(reading) & tenants)

    def _tenants(self, reading: _Reading) -> frozenset[Tenant]:
        return self._gate.member_of(reading.authority) if reading.authority else frozenset()

    async def _read(self, links: _Found) -> list[_Reading]:
        room = asyncio.Semaphore(AT_ONCE)

        async def read(user: SlackUser, link: Link) -> _Reading:
            async with room:
                return _Reading(user, link, await self._roles.authority([link.subject]))

        return await asyncio.gather(*(read(user, link) for user, link in links))

    async def _end(self, user: SlackUser, link: Link, actor: str, data: Mapping[str, object]) -> None:
        ref = await self._audit.intent(actor, "unlink", _of(user), data)
        await self._links.remove(user, link.realm)
        await self._remembered.forget(user, link.realm)
        await self._audit.outcome(ref, actor, "unlink", _of(user), {"linked": False})


def _of(user: SlackUser) -> str:
    return f"slack:{user}"


def _named(person: str, links: _Found) -> set[SlackUser]:
    """Whom a typed name may mean: `<@U…>`, a Slack user id, or a Keycloak user name."""
    mentioned = _MENTION.fullmatch(person)
    id, name = (mentioned[1] if mentioned else person).upper(), person.removeprefix("@").casefold()
    by_id = {user for user, _ in links if user.user == id}
    return by_id or {user for user, link in links if link.username.casefold() == name}


def _standing(reading: _Reading) -> str:
    if reading.authority is None:
        return "the account is deleted"
    return "" if reading.authority.enabled else "the account is disabled"
