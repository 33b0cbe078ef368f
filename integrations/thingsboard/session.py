"""One login to ThingsBoard for one (stack, tenant): tokens, their renewal, and every request with its time-out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx
from pydantic import ValidationError

from integrations.thingsboard.errors import TOKEN_EXPIRED, UnexpectedAnswer, error_body, of_answer, of_transport
from integrations.thingsboard.models import Tokens

Params = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Password:
    """An account of the tenant. ThingsBoard accepts its own logins only, never a Keycloak token."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key of ThingsBoard 4.3 or newer."""

    value: str = field(repr=False)


Credentials = Callable[[], Password | ApiKey]
"""Called at each login, so that a rotated secret is used at the next one."""


class Session:
    """Sends requests with the newest token. Many requests that meet an expired token renew it once, together.

    `logins` counts logins and changes of the API key: after each the account may be another one.
    """

    def __init__(
        self, base_url: str, credentials: Credentials, *, system: str, timeout_s: float, http: httpx.AsyncClient
    ) -> None:
        self.system = system
        self.logins = 0
        self._base = base_url.rstrip("/")
        self._credentials = credentials
        self._timeout_s = timeout_s
        self._http = http
        self._lock = asyncio.Lock()
        self._tokens: Tokens | None = None
        self._key: ApiKey | None = None

    async def get(self, path: str, params: Params | None = None) -> Any:
        return await self._json("GET", path, params)

    async def post(self, path: str) -> Any:
        """A write. Never repeated, save once after a renewed login, when ThingsBoard refused the token itself."""
        return await self._json("POST", path, None)

    async def _json(self, method: Literal["GET", "POST"], path: str, params: Params | None) -> Any:
        write = method == "POST"
        used = await self._authorization(stale=None)
        answer = await self._send(method, path, params=params, authorization=used, write=write)
        if answer.status_code == 401:
            expired = error_body(answer)[0] == TOKEN_EXPIRED
            renewed = await self._authorization(stale=used, expired=expired)
            if renewed != used:
                answer = await self._send(method, path, params=params, authorization=renewed, write=write)
        if not answer.is_success:
            raise of_answer(answer, self.system, write=write)
        try:
            return answer.json()
        except ValueError as error:
            raise UnexpectedAnswer(
                f"{self.system} answered with something else than JSON.", system=self.system
            ) from error

    async def _authorization(self, *, stale: str | None, expired: bool = False) -> str:
        """The header to use. `stale` is the one that was just refused: whoever comes first renews it for all."""
        credentials = self._credentials()
        if isinstance(credentials, ApiKey):
            self.logins += credentials != self._key
            self._key = credentials
            return f"ApiKey {credentials.value}"
        async with self._lock:
            if self._tokens is None or stale == f"Bearer {self._tokens.token}":
                self._tokens = await self._renewed(credentials, expired=expired)
            return f"Bearer {self._tokens.token}"

    async def _renewed(self, credentials: Password, *, expired: bool) -> Tokens:
        """By refresh token after code 11; by a new login otherwise, and where the refresh is refused."""
        if expired and self._tokens is not None:
            answer = await self._send("POST", "/api/auth/token", body={"refreshToken": self._tokens.refreshToken})
            if answer.is_success:
                return self._parsed(answer)
            if answer.status_code != 401:
                raise of_answer(answer, self.system, write=False)
        body = {"username": credentials.username, "password": credentials.password}
        answer = await self._send("POST", "/api/auth/login", body=body)
        if not answer.is_success:
            raise of_answer(answer, self.system, write=False)
        self.logins += 1
        return self._parsed(answer)

    def _parsed(self, answer: httpx.Response) -> Tokens:
        try:
            return Tokens.model_validate_json(answer.content)
        except ValidationError:
            # The cause is left out on purpose: it would quote the tokens.
            raise UnexpectedAnswer(f"{self.system} answered a login without tokens.", system=self.system) from None

    async def _send(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Mapping[str, str] | None = None,
        authorization: str | None = None,
        write: bool = False,
    ) -> httpx.Response:
        headers = {"X-Authorization": authorization} if authorization else {}
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._http.request(
                    method, self._base + path, params=params, json=body, headers=headers, timeout=self._timeout_s
                )
        except (httpx.HTTPError, TimeoutError) as error:
            raise of_transport(error, self.system, write=write) from error
