"""An old backup is put back while the world has moved on: nothing is promoted again, nothing is posted twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bot import logs
from bot.cli import app
from core.ids import GroupId, RolloutId, Stack
from integrations.store.connection import connect
from integrations.store.rollouts import RolloutStore
from sandbox.bot_process import BotProcess
from sandbox.cast import ROLLOUTS, STACK, TENANTS
from sandbox.slack.seen import SeenMessage
from sandbox.world import SandboxWorld
from tests.keycloak.standin import StandInRealm
from tests.scenario.program import raised, until
from tests.scenario.terminal import Terminal

A = TENANTS[0]


@pytest.fixture(autouse=True)
def _loggers_keep_their_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "configure", lambda **_: None)


async def cdm(world: SandboxWorld, *words: str | Path) -> Result:
    given = [*(str(word) for word in words), "--config", str(world.config)]
    return await asyncio.to_thread(lambda: CliRunner().invoke(app, given))


async def shown(world: SandboxWorld, channel: str, text: str) -> list[SeenMessage]:
    return [m for m in await world.people.messages(channel) if text in m.shown]


async def held(world: SandboxWorld, rollout: str) -> list[SeenMessage]:
    return [m for m in await shown(world, ROLLOUTS, rollout) if "cdm restore" in m.shown]


async def released(world: SandboxWorld, rollout: str) -> bool:
    return not await held(world, rollout)


def started(world: SandboxWorld, rollout: int) -> list[int]:
    """The groups that began, from 1, in their order."""
    return [start.index + 1 for start in world.hawkbit.starts if start.rollout == rollout]


async def looked_at(world: SandboxWorld, rollout: int) -> bool:
    """The bot has seen every device of the first group: only then can it tell their new boot later."""
    group = GroupId((await world.pipeline.groups(rollout))[0]["id"])
    async with connect(f"unix://{world.directory / 'data' / 'store' / 'store.sock'}") as store:
        evidence = await RolloutStore(store).evidence(Stack(STACK), RolloutId(rollout), group)
    return bool(evidence.devices) and all(device.before for device in evidence.devices.values())


async def begun(world: SandboxWorld, rollout: int, group: int) -> bool:
    return group in started(world, rollout)


async def test_an_old_backup_neither_promotes_nor_posts_again_and_holds_until_a_person_looked(
    world: SandboxWorld, bot: BotProcess
) -> None:
    file = world.directory / "old.cdm-backup"
    await world.login("U0ALICE", "alice")
    spring = await world.pipeline.release("1.1.0", query="controllerId==a-*", groups=(40, 30, 30), name="spring")
    await until(lambda: shown(world, ROLLOUTS, "spring"), "the message of the first rollout")
    made = await cdm(world, "backup", file)
    assert made.exit_code == 0, made.output
    assert bot.alive

    # What the backup does not know of: promotions, another rollout, an alarm, and their messages.
    summer = await world.pipeline.release("1.1.0", query="controllerId!=a-*", groups=(20,) * 5, name="summer")
    await until(lambda: shown(world, ROLLOUTS, "summer"), "the message of the second rollout")
    for rollout in (spring, summer):
        await until(lambda rollout=rollout: looked_at(world, rollout), "a look at the canaries")  # type: ignore[misc]
        await world.pipeline.order(rollout, "start")
    alarm = raised(world, A.id, A.device(1))
    await until(lambda: shown(world, A.channel, alarm.device), "the alarm's message")
    for rollout in (spring, summer):
        await until(lambda rollout=rollout: begun(world, rollout, 2), "the second group", 30)  # type: ignore[misc]
    await bot.stop()
    before = {rollout: started(world, rollout) for rollout in (spring, summer)}

    world.realm.device_interval_s = 1
    shell = Terminal(world.config)
    refused = await shell.log_in("bob", "restore", str(file), "--replace")
    assert refused.code == 1
    assert "takes an admin of every tenant" in refused.err
    assert "refused:maintain" in (await cdm(world, "audit", "show", "--last", "1")).output
    done = await shell.log_in("alice", "restore", str(file), "--replace")
    assert done.code == 0, done.err
    await bot.start()
    for name in ("spring", "summer"):
        await until(lambda name=name: held(world, name), f"{name} says that it is held")  # type: ignore[misc]
        assert len(await shown(world, ROLLOUTS, name)) == 1
    assert len(await shown(world, A.channel, alarm.device)) == 1
    assert {rollout: started(world, rollout) for rollout in before} == before
    verified = await cdm(world, "audit", "verify")
    assert verified.exit_code == 0, verified.output
    restored = (await cdm(world, "audit", "show", "--action", "restored")).output
    assert await StandInRealm(world.url("keycloak")).user_id("alice") in restored

    (message,) = await held(world, "summer")
    await world.people.click("U0ALICE", ROLLOUTS, message.ts, "unhold")
    await until(lambda: released(world, "summer"), "the hold is lifted by a person")
    assert started(world, summer) == before[summer], "devices that updated unseen are not verified, so nothing starts"
