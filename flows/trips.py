"""A trip to the identity provider and back: single use, minutes long, in one browser, for one purpose.

A trip begins as an address of our own (`begin`); opened, it is used up and sends the browser to log in (`leave`),
marked with a cookie; what comes back (`arrive`) must bear the state, the nonce, the verifier and that cookie.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

from core.access import Identity
from core.ids import DEFAULT_REALM, Realm

LIFE_S = 300


class States(Protocol):
    """Short-lived notes, each given out at most once across all replicas."""

    async def put(self, state: str, payload: Mapping[str, str], ttl_s: int) -> None: ...
    async def take(self, state: str) -> dict[str, str] | None: ...


class Login(Protocol):
    """The identity provider's login. Methods raise `core.errors.OutsideError`."""

    @property
    def issuer(self) -> str: ...
    def authorize_url(
        self,
        *,
        state: str,
        nonce: str,
        code_challenge: str,
        redirect_uri: str,
        max_age: int | None = None,
        acr_values: str = "",
    ) -> str: ...
    async def exchange(self, code: str, verifier: str, redirect_uri: str) -> str: ...
    async def verify(self, id_token: str, *, nonce: str) -> Identity: ...


class Stop(StrEnum):
    """Why a trip went no further."""

    EXPIRED = "expired"
    OTHER_BROWSER = "other_browser"
    OTHER_ISSUER = "other_issuer"
    CANCELLED = "login_cancelled"


class TripEnded(Exception):
    """`payload` is what the trip was about, empty where that is not known any more."""

    def __init__(self, stop: Stop, payload: Mapping[str, str]) -> None:
        super().__init__(stop.value)
        self.stop = stop
        self.payload = payload


@dataclass(frozen=True, slots=True)
class Leaving:
    """Send the browser to `url`, and let it keep the cookie."""

    url: str
    cookie: str
    value: str


class Trips:
    """Trips of one kind. `prefix` begins each of their states, and tells the kinds apart where all come back to. A trip
    goes to the realm it began for, and only that one's proof ends it."""

    def __init__(
        self, *, prefix: str, states: States, logins: Mapping[Realm, Login], public_url: str, life_s: int = LIFE_S
    ) -> None:
        self._prefix = prefix
        self._states = states
        self._logins = logins
        self._public_url = public_url.rstrip("/")
        self._life_s = life_s

    async def begin(self, realm: Realm, payload: Mapping[str, str]) -> str:
        """The state that opens the trip, good once."""
        return await self._keep("begun", {**payload, "realm": realm})

    async def leave(
        self, state: str, *, max_age: int | None = None, acr_values: Mapping[Realm, str] = MappingProxyType({})
    ) -> Leaving:
        """Use the state up and go to log in. `acr_values` is the level to ask of each realm. Raises TripEnded."""
        begun = await self._take("begun", state)
        browser, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        flow = secrets.token_hex(8)
        left = {**begun, "flow": flow, "browser": _digest(browser), "nonce": nonce, "verifier": verifier}
        realm, login = self._realm(begun)
        url = login.authorize_url(
            state=await self._keep("left", left),
            nonce=nonce,
            code_challenge=base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode(),
            redirect_uri=f"{self._public_url}/oidc/callback",
            max_age=max_age,
            acr_values=acr_values.get(realm, ""),
        )
        return Leaving(url, self._cookie(flow), browser)

    def is_mine(self, query: Mapping[str, str]) -> bool:
        return query.get("state", "").startswith(self._prefix)

    async def arrive(self, query: Mapping[str, str], cookies: Mapping[str, str]) -> tuple[Identity, dict[str, str]]:
        """Who has logged in, and what for. Raises TripEnded or OutsideError."""
        left = await self._take("left", query.get("state", ""), cookies)
        _, login = self._realm(left)
        if query.get("iss") != login.issuer:
            raise TripEnded(Stop.OTHER_ISSUER, left)
        if "error" in query or not query.get("code"):
            raise TripEnded(Stop.CANCELLED, left)
        token = await login.exchange(query["code"], left["verifier"], f"{self._public_url}/oidc/callback")
        return await login.verify(token, nonce=left["nonce"]), left

    async def hold(self, left: Mapping[str, str], payload: Mapping[str, str]) -> str:
        """A token for one more step in the same browser, good once: `payload`, beside what the trip began with."""
        kept = {name: value for name, value in left.items() if name not in ("nonce", "verifier")}
        return await self._keep("held", {**kept, **payload})

    async def resume(self, token: str, cookies: Mapping[str, str]) -> dict[str, str]:
        """What `hold` kept. Raises TripEnded."""
        return await self._take("held", token, cookies)

    def _realm(self, trip: Mapping[str, str]) -> tuple[Realm, Login]:
        realm = Realm(trip.get("realm", DEFAULT_REALM))
        if realm not in self._logins:  # the settings have it no more
            raise TripEnded(Stop.EXPIRED, trip)
        return realm, self._logins[realm]

    async def _keep(self, step: str, payload: Mapping[str, str]) -> str:
        state = f"{self._prefix}{secrets.token_urlsafe(32)}"
        await self._states.put(state, {**payload, "step": step}, self._life_s)
        return state

    async def _take(self, step: str, state: str, cookies: Mapping[str, str] | None = None) -> dict[str, str]:
        """What was kept under the state, once; only for this step, and only in the browser that left."""
        found = await self._states.take(state) if state.startswith(self._prefix) else None
        if found is None or found.pop("step") != step:
            raise TripEnded(Stop.EXPIRED, {})
        if cookies is not None:
            shown = cookies.get(self._cookie(found["flow"]), "")
            if not hmac.compare_digest(_digest(shown), found["browser"]):
                raise TripEnded(Stop.OTHER_BROWSER, found)
        return found

    def _cookie(self, flow: str) -> str:
        """A name for each trip, so that two in one browser do not disturb each other."""
        return f"{'__Host-' if self._public_url.startswith('https://') else ''}cdm-{self._prefix}{flow}"


def _digest(browser: str) -> str:
    return hashlib.sha256(browser.encode()).hexdigest()
