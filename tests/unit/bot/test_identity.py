"""Who is at the command line: a login that was not completed, or not by somebody who counts, is nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bot.config_file import BadConfig, load_settings
from bot.identity import proven
from bot.settings import Settings
from core.errors import OutsideError
from integrations.clock import SystemClock
from sandbox.keycloak.app import create_app
from sandbox.keycloak.realm import Realm
from sandbox.wire import WireServer
from tests.keycloak.browser import Browser
from tests.keycloak.realm import CLIENT_SECRET
from tests.keycloak.standin import StandInRealm
from tests.unit.bot.conftest import edit


class Waiting(SystemClock):
    """While the command waits for its login, this happens instead of time passing."""

    def __init__(self, happens: Callable[[], Awaitable[object]]) -> None:
        self._happens = happens

    async def sleep(self, seconds: float) -> None:
        await self._happens()


@dataclass(slots=True)
class Desk:
    """A terminal, and the browser of whoever reads it."""

    settings: Settings
    server: WireServer
    realm: Realm
    told: list[str] = field(default_factory=list)

    @property
    def people(self) -> StandInRealm:
        return StandInRealm(self.server.url)

    async def decide(self, account: str, button: str = "accept") -> None:
        address = self.told[-1].split("open ")[1].split()[0]
        async with Browser() as browser:
            await browser.open(address)
            await browser.log_in(account)
            await browser.submit(button=button)

    async def logs_in(self, happens: Callable[[], Awaitable[object]]) -> str:
        """The subject, or why there is none."""
        try:
            who = await proven(self.settings, Waiting(happens), service_account=False, say=self.told.append)
        except OutsideError as refused:
            return refused.user_text
        return who.subject


@pytest.fixture
async def desk(config: Path) -> AsyncIterator[Desk]:
    realm = Realm.load()
    realm.device_interval_s = 1
    async with WireServer(create_app(realm)) as server:
        secret = config.parent / "client-secret"
        secret.touch(mode=0o600)
        secret.write_text(CLIENT_SECRET)
        edit(config, "https://keycloak.example.com", server.url)
        edit(config, "secrets/keycloak-client-secret", "client-secret")
        yield Desk(load_settings(config), server, realm)


async def test_it_shows_address_and_code_and_is_whoever_allowed_it(desk: Desk) -> None:
    assert await desk.logs_in(lambda: desk.decide("bob")) == await desk.people.user_id("bob")
    asked, done = desk.told
    code = asked.split("user_code=")[1].split()[0]
    assert f"shows the code {code}" in asked
    assert done == "Logged in as bob."


async def test_declined_in_the_browser_it_is_nobody(desk: Desk) -> None:
    assert "declined in the browser" in await desk.logs_in(lambda: desk.decide("bob", button="cancel"))


async def test_a_code_that_nobody_confirms_runs_out(desk: Desk) -> None:
    desk.realm.device_life_s = 1
    code = desk.server.faults.add("status", "/token", status=400, body={"error": "authorization_pending"})

    async def nobody() -> None:
        """Keycloak goes on saying that nobody has confirmed."""

    assert "not confirmed in time" in await desk.logs_in(nobody)
    assert code.hits > 0


async def test_an_account_disabled_after_it_allowed_the_login_is_nobody(desk: Desk) -> None:
    async def disabled_at_once() -> None:
        await desk.decide("bob")
        await desk.people.set_enabled(await desk.people.user_id("bob"), False)

    assert "did not accept this login" in await desk.logs_in(disabled_at_once)


async def test_an_address_that_is_not_verified_is_no_proof(desk: Desk) -> None:
    assert "not verified in Keycloak" in await desk.logs_in(lambda: desk.decide("grace"))


async def test_a_token_that_keycloak_did_not_sign_is_no_proof(desk: Desk) -> None:
    """Alg none, as a proxy in between could answer it."""
    forged = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJib2IifQ."

    async def answered_by_another() -> None:
        desk.server.faults.add("status", "/token", status=200, body={"id_token": forged})

    assert "proof of this login" in await desk.logs_in(answered_by_another)


async def test_asked_too_often_it_waits_longer_each_time(desk: Desk) -> None:
    waited: list[float] = []

    class Counting(SystemClock):
        async def sleep(self, seconds: float) -> None:
            waited.append(seconds)
            if len(waited) == 3:
                desk.server.faults.clear()
                await desk.decide("bob")

    desk.server.faults.add("status", "/token", status=400, body={"error": "slow_down"})
    await proven(desk.settings, Counting(), service_account=False, say=desk.told.append)
    assert waited == [1, 6, 11]


async def test_a_service_account_that_is_not_in_the_settings_is_asked_for_in_vain(desk: Desk) -> None:
    with pytest.raises(OutsideError, match=r"no service account in cdm\.yaml"):
        await proven(desk.settings, SystemClock(), service_account=True, say=desk.told.append)


def test_the_bots_own_client_is_no_service_account(config: Path) -> None:
    edit(config, "cli: {}", "cli: {service_account: {client_id: cdm-bot, client_secret: {env: X}}}")
    with pytest.raises(BadConfig, match="the bot's own client"):
        load_settings(config)
