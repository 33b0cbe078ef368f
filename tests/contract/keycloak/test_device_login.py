"""A login by a code shown on a terminal, with the bot's own client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from core.errors import OutsideError
from integrations.keycloak.device_grant import SLOWER_BY_S, DeviceCode, DeviceGrant
from integrations.keycloak.errors import SlowDown
from integrations.keycloak.login import KeycloakLogin
from sandbox.wire import WireServer
from tests.contract.keycloak.conftest import unique
from tests.keycloak.browser import Browser
from tests.keycloak.realm import CLIENT_ID, CLIENT_SECRET, Realm


def grant_at(url: str, realm: str = "cdm", secret: str = CLIENT_SECRET) -> DeviceGrant:
    return DeviceGrant(server_url=url, realm=realm, client_id=CLIENT_ID, client_secret=lambda: secret, timeout_s=10)


@pytest_asyncio.fixture(loop_scope="session")
async def grant(realm: Realm) -> AsyncIterator[DeviceGrant]:
    client = grant_at(realm.url, realm.name)
    yield client
    await client.aclose()


async def decide(browser: Browser, code: DeviceCode, username: str, button: str = "accept") -> None:
    await browser.open(code.verification_uri_complete)
    await browser.log_in(username)
    await browser.submit(button=button)


async def refusal(grant: DeviceGrant, code: DeviceCode) -> str:
    with pytest.raises(OutsideError) as refused:
        await grant.poll(code)
    return f"{refused.value.reason}: {refused.value.user_text}"


async def test_what_was_approved_says_who_did(
    realm: Realm, grant: DeviceGrant, login: KeycloakLogin, browser: Browser
) -> None:
    code = await grant.begin()
    assert (code.interval_s, code.expires_in_s) == (5, 600)
    await decide(browser, code, "bob")
    token = await grant.poll(code)
    assert token is not None
    who = await login.verify(token, nonce=code.nonce)
    assert (who.subject, who.username, who.email_verified) == (await realm.user_id("bob"), "bob", True)
    assert "was used before" in await refusal(grant, code)


async def test_waiting_is_no_answer_and_asking_early_says_to_wait_longer(grant: DeviceGrant) -> None:
    code = await grant.begin()
    assert await grant.poll(code) is None
    with pytest.raises(SlowDown) as early:
        await grant.poll(code)
    assert early.value.retry_after_s == SLOWER_BY_S


async def test_a_login_declined_is_told(grant: DeviceGrant, browser: Browser) -> None:
    code = await grant.begin()
    await decide(browser, code, "bob", button="cancel")
    assert await refusal(grant, code) == "login_refused: The login was declined in the browser. Nothing was done."


async def test_a_code_of_nobody_and_one_begun_by_another_give_nothing(grant: DeviceGrant, browser: Browser) -> None:
    code = await grant.begin()
    assert (await refusal(grant, replace(code, device_code="zz"))).startswith("login_refused: ")
    await decide(browser, code, "bob")
    assert (await refusal(grant, replace(code, verifier="x" * 50))).startswith("login_refused: ")


async def test_an_account_disabled_after_it_approved_gives_nothing(
    realm: Realm, grant: DeviceGrant, browser: Browser
) -> None:
    name = unique("gone")
    user_id = await realm.create_user(name)
    code = await grant.begin()
    await decide(browser, code, name)
    await realm.set_enabled(user_id, False)
    assert (await refusal(grant, code)).startswith("login_refused: ")


async def test_the_token_of_one_login_does_not_prove_another(
    grant: DeviceGrant, login: KeycloakLogin, browser: Browser
) -> None:
    mine, other = await grant.begin(), await grant.begin()
    await decide(browser, mine, "bob")
    token = await grant.poll(mine)
    assert token is not None
    with pytest.raises(OutsideError, match="belongs to another login"):
        await login.verify(token, nonce=other.nonce)


async def test_a_wrong_client_secret_is_the_bots_trouble(realm: Realm) -> None:
    grant = grant_at(realm.url, realm.name, secret="wrong")
    with pytest.raises(OutsideError) as refused:
        await grant.begin()
    assert refused.value.reason == "not_allowed"
    await grant.aclose()


async def test_a_client_without_the_grant_and_a_proxys_page_say_what_to_do(broken: tuple[WireServer, Realm]) -> None:
    server, _ = broken
    grant = grant_at(server.url)
    server.faults.add("status", "/auth/device", status=400, body={"error": "unauthorized_client"}, times=1)
    with pytest.raises(OutsideError, match=r"turn on the OAuth 2.0 Device Authorization Grant of the client cdm-bot"):
        await grant.begin()
    server.faults.add("status", "/auth/device", status=200, body={"device_code": "x"}, times=1)
    with pytest.raises(OutsideError, match="does not understand"):
        await grant.begin()
    await grant.aclose()


async def test_a_code_that_ran_out_says_to_begin_again(broken: tuple[WireServer, Realm]) -> None:
    server, _ = broken
    grant = grant_at(server.url)
    code = await grant.begin()
    server.faults.add("status", "/token", status=400, body={"error": "expired_token"}, times=1)
    assert "not confirmed in time" in await refusal(grant, code)
    await grant.aclose()


async def test_without_keycloak_nobody_is_known(broken: tuple[WireServer, Realm]) -> None:
    server, _ = broken
    grant = grant_at(server.url)
    code = await grant.begin()
    server.faults.add("lost_request")
    with pytest.raises(OutsideError, match="was not reached when beginning a login"):
        await grant.begin()
    assert (await refusal(grant, code)).startswith("unavailable: ")
    await grant.aclose()
