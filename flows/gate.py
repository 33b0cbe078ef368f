"""The one door for people: a live yes at the click, and again at execution (promise P4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog
from prometheus_client import Counter

from core.access import (
    APPROVABLE,
    Access,
    AccessReason,
    AccessRules,
    Action,
    Authority,
    Link,
    Role,
    Verdict,
    decide_access,
    decide_approval,
    roles_in,
    tenants_of,
)
from core.access_path import linked_in_words, standing
from core.errors import OutsideError
from core.ids import Caller, CliUser, Realm, SlackUser, Subject, Tenant, realm_of
from core.members import Outsider, outsider
from core.messages.text import literal
from core.ports import Clock, Members
from flows.last_yes import LastYes, decided
from flows.realms import Realms
from flows.refusals import Refusals
from integrations.store.audit import AuditLog
from integrations.store.people import RememberedYes, Yes

log = structlog.get_logger(__name__)

REFUSALS = Counter("cdm_access_refused", "Refused acts of people", ["reason"])
MEMBERS = Counter("cdm_slack_members_read", "Whether an acting person is a full member, asked of Slack", ["outcome"])

MEMBER_S = 2.0
_OUTSIDE = {
    Outsider.UNKNOWN: "Slack does not know your user here.",
    Outsider.DEACTIVATED: "Your Slack user is deactivated.",
    Outsider.BOT: "Bots and apps cannot use this bot.",
    Outsider.STRANGER: "You are here from another workspace.",
    Outsider.GUEST: "You are a guest in this workspace.",
}


class Linked(Protocol):
    """Which Keycloak account a Slack person has proven to be, by realm."""

    async def of(self, user: SlackUser) -> Mapping[Realm, Link]: ...


@dataclass(frozen=True, slots=True)
class Person:
    """A person whose right was just read. `read_at` is the age of that answer, for the audit line."""

    caller: Caller
    subject: Subject
    username: str
    read_at: datetime
    remembered: bool = False


@dataclass(frozen=True, slots=True)
class Profile:
    """Who a person is now: by tenant the realm's names of their roles that count there, where they may do what alone,
    where only with a second person, and where they may approve what others ask for. `platform`:
    where they are a platform admin."""

    authority: Authority
    roles: Mapping[Tenant, Sequence[str]]
    able: Mapping[Action, frozenset[Tenant]]
    asks: Mapping[Action, frozenset[Tenant]]
    approves: Mapping[Action, frozenset[Tenant]]
    platform: frozenset[Tenant]


class Denied(Exception):
    """No. `text` (mrkdwn) says privately what is missing, why, and who can help."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text


class SecondPerson(Denied):
    """Not alone: `person` may ask for `action`, and others approve. `peer`: they could approve it for somebody else,
    and so may break the glass where policy allows that."""

    def __init__(self, person: Person, action: Action, text: str, *, peer: bool) -> None:
        super().__init__(AccessReason.SECOND_PERSON.value, text)
        self.person = person
        self.action = action
        self.peer = peer


