"""The device grant, as the CLI uses it: shown here, approved in a browser."""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Any

import httpx
import jwt
import pytest

from tests.keycloak.browser import Browser
from tests.keycloak.realm import CLIENT_ID, CLIENT_SECRET, Realm

VERIFIER = secrets.token_urlsafe(48)
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
CLIENT = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}


class Device:
    def __init__(self, realm: Realm, http: httpx.AsyncClient) -> None:
        self._base = f"/realms/{realm.name}/protocol/openid-connect"
        self._http = http

    async def ask(self, **more: str) -> httpx.Response:
        return await self._http.post(f"{self._base}/auth/device", data={**CLIENT, "scope": "openid", **more})

    async def begin(self) -> dict[str, Any]:
        answer = await self.ask(nonce="dn", code_challenge=CHALLENGE, code_challenge_method="S256")
        assert answer.status_code == 200
        return dict(answer.json())

    async def poll(self, device_code: str, verifier: str = VERIFIER) -> httpx.Response:
        grant = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": device_code}
        return await self._http.post(f"{self._base}/token", data={**CLIENT, **grant, "code_verifier": verifier})


@pytest.fixture
def device(realm: Realm, http: httpx.AsyncClient) -> Device:
    return Device(realm, http)


async def approve(browser: Browser, url: str, username: str, button: str = "accept") -> None:
    await browser.open(url)
    await browser.log_in(username)
    assert browser.sees("Grant Access to CDM ChatOps bot")
    await browser.submit(button=button)


async def test_the_request_needs_pkce_and_tells_where_to_go(device: Device) -> None:
    refused = await device.ask()
    assert (refused.status_code, refused.json()) == (
        400,
        {"error": "invalid_request", "error_description": "Missing parameter: code_challenge_method"},
    )
    begun = await device.begin()
    assert (begun["expires_in"], begun["interval"]) == (600, 5)
    assert begun["verification_uri_complete"] == f"{begun['verification_uri']}?user_code={begun['user_code']}"


async def test_approved_once_it_gives_one_token(device: Device, browser: Browser) -> None:
    begun = await device.begin()
    await approve(browser, begun["verification_uri_complete"], "alice")
    assert browser.sees("Device Login Successful")
    answer = await device.poll(begun["device_code"])
    told = jwt.decode(answer.json()["id_token"], options={"verify_signature": False})
    assert (told["preferred_username"], told["nonce"], told["aud"]) == ("alice", "dn", CLIENT_ID)
    used = await device.poll(begun["device_code"])
    assert (used.status_code, used.json()["error"]) == (400, "invalid_grant")


async def test_polling_is_answered_pending_then_slow_down(device: Device) -> None:
    begun = await device.begin()
    first, second = await device.poll(begun["device_code"]), await device.poll(begun["device_code"])
    assert (first.status_code, first.json()["error"]) == (400, "authorization_pending")
    assert (second.status_code, second.json()["error"]) == (400, "slow_down")


async def test_a_refusal_a_wrong_code_and_a_wrong_verifier_are_told_apart(device: Device, browser: Browser) -> None:
    begun = await device.begin()
    await approve(browser, begun["verification_uri_complete"], "bob", button="cancel")
    assert (await device.poll(begun["device_code"])).json()["error"] == "access_denied"
    assert (await device.poll("zz")).json() == {"error": "invalid_grant", "error_description": "Device code not valid"}
    again = await device.begin()
    await approve(browser, again["verification_uri_complete"], "bob")
    assert (await device.poll(again["device_code"], verifier="x" * 50)).json()["error"] == "invalid_grant"


async def test_an_old_session_is_enough_to_approve(device: Device, browser: Browser) -> None:
    """No form comes up, so the device grant proves no fresh login."""
    first, second = await device.begin(), await device.begin()
    await approve(browser, first["verification_uri_complete"], "carol")
    await browser.open(second["verification_uri_complete"])
    assert browser.sees("Grant Access to CDM ChatOps bot")
    await browser.submit(button="accept")
    before, after = [
        jwt.decode((await device.poll(begun["device_code"])).json()["id_token"], options={"verify_signature": False})
        for begun in (first, second)
    ]
    assert (after["preferred_username"], after["acr"]) == ("carol", "pwd")
    assert (after["sid"], after["auth_time"]) == (before["sid"], before["auth_time"])
