"""What needs a second person, from the button to the outcome; every way around it is refused and written down."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest_asyncio

from sandbox.cast import ROLLOUTS
from sandbox.slack.seen import SeenMessage
from tests.keycloak.standin import StandInRealm
from tests.scenario.approving import asks_for, set_policy
from tests.scenario.people import ONE_LOOP, Office, Person, office

pytestmark = ONE_LOOP


@dataclass(frozen=True, slots=True)
class Cast:
    office: Office
    realm: StandInRealm
    alice: Person
    bob: Person
    carol: Person
    heidi: Person
    mallory: Person

    async def rollout(self, name: str, number: int) -> tuple[int, SeenMessage]:
        """A running rollout over one device of customer-a, and its message with the button Stop."""
        rollout = await self.office.starts_rollout(name, "1.1.0", [f"a-gw-{number:03}"], (100,), fates=("silent",))
        return rollout, await self.office.shows(ROLLOUTS, f"*{name}*", button="stop")

    async def wanted(self, name: str, *words: str) -> SeenMessage:
        """The message of the request about that rollout."""
        return await self.office.shows(ROLLOUTS, "APPROVAL WANTED", name, *words, button="approve")

    async def acts(self, action: str) -> list[str]:
        return [entry.actor for entry in await self.office.audit() if entry.action == action]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cast() -> AsyncIterator[Cast]:
    async with office(start=False, devices=30) as here:
        set_policy(here.world.config, stop={"remind_s": 3600})
        await here.bot.start()
        people = {name: here.person(name) for name in ("alice", "bob", "carol", "heidi", "mallory")}
        await here.links({people[name]: name for name in ("alice", "bob", "carol", "heidi")})
        yield Cast(here, StandInRealm(here.world.servers["keycloak"].url), **people)


async def test_an_operator_asks_an_admin_approves_and_it_is_done_once_and_told_to_both(cast: Cast) -> None:
    rollout, message = await cast.rollout("ends-well", 1)
    told = await asks_for(cast.bob, message, "stop", "the bundle bricks slot B")
    assert "waits for approval" in told
    wanted = await cast.wanted("ends-well", "the bundle bricks slot B", "bob", "0 of 1 agreed")
    assert await cast.office.status(rollout) == "running"
    done = await cast.alice.presses(wanted, "approve", within_s=30)
    assert "DONE" in done.shown
    assert "Stopped for good" in done.shown
    assert await cast.office.status(rollout) == "stopped"
    await cast.office.shows(ROLLOUTS, "DONE", "ends-well", "alice", "1 of 1 agreed")
    assert "DONE" in (await cast.office.slack.wait_for_ephemeral(cast.bob.id, lambda e: "DONE" in e.shown)).shown
    entries = [e for e in await cast.office.audit() if e.object == f"rollout:eu1/{rollout}"]
    steps = [(e.kind, e.action) for e in entries if "approval" in e.action or e.action == "stop"]
    assert steps == [
        ("note", "approval:asked"),
        ("note", "approval:agreed"),
        ("intent", "approval:carry_out"),
        ("intent", "stop"),
        ("outcome", "stop"),
        ("outcome", "approval:carry_out"),
    ]
    stop = next(e for e in entries if (e.kind, e.action) == ("intent", "stop"))
    assert "rights_read_at" in stop.data
    assert "approved by alice" in stop.data["reason"]
