"""Linking a Slack person with a Keycloak account: proven by a login, confirmed by the person, undone by nobody else.

    /cdm link      begin      a state for this (team, user), in the Slack message as our own address
    GET  /link     leave      the state is used up; the browser is marked, and sent to Keycloak to log in
    GET  callback  arrive     who logged in is proven; the two e-mail addresses must be one; both names are shown
    POST confirm   confirm    the link is written

Against link phishing (one person starts, another is lured to finish): the state is bound to the Slack person, the login
is asked for anew (`prompt=login`), it must come back to the browser that left, the Slack profile's e-mail address must
be the verified one of the account, and the page names both accounts before anything is written.

What is linked stays so until its owner (`/cdm unlink`) or an admin (`/cdm links revoke`) ends it: neither a Slack user
nor an account is linked with a second one, so an address changed in Slack to somebody else's opens nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import structlog

from core.access import Identity, Link
from core.ids import SlackUser, Subject
from core.members import outsider
from core.messages.blocks import Message, compose, context, section
from core.messages.text import link as live_link
from core.messages.text import mono
from core.ports import Clock, Members
from integrations.store.people import LinkBook

log = structlog.get_logger(__name__)

STATE_LIFE_S = 600
MEMBER_S = 5.0


class LinkStates(Protocol):
    """Short-lived notes, each given out at most once across all replicas."""

    async def put(self, state: str, payload: Mapping[str, str], ttl_s: int) -> None: ...
    async def take(self, state: str) -> dict[str, str] | None: ...


class Links(Protocol):
    """The bot's own store of who is linked with whom."""

    async def get(self, user: SlackUser) -> Link | None: ...
    async def book(self) -> LinkBook: ...
    async def put(self, user: SlackUser, link: Link, turn: str) -> bool: ...


class Login(Protocol):
    """The identity provider's login. Methods raise `core.errors.OutsideError`."""

    @property
    def issuer(self) -> str: ...
    def authorize_url(self, *, state: str, nonce: str, code_challenge: str, redirect_uri: str) -> str: ...
    async def exchange(self, code: str, verifier: str, redirect_uri: str) -> str: ...
    async def verify(self, id_token: str, *, nonce: str) -> Identity: ...


class Audit(Protocol):
    """Intent before the effect, outcome after. `intent` raises while nothing can be written down."""

    async def intent(self, actor: str, action: str, object: str, data: Mapping[str, Any] | None = None) -> str: ...
    async def outcome(self, ref: str, actor: str, action: str, object: str, data: Mapping[str, Any]) -> str: ...
    async def note(self, actor: str, action: str, object: str, data: Mapping[str, Any] | None = None) -> str: ...


class LinkReason(StrEnum):
    EXPIRED = "expired"
    OTHER_BROWSER = "other_browser"
    OTHER_ISSUER = "other_issuer"
    LOGIN_CANCELLED = "login_cancelled"
    NO_MEMBER = "no_member"
    NO_SLACK_EMAIL = "no_slack_email"
    EMAIL_UNVERIFIED = "email_unverified"
    EMAIL_MISMATCH = "email_mismatch"
    LINKED_ALREADY = "linked_already"
    ACCOUNT_TAKEN = "account_taken"


