"""Linking where no browser reaches the bot: Keycloak's device grant, and the confirmation in Slack.

    /cdm link         begin      a code of Keycloak's, privately, and Keycloak's own page to log in at
    every tick        tick       Keycloak is asked whether somebody approved; who did is proven and compared
    button in Slack   confirm    the link is written

The browser shows nothing of ours, and an old session at Keycloak is enough to approve. So the two e-mail addresses must
be one: there is no code that could be typed instead. What was begun stands in the store and survives a restart.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import structlog

from core.access import Proof
from core.errors import OutsideError, RateLimited
from core.ids import Realm, SlackUser
from core.messages.blocks import Message, compose
from core.messages.links import declined_message, device_offer, link_question, linked_message
from core.messages.text import literal
from core.ports import Clock, DeviceLogins
from flows.gate import Denied
from flows.linking.notary import Account, Notary
from flows.linking.ports import LinkStates, Place, PrivateAnswers, Verifier
from flows.linking.refusals import AGAIN, LinkReason, LinkRefused
from integrations.store.leases import Leases
from integrations.store.link_grants import LinkGrant, LinkGrants

log = structlog.get_logger(__name__)

TICK_S = 1.0
QUESTION_LIFE_S = 600
AT_ONCE = 20
_LEASE, _LEASE_S = "link-grants", 30.0
_STEP = "approved"


class DeviceLinking:
    def __init__(
        self,
        *,
        grants: LinkGrants,
        logins: Mapping[Realm, DeviceLogins],
        verifiers: Mapping[Realm, Verifier],
        states: LinkStates,
        notary: Notary,
        answers: PrivateAnswers,
        leases: Leases,
        clock: Clock,
    ) -> None:
        self._grants = grants
        self._logins = logins
        self._verifiers = verifiers
        self._states = states
        self._notary = notary
        self._answers = answers
        self._leases = leases
        self._clock = clock

    async def begin(self, user: SlackUser, realm: Realm, place: Place, /) -> Message:
        """The private answer to `/cdm link`. Raises OutsideError."""
        code = await self._logins[realm].begin()
        now = self._clock.now()
        grant = LinkGrant(
            id=secrets.token_hex(8),
            user=user,
            realm=realm,
            channel=place.channel,
            response_url=place.response_url,
            code=code,
            interval_s=code.interval_s,
            ends_at=now + timedelta(seconds=code.expires_in_s),
        )
        await self._grants.put(grant, look_at=now + timedelta(seconds=grant.interval_s))
        known = (await self._notary.linked(user)).get(realm)
        return device_offer(code.verification_uri_complete, code.user_code, code.expires_in_s // 60, known)

    async def tick(self) -> None:
        """Ask Keycloak about each login that is due. Of all processes only the holder of the lease asks."""
        if await self._leases.acquire(_LEASE, _LEASE_S) is None:
            return
        due = await self._grants.due(self._clock.now(), AT_ONCE)
        await asyncio.gather(*(self._look(grant) for grant in due))

    async def confirm(self, user: SlackUser, state: str) -> Message:
        """The private answer to the button. Raises Denied, or OutsideError, and then the button still works."""
        try:
            email = (await self._notary.member(user)).email
            account = await self._taken(user, state)
            await self._same(user, email, account)
            return linked_message(await self._notary.write(user, account, Proof.EMAIL))
        except LinkRefused as refused:
            raise Denied(refused.reason.value, refused.text) from refused

    async def decline(self, user: SlackUser, state: str) -> Message:
        """ "Not me". Raises Denied."""
        try:
            account = await self._taken(user, state)
        except LinkRefused as refused:
            raise Denied(refused.reason.value, refused.text) from refused
        await self._notary.refused(user, LinkReason.DECLINED, account.subject)
        return declined_message(account.username)

    async def _look(self, grant: LinkGrant) -> None:
        now = self._clock.now()
        logins = self._logins.get(grant.realm)
        if now >= grant.ends_at or logins is None:
            await self._end(grant, _not_linked(await self._notary.refused(grant.user, LinkReason.GRANT_OVER)))
            return
        try:
            token = await logins.poll(grant.code)
        except RateLimited as busy:
            grant, token = replace(grant, interval_s=grant.interval_s + (busy.retry_after_s or grant.interval_s)), None
        except OutsideError as error:
            if not error.retryable:
                await self._notary.refused(grant.user, LinkReason.LOGIN_CANCELLED)
                await self._end(grant, _failed(error))
                return
            token = None
        if token is None:
            await self._grants.put(grant, look_at=self._clock.now() + timedelta(seconds=grant.interval_s))
            return
        try:
            message = await self._proposed(grant, token)
        except LinkRefused as refused:
            message = _not_linked(refused)
        except OutsideError as error:  # the login is used up: it cannot be asked about again
            message = _failed(error)
        await self._end(grant, message)

    async def _proposed(self, grant: LinkGrant, token: str) -> Message:
        """The question to whoever began. Raises LinkRefused or OutsideError."""
        user, who = grant.user, await self._verifiers[grant.realm].verify(token, nonce=grant.code.nonce)
        if not who.email_verified or not who.email:
            raise await self._notary.refused(user, LinkReason.EMAIL_UNVERIFIED, who.subject)
        account = Account(who.subject, who.username, who.email)
        email = (await self._notary.member(user, who.subject)).email
        await self._same(user, email, account)
        await self._notary.free(user, account)
        state = secrets.token_urlsafe(32)
        noted = {"step": _STEP, "team": user.team, "user": user.user, **account.noted()}
        await self._states.put(state, noted, QUESTION_LIFE_S)
        return link_question(state, user, email, who.username, who.email)

    async def _same(self, user: SlackUser, slack_email: str, account: Account) -> None:
        if not slack_email.strip():
            raise await self._notary.refused(user, LinkReason.NO_SLACK_EMAIL, account.subject)
        if slack_email.strip().casefold() != account.email.strip().casefold():
            raise await self._notary.refused(user, LinkReason.EMAIL_MISMATCH, account.subject)

    async def _taken(self, user: SlackUser, state: str) -> Account:
        """The account of the question, once, and only to whoever began."""
        found = await self._states.take(state)
        if found is None or found.get("step") != _STEP:
            raise await self._notary.refused(user, LinkReason.ANSWERED)
        account = Account.of(found)
        if SlackUser(found["team"], found["user"]) != user:
            raise await self._notary.refused(user, LinkReason.NOT_YOURS, account.subject)
        return account

    async def _end(self, grant: LinkGrant, message: Message) -> None:
        """Told first: rather twice than never."""
        await self._answers.tell(grant.channel, grant.user.user, message, grant.response_url)
        await self._grants.drop(grant.id)


def _not_linked(refused: LinkRefused) -> Message:
    return compose(f"⛔ {refused.text}")


def _failed(error: OutsideError) -> Message:
    log.warning("linking_failed", reason=error.reason, system=error.system)
    return compose(f"⚠️ {literal(error.user_text, 2000)} {AGAIN}")
