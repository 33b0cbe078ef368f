"""A real Keycloak that is down, slow, or answers nonsense for a while: nobody acts, looking works, the brakes work, and
people hear of it once, and of its return once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from sandbox.cast import ADMINS, ROLLOUTS
from sandbox.slack.seen import SeenMessage
from tests.keycloak.proxy import Proxy, proxy_to
from tests.keycloak.server import RealKeycloak
from tests.scenario.people import ONE_LOOP, Office, Person, office
from tests.scenario.program import until

pytestmark = ONE_LOOP
ALARMS_A = "C0ALARMSA"
POLL_S = 1.0
SOON_S = 10.0
"""Two asks that fail, each for as long as the bot waits, and a moment for Slack."""
PAGE = "<html><body>Sign in to the company proxy</body></html>"
TROUBLES: dict[str, dict[str, Any]] = {
    "slow": {"kind": "late_request", "delay_s": 10},
    "html": {"kind": "status", "status": 200, "body": PAGE, "headers": {"Content-Type": "text/html"}},
    "500": {"kind": "status", "status": 500, "body": {"error": "unknown_error"}},
}


@dataclass(frozen=True, slots=True)
class Cast:
    """bob is an operator of customer-a, and linked. `waiting` waits for a person to promote it."""

    office: Office
    keycloak: RealKeycloak
    proxy: Proxy
    bob: Person
    rollout: int
    incident: SeenMessage

    async def waits(self, button: str = "promote") -> SeenMessage:
        return await self.office.shows(ROLLOUTS, "*waiting*", button=button, within_s=30)

    async def notices(self) -> list[str]:
        """What stands in the admin channel about Keycloak, oldest first."""
        found = await self.office.slack.messages(ADMINS)
        return [message.shown for message in found if "*Keycloak*" in message.shown]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cast(real_keycloak: RealKeycloak) -> AsyncIterator[Cast]:
    async with proxy_to(real_keycloak.url) as proxy, office(start=False, keycloak_url=proxy.server.url) as here:
        here.world.write_config(keycloak={"poll_s": POLL_S})
        await here.bot.start()
        await real_keycloak.realm.allow_redirect(f"{here.world.bot_url}/oidc/callback")
        bob = here.person("bob")
        await here.links({bob: "bob"})
        rollout, incident = await asyncio.gather(
            here.starts_rollout("waiting", "1.1.0", ("a-gw-001", "a-gw-002")), here.alarm("a-gw-003")
        )
        made = Cast(here, real_keycloak, proxy, bob, rollout, incident)
        await made.waits()
        yield made


@pytest.fixture
def before(cast: Cast) -> int:
    """Where the log of the bot stood."""
    return len(cast.office.bot.log_text())


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_in_trouble_nobody_acts_looking_works_and_it_is_told_once_each_way(
    cast: Cast, before: int, trouble: str
) -> None:
    told_before = len(await cast.notices())
    assert "waiting" in (await cast.bob.types("rollout status waiting")).shown
    cast.proxy.server.faults.add(**TROUBLES[trouble])
    try:
        await _told(cast, told_before, "AWAY", within_s=SOON_S)
        await _nobody_acts_and_looking_works(cast)
    finally:
        cast.proxy.server.faults.clear()
    await _told(cast, told_before, "BACK", within_s=SOON_S)
    await _acts_again(cast, before)


async def test_killed_and_back_the_brakes_work_meanwhile(cast: Cast, before: int) -> None:
    here, told_before = cast.office, len(await cast.notices())
    await cast.keycloak.kill()
    try:
        await _told(cast, told_before, "AWAY", within_s=SOON_S)
        await _nobody_acts_and_looking_works(cast)
        devices = [f"c-gw-00{n}" for n in (1, 2, 3, 4)]
        canary = await here.starts_rollout(
            "canary", "1.2.0", devices, by=here.world.pipeline, fates=("fails", "silent"), error_pct=90
        )
        await until(lambda: _is(here.status(canary), "paused"), "the bot pauses the canary")
        assert await here.started(canary) == 1
    finally:
        await cast.keycloak.start()
    await _told(cast, told_before, "BACK", within_s=SOON_S)
    await _acts_again(cast, before)


async def _told(cast: Cast, told_before: int, word: str, *, within_s: float) -> None:
    """One message for this absence, whose newest state begins so."""

    async def newest() -> list[str]:
        return [shown for shown in (await cast.notices())[told_before:] if word in shown]

    (shown,) = await until(newest, f"{word} in the admin channel", within_s)
    assert len(await cast.notices()) == told_before + 1
    assert ("Nobody's act is allowed" in shown) == (word == "AWAY")


async def _nobody_acts_and_looking_works(cast: Cast) -> None:
    waiting = await cast.waits()
    for message, action, channel in (
        (waiting, "promote", ROLLOUTS),
        (cast.incident, "acknowledge", ALARMS_A),
        (cast.incident, "run:journal", ALARMS_A),
    ):
        told = await cast.bob.presses(message, action, channel)
        assert "Nothing was done" in told.shown, action
        assert "Keycloak" in told.shown
        assert "proxy" not in told.shown
    assert await cast.office.started(cast.rollout) == 1
    assert await cast.office.alarm_state("a-gw-003") == "ACTIVE_UNACK"
    assert cast.office.ran("a-gw-003") == []
    assert "waiting" in (await cast.bob.types("rollout status waiting")).shown
    assert "On hold" in (await cast.bob.presses(waiting, "hold")).shown


async def _acts_again(cast: Cast, before: int) -> None:
    """bob lifts what he held; and the log has one line for each way."""
    assert "lifted" in (await cast.bob.presses(await cast.waits("unhold"), "unhold")).shown
    log = cast.office.bot.log_text()[before:]
    assert (log.count("keycloak_went_away"), log.count("keycloak_returned")) == (1, 1)


async def _is(question: Any, wanted: Any) -> bool:
    return bool(await question == wanted)
