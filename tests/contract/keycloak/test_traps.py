"""What the adapter asks of a real Keycloak, request by request. The table is in this package's docstring."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import tests.contract.keycloak as package
from core.ids import Subject
from integrations.clock import SystemClock
from integrations.keycloak.login import KeycloakLogin
from integrations.keycloak.roles import KeycloakRoles
from tests.contract.keycloak.conftest import REDIRECT, once
from tests.contract.keycloak.test_login_flow import VERIFIER, asked, claims
from tests.keycloak.browser import Browser
from tests.keycloak.proxy import Asked, Proxy
from tests.keycloak.realm import CLIENT_ID, CLIENT_SECRET, AdminRealm, Realm

UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
TOKEN = "/protocol/openid-connect/token"
PEOPLE = ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi")


@once()
async def roles(proxy: Proxy) -> AsyncIterator[KeycloakRoles]:
    """By the proxy, and with no token yet."""
    adapter = KeycloakRoles(
        server_url=proxy.server.url,
        realm="cdm",
        client_id=CLIENT_ID,
        client_secret=lambda: CLIENT_SECRET,
        clock=SystemClock(),
        timeout_s=10,
    )
    yield adapter
    await adapter.aclose()


@once()
async def everything(proxy: Proxy, roles: KeycloakRoles, real_realm: Realm) -> list[Asked]:
    """All requests of all the adapter does: eight people read, a tenant's admins, the watch, the probe."""
    people = [Subject(await real_realm.user_id(name)) for name in PEOPLE]
    proxy.asked.clear()
    await asyncio.gather(*(roles.authority(subject) for subject in people))
    assert await roles.admins_of("/customer-a", limit=3) is not None
    await roles.answers()
    await roles.probe(["/customer-a", "/customer-c/operators", "/customer-z"])
    return [one for one in proxy.asked if not one.target.endswith(TOKEN)]


async def test_every_trap_of_the_table_is_held_by_a_test_that_is_there() -> None:
    assert package.__doc__ is not None
    held = re.findall(r"\| (test_\w+) \|$", package.__doc__, re.MULTILINE)
    written = "".join(file.read_text() for file in Path(__file__).parent.glob("test_*.py"))
    assert len(held) == 15
    assert [name for name in held if f"async def {name}" not in written] == []


async def test_the_bot_searches_for_nobody_but_itself(everything: list[Asked]) -> None:
    searches = [parse_qs(url.query) for one in everything if (url := urlsplit(one.target)).path.endswith("/users")]
    assert searches
    assert {(*search["username"], *search["max"], *search["exact"]) for search in searches} == {
        ("service-account-cdm-bot", "2", "true")
    }
    assert {name for search in searches for name in search} == {"username", "exact", "max"}


async def test_only_effective_roles_are_asked_for_and_every_id_is_one(everything: list[Asked]) -> None:
    base = "/admin/realms/cdm"
    known = (
        rf"{base}/users(/{UUID}(/role-mappings/realm/composite|/groups)?)?",
        rf"{base}/group-by-path/[\w/-]+",
        rf"{base}/groups/{UUID}/members",
        *(rf"{base}/{forbidden}" for forbidden in ("clients", "events", "roles", "identity-provider/instances")),
    )
    strange = {path for one in everything if not re.fullmatch("|".join(known), path := urlsplit(one.target).path)}
    assert strange == set()
    assert {one.method for one in everything} == {"GET"}


async def test_a_list_is_read_once_and_bounded(everything: list[Asked]) -> None:
    asked_for = [
        url for one in everything if (url := urlsplit(one.target)).path.endswith(("groups", "members", "users"))
    ]
    assert [url for url in asked_for if "max=" not in url.query or "first=" in url.query] == []
    of_others = Counter(url.path for url in asked_for if not url.path.endswith("/users"))
    assert len(of_others) == len(PEOPLE) + 1, "each person's groups, and one tenant's members"
    assert set(of_others.values()) == {1}


async def test_twenty_readings_with_an_expired_token_ask_for_one(
    proxy: Proxy, roles: KeycloakRoles, real_realm: Realm
) -> None:
    """The library alone made twenty requests of it. Here the token has really expired: it lives for two seconds."""
    assert isinstance(real_realm, AdminRealm)
    bob = Subject(await real_realm.user_id("bob"))
    await set_token_life(real_realm, "2")
    try:
        assert await roles.authority(bob) is not None
    finally:
        await set_token_life(real_realm, "")
    expires_at = time.monotonic() + 1.1  # the library renews it at nine tenths, in whole seconds
    while time.monotonic() < expires_at:
        await asyncio.sleep(0.05)
    proxy.asked.clear()
    found = await asyncio.gather(*(roles.authority(bob) for _ in range(20)))
    assert [one.username for one in found if one] == ["bob"] * 20
    assert proxy.count("POST", TOKEN) == 1
    assert len(proxy.asked) == 1 + 3 * 20, "each reading is live"


async def set_token_life(realm: AdminRealm, seconds: str) -> None:
    (client,) = await realm.call("GET", "/clients", params={"clientId": CLIENT_ID})
    attributes = {**client["attributes"], "access.token.lifespan": seconds}
    await realm.call("PUT", f"/clients/{client['id']}", json={**client, "attributes": attributes})


async def test_no_persons_token_is_ever_sent(
    proxy: Proxy, roles: KeycloakRoles, real_realm: Realm, browser: Browser
) -> None:
    """People log in while others are read: every request bears the bot's own token, or none."""
    login = KeycloakLogin(
        server_url=proxy.server.url,
        realm="cdm",
        client_id=CLIENT_ID,
        client_secret=lambda: CLIENT_SECRET,
        clock=SystemClock(),
        timeout_s=10,
    )
    bob = Subject(await real_realm.user_id("bob"))
    await browser.open(asked(login))
    await browser.log_in("carol")
    proxy.asked.clear()

    async def linked() -> str:
        token = await login.exchange(browser.query["code"], VERIFIER, REDIRECT)
        return (await login.verify(token, nonce="no")).username

    name, *_ = await asyncio.gather(linked(), *(roles.authority(bob) for _ in range(10)))
    await roles.authority(bob)
    await login.aclose()
    assert name == "carol"
    bearers = {one.authorization for one in proxy.asked if one.target.startswith("/admin/")}
    assert {claims(bearer.removeprefix("Bearer "))["preferred_username"] for bearer in bearers} == {
        "service-account-cdm-bot"
    }
    others = {one.authorization for one in proxy.asked if not one.target.startswith("/admin/")}
    assert others <= {""}
