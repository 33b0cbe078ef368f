"""A client that acts in its own name: the client-credentials grant, and which subject that is."""

from __future__ import annotations

from collections.abc import Callable

import jwt
from pydantic import BaseModel, ConfigDict, StrictStr

from core.ids import DEFAULT_REALM, Subject, subject_in
from integrations.keycloak.errors import LoginRefused, OddAnswer
from integrations.keycloak.oidc import OidcEndpoints, body_of

_WHAT = "logging the service account in"


class _AccessToken(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    sub: StrictStr
    azp: StrictStr
    typ: StrictStr


class ServiceAccount:
    """The client `client_id`, which holds its secret."""

    def __init__(
        self, *, server_url: str, realm: str, client_id: str, client_secret: Callable[[], str], timeout_s: float = 5.0
    ) -> None:
        self._oidc = OidcEndpoints(server_url=server_url, realm=realm, timeout_s=timeout_s)
        self._client_id = client_id
        self._client_secret = client_secret

    async def prove(self) -> Subject:
        """The account's subject. Only Keycloak's answer says so: it came over our own connection to its token endpoint,
        which stands for the signature (OpenID Connect Core, 3.1.3.7). LoginRefused: wrong secret, no such client."""
        form = {
            "grant_type": "client_credentials",
            "client_id": self._client_id,
            "client_secret": self._client_secret(),
        }
        answer = await self._oidc.post("token", _WHAT, form)
        if answer.status_code in (400, 401):
            raise LoginRefused(
                f"Keycloak refused the service account of the client {self._client_id}: check its secret in "
                "cli.service_account, that the client is enabled, and that its service account is turned on."
            )
        try:
            token = _AccessToken.model_validate(
                jwt.decode(str(body_of(answer, _WHAT).get("access_token")), options={"verify_signature": False})
            )
            subject = subject_in(DEFAULT_REALM, token.sub)
        except jwt.InvalidTokenError as odd:
            raise OddAnswer(f"Keycloak gave an answer the bot does not understand when {_WHAT}.") from odd
        except ValueError as odd:
            raise OddAnswer(
                f"Keycloak does not say which account the client {self._client_id} is: give it the client scope basic."
            ) from odd
        if token.azp != self._client_id or token.typ != "Bearer":
            raise OddAnswer(f"Keycloak answered with a token for something else when {_WHAT}.")
        return subject

    async def aclose(self) -> None:
        await self._oidc.aclose()
