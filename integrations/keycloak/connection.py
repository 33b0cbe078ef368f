"""python-keycloak, with its traps closed: one token request at a time, short time-outs, every failure named.

Measured on python-keycloak 7.1.1 against Keycloak 26.7.3: twenty calls with an expired token made twenty token
requests; `KeycloakConnectionError` wraps programming errors too; a page of a proxy answered with 200 came back as a
`TypeError`, as a list of integers or as nothing; path segments are not escaped; a `server_url` without its last slash
silently loses its path.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast
from urllib.parse import quote

import httpx
from keycloak import KeycloakAdmin, KeycloakOpenIDConnection
from keycloak.exceptions import KeycloakConnectionError, KeycloakGetError
from keycloak.exceptions import KeycloakError as LibraryError

from core.ids import Realm, Subject, id_of, subject_in
from integrations.keycloak.errors import (
    KeycloakError,
    KeycloakUnavailable,
    NotASubject,
    OddAnswer,
    by_status,
)
from integrations.keycloak.shapes import GroupAnswer

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class OneTokenConnection(KeycloakOpenIDConnection):
    """Renews the service token once, however many calls find it expired or refused at the same time."""

    def __init__(
        self, *, server_url: str, realm: str, client_id: str, client_secret: Callable[[], str], timeout_s: float
    ) -> None:
        super().__init__(
            server_url=server_url.rstrip("/") + "/",
            realm_name=realm,
            client_id=client_id,
            client_secret_key="",
            grant_type="client_credentials",
            timeout=cast(int, timeout_s),  # handed to httpx as it is
        )
        self._client_secret = client_secret
        self._renewing = asyncio.Lock()

    async def a_get_token(self) -> None:
        """With the secret as it is now, so that a rotated one needs no restart."""
        self.keycloak_openid.client_secret_key = self._client_secret()
        await super().a_get_token()

    async def a_refresh_token(self) -> None:
        """Called by the library when the token is about to expire, and after a 401."""
        old = self.token
        async with self._renewing:
            if self.token is old:
                await self.a_get_token()


class AdminApi:
    """The library's client, and `guard` around each use of it."""

    def __init__(
        self, *, server_url: str, realm: str, client_id: str, client_secret: Callable[[], str], timeout_s: float
    ) -> None:
        self._connection = OneTokenConnection(
            server_url=server_url, realm=realm, client_id=client_id, client_secret=client_secret, timeout_s=timeout_s
        )
        self._timeout_s = timeout_s
        self.client_id = client_id
        self.realm = realm
        self.library = KeycloakAdmin(connection=self._connection)

    @asynccontextmanager
    async def guard(self, what: str) -> AsyncIterator[None]:
        """Bound everything inside by one time-out, the token included, and raise nothing but KeycloakError."""
        try:
            async with asyncio.timeout(self._timeout_s):
                yield
        except TimeoutError as late:
            raise KeycloakUnavailable(f"Keycloak did not answer in time when {what}.") from late
        except Exception as error:
            raise to_error(error, what) from error

    def token(self) -> str:
        """The service account's access token of the last call."""
        return str((self._connection.token or {}).get("access_token", ""))

    async def aclose(self) -> None:
        await self._connection.async_s.aclose()
        await self._connection.keycloak_openid.connection.async_s.aclose()


def to_error(error: Exception, what: str) -> KeycloakError:
    """The one place that knows the library's exceptions."""
    if isinstance(error, KeycloakError):
        return error
    if isinstance(error, LibraryError):
        if error.response_code is not None:
            return by_status(error.response_code, error.response_body or b"", what)
        if isinstance(error, KeycloakConnectionError) and isinstance(error.__cause__, httpx.TransportError):
            late = isinstance(error.__cause__, httpx.ReadTimeout)
            return KeycloakUnavailable(
                f"Keycloak {'did not answer in time' if late else 'was not reached'} when {what}."
            )
    return OddAnswer(f"Keycloak gave an answer the bot does not understand when {what}.")


def user_not_found(error: object) -> bool:
    """404 of the user, as opposed to 404 of the realm or of a proxy."""
    body = (error.response_body or b"") if isinstance(error, LibraryError) and error.response_code == 404 else b""
    return b"User not found" in body


def checked_id(subject: Subject, realm: Realm) -> str:
    """The id in the form Keycloak writes it, of an account in that realm. Anything else could walk to another path."""
    id = id_of(subject)
    if not _UUID.fullmatch(id) or subject != subject_in(realm, id):
        raise NotASubject("Keycloak was not asked: the linked account's id is not a Keycloak user id. Link it again.")
    return id


async def group_by_path(api: AdminApi, path: str) -> GroupAnswer | None:
    """None where there is no such group, and where a group on the way carries a slash in its name."""
    if any(segment in ("", ".", "..") for segment in path.strip("/").split("/")):
        return None
    try:
        found = await api.library.a_get_group_by_path(quote(path.strip("/")))
    except KeycloakGetError as error:
        if error.response_code == 404 and b"Group path does not exist" in (error.response_body or b""):
            return None
        raise
    return GroupAnswer.model_validate(found)
