"""One suite, on the stand-in and on a real Keycloak. Tests make their own people, so they can share a server."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from integrations.clock import SystemClock
from integrations.keycloak.login import KeycloakLogin
from integrations.keycloak.roles import KeycloakRoles
from sandbox.keycloak.app import create_app
from sandbox.wire import WireServer
from tests.keycloak.browser import Browser
from tests.keycloak.proxy import Proxy, proxy_to
from tests.keycloak.realm import CLIENT_ID, CLIENT_SECRET, AdminRealm, Realm
from tests.keycloak.standin import StandInRealm

REDIRECT = "http://127.0.0.1:18185/oidc/callback"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One event loop for the folder, so that its servers and clients are started once."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and isinstance(item, pytest.Function):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


shared = partial(pytest_asyncio.fixture, scope="session", loop_scope="session")
once = partial(pytest_asyncio.fixture, loop_scope="session")


@shared()
async def standin_server() -> AsyncIterator[WireServer]:
    async with WireServer(create_app()) as server:
        yield server


@pytest.fixture(scope="session")
def standin_realm(standin_server: WireServer) -> Realm:
    return StandInRealm(standin_server.url)


@pytest.fixture(scope="session")
def real_realm(request: pytest.FixtureRequest) -> Realm:
    url, user, password = (str(request.config.getoption(f"--keycloak-{name}")) for name in ("url", "user", "password"))
    if url:
        return AdminRealm(url.rstrip("/"), "cdm", user, password)
    realm: Realm = request.getfixturevalue("real_keycloak").realm
    return realm


@pytest.fixture(scope="session", params=["standin_realm", "real_realm"], ids=["stand-in", "real"])
def realm(request: pytest.FixtureRequest) -> Realm:
    found: Realm = request.getfixturevalue(request.param)
    return found


@shared()
async def proxy(real_realm: Realm) -> AsyncIterator[Proxy]:
    """In front of the real server: what it was asked is written down, and it can be made to misbehave."""
    async with proxy_to(real_realm.url) as opened:
        yield opened


@shared()
async def real_server(proxy: Proxy) -> WireServer:
    return proxy.server


@pytest.fixture(params=["standin", "real"], ids=["stand-in", "real"])
def broken(request: pytest.FixtureRequest) -> Iterator[tuple[WireServer, Realm]]:
    """For tests that break it: a server with faults, and the realm behind it. Whole again afterwards."""
    server: WireServer = request.getfixturevalue(f"{request.param}_server")
    yield server, request.getfixturevalue(f"{request.param}_realm")
    server.faults.clear()


@shared()
async def roles(realm: Realm) -> AsyncIterator[KeycloakRoles]:
    """The adapter, with time enough for a busy test machine."""
    adapter = KeycloakRoles(
        server_url=realm.url,
        realm=realm.name,
        client_id=CLIENT_ID,
        client_secret=lambda: CLIENT_SECRET,
        clock=SystemClock(),
        timeout_s=10,
    )
    yield adapter
    await adapter.aclose()


@shared()
async def login(realm: Realm) -> AsyncIterator[KeycloakLogin]:
    client = KeycloakLogin(
        server_url=realm.url,
        realm=realm.name,
        client_id=CLIENT_ID,
        client_secret=lambda: CLIENT_SECRET,
        clock=SystemClock(),
        timeout_s=10,
    )
    yield client
    await client.aclose()


@once()
async def browser() -> AsyncIterator[Browser]:
    async with Browser(stop_at=REDIRECT) as opened:
        yield opened


@shared()
async def http(realm: Realm) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=realm.url, timeout=10, trust_env=False, verify=False) as client:
        yield client


@once()
async def bot(realm: Realm, http: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """The admin API as the bot's service account calls it."""
    form = {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    token = await http.post(f"/realms/{realm.name}/protocol/openid-connect/token", data=form)
    bearer = {"Authorization": f"Bearer {token.json()['access_token']}"}
    base = f"{realm.url}/admin/realms/{realm.name}"
    async with httpx.AsyncClient(base_url=base, headers=bearer, timeout=10, trust_env=False, verify=False) as client:
        yield client


def unique(prefix: str) -> str:
    return f"{prefix}-{secrets.randbelow(10**9):09}"
