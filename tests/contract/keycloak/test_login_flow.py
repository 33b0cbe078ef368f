"""Authorization code with PKCE as a browser and the bot meet it, and what the tokens say."""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Any

import httpx
import jwt
import pytest
import pytest_asyncio

from core.errors import OutsideError
from integrations.keycloak.login import KeycloakLogin
from tests.contract.keycloak.conftest import REDIRECT, unique
from tests.keycloak.browser import Browser
from tests.keycloak.realm import CLIENT_ID, CLIENT_SECRET, Realm

VERIFIER = secrets.token_urlsafe(48)
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


def asked(login: KeycloakLogin, **more: str) -> str:
    wanted = {"state": "st", "nonce": "no", "code_challenge": CHALLENGE, "redirect_uri": REDIRECT, **more}
    return login.authorize_url(**wanted)


def without(url: str, name: str) -> str:
    parsed = httpx.URL(url)
    return str(parsed.copy_with(params=[(k, v) for k, v in parsed.params.multi_items() if k != name]))


class Tokens:
    def __init__(self, realm: Realm, http: httpx.AsyncClient) -> None:
        self._path = f"/realms/{realm.name}/protocol/openid-connect/"
        self._http = http

    async def __call__(self, **form: str) -> httpx.Response:
        client = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        filled = {k: v for k, v in {**client, **form}.items() if v}
        return await self._http.post(f"{self._path}token", data=filled)

    async def by_code(self, code: str, verifier: str = VERIFIER, redirect_uri: str = REDIRECT) -> httpx.Response:
        return await self(grant_type="authorization_code", code=code, code_verifier=verifier, redirect_uri=redirect_uri)

    async def userinfo(self, access_token: str) -> httpx.Response:
        return await self._http.get(f"{self._path}userinfo", headers={"Authorization": f"Bearer {access_token}"})


@pytest_asyncio.fixture(loop_scope="session")
async def clumsy(realm: Realm) -> str:
    """The user name of a person who mistypes the password. Nobody else's: two failures within a second lock an account
    for a while (facts/keycloak.md, section 2), whoever logs in with it next."""
    name = unique("clumsy")
    await realm.create_user(name)
    return name


@pytest.fixture
def tokens(realm: Realm, http: httpx.AsyncClient) -> Tokens:
    return Tokens(realm, http)


