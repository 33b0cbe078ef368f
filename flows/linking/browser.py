"""Linking by a browser that comes back to the bot."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from core.access import Link, Proof
from core.ids import Realm, SlackUser
from core.messages.blocks import Message
from core.messages.links import link_offer
from flows.linking.codes import CodeDesk
from flows.linking.notary import Account, Notary
from flows.linking.ports import Place
from flows.linking.refusals import LinkReason, LinkRefused
from flows.trips import Leaving, Stop, TripEnded, Trips

PREFIX = "link-"
STATE_LIFE_S = 600


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the person is asked to confirm, with the single-use token that does. `slack_email` is "" where Slack shows
    none; `proof` is what will have to prove that both accounts are one person's."""

    token: str
    slack: SlackUser
    slack_email: str
    username: str
    email: str
    proof: Proof


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing is linked yet: `slack` must type the code first."""

    code: str
    slack: SlackUser
    slack_email: str
    username: str
    email: str


class Linking:
    """`public_url` is the bot as browsers reach it, `trips` those that come back to it for linking."""

    def __init__(self, *, trips: Trips, codes: CodeDesk, notary: Notary, public_url: str) -> None:
        self._trips = trips
        self._codes = codes
        self._notary = notary
        self._public_url = public_url.rstrip("/")

    async def begin(self, user: SlackUser, realm: Realm, _place: Place, /) -> Message:
        """The private answer to `/cdm link`: an address of our own, good once and for ten minutes."""
        state = await self._trips.begin(realm, {"team": user.team, "user": user.user})
        return link_offer(f"{self._public_url}/link/{state}", (await self._notary.linked(user)).get(realm))

    async def leave(self, state: str) -> Leaving:
        """Use up the state and go to Keycloak. The cookie ties what comes back to this browser."""
        async with self._ended():
            return await self._trips.leave(state)

    async def arrive(self, query: Mapping[str, str], cookies: Mapping[str, str]) -> Proposal:
        """Prove who logged in, and compare the two addresses. Raises LinkRefused or OutsideError."""
        async with self._ended():
            who, left = await self._trips.arrive(query, cookies)
        user = _starter(left)
        if not who.email_verified or not who.email:
            raise await self._notary.refused(user, LinkReason.EMAIL_UNVERIFIED, who.subject)
        account = Account(who.subject, who.username, who.email)
        slack_email, proof = await self._compared(user, account)
        await self._notary.free(user, account)
        token = await self._trips.hold(left, account.noted())
        return Proposal(token, user, slack_email, who.username, who.email, proof)

    async def confirm(self, token: str, cookies: Mapping[str, str]) -> Link | Waiting:
        """Write the link, or show the code. The addresses are compared once more, since minutes may have passed."""
        async with self._ended():
            seen = await self._trips.resume(token, cookies)
        user, account = _starter(seen), Account.of(seen)
        slack_email, proof = await self._compared(user, account)
        if proof is Proof.EMAIL:
            return await self._notary.write(user, account, proof)
        await self._notary.free(user, account)
        return Waiting(await self._codes.issue(user, account), user, slack_email, account.username, account.email)

    @asynccontextmanager
    async def _ended(self) -> AsyncIterator[None]:
        """Where the trip goes no further: the refusal, written down where it is known whose trip it was."""
        try:
            yield
        except TripEnded as ended:
            reason = LinkReason(ended.stop.value)
            if ended.stop is Stop.EXPIRED:
                raise LinkRefused(reason) from None
            raise await self._notary.refused(_starter(ended.payload), reason) from None

    async def _compared(self, user: SlackUser, account: Account) -> tuple[str, Proof]:
        """The Slack profile's address, and whether it is the account's: else a code has to prove it."""
        found = (await self._notary.member(user, account.subject)).email.strip()
        same = bool(found) and found.casefold() == account.email.strip().casefold()
        return found, Proof.EMAIL if same else Proof.CODE


def _starter(flow: Mapping[str, str]) -> SlackUser:
    return SlackUser(flow["team"], flow["user"])
