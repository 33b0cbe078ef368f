"""A real Keycloak that ends and comes back, and how the adapter lives through it."""

from __future__ import annotations

import time

import pytest

from core.errors import Unavailable
from core.ids import Subject
from integrations.clock import SystemClock
from integrations.keycloak.login import KeycloakLogin
from integrations.keycloak.roles import KeycloakRoles
from tests.keycloak.realm import CLIENT_ID, CLIENT_SECRET
from tests.keycloak.server import RealKeycloak


async def test_a_killed_keycloak_means_no_at_once_and_comes_back_by_itself(real_keycloak: RealKeycloak) -> None:
    """The service token outlives the restart; people and rights do too."""
    url, clock = real_keycloak.url, SystemClock()
    roles = KeycloakRoles(
        server_url=url, realm="cdm", client_id=CLIENT_ID, client_secret=lambda: CLIENT_SECRET, clock=clock, timeout_s=5
    )
    login = KeycloakLogin(
        server_url=url, realm="cdm", client_id=CLIENT_ID, client_secret=lambda: CLIENT_SECRET, clock=clock
    )
    bob = Subject(await real_keycloak.realm.user_id("bob"))
    assert (await roles.authority(bob)) is not None
    await real_keycloak.kill()
    try:
        began = time.monotonic()
        with pytest.raises(Unavailable) as away:
            await roles.authority(bob)
        with pytest.raises(Unavailable):
            await roles.probe([])
        with pytest.raises(Unavailable):
            await login.exchange("code", "verifier", "http://127.0.0.1/oidc/callback")
        assert time.monotonic() - began < 2
        assert away.value.retryable
    finally:
        await real_keycloak.restart()
    found = await roles.authority(bob)
    assert found is not None
    assert found.username == "bob"
    await roles.aclose()
    await login.aclose()
