"""Writes a proven link, once nothing stands against it; and writes down what was refused, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from core.access import Link, Proof
from core.ids import Realm, SlackUser, Subject, realm_of
from core.members import Member, outsider
from core.ports import Clock, Members
from flows.linking.ports import Audit, Links
from flows.linking.refusals import LinkReason, LinkRefused
from integrations.store.people import LinkBook

log = structlog.get_logger(__name__)

MEMBER_S = 5.0


@dataclass(frozen=True, slots=True)
class Account:
    """The Keycloak account that logged in; its address is verified."""

    subject: Subject
    username: str
    email: str

    def noted(self) -> dict[str, str]:
        return {"subject": self.subject, "username": self.username, "email": self.email}

    @classmethod
    def of(cls, noted: Mapping[str, str]) -> Account:
        return cls(Subject(noted["subject"]), noted["username"], noted["email"])


class Notary:
    """`team` is the workspace whose full members may be linked."""

    def __init__(self, *, links: Links, audit: Audit, members: Members, team: str, clock: Clock) -> None:
        self._links = links
        self._audit = audit
        self._members = members
        self._team = team
        self._clock = clock

    async def linked(self, user: SlackUser) -> Mapping[Realm, Link]:
        return await self._links.of(user)

    async def member(self, user: SlackUser, subject: Subject | None = None) -> Member:
        """What Slack says now of who began. Raises LinkRefused or OutsideError."""
        member = await self._members.member(user.user, timeout_s=MEMBER_S)
        if member is None or user.team != self._team or outsider(member, self._team):
            raise await self.refused(user, LinkReason.NO_MEMBER, subject)
        return member

    async def free(self, user: SlackUser, account: Account) -> LinkBook:
        """Every link, if none of this realm joins this Slack user or this account with another one."""
        book, subject = await self._links.book(), account.subject
        here = [(other, link) for other, link in book.links if link.realm == realm_of(subject)]
        if any(other == user and link.subject != subject for other, link in here):
            raise await self.refused(user, LinkReason.LINKED_ALREADY, subject)
        if any(other != user and link.subject == subject for other, link in here):
            raise await self.refused(user, LinkReason.ACCOUNT_TAKEN, subject)
        return book

    async def write(self, user: SlackUser, account: Account, proof: Proof) -> Link:
        """The link is written, between its intent and its outcome. Raises LinkRefused."""
        link = Link(account.subject, account.username, account.email, self._clock.now(), proof)
        book = await self.free(user, account)
        again = any(other == user and old.realm == link.realm for other, old in book.links)
        proven = {"proof": proof.value, **({"replaces": link.subject} if again else {})}
        ref = await self._audit.intent(link.subject, "link", f"slack:{user}", proven)
        try:
            while not await self._links.put(user, link, book.turn):  # another was written meanwhile
                book = await self.free(user, account)
        except LinkRefused:
            await self._audit.outcome(ref, link.subject, "link", f"slack:{user}", {"linked": False})
            raise
        await self._audit.outcome(ref, link.subject, "link", f"slack:{user}", {"linked": True})
        log.info("account_linked", slack=str(user), subject=link.subject, proof=proof.value)
        return link

    async def noted(self, user: SlackUser, what: str, subject: Subject) -> None:
        await self._audit.note(subject, what, f"slack:{user}")

    async def refused(
        self, user: SlackUser, reason: LinkReason, subject: Subject | None = None, **more: str
    ) -> LinkRefused:
        """To be raised, or told. It is in the audit log then."""
        slack = f"slack:{user}"
        await self._audit.note(subject or slack, "refused:link", slack, {"reason": reason.value, **more})
        log.warning("linking_refused", slack=slack, subject=subject, reason=reason.value)
        return LinkRefused(reason)
