"""One client's calls to a realm's OpenID Connect endpoints: bounded in time, every failure named."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from integrations.keycloak.errors import KeycloakUnavailable, OddAnswer, by_status


class OidcEndpoints:
    """`what` in each call says what was being done, for the error's text."""

    def __init__(self, *, server_url: str, realm: str, timeout_s: float) -> None:
        self._base = f"{server_url.rstrip('/')}/realms/{realm}/protocol/openid-connect"
        self._timeout_s = timeout_s
        self._http = httpx.AsyncClient(timeout=timeout_s, follow_redirects=False)

    async def get(self, endpoint: str, what: str) -> httpx.Response:
        return await self._call("GET", endpoint, what, None)

    async def post(self, endpoint: str, what: str, form: dict[str, str]) -> httpx.Response:
        return await self._call("POST", endpoint, what, form)

    async def _call(self, method: str, endpoint: str, what: str, form: dict[str, str] | None) -> httpx.Response:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._http.request(method, f"{self._base}/{endpoint}", data=form)
        except (TimeoutError, httpx.TimeoutException) as late:
            raise KeycloakUnavailable(f"Keycloak did not answer in time when {what}.") from late
        except httpx.HTTPError as error:
            raise KeycloakUnavailable(f"Keycloak was not reached when {what}.") from error

    async def aclose(self) -> None:
        await self._http.aclose()


def body_of(answer: httpx.Response, what: str) -> dict[str, Any]:
    """The JSON object of a 200; anything else is the error it stands for."""
    if answer.status_code != 200:
        raise by_status(answer.status_code, answer.content, what)
    return _json(answer, what)


def oauth_error(answer: httpx.Response, what: str) -> str:
    """The `error` of a 400, as RFC 6749 names it."""
    return str(_json(answer, what).get("error", ""))


def _json(answer: httpx.Response, what: str) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError as error:
        raise OddAnswer(f"Keycloak gave an answer the bot does not understand when {what}.") from error
    if not isinstance(body, dict):
        raise OddAnswer(f"Keycloak gave an answer the bot does not understand when {what}.")
    return body
