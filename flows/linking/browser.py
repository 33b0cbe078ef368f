"""Linking by a browser that comes back to the bot."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from core.access import Link, Proof
from core.ids import DEFAULT_REALM, Realm, SlackUser
from core.messages.blocks import Message
from core.messages.links import link_offer
from flows.linking.codes import CodeDesk
from flows.linking.notary import Account, Notary
from flows.linking.ports import LinkStates, Login, Place
from flows.linking.refusals import LinkReason, LinkRefused

STATE_LIFE_S = 600


@dataclass(frozen=True, slots=True)
class Departure:
    """Send the browser to `url`, and let it keep the cookie."""

    url: str
    cookie: str
    value: str


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
    """`public_url` is the bot as browsers reach it."""

    def __init__(
        self, *, states: LinkStates, codes: CodeDesk, notary: Notary, logins: Mapping[Realm, Login], public_url: str
    ) -> None:
        self._states = states
        self._codes = codes
        self._notary = notary
        self._logins = logins
        self._public_url = public_url.rstrip("/")
        self._redirect_uri = f"{self._public_url}/oidc/callback"

    async def begin(self, user: SlackUser, realm: Realm, _place: Place, /) -> Message:
        """The private answer to `/cdm link`: an address of our own, good once and for ten minutes."""
        state = await self._keep("begun", {"team": user.team, "user": user.user, "realm": realm})
        return link_offer(f"{self._public_url}/link/{state}", (await self._notary.linked(user)).get(realm))

    async def leave(self, state: str) -> Departure:
        """Use up the state and go to Keycloak. The cookie ties what comes back to this browser."""
        begun = await self._take("begun", state)
        browser, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        flow = secrets.token_hex(8)
        payload = {**begun, "flow": flow, "browser": _digest(browser), "nonce": nonce, "verifier": verifier}
        url = self._login(begun).authorize_url(
            state=await self._keep("left", payload),
            nonce=nonce,
            code_challenge=base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode(),
            redirect_uri=self._redirect_uri,
        )
        return Departure(url, self._cookie(flow), browser)

    async def arrive(self, query: Mapping[str, str], cookies: Mapping[str, str]) -> Proposal:
        """Prove who logged in, and compare the two addresses. Raises LinkRefused or OutsideError."""
        left = await self._take("left", query.get("state", ""), cookies)
        user, login = _starter(left), self._login(left)
        if query.get("iss") != login.issuer:
            raise await self._notary.refused(user, LinkReason.OTHER_ISSUER)
        if "error" in query or not query.get("code"):
            raise await self._notary.refused(user, LinkReason.LOGIN_CANCELLED)
        token = await login.exchange(query["code"], left["verifier"], self._redirect_uri)
        who = await login.verify(token, nonce=left["nonce"])
        if not who.email_verified or not who.email:
            raise await self._notary.refused(user, LinkReason.EMAIL_UNVERIFIED, who.subject)
        account = Account(who.subject, who.username, who.email)
        slack_email, proof = await self._compared(user, account)
        await self._notary.free(user, account)
        kept = {name: left[name] for name in ("team", "user", "flow", "browser")}
        token = await self._keep("arrived", {**kept, **account.noted()})
        return Proposal(token, user, slack_email, who.username, who.email, proof)

    async def confirm(self, token: str, cookies: Mapping[str, str]) -> Link | Waiting:
        """Write the link, or show the code. The addresses are compared once more, since minutes may have passed."""
        seen = await self._take("arrived", token, cookies)
        user, account = _starter(seen), Account.of(seen)
        slack_email, proof = await self._compared(user, account)
        if proof is Proof.EMAIL:
            return await self._notary.write(user, account, proof)
        await self._notary.free(user, account)
        return Waiting(await self._codes.issue(user, account), user, slack_email, account.username, account.email)

    async def _compared(self, user: SlackUser, account: Account) -> tuple[str, Proof]:
        """The Slack profile's address, and whether it is the account's: else a code has to prove it."""
        found = (await self._notary.member(user, account.subject)).email.strip()
        same = bool(found) and found.casefold() == account.email.strip().casefold()
        return found, Proof.EMAIL if same else Proof.CODE

    def _login(self, flow: Mapping[str, str]) -> Login:
        """The realm in which this linking was begun. LinkRefused where the settings have it no more."""
        found = self._logins.get(Realm(flow.get("realm", DEFAULT_REALM)))
        if found is None:
            raise LinkRefused(LinkReason.EXPIRED)
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
                raise await self._notary.refused(_starter(found), LinkReason.OTHER_BROWSER)
        return found

    def _cookie(self, flow: str) -> str:
        """A name for each linking, so that two in one browser do not disturb each other."""
        return f"{'__Host-' if self._public_url.startswith('https://') else ''}cdm-link-{flow}"


def _starter(flow: Mapping[str, str]) -> SlackUser:
    return SlackUser(flow["team"], flow["user"])


def _digest(browser: str) -> str:
    return hashlib.sha256(browser.encode()).hexdigest()