def claims(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


def no(answer: httpx.Response) -> tuple[int, str, str]:
    body = answer.json()
    return answer.status_code, body["error"], body.get("error_description", "")


async def test_the_callback_carries_state_issuer_and_code(login: KeycloakLogin, browser: Browser) -> None:
    await browser.open(asked(login))
    assert browser.sees("Sign in to your account")
    await browser.log_in("bob")
    assert browser.sent_to.startswith(f"{REDIRECT}?")
    assert list(browser.query) == ["state", "session_state", "iss", "code"]
    assert (browser.query["state"], browser.query["iss"]) == ("st", login.issuer)


async def test_the_id_token_names_the_person(
    realm: Realm, login: KeycloakLogin, browser: Browser, tokens: Tokens
) -> None:
    await browser.open(asked(login))
    await browser.log_in("erin@customer-c.example")
    answer = await tokens.by_code(browser.query["code"])
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body["token_type"] == "Bearer"
    assert set(body["scope"].split()) == {"openid", "email", "profile"}
    told = claims(body["id_token"])
    assert {k: told[k] for k in ("iss", "aud", "azp", "typ", "nonce", "acr")} == {
        "iss": login.issuer,
        "aud": CLIENT_ID,
        "azp": CLIENT_ID,
        "typ": "ID",
        "nonce": "no",
        "acr": "pwd",
    }
    assert told["sub"] == await realm.user_id("erin")
    assert (told["email"], told["email_verified"]) == ("erin@customer-c.example", True)
    assert told["groups"] == ["/customer-c/operators"]
    assert "cdm-operator" in told["realm_access"]["roles"]
    assert 299 <= told["exp"] - told["iat"] <= 301  # Keycloak reads its clock for each
    assert told["auth_time"] <= told["iat"]
    access = claims(body["access_token"])
    assert (access["typ"], access["aud"]) == ("Bearer", [CLIENT_ID, "account"])
    assert "nonce" not in access


async def test_without_its_scopes_a_login_says_neither_when_nor_how(
    realm: Realm, login: KeycloakLogin, browser: Browser
) -> None:
    """As in a realm made from CDM's own file, which lists its client scopes and leaves out these two."""
    await realm.set_bot_scopes([])
    try:
        await browser.open(asked(login))
        await browser.log_in("bob")
        who = await login.verify(await login.exchange(browser.query["code"], VERIFIER, REDIRECT), nonce="no")
    finally:
        await realm.set_bot_scopes(["basic", "acr"])
    assert (who.username, who.auth_time, who.acr) == ("bob", None, "")


async def test_the_groups_claim_is_absent_for_a_person_in_none(
    login: KeycloakLogin, browser: Browser, tokens: Tokens
) -> None:
    await browser.open(asked(login))
    await browser.log_in("alice")
    assert "groups" not in claims((await tokens.by_code(browser.query["code"])).json()["id_token"])


async def test_an_unverified_person_logs_in_and_the_token_says_so(
    login: KeycloakLogin, browser: Browser, tokens: Tokens
) -> None:
    await browser.open(asked(login))
    await browser.log_in("grace")
    told = claims((await tokens.by_code(browser.query["code"])).json()["id_token"])
    assert told["email_verified"] is False


@pytest.mark.parametrize(
    ("username", "password", "told"),
    [
        ("clumsy", "wrong", "Invalid username or password."),
        ("nobody", "wrong", "Invalid username or password."),
        ("", "", "Invalid username or password."),
        ("dave", "lab-only-pw", "Account is disabled, contact your administrator."),
        ("dave", "wrong", "Invalid username or password."),
    ],
)
async def test_a_failed_login_shows_the_form_again(
    login: KeycloakLogin, browser: Browser, clumsy: str, username: str, password: str, told: str
) -> None:
    await browser.open(asked(login))
    answer = await browser.submit(username=clumsy if username == "clumsy" else username, password=password)
    assert answer.status_code == 200
    assert browser.sees(told)
    await browser.submit(username="carol", password="lab-only-pw")
    assert "code" in browser.query


async def test_a_form_without_the_cookie_is_refused(login: KeycloakLogin, browser: Browser) -> None:
    """So a login begun in one browser cannot be finished in another."""
    await browser.open(asked(login))
    browser.http.cookies.clear()
    answer = await browser.submit(username="bob", password="lab-only-pw")
    assert answer.status_code == 400
    assert browser.sees("Restart login cookie not found.")


async def test_a_form_is_good_for_one_try(login: KeycloakLogin, browser: Browser, clumsy: str) -> None:
    await browser.open(asked(login))
    first = browser.page
    await browser.submit(username=clumsy, password="wrong")
    browser.page = first
    await browser.submit(username=clumsy, password="lab-only-pw")
    assert browser.page.status_code == 200
    await browser.log_in(clumsy)
    assert "code" in browser.query


async def test_an_old_session_completes_silently_unless_a_login_is_asked_for(
    login: KeycloakLogin, browser: Browser, tokens: Tokens, clumsy: str
) -> None:
    await browser.open(asked(login, prompt=""))
    await browser.log_in(clumsy)
    first = browser.query
    await browser.open(asked(login, prompt=""))
    assert browser.query["session_state"] == first["session_state"]
    assert browser.query["code"] != first["code"]
    await browser.open(asked(login, prompt="none"))
    assert "code" in browser.query
    await browser.open(asked(login))
    assert browser.sees("Please re-authenticate to continue")
    assert 'name="username"' not in browser.page.text
    await browser.submit(password="wrong")
    assert browser.sees("Invalid username or password.")
    await browser.log_in("alice")  # the form has no user name: it is still the same person
    told = claims((await tokens.by_code(browser.query["code"])).json()["id_token"])
    assert (told["preferred_username"], told["sid"]) == (clumsy, first["session_state"])


async def test_the_session_of_a_person_disabled_meanwhile_completes_nothing(
    realm: Realm, login: KeycloakLogin, browser: Browser, tokens: Tokens
) -> None:
    name = unique("leaver")
    user = await realm.create_user(name)
    await browser.open(asked(login))
    await browser.log_in(name)
    body = (await tokens.by_code(browser.query["code"])).json()
    assert (await tokens.userinfo(body["access_token"])).json()["preferred_username"] == name
    await realm.set_enabled(user, False)
    assert (await tokens.userinfo(body["access_token"])).status_code == 401
    refused = await tokens(grant_type="refresh_token", refresh_token=body["refresh_token"])
    assert no(refused) == (400, "invalid_grant", "User disabled")
    await browser.open(asked(login, prompt="none"))
    assert browser.query["error"] == "login_required"


async def test_without_a_session_prompt_none_asks_for_a_login(login: KeycloakLogin, browser: Browser) -> None:
    await browser.open(asked(login, prompt="none"))
    assert browser.query == {"error": "login_required", "state": "st", "iss": login.issuer}


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("code_challenge_method", "", "Missing parameter: code_challenge_method"),
        (
            "code_challenge_method",
            "plain",
            "Invalid parameter: code challenge method is not matching the configured one",
        ),
        ("code_challenge", "abc", "Invalid parameter: code_challenge"),
        ("response_type", "", "Missing parameter: response_type"),
    ],
)
async def test_pkce_is_enforced(login: KeycloakLogin, browser: Browser, name: str, value: str, told: str) -> None:
    url = without(asked(login), name)
    await browser.open(f"{url}&{name}={value}" if value else url)
    assert browser.query == {"error": "invalid_request", "error_description": told, "state": "st", "iss": login.issuer}


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("redirect_uri", "http://evil.example/", "Invalid parameter: redirect_uri"),
        ("redirect_uri", "", "Invalid parameter: redirect_uri"),
        ("client_id", "zz", "Client not found."),
    ],
)
async def test_an_unknown_client_or_address_is_never_redirected_to(
    login: KeycloakLogin, browser: Browser, name: str, value: str, told: str
) -> None:
    answer = await browser.open(f"{without(asked(login), name)}&{name}={value}")
    assert answer.status_code == 400
    assert browser.sees(told)