AGAIN = "Nothing was linked. Type /cdm link in Slack to start again."
_TEXTS = {
    LinkReason.EXPIRED: f"This link was used before, or its ten minutes are over. {AGAIN}",
    LinkReason.OTHER_BROWSER: f"This is not the browser in which the linking was opened. {AGAIN}",
    LinkReason.OTHER_ISSUER: f"The answer did not come from the configured Keycloak. {AGAIN}",
    LinkReason.LOGIN_CANCELLED: f"The login at Keycloak was not completed. {AGAIN}",
    LinkReason.NO_MEMBER: (
        "The person who started this is not a full member of the Slack workspace. Nothing was linked. Guests, bots, "
        "deactivated users and people of other workspaces cannot be linked."
    ),
    LinkReason.NO_SLACK_EMAIL: (
        "Slack shows no e-mail address for the person who started this, so it cannot be compared with the account's. "
        "Nothing was linked."
    ),
    LinkReason.EMAIL_UNVERIFIED: (
        "The e-mail address of this Keycloak account is not verified. Nothing was linked. Verify it in Keycloak, then "
        "type /cdm link in Slack again."
    ),
    LinkReason.EMAIL_MISMATCH: (
        "This linking was started by a Slack person whose e-mail address is not the one of the account that logged in. "
        "Nothing was linked. If somebody sent you this link, do not use it, and tell an administrator."
    ),
    LinkReason.LINKED_ALREADY: (
        "The Slack user who started this is linked with another Keycloak account. Nothing was changed. Whoever owns "
        "that Slack user types /cdm unlink there first, then /cdm link; or an administrator types /cdm links revoke."
    ),
    LinkReason.ACCOUNT_TAKEN: (
        "This Keycloak account is linked with another Slack user. Nothing was changed. Type /cdm unlink as that Slack "
        "user first; if you cannot, an administrator types /cdm links revoke. If you know of no such Slack user, tell "
        "an administrator."
    ),
}


class LinkRefused(Exception):
    """Nothing was linked. `text` says why and what to do, without naming anybody."""

    def __init__(self, reason: LinkReason) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.text = _TEXTS[reason]


