"""deploy/keycloak makes in a bare realm all that the bot needs, changes nothing twice, and keeps what others made."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from core.access import Identity
from integrations.clock import SystemClock
from integrations.keycloak.login import KeycloakLogin
from integrations.keycloak.probe import Probe
from integrations.keycloak.roles import KeycloakRoles
from tests.contract.keycloak.conftest import REDIRECT, once, unique
from tests.contract.keycloak.test_login_flow import VERIFIER, asked
from tests.keycloak import boot
from tests.keycloak.browser import Browser
from tests.keycloak.realm import CLIENT_ID, AdminRealm, Realm

APPLY = Path(__file__).parents[3] / "deploy" / "keycloak" / "apply.py"
BOT = REDIRECT.removesuffix("/oidc/callback")
NAME = {"name": "username", "protocol": "openid-connect", "protocolMapper": "oidc-usermodel-attribute-mapper"}
CLAIM = {"user.attribute": "username", "claim.name": "preferred_username", "jsonType.label": "String"}
PROFILE = {**NAME, "config": {**CLAIM, "id.token.claim": "true", "access.token.claim": "true"}}
UPSTREAM: dict[str, Any] = {
    "sslRequired": "none",
    "clientScopes": [
        {"name": "profile", "protocol": "openid-connect", "protocolMappers": [PROFILE]},
        {"name": "email", "protocol": "openid-connect"},
    ],
    "defaultDefaultClientScopes": ["profile", "email"],
    "attributes": {"acr.loa.map": '{"gold": "3"}'},
    "roles": {"realm": [{"name": "cdm-admin", "description": "Theirs"}]},
    "clients": [
        {
            "clientId": CLIENT_ID,
            "secret": "made-before",
            "redirectUris": ["https://elsewhere.example/*", REDIRECT],
            "attributes": {"theirs": "kept"},
        }
    ],
}
"""As CDM's own realm file is: a list of client scopes without `basic` and `acr`. The client was made by hand."""


@dataclass(frozen=True, slots=True)
class Bare:
    """A new realm, and what a person's login in it says."""

    realm: AdminRealm
    secret: Path
    password: Path

    async def apply(self, *more: str) -> tuple[int, str]:
        """Exit status, and all it said."""
        words = (str(APPLY), self.realm.url, self.realm.name, BOT, str(self.secret), *more)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "KEYCLOAK_ADMIN_PASSWORD_FILE": str(self.password), "NO_PROXY": "*"},
        )
        said, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode is not None
        return process.returncode, said.decode()

    def login(self, secret: str) -> KeycloakLogin:
        return KeycloakLogin(
            server_url=self.realm.url,
            realm=self.realm.name,
            client_id=CLIENT_ID,
            client_secret=lambda: secret,
            clock=SystemClock(),
            timeout_s=10,
        )

    async def logged_in(self, secret: str, user: str, **more: str) -> Identity:
        login = self.login(secret)
        try:
            async with Browser(stop_at=REDIRECT) as browser:
                url = httpx.URL(asked(login))
                await browser.open(str(url.copy_merge_params({"max_age": "60", **more})))
                await browser.log_in(user)
                assert "code" in browser.query, browser.page.text[:500]
                return await login.verify(await login.exchange(browser.query["code"], VERIFIER, REDIRECT), nonce="no")
        finally:
            await login.aclose()

    async def probed(self) -> Probe:
        roles = KeycloakRoles(
            server_url=self.realm.url,
            realm=self.realm.name,
            client_id=CLIENT_ID,
            client_secret=self.secret.read_text().strip,
            clock=SystemClock(),
            timeout_s=10,
        )
        try:
            return await roles.probe(["/customer-a"])
        finally:
            await roles.aclose()


@once()
async def bare(real_realm: Realm, tmp_path: Path) -> AsyncIterator[Bare]:
    realm = AdminRealm(real_realm.url, unique("bare"), boot.ADMIN_USER, boot.ADMIN_PASSWORD)
    (tmp_path / "password").write_text(boot.ADMIN_PASSWORD)
    yield Bare(realm, tmp_path / "secret", tmp_path / "password")
    await realm.call("DELETE", "")