async def test_a_replayed_code_is_refused_and_ends_the_session(
    login: KeycloakLogin, browser: Browser, tokens: Tokens
) -> None:
    await browser.open(asked(login))
    await browser.log_in("carol")
    code = browser.query["code"]
    body = (await tokens.by_code(code)).json()
    assert (await tokens.userinfo(body["access_token"])).status_code == 200
    assert no(await tokens.by_code(code)) == (400, "invalid_grant", "Code not valid")
    assert (await tokens.userinfo(body["access_token"])).status_code == 401
    refused = await tokens(grant_type="refresh_token", refresh_token=body["refresh_token"])
    assert no(refused) == (400, "invalid_grant", "Session doesn't have required client")


async def test_a_code_is_bound_to_verifier_and_address(login: KeycloakLogin, browser: Browser, tokens: Tokens) -> None:
    refused = []
    for wrong in ({"verifier": "x" * 50}, {"verifier": ""}, {"redirect_uri": f"{REDIRECT}x"}):
        await browser.open(asked(login, prompt=""))
        await browser.log_in("heidi")
        refused.append(no(await tokens.by_code(browser.query["code"], **wrong)))
    assert refused == [
        (400, "invalid_grant", "PKCE verification failed: Code mismatch"),
        (400, "invalid_grant", "PKCE code verifier not specified"),
        (400, "invalid_grant", "Incorrect redirect_uri"),
    ]
    assert no(await tokens.by_code(browser.query["code"])) == (400, "invalid_grant", "Code not valid")


async def test_a_refresh_keeps_the_login_time_drops_the_nonce_and_shows_new_roles(
    realm: Realm, login: KeycloakLogin, browser: Browser, tokens: Tokens
) -> None:
    name = unique("fresh")
    user = await realm.create_user(name, roles=["cdm-viewer"])
    await browser.open(asked(login))
    await browser.log_in(name)
    first = (await tokens.by_code(browser.query["code"])).json()
    await realm.set_roles(user, ["cdm-operator"])
    later = (await tokens(grant_type="refresh_token", refresh_token=first["refresh_token"])).json()
    before, after = claims(first["id_token"]), claims(later["id_token"])
    assert (after["auth_time"], after["acr"]) == (before["auth_time"], before["acr"])
    assert "nonce" not in after
    assert "cdm-operator" in after["realm_access"]["roles"]


async def test_a_fresh_login_is_asked_for_by_level_and_shown_in_the_token(
    login: KeycloakLogin, browser: Browser, tokens: Tokens
) -> None:
    """Without a session both forms come up; afterwards plain single sign-on does not count as fresh."""
    await browser.open(asked(login, acr_values="fresh"))
    assert 'name="username"' in browser.page.text
    await browser.submit(username="alice", password="lab-only-pw")
    assert 'name="username"' not in browser.page.text
    await browser.submit(password="lab-only-pw")
    assert claims((await tokens.by_code(browser.query["code"])).json()["id_token"])["acr"] == "fresh"
    await browser.open(asked(login, prompt=""))
    assert claims((await tokens.by_code(browser.query["code"])).json()["id_token"])["acr"] == "pwd"
    await browser.open(asked(login, prompt="none", acr_values="fresh"))
    assert browser.query["error"] == "login_required"