class Gate:
    """Reads authority live for each question. Nothing is cached, but the 12 hours of a remembered yes for Hold and for
    reading while Keycloak is away."""

    def __init__(
        self,
        *,
        team: str,
        roles: Realms,
        links: Linked,
        members: Members,
        rules: AccessRules,
        audit: AuditLog,
        remembered: RememberedYes,
        clock: Clock,
    ) -> None:
        self._team = team
        self._roles = roles
        self._links = links
        self._members = members
        self._members_away = False
        self._rules = rules
        self._refusals = Refusals(roles, rules)
        self._audit = audit
        self._last = LastYes(remembered, rules)
        self._clock = clock

    @property
    def tenants(self) -> frozenset[Tenant]:
        """Every tenant there is."""
        return frozenset(self._rules.tenant_groups)

    def realms(self, tenants: frozenset[Tenant]) -> frozenset[Realm]:
        """Those that own these tenants."""
        return frozenset(self._rules.realm_of(tenant) for tenant in tenants)

    async def admit(self, user: SlackUser, asked: str, *, noted: bool = True) -> None:
        """Once for each request, before anything else: only full members of the workspace get further, as Slack says
        now. Raises Denied. Where Slack does not answer, Keycloak's yes decides alone (why: docs/security.md)."""
        try:
            member = await self._members.member(user.user, timeout_s=MEMBER_S)
        except OutsideError as error:
            MEMBERS.labels(error.reason).inc()
            if not self._members_away:
                log.warning("slack_members_away", reason=error.reason)
            self._members_away = True
            return
        if self._members_away:
            log.info("slack_members_returned")
        self._members_away = False
        found = outsider(member, self._team)
        MEMBERS.labels(found.value if found else "member").inc()
        if found is not None:
            await self._last.forget(user)
            text = f"{_OUTSIDE[found]} Only full members of the workspace can use this bot. Nothing was done."
            raise await self._denied(user, "request", asked, found.value, text, noted=noted)

    async def require(self, user: Caller, action: Action, tenants: frozenset[Tenant], object: str) -> Person:
        """The person, if they may do `action` in every one of `tenants` now. Raises Denied, and writes that down;
        SecondPerson, where they may ask for it."""
        try:
            authority = await self._live(user, action, object, tenants)
        except OutsideError as error:
            if action is Action.HOLD:
                return await self._from_memory(user, tenants, object, error)
            raise await self._unchecked(user, action, tenants, object, error) from error
        access = decide_access(action, tenants, authority, self._rules)
        person = Person(user, authority.subject, authority.username, authority.read_at)
        if access.verdict is Verdict.NEEDS_SECOND_PERSON:
            text = await self._refusals.why_not(action, tenants, access, authority)
            raise SecondPerson(person, action, text, peer=access.peer)
        if access.verdict is not Verdict.ALLOW:
            raise await self._refused(user, action, tenants, object, access, authority)
        return person

    async def requester(self, user: Caller, action: Action, tenants: frozenset[Tenant], object: str) -> Person:
        """The person, if they may ask for `action` now, or even do it alone. Raises Denied."""
        try:
            return await self.require(user, action, tenants, object)
        except SecondPerson as second:
            return second.person

    async def approver(
        self,
        user: Caller,
        action: Action,
        tenants: frozenset[Tenant],
        object: str,
        requester: Subject,
        least: Role,
    ) -> tuple[Person, bool]:
        """The person, if they may approve now what `requester` asked for, and whether the table wants a fresh login of
        them. Raises Denied, and writes that down."""
        try:
            authority = await self._live(user, action, object, tenants)
        except OutsideError as error:
            raise await self._unchecked(user, action, tenants, object, error) from error
        access = decide_approval(action, tenants, requester, authority, self._rules, least)
        if access.verdict is not Verdict.ALLOW:
            raise await self._refused(user, action, tenants, object, access, authority)
        return Person(user, authority.subject, authority.username, authority.read_at), access.fresh_login

    async def _unchecked(
        self, user: Caller, action: Action, tenants: frozenset[Tenant], object: str, error: OutsideError
    ) -> Denied:
        text = (
            f"Nothing was done, because your rights cannot be checked. {_why(error)} "
            "Until it answers again people can only look and Hold; automatic brakes go on working."
        )
        return await self._denied(user, action, object, "keycloak_away", text, tenants=tenants)

    async def _refused(
        self,
        user: Caller,
        action: Action,
        tenants: frozenset[Tenant],
        object: str,
        access: Access,
        authority: Authority,
    ) -> Denied:
        text = await self._refusals.why_not(action, tenants, access, authority)
        reason = access.reason.value
        return await self._denied(user, action, object, reason, text, authority.subject, tenants=tenants)

    async def viewer(self, user: Caller) -> tuple[Person, frozenset[Tenant]]:
        """The person and the tenants they may read. Of a realm that is away: those of its last live yes, if under 12 h
        old."""
        try:
            authority = await self._live(user, Action.VIEW)
        except OutsideError as error:
            known = [yes for yes in await self._last.of(user, self._roles.all) if yes.view]
            if not known:
                text = (
                    f"Your rights cannot be checked. {_why(error)} Looking is open to those whose rights were "
                    "confirmed within the last 12 hours; yours were not."
                )
                raise await self._denied(user, Action.VIEW, "", "keycloak_away", text) from error
            return _remembered(user, known), frozenset[Tenant]().union(*(yes.view for yes in known))
        known = await self._last.of(user, authority.silent)
        seen = self._where(Action.VIEW, authority).union(*(yes.view for yes in known))
        if not seen:
            raise await self._nowhere(user, Action.VIEW, tenants_of(authority, self._rules), authority)
        return Person(user, authority.subject, authority.username, authority.read_at), seen

    async def where(
        self, user: Caller, actions: Sequence[Action], among: frozenset[Tenant] | None = None
    ) -> Mapping[Action, frozenset[Tenant]]:
        """In which tenants (of `among`, if given) the person may do each of `actions`, by one live answer of each realm
        concerned. The tenants of one that is away are left out.

        Raises Denied, about the first of them, where none may be done anywhere; Keycloak away means that too.
        """
        try:
            authority = await self._live(user, actions[0], tenants=among or frozenset())
        except OutsideError as error:
            text = f"Nothing was done, because your rights cannot be checked. {_why(error)} Try again in a minute."
            raise await self._denied(user, actions[0], "", "keycloak_away", text) from error
        able = {action: self._where(action, authority) for action in actions}
        if among is not None:
            able = {action: tenants & among for action, tenants in able.items()}
        if not any(able.values()):
            if authority.silent:
                names = ", ".join(self._silent(authority))
                text = f"Nothing was done, because your rights in the Keycloak realm {names} cannot be checked now."
                raise await self._denied(user, actions[0], "", "keycloak_away", f"{text} Try again in a minute.")
            raise await self._nowhere(user, actions[0], among or tenants_of(authority, self._rules), authority)
        return able

    async def profile(self, user: Caller) -> Profile:
        """Who the person is, for their own eyes: nothing is asked for, so no refusal is written down.

        Raises Denied where nobody can say who they are, or the OutsideError of Keycloak.
        """
        authority = await self._live(user, Action.VIEW, noted=False)
        access = decide_access(Action.VIEW, self.tenants, authority, self._rules)
        able = {action: self._where(action, authority) for action in Action}
        if not any(able.values()) and access.reason in (AccessReason.DISABLED, AccessReason.EMAIL_UNVERIFIED):
            raise Denied(
                access.reason.value, await self._refusals.why_not(Action.VIEW, self.tenants, access, authority)
            )
        held = {tenant: roles_in(tenant, authority, self._rules) for tenant in sorted(self.tenants)}
        roles = {
            tenant: [self._rules.role_names[role] for role in Role if role in found]
            for tenant, found in held.items()
            if found and tenant in able[Action.VIEW]
        }
        return Profile(
            authority,
            roles,
            able,
            asks={action: self._where(action, authority, Verdict.NEEDS_SECOND_PERSON) for action in APPROVABLE},
            approves={action: self._approves(action, authority) for action in APPROVABLE},
            platform=frozenset(t for t, found in held.items() if Role.PLATFORM_ADMIN in found),
        )

    def member_of(self, authority: Authority) -> frozenset[Tenant]:
        """The tenants the person belongs to, in whatever role."""
        return tenants_of(authority, self._rules)

    async def describe(self, user: SlackUser) -> tuple[Authority, dict[Tenant, list[Action]], tuple[str, ...]]:
        """Who the person is, what they may do where, and how that comes about. Raises Denied or OutsideError."""
        authority = await self._live(user, Action.VIEW)
        able = {
            tenant: [
                a
                for a in Action
                if decide_access(a, frozenset({tenant}), authority, self._rules).verdict is Verdict.ALLOW
            ]
            for tenant in sorted(tenants_of(authority, self._rules) or self.tenants)
        }
        path = [linked_in_words(user, link) for _, link in sorted((await self._links.of(user)).items())]
        for account in authority.accounts:
            path += standing(account, self._rules)
        path += [f"realm {name}: does not answer now, so its tenants are closed" for name in self._silent(authority)]
        return authority, {tenant: actions for tenant, actions in able.items() if actions}, tuple(path)

    async def _live(
        self,
        user: Caller,
        action: Action,
        object: str = "",
        tenants: frozenset[Tenant] = frozenset(),
        *,
        noted: bool = True,
    ) -> Authority:
        """Of `tenants` the realms that own them are asked, and no others, and each must answer; without tenants, each
        realm in which the person has an account, and one must."""
        accounts = await self._accounts(user, action, object, noted=noted)
        wanted = self.realms(tenants)
        if wanted - accounts.keys():
            raise await self._not_in_realm(user, action, object, tenants, accounts)
        asked = {realm: subject for realm, subject in accounts.items() if not wanted or realm in wanted}
        authority = await self._roles.authority(asked.values(), whole=bool(wanted))
        await self._last.keep(user, authority, asked)
        if authority is None:
            text = (
                "The Keycloak account your Slack user is linked with does not exist any more. With a new one, type "
                "`/cdm unlink`, then `/cdm link`."
            )
            subject = asked[min(asked)]
            raise await self._denied(user, action, object, "account_gone", text, subject, noted=noted)
        return authority

    async def _accounts(self, user: Caller, action: Action, object: str, *, noted: bool) -> dict[Realm, Subject]:
        """The accounts that the person has proven to be. Raises Denied."""
        if isinstance(user, CliUser):
            return {realm_of(user.subject): user.subject}
        if user.team != self._team:
            text = "You are a guest from another workspace: only its own members may use the bot here."
            raise await self._denied(user, action, object, "foreign_team", text, noted=noted)
        links = await self._links.of(user)
        if not links:
            text = (
                "Your Slack user is not linked with a Keycloak account, so nobody can say what you may do. "
                "Type `/cdm link` to link it."
            )
            raise await self._denied(user, action, object, "not_linked", text, noted=noted)
        return {realm: link.subject for realm, link in links.items()}

    async def _not_in_realm(
        self,
        user: Caller,
        action: Action,
        object: str,
        tenants: frozenset[Tenant],
        accounts: Mapping[Realm, Subject],
    ) -> Denied:
        closed = {t: self._rules.realm_of(t) for t in sorted(tenants) if self._rules.realm_of(t) not in accounts}
        names = self._roles.named(set(closed.values()))
        owned = f"Nothing was done: {', '.join(closed)} belongs to the Keycloak realm {', '.join(names)}"
        if isinstance(user, CliUser):
            text = f"{owned}, in which you did not log in. Use `--realm {names[0]}`, or do it in Slack."
        else:
            types = " and ".join(f"`/cdm link {name}`" for name in names)
            text = f"{owned}, with which your Slack user is not linked. Type {types}."
        subject = accounts[min(accounts)]
        return await self._denied(user, action, object, "not_linked_in_realm", text, subject, tenants=tenants)

    def _silent(self, authority: Authority) -> list[str]:
        return self._roles.named(authority.silent)

    def _where(self, action: Action, authority: Authority, verdict: Verdict = Verdict.ALLOW) -> frozenset[Tenant]:
        return decided(action, authority, self._rules, verdict)

    def _approves(self, action: Action, authority: Authority) -> frozenset[Tenant]:
        nobody = Subject("")
        return frozenset(
            t
            for t in self.tenants
            if decide_approval(action, frozenset({t}), nobody, authority, self._rules).verdict is Verdict.ALLOW
        )

    async def _from_memory(self, user: Caller, tenants: frozenset[Tenant], object: str, error: OutsideError) -> Person:
        known = await self._last.of(user, self.realms(tenants))
        if not tenants or not tenants <= frozenset[Tenant]().union(*(yes.hold for yes in known)):
            text = (
                f"Nothing was done, because your rights cannot be checked. {_why(error)} Hold is open to those whose "
                "rights were confirmed within the last 12 hours; yours were not."
            )
            raise await self._denied(user, Action.HOLD, object, "keycloak_away", text, tenants=tenants) from error
        return _remembered(user, known)

    async def _nowhere(self, user: Caller, action: Action, tenants: frozenset[Tenant], authority: Authority) -> Denied:
        wanted = tenants or self.tenants
        access = decide_access(action, wanted, authority, self._rules)
        return await self._refused(user, action, wanted, "", access, authority)

    async def _denied(
        self,
        user: Caller,
        action: str,
        object: str,
        reason: str,
        text: str,
        subject: Subject | None = None,
        *,
        tenants: frozenset[Tenant] = frozenset(),
        noted: bool = True,
    ) -> Denied:
        if not noted:
            return Denied(reason, text)
        REFUSALS.labels(reason).inc()
        where = {"tenants": sorted(tenants)} if tenants else {}
        data = {"reason": reason, "caller": str(user), **where}
        actor = subject or (user.subject if isinstance(user, CliUser) else f"slack:{user}")
        await self._audit.note(actor, f"refused:{action}", object, data)
        log.info("access_refused", user=str(user), action=str(action), object=object, reason=reason)
        return Denied(reason, text)


def _remembered(user: Caller, known: Sequence[Yes]) -> Person:
    """By what was last said, the oldest of it."""
    first = known[0]
    return Person(user, first.subject, first.username, min(yes.at for yes in known), remembered=True)


def _why(error: OutsideError) -> str:
    return literal(error.user_text, 500)