async def test_a_realm_like_cdms_own_proves_a_login_after_it_and_not_before(bare: Bare) -> None:
    await bare.realm.create(UPSTREAM)
    await bare.realm.create_user("bob", email="bob@customer-a.example")
    before = await bare.logged_in("made-before", "bob")
    assert (before.username, before.auth_time, before.acr) == ("bob", None, "")

    code, said = await bare.apply("--tenant", "customer-a")
    assert code == 0, said
    for made in (
        "client scope basic",
        "client scope acr",
        "settings of client cdm-bot",
        "right view-users",
        "bot-stepup",
    ):
        assert made in said
    secret = bare.secret.read_text().strip()
    assert secret == "made-before", "a secret that is in use stays"
    assert stat.S_IMODE(bare.secret.stat().st_mode) == 0o600
    assert secret not in said

    after = await bare.logged_in(secret, "bob")
    assert after.auth_time is not None
    assert after.acr == "pwd"
    assert (await bare.logged_in(secret, "bob", acr_values="fresh")).acr == "fresh"
    assert await bare.probed() == Probe(reads_people=True)


async def test_a_repeat_changes_nothing_and_what_others_made_is_kept(bare: Bare) -> None:
    await bare.realm.create(UPSTREAM)
    code, said = await bare.apply()
    assert code == 0, said
    before = await everything(bare.realm)
    code, said = await bare.apply()
    assert (code, said.splitlines()[0]) == (0, "nothing to change"), said
    assert await everything(bare.realm) == before
    (client,) = before["clients"]
    assert set(client["redirectUris"]) == {"https://elsewhere.example/*", REDIRECT}
    assert client["attributes"]["theirs"] == "kept"
    assert client["attributes"]["pkce.code.challenge.method"] == "S256"
    assert '"gold"' in before["realm"]["attributes"]["acr.loa.map"]
    assert {role["description"] for role in before["roles"] if role["name"] == "cdm-admin"} == {"Theirs"}


async def test_a_new_realm_gets_a_client_of_its_own_and_a_half_made_flow_is_made_whole(bare: Bare) -> None:
    await bare.realm.create({"sslRequired": "none"})
    half = {"alias": "bot-stepup", "providerId": "basic-flow", "topLevel": True, "builtIn": False}
    await bare.realm.call("POST", "/authentication/flows", json=half)
    code, said = await bare.apply("--tenant", "customer-a", "--tenant", "customer-b")
    assert code == 0, said
    await bare.realm.create_user("anna", groups=["/customer-b"], roles=["cdm-admin"])
    who = await bare.logged_in(bare.secret.read_text().strip(), "anna", acr_values="fresh")
    assert (who.username, who.acr) == ("anna", "fresh")
    assert await bare.probed() == Probe(reads_people=True)
    shown = await bare.realm.call("GET", "/authentication/flows/bot-stepup/executions")
    assert len([step for step in shown if step.get("providerId") == "conditional-level-of-authentication"]) == 2


async def test_it_fails_loudly_and_changes_nothing_without_the_right_password(bare: Bare) -> None:
    await bare.realm.create(UPSTREAM)
    before = await everything(bare.realm)
    bare.password.write_text("wrong-password")
    code, said = await bare.apply()
    assert code == 1
    assert "Invalid user credentials" in said
    assert "wrong-password" not in said
    assert await everything(bare.realm) == before
    assert not bare.secret.exists()


async def everything(realm: AdminRealm) -> dict[str, Any]:
    """What the recipe could have changed."""
    paths = {
        "realm": "",
        "clients": f"/clients?clientId={CLIENT_ID}",
        "roles": "/roles",
        "groups": "/groups",
        "scopes": "/client-scopes",
        "flows": "/authentication/flows",
        "profile": "/users/profile",
    }
    return {name: await realm.call("GET", path) for name, path in paths.items()}
