"""The stand-in's own side: its control route and its scheduler loop. There is no such thing on a real server."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from tests.contract.hawkbit.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def switch(world: World, **wish: Any) -> Any:
    answer = await world.admin.http.post(world.url + "/_sandbox/hawkbit", json=wish)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_fleet_can_be_seeded_and_driven_over_the_wire(world: World) -> None:
    world.stand_in()
    v1, v2 = (await switch(world, sets=[{"name": "FW", "version": "1.0.0"}, {"name": "FW", "version": "2.0.0"}]))[
        "sets"
    ]
    names = [f"s-{index}" for index in range(4)]
    await switch(
        world, targets=[{"controllerId": name, "installed": v1, "attributes": {"site": "a"}} for name in names]
    )
    made = await world.bot.post("/rollouts", world.body("s", v2))
    rollout = made.json()["id"]
    await switch(world, ticks=1)
    await world.act(rollout, "start")
    await switch(world, ticks=1)
    first = {name for name, _ in await world.actions(rollout, 0)}
    await switch(world, reports=[{"controllerId": name, "finished": "success", "code": 0} for name in first], ticks=1)
    assert (await world.rollout(rollout))["status"] == "paused"
    assert (await world.admin.read("/targets", q="installedds.version==2.0.0"))["total"] == 2
    assert (await world.admin.read("/targets", q="attribute.site==a"))["total"] == 4


async def test_switches_can_be_set_over_the_wire_and_unknown_ones_are_refused(world: World) -> None:
    sandbox = world.stand_in()
    await switch(world, pause_race=True, mixed_snapshots=True, tick_s=0.5)
    assert (sandbox.pause_race, sandbox.mixed_snapshots, sandbox.tick_s) == (True, True, 0.5)
    wrong = await world.admin.http.post(world.url + "/_sandbox/hawkbit", json={"kind_mode": True})
    assert wrong.status_code == 400


async def test_the_scheduler_loop_moves_rollouts_until_it_is_cancelled(world: World) -> None:
    sandbox = world.stand_in()
    sandbox.tick_s = 0.005
    set_id = await world.make_set("FW", "2.0.0")
    await world.make_targets("loop", 4)
    loop = asyncio.create_task(sandbox.run())
    made = await world.bot.post("/rollouts", {**world.body("loop", set_id), "startAt": 1})
    async with asyncio.timeout(5):
        while (await world.rollout(made.json()["id"]))["status"] != "running":
            await asyncio.sleep(0.005)
    loop.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await loop
    assert loop.cancelled()


async def test_a_target_at_its_quota_of_actions_takes_no_more(world: World) -> None:
    sandbox = world.stand_in()
    sandbox.quotas.actions_per_target = 1
    v1, v2 = await world.make_set("FW", "1.0.0"), await world.make_set("FW", "2.0.0")
    (name,) = await world.make_targets("full", 1)
    assert (await world.admin.post(f"/targets/{name}/assignedDS", {"id": v1})).status_code == 200
    refused = await world.admin.post(f"/targets/{name}/assignedDS", {"id": v2})
    assert (refused.status_code, refused.json()["errorCode"]) == (429, "hawkbit.server.error.quota.tooManyEntries")
    ((action,),) = [(await world.admin.read(f"/targets/{name}/actions"))["content"]]
    assert (action["status"], await world.set_of(name, "assignedDS")) == ("running", v1)


async def test_an_action_at_its_quota_of_reports_takes_no_more(world: World) -> None:
    sandbox = world.stand_in()
    sandbox.quotas.statuses_per_action = 2
    rollout = await world.run_rollout("talk", 1, (100,))
    ((name, action),) = await world.actions(rollout, 0)
    device = await world.device(name)
    said = [await device.report(action, "none", execution="proceeding") for _ in range(2)]
    assert said == [200, 429]