@pytest.mark.parametrize(
    ("form", "status", "error", "told"),
    [
        ({"client_secret": "x"}, 401, "unauthorized_client", "Invalid client or Invalid client credentials"),
        ({"client_id": "zz"}, 401, "invalid_client", "Invalid client or Invalid client credentials"),
        ({"client_id": ""}, 401, "invalid_client", "Invalid client or Invalid client credentials"),
        ({"grant_type": ""}, 400, "invalid_request", "Missing form parameter: grant_type"),
        ({"grant_type": "zz"}, 400, "unsupported_grant_type", "Unsupported grant_type"),
        ({"grant_type": "authorization_code"}, 400, "invalid_request", "Missing parameter: code"),
        ({"grant_type": "authorization_code", "code": "zz"}, 400, "invalid_grant", "Code not valid"),
        ({"grant_type": "refresh_token"}, 400, "invalid_request", "No refresh token"),
        ({"grant_type": "refresh_token", "refresh_token": "zz"}, 400, "invalid_grant", "Invalid refresh token"),
        ({"grant_type": "password"}, 400, "unauthorized_client", "Client not allowed for direct access grants"),
    ],
)
async def test_wrong_token_requests_are_refused_as_measured(
    tokens: Tokens, form: dict[str, str], status: int, error: str, told: str
) -> None:
    assert no(await tokens(**{"grant_type": "client_credentials", **form})) == (status, error, told)


async def test_the_service_token_is_short_and_never_refreshed(tokens: Tokens) -> None:
    body = (await tokens(grant_type="client_credentials")).json()
    assert body["expires_in"] in (299, 300)  # rounded down from when it was made
    assert (body["refresh_expires_in"], body["token_type"]) == (0, "Bearer")
    assert "refresh_token" not in body
    assert claims(body["access_token"])["preferred_username"] == f"service-account-{CLIENT_ID}"


async def test_discovery_and_keys(realm: Realm, login: KeycloakLogin, http: httpx.AsyncClient) -> None:
    found = (await http.get(f"/realms/{realm.name}/.well-known/openid-configuration")).json()
    assert found["issuer"] == login.issuer
    assert found["authorization_response_iss_parameter_supported"] is True
    keys = (await http.get(found["jwks_uri"])).json()["keys"]
    assert sorted((key["use"], key["alg"], key["kty"]) for key in keys) == [
        ("enc", "RSA-OAEP", "RSA"),
        ("sig", "RS256", "RSA"),
    ]


async def test_our_login_client_identifies_the_person(realm: Realm, login: KeycloakLogin, browser: Browser) -> None:
    await browser.open(asked(login))
    await browser.log_in("bob")
    who = await login.verify(await login.exchange(browser.query["code"], VERIFIER, REDIRECT), nonce="no")
    assert (who.subject, who.username) == (await realm.user_id("bob"), "bob")
    assert (who.email, who.email_verified, who.acr) == ("bob@customer-a.example", True, "pwd")
    assert who.auth_time is not None


async def test_our_login_client_refuses_another_nonce_an_access_token_and_tampering(
    login: KeycloakLogin, browser: Browser, tokens: Tokens
) -> None:
    await browser.open(asked(login))
    await browser.log_in("bob")
    body = (await tokens.by_code(browser.query["code"])).json()
    good: str = body["id_token"]
    head, payload, signature = good.split(".")
    forged = base64.urlsafe_b64encode(base64.urlsafe_b64decode(payload + "==").replace(b'"bob"', b'"eve"'))
    nothing = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    for token, nonce in [
        (good, "other"),
        (body["access_token"], "no"),
        (f"{head}.{forged.rstrip(b'=').decode()}.{signature}", "no"),
        (f"{nothing}.{payload}.", "no"),
        ("rubbish", "no"),
        ("", "no"),
    ]:
        with pytest.raises(OutsideError) as refused:
            await login.verify(token, nonce=nonce)
        assert refused.value.reason == "login_refused"
    assert (await login.verify(good, nonce="no")).username == "bob"


async def test_our_login_client_refuses_a_used_code(login: KeycloakLogin, browser: Browser) -> None:
    await browser.open(asked(login))
    await browser.log_in("frank")
    await login.exchange(browser.query["code"], VERIFIER, REDIRECT)
    with pytest.raises(OutsideError) as refused:
        await login.exchange(browser.query["code"], VERIFIER, REDIRECT)
    assert refused.value.reason == "login_refused"
