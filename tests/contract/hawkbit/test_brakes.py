"""Stop, delete, approve, retry, invalidate, roll back (measured on hawkBit 1.1.0)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.contract.hawkbit.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def approval(world: World) -> AsyncIterator[None]:
    key = "/system/configs/rollout.approval.enabled"
    assert (await world.admin.put(key, {"value": True})).status_code == 204
    yield
    assert (await world.admin.put(key, {"value": False})).status_code == 204


async def test_stop_ends_every_group_as_finished_though_most_devices_got_nothing(world: World) -> None:
    rollout = await world.run_rollout("b1", 20)
    await world.finish(rollout, 0, ok=3)
    assert await world.act(rollout, "stop", by=world.admin) == 204
    stopped = await world.reaches(rollout, "stopped")
    first, second = await world.groups(rollout)
    assert (first["status"], second["status"]) == ("finished", "finished")
    assert (first["totalTargetsPerStatus"]["finished"], first["totalTargetsPerStatus"]["running"]) == (3, 7)
    assert (second["totalTargets"], second["totalTargetsPerStatus"]["notstarted"]) == (10, 10)
    assert (stopped["lastModifiedBy"], first["lastModifiedBy"]) == ("system", "system")
    assert await world.act(rollout, "resume") == 400


async def test_stopped_devices_are_cancelled_when_they_poll(world: World) -> None:
    rollout = await world.run_rollout("b2", 4, (100,))
    name, action = (await world.actions(rollout, 0))[0]
    await world.act(rollout, "stop", by=world.admin)
    await world.reaches(rollout, "stopped")
    assert (await world.admin.read(f"/targets/{name}/actions/{action}"))["status"] == "canceling"
    await (await world.device(name)).confirm_cancel()
    counts = await world.counts(rollout, 0)
    assert (counts["cancelled"], counts["running"]) == (1, 3)


async def test_pausing_the_last_group_stops_no_device_but_holds_the_end(world: World) -> None:
    rollout = await world.run_rollout("b3", 4, (100,))
    assert await world.act(rollout, "pause") == 204
    await world.finish(rollout, 0, ok=4)
    await world.ticks(2)
    assert (await world.rollout(rollout))["status"] == "paused"
    assert (await world.counts(rollout, 0))["finished"] == 4
    assert await world.act(rollout, "resume") == 204
    await world.reaches(rollout, "finished")


async def test_a_paused_rollout_can_be_stopped_and_a_finished_one_cannot(world: World) -> None:
    rollout = await world.run_rollout("b4", 4, (100,))
    await world.act(rollout, "pause")
    assert await world.act(rollout, "stop", by=world.admin) == 204
    await world.reaches(rollout, "stopped")
    assert await world.act(rollout, "stop", by=world.admin) == 400


async def test_delete_force_cancels_and_hides_the_rollout(world: World) -> None:
    rollout = await world.run_rollout("b5", 10)
    await world.finish(rollout, 0, ok=1)
    assert (await world.admin.delete(f"/rollouts/{rollout}")).status_code == 204
    shown = await world.reaches(rollout, "deleted")
    assert shown["deleted"] is True
    assert shown["totalTargetsPerStatus"]["cancelled"] == 4
    assert (await world.admin.read("/rollouts", q=f"id=={rollout}"))["total"] == 0
    assert (await world.admin.delete(f"/rollouts/{rollout}")).status_code == 204


async def test_a_deleted_rollout_that_never_started_is_404(world: World) -> None:
    set_id = await world.make_set("FW-b6", "2.0.0")
    await world.make_targets("b6", 2)
    rollout = await world.make_rollout("b6", set_id)
    assert (await world.admin.delete(f"/rollouts/{rollout}")).status_code == 204

    async def gone() -> bool:
        return (await world.admin.get(f"/rollouts/{rollout}")).status_code == 404

    await world.until(gone, "rollout gone")


async def test_start_is_one_shot(world: World) -> None:
    rollout = await world.run_rollout("b7", 4)
    answer = await world.bot.post(f"/rollouts/{rollout}/start")
    assert (answer.status_code, answer.json()["message"]) == (
        400,
        "Rollout can only be started in state ready but current state is running",
    )


async def test_names_are_unique_so_a_repeated_create_is_409(world: World) -> None:
    set_id = await world.make_set("FW-b8", "2.0.0")
    await world.make_targets("b8", 4)
    await world.make_rollout("b8", set_id)
    assert (await world.bot.post("/rollouts", world.body("b8", set_id))).status_code == 409


async def test_amount_groups_without_conditions_means_50_nextgroup_and_50_pause(world: World) -> None:
    set_id = await world.make_set("FW-b9", "2.0.0")
    await world.make_targets("b9", 9)
    body = world.body("b9", set_id)
    del body["groups"]
    made = await world.bot.post("/rollouts", {**body, "amountGroups": 3})
    assert made.status_code == 201
    rollout = int(made.json()["id"])
    await world.reaches(rollout, "ready")
    groups = await world.groups(rollout)
    assert [group["totalTargets"] for group in groups] == [3, 3, 3]
    assert groups[0]["successAction"]["action"] == "NEXTGROUP"
    assert (groups[0]["successCondition"]["expression"], groups[0]["errorCondition"]["expression"]) == ("50", "50")


async def test_percentages_below_100_are_refused_and_above_accepted(world: World) -> None:
    set_id = await world.make_set("FW-b10", "2.0.0")
    await world.make_targets("b10", 10)
    assert (await world.bot.post("/rollouts", world.body("b10", set_id, (30, 30)))).status_code == 400
    assert (await world.bot.post("/rollouts", world.body("b10", set_id, (80, 80)))).status_code == 201


async def test_a_threshold_of_150_is_accepted(world: World) -> None:
    set_id = await world.make_set("FW-b11", "2.0.0")
    await world.make_targets("b11", 2)
    assert (await world.bot.post("/rollouts", world.body("b11", set_id, success=150))).status_code == 201


async def test_a_start_time_starts_by_itself(world: World) -> None:
    set_id = await world.make_set("FW-b12", "2.0.0")
    await world.make_targets("b12", 2)
    made = await world.bot.post("/rollouts", {**world.body("b12", set_id), "startAt": 1})
    assert made.status_code == 201
    await world.reaches(int(made.json()["id"]), "running")


@pytest.mark.usefixtures("approval")
async def test_approval_holds_a_new_rollout_and_its_creator_may_approve_it(world: World) -> None:
    set_id = await world.make_set("FW-b13", "2.0.0")
    await world.make_targets("b13", 2)
    made = await world.admin.post("/rollouts", world.body("b13", set_id))
    rollout = int(made.json()["id"])
    await world.reaches(rollout, "waiting_for_approval")
    assert await world.act(rollout, "start", by=world.admin) == 400
    answer = await world.admin.post(f"/rollouts/{rollout}/approve", remark="seen")
    assert answer.status_code == 204
    shown = await world.rollout(rollout)
    assert (shown["status"], shown["approveDecidedBy"], shown["approvalRemark"]) == (
        "ready",
        world.admin.name,
        "seen",
    )


@pytest.mark.usefixtures("approval")
async def test_the_bot_may_not_approve(world: World) -> None:
    bot, _ = world.two_people()
    set_id = await world.make_set("FW-b14", "2.0.0")
    await world.make_targets("b14", 2)
    made = await world.bot.post("/rollouts", world.body("b14", set_id))
    rollout = int(made.json()["id"])
    await world.reaches(rollout, "waiting_for_approval")
    assert await world.act(rollout, "approve", by=bot) == 403
    assert await world.act(rollout, "deny", by=world.admin) == 204
    assert (await world.rollout(rollout))["status"] == "approval_denied"


async def test_retry_takes_the_failed_devices_of_a_finished_rollout_once(world: World) -> None:
    rollout = await world.run_rollout("b15", 10, (100,), error=50)
    assert await world.act(rollout, "retry", by=world.admin) == 400
    await world.finish(rollout, 0, ok=7, failed=3)
    await world.reaches(rollout, "finished")
    again = await world.admin.post(f"/rollouts/{rollout}/retry")
    assert (again.status_code, again.json()["totalTargets"]) == (201, 3)
    assert again.json()["targetFilterQuery"] == f"failedrollout=={rollout}"
    assert await world.act(rollout, "retry", by=world.admin) == 409


async def test_retry_does_not_count_given_up_devices_as_failed(world: World) -> None:
    rollout = await world.run_rollout("b16", 2, (100,))
    for name, action in await world.actions(rollout, 0):
        await world.drop(name, action)
    await world.reaches(rollout, "finished")
    answer = await world.admin.post(f"/rollouts/{rollout}/retry")
    assert (answer.status_code, answer.json()["message"]) == (400, "No failed targets in Rollout")


async def test_an_invalid_set_stops_its_rollouts_for_ever(world: World) -> None:
    rollout = await world.run_rollout("b17", 6)
    set_id = (await world.rollout(rollout))["distributionSetId"]
    wish = {"actionCancelationType": "soft", "cancelRollouts": True}
    assert (await world.admin.post(f"/distributionsets/{set_id}/invalidate", wish)).status_code == 204
    await world.reaches(rollout, "stopped")
    assert (await world.counts(rollout, 0))["running"] == 3
    assert (await world.admin.read(f"/distributionsets/{set_id}"))["valid"] is False
    assert (await world.admin.post(f"/distributionsets/{set_id}/invalidate", wish)).status_code == 204
    (name,) = await world.make_targets("b17b", 1)
    refused = await world.admin.post(f"/targets/{name}/assignedDS", {"id": set_id})
    assert (refused.status_code, refused.json()["errorCode"]) == (
        400,
        "hawkbit.server.error.distributionset.invalid",
    )


async def test_rollback_stops_first_and_brings_every_device_back(world: World) -> None:
    v1 = await world.make_set("FW-b18", "1.0.0")
    v2 = await world.make_set("FW-b18", "2.0.0")
    forward = await world.run_rollout("b18", 30, (40, 60), set_id=v2, installed=v1)
    await world.finish(forward, 0, ok=5, failed=3)
    await world.reaches(forward, "paused")
    silent = [name for name, _ in await world.actions(forward, 0)]
    assert await world.act(forward, "stop", by=world.admin) == 204
    await world.reaches(forward, "stopped")
    product = f"FW-b18{world.tag}"
    wanted = (
        f"((installedds.name=={product};installedds.version==2.0.0),"
        f"(assignedds.name=={product};assignedds.version==2.0.0));(controllerId==b18{world.tag}-*)"
    )
    assert (await world.admin.read("/targets", q=wanted))["total"] == 5 + len(silent)
    back_body = {**world.body("b18back", v1, (20, 80), kind="forced"), "targetFilterQuery": wanted}
    made = await world.bot.post("/rollouts", back_body)
    assert made.status_code == 201
    back = int(made.json()["id"])
    await world.reaches(back, "ready")
    for name in silent:
        await (await world.device(name)).confirm_cancel()
    await world.begin(back)
    for index in range(2):
        await world.finish(back, index, ok=len(await world.actions(back, index)))
        await world.reaches(back, "paused" if index == 0 else "finished")
        if index == 0:
            assert await world.act(back, "resume") == 204
    assert (await world.admin.read("/targets", q=wanted))["total"] == 0
    on_v1 = f"installedds.name=={product};installedds.version==1.0.0;controllerId==b18{world.tag}-*"
    assert (await world.admin.read("/targets", q=on_v1, limit=1))["total"] == 30
    failed = await world.admin.read("/targets", q=f"updatestatus==error;controllerId==b18{world.tag}-*")
    assert failed["total"] == 3
