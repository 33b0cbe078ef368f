"""The device grant (RFC 8628) with PKCE, for whoever cannot be sent back to an address: the CLI, a bot behind a wall.

It proves who approved in a browser, and no fresh login: Keycloak ignores `prompt`, `max_age` and `acr_values` here,
and an old session is enough (measured on Keycloak 26.7.3). python-keycloak cannot send PKCE with it.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError

from core.ports import DeviceCode as DeviceCode
from integrations.keycloak.errors import DeviceGrantOff, LoginRefused, OddAnswer, SlowDown, by_status
from integrations.keycloak.oidc import OidcEndpoints, body_of, oauth_error

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"
SLOWER_BY_S = 5
"""RFC 8628, 3.5: how much longer to wait between polls after each `slow_down`."""

_REFUSALS = {
    "access_denied": "The login was declined in the browser. Nothing was done.",
    "expired_token": "The code was not confirmed in time. Nothing was done. Begin again.",
    "invalid_grant": "Keycloak did not accept this login: the code was used before, or the account is disabled.",
}


class _Begun(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    device_code: StrictStr = Field(min_length=1)
    user_code: StrictStr = Field(min_length=1, max_length=40)
    verification_uri: StrictStr = Field(pattern=r"^https?://")
    verification_uri_complete: StrictStr = Field(pattern=r"^https?://")
    expires_in: StrictInt = Field(gt=0)
    interval: StrictInt = Field(default=5, gt=0)


class DeviceGrant:
    """`server_url` is Keycloak as the bot reaches it; Keycloak itself names the address for the browser."""

    def __init__(
        self, *, server_url: str, realm: str, client_id: str, client_secret: Callable[[], str], timeout_s: float = 5.0
    ) -> None:
        self._oidc = OidcEndpoints(server_url=server_url, realm=realm, timeout_s=timeout_s)
        self._client_id = client_id
        self._client_secret = client_secret

    async def begin(self) -> DeviceCode:
        """DeviceGrantOff where the client has no device grant."""
        what = "beginning a login"
        nonce, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        answer = await self._oidc.post(
            "auth/device",
            what,
            self._signed(scope="openid", nonce=nonce, code_challenge=challenge, code_challenge_method="S256"),
        )
        if answer.status_code == 400 and oauth_error(answer, what) == "unauthorized_client":
            raise DeviceGrantOff(
                f"Keycloak refused to begin a login with a code: an administrator must turn on the OAuth 2.0 Device "
                f"Authorization Grant of the client {self._client_id}."
            )
        try:
            begun = _Begun.model_validate(body_of(answer, what))
        except ValidationError as odd:
            raise OddAnswer(f"Keycloak gave an answer the bot does not understand when {what}.") from odd
        return DeviceCode(
            device_code=begun.device_code,
            user_code=begun.user_code,
            verification_uri=begun.verification_uri,
            verification_uri_complete=begun.verification_uri_complete,
            interval_s=begun.interval,
            expires_in_s=begun.expires_in,
            nonce=nonce,
            verifier=verifier,
        )

    async def poll(self, code: DeviceCode) -> str | None:
        """The ID token, once, for `KeycloakLogin.verify(token, nonce=code.nonce)`; None while nobody has approved.

        SlowDown: asked too early, wait `SLOWER_BY_S` longer from now on. LoginRefused: declined, too late, used before,
        or not begun by us. Asking again after KeycloakUnavailable is right: an answer that got lost is a used code.
        """
        what = "waiting for a login"
        answer = await self._oidc.post(
            "token",
            what,
            self._signed(grant_type=GRANT_TYPE, device_code=code.device_code, code_verifier=code.verifier),
        )
        if answer.status_code == 400:
            match oauth_error(answer, what):
                case "authorization_pending":
                    return None
                case "slow_down":
                    raise SlowDown("Keycloak was asked too often whether the login is done.", retry_after_s=SLOWER_BY_S)
                case refused if refused in _REFUSALS:
                    raise LoginRefused(_REFUSALS[refused])
                case _:
                    raise by_status(400, answer.content, what)
        token = body_of(answer, what).get("id_token")
        if not isinstance(token, str):
            raise OddAnswer("Keycloak answered a login without an ID token.")
        return token

    async def aclose(self) -> None:
        await self._oidc.aclose()

    def _signed(self, **form: str) -> dict[str, str]:
        return {"client_id": self._client_id, "client_secret": self._client_secret(), **form}