@dataclass(frozen=True, slots=True)
class Departure:
    """Send the browser to `url`, and let it keep the cookie."""

    url: str
    cookie: str
    value: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the person is asked to confirm, with the single-use token that does."""

    token: str
    slack: SlackUser
    slack_email: str
    username: str
    email: str


class Linking:
    """`team` is the workspace whose full members may be linked; `public_url` is the bot as browsers reach it."""

    def __init__(
        self,
        *,
        states: LinkStates,
        links: Links,
        login: Login,
        audit: Audit,
        members: Members,
        team: str,
        clock: Clock,
        public_url: str,
    ) -> None:
        self._states = states
        self._links = links
        self._login = login
        self._audit = audit
        self._members = members
        self._team = team
        self._clock = clock
        self._public_url = public_url.rstrip("/")
        self._redirect_uri = f"{self._public_url}/oidc/callback"

    async def begin(self, user: SlackUser) -> Message:
        """The private answer to `/cdm link`: an address of our own, good once and for ten minutes."""
        state = await self._keep("begun", {"team": user.team, "user": user.user})
        url = f"{self._public_url}/link/{state}"
        now = await self._links.get(user)
        known = (
            f"This Slack user is linked with the Keycloak account {mono(now.username, 100)}; for another one, "
            "`/cdm unlink` comes first. "
            if now
            else ""
        )
        told = f"{known}{live_link(url, 'Log in to Keycloak')} to link this Slack user with your account."
        only = "The link is for you alone, works once, and for ten minutes. Do not pass it on."
        return compose(told, section(told), context(only))

    async def leave(self, state: str) -> Departure:
        """Use up the state and go to Keycloak. The cookie ties what comes back to this browser."""
        begun = await self._take("begun", state)
        browser, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        flow = secrets.token_hex(8)
        payload = {**begun, "flow": flow, "browser": _digest(browser), "nonce": nonce, "verifier": verifier}
        url = self._login.authorize_url(
            state=await self._keep("left", payload),
            nonce=nonce,
            code_challenge=base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode(),
            redirect_uri=self._redirect_uri,
        )
        return Departure(url, self._cookie(flow), browser)

    async def arrive(self, query: Mapping[str, str], cookies: Mapping[str, str]) -> Proposal:
        """Prove who logged in, and compare the two addresses. Raises LinkRefused or OutsideError."""
        left = await self._take("left", query.get("state", ""), cookies)
        if query.get("iss") != self._login.issuer:
            raise await self._refused(left, LinkReason.OTHER_ISSUER)
        if "error" in query or not query.get("code"):
            raise await self._refused(left, LinkReason.LOGIN_CANCELLED)
        token = await self._login.exchange(query["code"], left["verifier"], self._redirect_uri)
        who = await self._login.verify(token, nonce=left["nonce"])
        slack_email = await self._same_address(left, who.email, who.email_verified, who.subject)
        await self._free(left, who.subject)
        kept = {name: left[name] for name in ("team", "user", "flow", "browser")}
        account = {"subject": who.subject, "username": who.username, "email": who.email}
        token = await self._keep("arrived", {**kept, **account})
        return Proposal(token, SlackUser(left["team"], left["user"]), slack_email, who.username, who.email)

    async def confirm(self, token: str, cookies: Mapping[str, str]) -> Link:
        """Write the link. The addresses are compared once more, since minutes may have passed."""
        seen = await self._take("arrived", token, cookies)
        subject = Subject(seen["subject"])
        await self._same_address(seen, seen["email"], True, subject)
        user = SlackUser(seen["team"], seen["user"])
        link = Link(subject, seen["username"], seen["email"], self._clock.now())
        book = await self._free(seen, subject)
        replaced = {"replaces": subject} if user in book.links else {}
        ref = await self._audit.intent(subject, "link", f"slack:{user}", replaced)
        try:
            while not await self._links.put(user, link, book.turn):  # another was written meanwhile
                book = await self._free(seen, subject)
        except LinkRefused:
            await self._audit.outcome(ref, subject, "link", f"slack:{user}", {"linked": False})
            raise
        await self._audit.outcome(ref, subject, "link", f"slack:{user}", {"linked": True})
        log.info("account_linked", slack=str(user), subject=subject)
        return link

    async def _free(self, flow: Mapping[str, str], subject: Subject) -> LinkBook:
        """Every link, if none of them joins this Slack user or this account with another one."""
        user, book = SlackUser(flow["team"], flow["user"]), await self._links.book()
        now = book.links.get(user)
        if now is not None and now.subject != subject:
            raise await self._refused(flow, LinkReason.LINKED_ALREADY, subject)
        if any(link.subject == subject for other, link in book.links.items() if other != user):
            raise await self._refused(flow, LinkReason.ACCOUNT_TAKEN, subject)
        return book

    async def _same_address(self, flow: Mapping[str, str], email: str, verified: bool, subject: Subject) -> str:
        """The Slack profile's address, if it is the account's verified one."""
        if not verified or not email:
            raise await self._refused(flow, LinkReason.EMAIL_UNVERIFIED, subject)
        member = await self._members.member(flow["user"], timeout_s=MEMBER_S)
        if member is None or flow["team"] != self._team or outsider(member, self._team):
            raise await self._refused(flow, LinkReason.NO_MEMBER, subject)
        found = member.email
        if not found:
            raise await self._refused(flow, LinkReason.NO_SLACK_EMAIL, subject)
        if found.strip().casefold() != email.strip().casefold():
            raise await self._refused(flow, LinkReason.EMAIL_MISMATCH, subject)
        return found

    async def _keep(self, step: str, payload: Mapping[str, str]) -> str:
        state = secrets.token_urlsafe(32)
        await self._states.put(state, {**payload, "step": step}, STATE_LIFE_S)
        return state

    async def _take(self, step: str, state: str, cookies: Mapping[str, str] | None = None) -> dict[str, str]:
        """What was kept under the state, once; only for this step, and only in the browser that left."""
        found = await self._states.take(state) if state else None
        if found is None or found.get("step") != step:
            raise LinkRefused(LinkReason.EXPIRED)
        if cookies is not None:
            shown = cookies.get(self._cookie(found["flow"]), "")
            if not hmac.compare_digest(_digest(shown), found["browser"]):
                raise await self._refused(found, LinkReason.OTHER_BROWSER)
        return found

    def _cookie(self, flow: str) -> str:
        """A name for each linking, so that two in one browser do not disturb each other."""
        return f"{'__Host-' if self._public_url.startswith('https://') else ''}cdm-link-{flow}"

    async def _refused(
        self, flow: Mapping[str, str], reason: LinkReason, subject: Subject | None = None
    ) -> LinkRefused:
        slack = f"slack:{SlackUser(flow['team'], flow['user'])}"
        await self._audit.note(subject or slack, "refused:link", slack, {"reason": reason.value})
        log.warning("linking_refused", slack=slack, subject=subject, reason=reason.value)
        return LinkRefused(reason)


def _digest(browser: str) -> str:
    return hashlib.sha256(browser.encode()).hexdigest()
