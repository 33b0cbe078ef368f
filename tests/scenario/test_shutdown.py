"""What was acknowledged is seen through: finished before the bot ends, or taken up by the next one. Never dropped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from sandbox.cast import PEOPLE, ROLLOUTS
from sandbox.fleet import Pace
from sandbox.slack.seen import SeenMessage
from sandbox.world import SandboxWorld
from tests.scenario.program import CHANNEL, raised, running, still_world, until

QUICK = Pace(poll_s=0.4, telemetry_s=600, install_s=(0.1, 0.2))
A, FAILED, OTHER, BOB = "customer-a", "a-gw-001", "a-gw-002", PEOPLE["bob"].id
JOURNAL, REDEPLOY = "Journal of a unit", "Redeploy the bundle"
ASSIGN = rf"^POST /rest/v1/targets/{FAILED}/assignedDS"


@pytest.fixture
async def world() -> AsyncIterator[SandboxWorld]:
    """hawkBit's release has failed on one device of customer-a, which can be deployed again; both raise an alarm."""
    async with still_world(devices=6, pace=QUICK) as made:
        made.device(FAILED).fate = "fails"
        rollout = await made.pipeline.release("1.1.0", query=f"controllerId=={FAILED}", groups=(100,))
        await made.pipeline.order(rollout, "start")

        async def failed() -> bool:
            return made.device(FAILED).ota_status == "failure"

        await until(failed, f"the update fails on {FAILED}")
        raised(made, A, OTHER)
        yield made


async def incident(world: SandboxWorld, device: str) -> SeenMessage:
    """The message of the device's failure."""
    return await world.people.wait_for(CHANNEL[A], lambda m: f"`{device}`" in m.shown and bool(m.buttons), 20)


async def press(world: SandboxWorld, device: str, action: str) -> None:
    shown = await incident(world, device)
    assert (await world.people.click(BOB, CHANNEL[A], shown.ts, action)).acked


async def told(world: SandboxWorld, device: str, title: str) -> list[str]:
    """What the thread of the device's failure says about runs with this title."""
    return [reply.shown for reply in (await incident(world, device)).replies if title in reply.shown]


async def comes_to_say(world: SandboxWorld, device: str, title: str, word: str) -> None:
    async def says() -> bool:
        return any(f"{word} · " in text for text in await told(world, device, title))

    await until(says, f"{title} on {device} is {word}", 30)


async def at_the_device(world: SandboxWorld) -> None:
    """Until a device was asked to run a command."""

    async def ran() -> bool:
        return bool(world.relay.devices.ran)

    await until(ran, "the command is at the device", 20)


async def test_sigterm_lets_what_was_begun_end_and_every_command_is_answered_once(world: SandboxWorld) -> None:
    async with running(world) as bot:
        assert "now linked" in await world.login(BOB, "bob")
        switches = world.relay.devices.switches(OTHER)
        switches.command, switches.delay_s = "slow", 0.7
        world.servers["keycloak"].faults.add("late_answer", delay_s=0.3, delay_max_s=0.6)
        before = len(await world.people.ephemerals(BOB))
        await press(world, OTHER, "run:journal")
        await at_the_device(world)
        heard = await asyncio.gather(*(world.people.slash(BOB, ROLLOUTS, "/cdm", "whoami") for _ in range(12)))
        assert all(one.acked for one in heard)
        began = time.monotonic()
        assert await bot.stop() == 0
        assert time.monotonic() - began < 15
        await bot.start()

        async def answered() -> bool:
            return len(await world.people.ephemerals(BOB)) >= before + 12

        await until(answered, "every command is answered", 20)
        await comes_to_say(world, OTHER, JOURNAL, "DONE")
        said = [one.shown for one in (await world.people.ephemerals(BOB))[before:]]
        assert len(said) == 12
        assert all("bob" in text for text in said)
        assert len(await told(world, OTHER, JOURNAL)) == 1
        assert len(world.relay.devices.ran) == 1


@pytest.mark.parametrize("by", ["sigterm", "kill -9"])
async def test_what_was_cut_short_is_taken_up_after_the_restart_told_once_and_no_change_is_made_twice(
    world: SandboxWorld, by: str
) -> None:
    world.write_config(timing={"shutdown_s": 1.0})
    async with running(world) as bot:
        assert "now linked" in await world.login(BOB, "bob")
        world.relay.devices.switches(OTHER).command = "hang"
        late = world.servers["hawkbit"].faults.add("late_request", ASSIGN, delay_s=3.0)
        await press(world, OTHER, "run:journal")
        await press(world, FAILED, "redeploy")

        async def at_hawkbit() -> bool:
            return late.hits > 0

        await until(at_hawkbit, "the assignment is at hawkBit", 20)
        await at_the_device(world)
        if by == "sigterm":
            assert await bot.stop() == 0
        else:
            await bot.kill()
        world.relay.devices.reset(OTHER)
        await bot.start()
        await comes_to_say(world, OTHER, JOURNAL, "DONE")
        await comes_to_say(world, FAILED, REDEPLOY, "OUTCOME UNKNOWN")
        assert len(await told(world, OTHER, JOURNAL)) == 1
        (unknown,) = await told(world, FAILED, REDEPLOY)
        assert "not done again" in unknown
        assert late.hits == 1
