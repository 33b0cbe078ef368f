"""ID tokens made wrong in every way that matters, and how often the keys are fetched."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from core.errors import OutsideError
from integrations.keycloak.login import KEYS_LIFE_S, KEYS_PAUSE_S, KeycloakLogin
from sandbox.keycloak.app import create_app
from sandbox.wire import Fault, WireServer
from tests.conftest import ManualClock

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEY, OTHER_KEY = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))


def jwk(key: rsa.RSAPrivateKey = KEY, **change: Any) -> dict[str, Any]:
    public = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {"kid": "k1", "kty": "RSA", "alg": "RS256", "use": "sig", "n": public["n"], "e": public["e"], **change}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def keycloak() -> AsyncIterator[WireServer]:
    async with WireServer(create_app()) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def login(keycloak: WireServer, clock: ManualClock) -> AsyncIterator[KeycloakLogin]:
    client = KeycloakLogin(
        server_url=keycloak.url, realm="cdm", client_id="cdm-bot", client_secret=lambda: "s", clock=clock, timeout_s=1
    )
    yield client
    await client.aclose()
    keycloak.faults.clear()


@pytest.fixture
def keys(keycloak: WireServer) -> Fault:
    """The keys Keycloak lists; `hits` counts how often they were fetched."""
    return keycloak.faults.add("status", "/certs", status=200, body={"keys": [jwk()]})


def claims(login: KeycloakLogin, **change: Any) -> dict[str, Any]:
    now = int(time.time())
    good = {
        "iss": login.issuer,
        "aud": "cdm-bot",
        "azp": "cdm-bot",
        "sub": "11111111-1111-4111-8111-111111111111",
        "typ": "ID",
        "nonce": "n",
        "iat": now,
        "exp": now + 300,
        "auth_time": now,
        "acr": "fresh",
        "preferred_username": "bob",
        "email": "bob@cdm.example",
        "email_verified": True,
    }
    return {name: value for name, value in {**good, **change}.items() if value is not None}


def signed(told: dict[str, Any], key: Any = KEY, algorithm: str = "RS256", kid: str | None = "k1") -> str:
    return jwt.encode(told, key, algorithm=algorithm, headers={"kid": kid} if kid else {})


async def reason(login: KeycloakLogin, token: str) -> str:
    with pytest.raises(OutsideError) as refused:
        await login.verify(token, nonce="n")
    return refused.value.reason


async def test_a_good_token_names_the_person(login: KeycloakLogin, keys: Fault) -> None:
    who = await login.verify(signed(claims(login)), nonce="n")
    assert (who.username, who.email, who.email_verified, who.acr) == ("bob", "bob@cdm.example", True, "fresh")


@pytest.mark.parametrize(
    ("claim", "wrong"),
    [
        ("iss", "http://evil.example/realms/cdm"),
        ("iss", None),
        ("aud", "other-client"),
        ("aud", ["account"]),
        ("aud", None),
        ("azp", "other-client"),
        ("azp", None),
        ("typ", "Bearer"),
        ("typ", "Refresh"),
        ("typ", None),
        ("nonce", "other"),
        ("nonce", ""),
        ("nonce", None),
        ("sub", None),
        ("sub", 7),
        ("preferred_username", None),
        ("email_verified", "true"),
        ("email", 7),
        ("exp", None),
        ("exp", 1_000_000_000),
        ("iat", None),
        ("iat", 4_000_000_000),
        ("nbf", 4_000_000_000),
    ],
)
async def test_a_wrong_claim_is_refused(login: KeycloakLogin, keys: Fault, claim: str, wrong: Any) -> None:
    assert await reason(login, signed(claims(login, **{claim: wrong}))) == "login_refused"


async def test_an_address_that_is_not_said_to_be_verified_is_not(login: KeycloakLogin, keys: Fault) -> None:
    who = await login.verify(signed(claims(login, email_verified=None, email=None)), nonce="n")
    assert (who.email, who.email_verified) == ("", False)


async def test_only_the_realms_own_key_and_algorithm_count(login: KeycloakLogin, keys: Fault) -> None:
    told = claims(login)
    for token in (
        signed(told, OTHER_KEY),
        signed(told, "a-shared-secret-of-some-length-here", "HS256"),
        signed(told, KEY, "RS512"),
        signed(told, KEY, "PS256"),
        signed(told, None, "none"),
        signed(told, kid="unknown"),
        signed(told, kid=None),
        signed(told)[:-8] + "AAAAAAAA",
        "a.b.c",
        "",
    ):
        assert await reason(login, token) == "login_refused"


async def test_a_key_for_encryption_verifies_nothing(login: KeycloakLogin, keycloak: WireServer) -> None:
    listed = {"keys": [jwk(use="enc"), jwk(kid="k2", alg="RSA-OAEP")]}
    keycloak.faults.add("status", "/certs", status=200, body=listed)
    assert await reason(login, signed(claims(login))) == "login_refused"


async def test_keys_are_fetched_once_for_many_logins(login: KeycloakLogin, keys: Fault, clock: ManualClock) -> None:
    for _ in range(5):
        await login.verify(signed(claims(login)), nonce="n")
    assert keys.hits == 1
    await clock.forward(KEYS_LIFE_S + 1)
    await login.verify(signed(claims(login)), nonce="n")
    assert keys.hits == 2


async def test_a_new_key_is_found_and_made_up_ones_do_not_make_us_ask_again(
    login: KeycloakLogin, keys: Fault, clock: ManualClock
) -> None:
    await login.verify(signed(claims(login)), nonce="n")
    for n in range(5):
        assert await reason(login, signed(claims(login), kid=f"made-up-{n}")) == "login_refused"
    assert keys.hits == 1
    keys.body = {"keys": [jwk(), jwk(OTHER_KEY, kid="k2")]}
    await clock.forward(KEYS_PAUSE_S + 1)
    assert (await login.verify(signed(claims(login), OTHER_KEY, kid="k2"), nonce="n")).username == "bob"
    assert keys.hits == 2


@pytest.mark.parametrize("body", ["<html>", "[]", "7", '{"keys": 7}', '{"keys": [7]}', "{}"])
async def test_keys_that_are_none_verify_nothing(login: KeycloakLogin, keycloak: WireServer, body: str) -> None:
    keycloak.faults.add("status", "/certs", status=200, body=body)
    assert await reason(login, signed(claims(login))) in ("odd_answer", "login_refused")


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (200, "<html>", "odd_answer"),
        (200, {"access_token": "x"}, "odd_answer"),
        (200, {"id_token": 7}, "odd_answer"),
        (400, {"error": "invalid_grant"}, "login_refused"),
        (401, {"error": "unauthorized_client"}, "not_allowed"),
        (404, {"error": "Realm does not exist"}, "realm_not_found"),
        (503, None, "unavailable"),
        (302, None, "odd_answer"),
    ],
)
async def test_an_exchange_that_is_not_answered_with_a_token_is_refused(
    login: KeycloakLogin, keycloak: WireServer, status: int, body: Any, told: str
) -> None:
    keycloak.faults.add("status", "/token", status=status, body=body)
    with pytest.raises(OutsideError) as refused:
        await login.exchange("code", "verifier", "http://127.0.0.1/oidc/callback")
    assert refused.value.reason == told


async def test_a_code_is_never_sent_twice(login: KeycloakLogin, keycloak: WireServer) -> None:
    """A second use of a code ends the session it was for."""
    sent = keycloak.faults.add("lost_answer", "/token")
    with pytest.raises(OutsideError) as refused:
        await login.exchange("code", "verifier", "http://127.0.0.1/oidc/callback")
    assert refused.value.reason == "unavailable"
    assert sent.hits == 1


async def test_the_browsers_address_may_differ_from_the_bots(clock: ManualClock) -> None:
    client = KeycloakLogin(
        server_url="http://keycloak.internal:8080/auth/",
        public_url="https://login.example/auth",
        realm="cdm",
        client_id="cdm-bot",
        client_secret=lambda: "s",
        clock=clock,
    )
    url = client.authorize_url(
        state="s&t", nonce="n", code_challenge="c", redirect_uri="https://bot.example/oidc/callback"
    )
    assert client.issuer == "https://login.example/auth/realms/cdm"
    assert url.startswith("https://login.example/auth/realms/cdm/protocol/openid-connect/auth?client_id=cdm-bot&")
    assert "state=s%26t" in url
    assert "redirect_uri=https%3A%2F%2Fbot.example%2Foidc%2Fcallback" in url
    assert "prompt=login" in url
    await client.aclose()
