"""OpenID Connect for one client, with plain httpx: where to log in, and who has logged in.

python-keycloak is not used here: it cannot send `prompt` or `max_age`, takes an access token for an ID token, and
fetches the keys for every token (measured on python-keycloak 7.1.1).
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import jwt
from pydantic import BaseModel, ConfigDict, StrictBool, StrictStr

from core.access import Identity
from core.ids import DEFAULT_REALM, Realm, subject_in
from core.ports import Clock
from integrations.keycloak.errors import LoginRefused, OddAnswer
from integrations.keycloak.oidc import OidcEndpoints, body_of

KEYS_LIFE_S = 300
KEYS_PAUSE_S = 10
"""An unknown key id makes the keys be fetched again, but not more often than this."""
SKEW_S = 10


class _IdToken(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    sub: StrictStr
    typ: StrictStr
    azp: StrictStr
    nonce: StrictStr
    preferred_username: StrictStr
    email: StrictStr = ""
    email_verified: StrictBool = False
    auth_time: int | None = None
    acr: StrictStr = ""


class KeycloakLogin:
    """`public_url` is Keycloak as browsers and tokens name it; `server_url` as the bot reaches it. `name` is what the
    settings call the realm."""

    def __init__(
        self,
        *,
        server_url: str,
        realm: str,
        client_id: str,
        client_secret: Callable[[], str],
        clock: Clock,
        public_url: str = "",
        timeout_s: float = 5.0,
        name: Realm = DEFAULT_REALM,
    ) -> None:
        self._name = name
        self.issuer = f"{(public_url or server_url).rstrip('/')}/realms/{realm}"
        self._oidc = OidcEndpoints(server_url=server_url, realm=realm, timeout_s=timeout_s)
        self._client_id = client_id
        self._client_secret = client_secret
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._keys_read_at: float | None = None
        self._reading_keys = asyncio.Lock()

    def authorize_url(
        self,
        *,
        state: str,
        nonce: str,
        code_challenge: str,
        redirect_uri: str,
        prompt: str = "login",
        max_age: int | None = None,
        acr_values: str = "",
    ) -> str:
        """Where to send the browser. `prompt=login` so that an old session completes nothing silently; `max_age` (in
        seconds) makes the answer say when the person logged in."""
        asked = {
            "client_id": self._client_id,
            "response_type": "code",
            "scope": "openid",
            "redirect_uri": redirect_uri,
            "state": state,
            "nonce": nonce,
            "code_challenge": code_challenge,
            "code_challenge_method": "S256",
            "prompt": prompt,
            "max_age": "" if max_age is None else f"{max_age}",
            "acr_values": acr_values,
        }
        query = urlencode({name: value for name, value in asked.items() if value})
        return f"{self.issuer}/protocol/openid-connect/auth?{query}"

    async def exchange(self, code: str, verifier: str, redirect_uri: str) -> str:
        """The ID token for a code. LoginRefused: used, too old, or not ours. Never repeated: a second use of a code
        ends the session (measured on Keycloak 26.7.3)."""
        form = {
            "grant_type": "authorization_code",
            "client_id": self._client_id,
            "client_secret": self._client_secret(),
            "code": code,
            "code_verifier": verifier,
            "redirect_uri": redirect_uri,
        }
        answer = await self._oidc.post("token", "checking a login", form)
        if answer.status_code == 400:
            raise LoginRefused("Keycloak did not accept this login: it was used before, or took too long.")
        token = body_of(answer, "checking a login").get("id_token")
        if not isinstance(token, str):
            raise OddAnswer("Keycloak answered a login without an ID token.")
        return token

    async def verify(self, id_token: str, *, nonce: str) -> Identity:
        """Who the token is about. Everything that does not hold is LoginRefused: signature, issuer, audience, party,
        kind of token, time, and the nonce this login was begun with."""
        try:
            key = await self._key(jwt.get_unverified_header(id_token).get("kid"))
            claims = jwt.decode(
                id_token,
                key,
                algorithms=["RS256"],
                audience=self._client_id,
                issuer=self.issuer,
                leeway=SKEW_S,
                options={"require": ["exp", "iat", "iss", "aud", "sub", "nonce"]},
            )
            token = _IdToken.model_validate(claims)
            subject = subject_in(self._name, token.sub)
        except (jwt.InvalidTokenError, ValueError) as wrong:
            raise LoginRefused("Keycloak's proof of this login does not hold. Nothing was done.") from wrong
        if token.typ != "ID" or token.azp != self._client_id:
            raise LoginRefused("Keycloak's proof of this login was made for something else. Nothing was done.")
        if not hmac.compare_digest(token.nonce.encode(), nonce.encode()):
            raise LoginRefused("Keycloak's proof of this login belongs to another login. Nothing was done.")
        return Identity(
            subject=subject,
            username=token.preferred_username,
            email=token.email,
            email_verified=token.email_verified,
            auth_time=None if token.auth_time is None else datetime.fromtimestamp(token.auth_time, UTC),
            acr=token.acr,
        )

    async def aclose(self) -> None:
        await self._oidc.aclose()

    async def _key(self, kid: Any) -> jwt.PyJWK:
        """The signing key of that id, from keys read at most `KEYS_LIFE_S` ago."""
        async with self._reading_keys:
            age = None if self._keys_read_at is None else self._clock.monotonic() - self._keys_read_at
            if age is None or age > KEYS_LIFE_S or (kid not in self._keys and age > KEYS_PAUSE_S):
                answer = await self._oidc.get("certs", "reading its keys")
                self._keys = _signing_keys(body_of(answer, "reading its keys"))
                self._keys_read_at = self._clock.monotonic()
        if kid not in self._keys:
            raise LoginRefused("Keycloak's proof of this login is signed with an unknown key. Nothing was done.")
        return self._keys[kid]


def _signing_keys(jwks: dict[str, Any]) -> dict[str, jwt.PyJWK]:
    """Only RS256 keys for signatures; the set also lists a key for encryption."""
    listed = jwks.get("keys")
    wanted = [key for key in listed if isinstance(key, dict)] if isinstance(listed, list) else []
    try:
        return {key["kid"]: jwt.PyJWK(key) for key in wanted if key.get("use") == "sig" and key.get("alg") == "RS256"}
    except (jwt.PyJWTError, KeyError) as error:
        raise OddAnswer("Keycloak listed a key the bot does not understand.") from error
