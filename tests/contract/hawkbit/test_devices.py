"""What devices, their actions and assignments do to a rollout's counts (measured on hawkBit 1.1.0)."""

from __future__ import annotations

import pytest

from tests.contract.hawkbit.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

OLD_CLOCK = 1_000_000_000_000


async def test_an_unknown_device_registers_itself(world: World) -> None:
    name = f"fresh{world.tag}-1"
    links = await (await world.device(name)).poll()
    assert "configData" in links
    assert "deploymentBase" not in links
    assert (await world.target(name))["updateStatus"] == "registered"


async def test_a_wrong_gateway_token_is_401(world: World) -> None:
    device = await world.device("d0")
    answer = await device.http.get(device.path, headers={"Authorization": "GatewayToken no"})
    assert answer.status_code == 401


async def test_attributes_a_device_sends_can_be_read_and_filtered(world: World) -> None:
    (name,) = await world.make_targets("d1", 1)
    device = await world.device(name)
    links = await device.poll()
    body = {"mode": "merge", "data": {"site": f"plant{world.tag}"}}
    assert (await device.http.put(links["configData"], json=body)).status_code == 200
    assert (await world.admin.read(f"/targets/{name}/attributes"))["site"] == f"plant{world.tag}"
    assert (await world.admin.read("/targets", q=f"attribute.site==plant{world.tag}"))["total"] == 1
    assert (await world.target(name))["requestAttributes"] is False


async def test_success_moves_the_device_to_the_set(world: World) -> None:
    rollout = await world.run_rollout("d2", 2, (100,))
    name, action = (await world.actions(rollout, 0))[0]
    device = await world.device(name)
    links = await device.poll()
    deployment = (await device.http.get(links["deploymentBase"])).json()
    assert deployment["id"] == str(action)
    assert deployment["deployment"]["chunks"][0]["part"] == "os"
    assert await device.report(action, "none", execution="proceeding", details=["installing"]) == 200
    assert await device.report(action, "success") == 200
    assert (await world.target(name))["updateStatus"] == "in_sync"
    assert await world.set_of(name, "installedDS") == await world.set_of(name, "assignedDS") is not None


async def test_a_failed_device_keeps_its_set_and_has_nothing_assigned(world: World) -> None:
    old = await world.make_set("FW-d3", "1.0.0")
    rollout = await world.run_rollout("d3", 10, (100,), installed=old)
    name, action = (await world.actions(rollout, 0))[0]
    assert await (await world.device(name)).report(action, "failure", details=["slot"], code=1) == 200
    assert (await world.target(name))["updateStatus"] == "error"
    assert (await world.set_of(name, "assignedDS"), await world.set_of(name, "installedDS")) == (None, old)


async def test_feedback_moves_no_last_modified(world: World) -> None:
    rollout = await world.run_rollout("d4", 20, (100,))
    name, action = (await world.actions(rollout, 0))[0]

    async def stamps() -> list[int]:
        rows = (
            await world.rollout(rollout),
            (await world.groups(rollout))[0],
            await world.target(name),
            await world.admin.read(f"/targets/{name}/actions/{action}"),
        )
        return [row["lastModifiedAt"] for row in rows]

    before = await stamps()
    await world.finish(rollout, 0, ok=1)
    assert await stamps() == before
    assert (await world.counts(rollout, 0))["finished"] == 1


async def test_installed_at_is_the_devices_clock_where_it_sends_one(world: World) -> None:
    rollout = await world.run_rollout("d5", 2, (100,))
    name, action = (await world.actions(rollout, 0))[0]
    assert await (await world.device(name)).report(action, "success", timestamp=OLD_CLOCK) == 200
    assert (await world.target(name))["installedAt"] == OLD_CLOCK
    last = (await world.admin.read(f"/targets/{name}/actions/{action}/status", limit=1))["content"][0]
    assert (last["timestamp"], last["reportedAt"] > OLD_CLOCK) == (OLD_CLOCK, True)


async def test_a_report_on_a_closed_action_is_410_and_stores_nothing(world: World) -> None:
    old = await world.make_set("FW-d6", "1.0.0")
    rollout = await world.run_rollout("d6", 4, (100,), installed=old)
    name, action = (await world.actions(rollout, 0))[0]
    await world.drop(name, action)
    history = (await world.admin.read(f"/targets/{name}/actions/{action}/status"))["total"]
    assert await (await world.device(name)).report(action, "success") == 410
    assert (await world.admin.read(f"/targets/{name}/actions/{action}/status"))["total"] == history
    assert ((await world.target(name))["updateStatus"], await world.set_of(name, "installedDS")) == ("in_sync", old)


async def test_a_cancelled_action_counts_as_running_until_the_device_confirms(world: World) -> None:
    old = await world.make_set("FW-d7", "1.0.0")
    rollout = await world.run_rollout("d7", 10, (50, 50), installed=old)
    await world.finish(rollout, 0, ok=4)
    ((name, action),) = await world.actions(rollout, 0)
    assert (await world.admin.delete(f"/targets/{name}/actions/{action}")).status_code == 204
    await world.ticks(3)
    assert (await world.rollout(rollout))["status"] == "running"
    assert (await world.counts(rollout, 0))["running"] == 1
    await (await world.device(name)).confirm_cancel()
    assert (await world.counts(rollout, 0))["cancelled"] == 1
    assert await world.set_of(name, "assignedDS") == old
    await world.reaches(rollout, "paused")


async def test_a_cancelling_device_that_reports_success_counts_as_success(world: World) -> None:
    rollout = await world.run_rollout("d8", 10, (100,))
    name, action = (await world.actions(rollout, 0))[0]
    await world.admin.delete(f"/targets/{name}/actions/{action}")
    assert await (await world.device(name)).report(action, "success") == 200
    assert (await world.admin.read(f"/targets/{name}/actions/{action}"))["status"] == "finished"
    assert (await world.counts(rollout, 0))["finished"] == 1


async def test_force_quit_completes_a_group_that_silent_devices_hold(world: World) -> None:
    rollout = await world.run_rollout("d9", 50, (50, 50))
    await world.finish(rollout, 0, ok=23)
    await world.ticks(3)
    assert await world.act(rollout, "resume") == 400
    for name, action in await world.actions(rollout, 0):
        await world.drop(name, action)
    await world.reaches(rollout, "paused")
    counts = await world.counts(rollout, 0)
    assert (counts["finished"], counts["cancelled"]) == (23, 2)
    assert await world.act(rollout, "resume") == 204

    async def started() -> bool:
        return (await world.group_words(rollout))[1] == "running"

    await world.until(started, "second group running")


async def test_cancel_twice_and_force_quit_without_cancel_are_405(world: World) -> None:
    rollout = await world.run_rollout("d10", 2, (100,))
    (name, action), (other, untouched) = await world.actions(rollout, 0)
    refused = await world.admin.delete(f"/targets/{other}/actions/{untouched}", force="true")
    assert (refused.status_code, refused.json()["errorCode"].rsplit(".", 1)[1]) == (405, "notForceQuitable")
    assert (await world.admin.delete(f"/targets/{name}/actions/{action}")).status_code == 204
    assert (await world.admin.delete(f"/targets/{name}/actions/{action}")).status_code == 405


async def test_a_deleted_target_falsifies_the_share(world: World) -> None:
    rollout = await world.run_rollout("d11", 20, (50, 50))
    await world.finish(rollout, 0, ok=8)
    gone = await world.actions(rollout, 0)
    for name, _ in gone:
        assert (await world.admin.delete(f"/targets/{name}")).status_code == 204
    await world.reaches(rollout, "paused")
    first = (await world.groups(rollout))[0]
    assert (first["totalTargets"], first["totalTargetsPerStatus"]["finished"]) == (8, 8)
    links = await (await world.device(gone[0][0])).poll()
    assert "deploymentBase" not in links
    assert (await world.target(gone[0][0]))["updateStatus"] == "registered"


async def test_a_deleted_action_leaves_its_device_stuck(world: World) -> None:
    rollout = await world.run_rollout("d12", 20, (50, 50))
    name, action = (await world.actions(rollout, 0))[0]
    assert (await world.admin.delete(f"/targets/{name}/actions", body=[action])).status_code == 204
    await world.ticks()
    assert (await world.groups(rollout))[0]["totalTargets"] == 9
    assert (await world.target(name))["updateStatus"] == "pending"
    assert "deploymentBase" not in await (await world.device(name)).poll()
    wanted = (await world.rollout(rollout))["distributionSetId"]
    again = await world.admin.post(f"/targets/{name}/assignedDS", {"id": wanted, "type": "forced"})
    assert again.json()["alreadyAssigned"] == 1


async def test_a_target_deleted_from_a_finished_group_counts_as_not_started(world: World) -> None:
    rollout = await world.run_rollout("d13", 10, (50, 50))
    names = [name for name, _ in await world.actions(rollout, 0)]
    await world.finish(rollout, 0, ok=5)
    await world.reaches(rollout, "paused")
    await world.admin.delete(f"/targets/{names[0]}")
    first = (await world.groups(rollout))[0]
    assert (first["totalTargets"], first["totalTargetsPerStatus"]["notstarted"]) == (5, 1)


async def test_the_same_set_again_makes_no_action(world: World) -> None:
    have = await world.make_set("FW-d14", "1.0.0")
    (name,) = await world.make_targets("d14", 1, installed=have)
    answer = await world.admin.post(f"/targets/{name}/assignedDS", {"id": have, "type": "forced"})
    assert (answer.status_code, answer.json()) == (
        200,
        {"alreadyAssigned": 1, "assigned": 0, "assignedActions": [], "total": 1},
    )


async def test_an_offline_assignment_over_an_open_action_does_nothing(world: World) -> None:
    old = await world.make_set("FW-d15", "1.0.0")
    rollout = await world.run_rollout("d15", 2, (100,))
    name, action = (await world.actions(rollout, 0))[0]
    for cancel_first in (False, True):
        if cancel_first:
            await world.admin.delete(f"/targets/{name}/actions/{action}")
        answer = await world.admin.post(f"/targets/{name}/assignedDS", {"id": old, "type": "forced"}, offline="true")
        assert answer.json()["alreadyAssigned"] == 1
    assert await world.set_of(name, "installedDS") is None


async def test_an_offline_assignment_corrects_a_claim_and_leaves_counts(world: World) -> None:
    old = await world.make_set("FW-d16", "1.0.0")
    rollout = await world.run_rollout("d16", 4, (50, 50))
    name = (await world.actions(rollout, 0))[0][0]
    await world.finish(rollout, 0, ok=2)
    await world.reaches(rollout, "paused")
    answer = await world.admin.post(f"/targets/{name}/assignedDS", {"id": old}, offline="true")
    assert answer.json()["assigned"] == 1
    assert (await world.target(name))["updateStatus"] == "in_sync"
    assert await world.set_of(name, "installedDS") == old
    assert (await world.counts(rollout, 0))["finished"] == 2
    wanted = (await world.rollout(rollout))["distributionSetId"]
    anew = await world.admin.post(f"/targets/{name}/assignedDS", {"id": wanted, "type": "forced"})
    assert anew.json()["assigned"] == 1
    assert "deploymentBase" in await (await world.device(name)).poll()


async def test_an_offline_assignment_takes_a_waiting_device_out_for_good(world: World) -> None:
    old = await world.make_set("FW-d17", "1.0.0")
    rollout = await world.run_rollout("d17", 4, (50, 50))
    name, _ = (await world.actions(rollout, 1, active=False))[0]
    await world.admin.post(f"/targets/{name}/assignedDS", {"id": old}, offline="true")
    assert (await world.counts(rollout, 1))["cancelled"] == 1
    await world.finish(rollout, 0, ok=2)
    await world.reaches(rollout, "paused")
    await world.act(rollout, "resume")
    counts = await world.counts(rollout, 1)
    assert (counts["running"], counts["cancelled"]) == (1, 1)


async def test_bulk_assignment_cancels_open_actions_and_is_soonest_to_bring_devices_back(world: World) -> None:
    old = await world.make_set("FW-d18", "1.0.0")
    rollout = await world.run_rollout("d18", 3, (100,))
    names = [name for name, _ in await world.actions(rollout, 0)]
    body = [{"id": name, "type": "forced"} for name in names]
    answer = await world.admin.post(f"/distributionsets/{old}/assignedTargets", body)
    assert (answer.json()["assigned"], answer.json()["total"]) == (3, 3)
    device = await world.device(names[0])
    await device.confirm_cancel()
    assert "deploymentBase" in await device.poll()
    assert await world.set_of(names[0], "assignedDS") == old
    counts = await world.counts(rollout, 0)
    assert (counts["running"], counts["cancelled"]) == (2, 1)


async def test_of_two_overlapping_rollouts_the_second_takes_waiting_devices_at_its_start(world: World) -> None:
    first = await world.run_rollout("d19", 8, (50, 50))
    other_set = await world.make_set("FW-d19b", "3.0.0")
    second = await world.make_rollout("d19b", other_set, (100,), prefix="d19")
    running = {name for name, _ in await world.actions(first, 0)}
    await world.begin(second)
    assert (await world.counts(first, 1))["cancelled"] == 4
    assert (await world.counts(first, 0))["running"] == 4
    for name in running:
        history = await world.admin.read(f"/targets/{name}/actions", representation="full", sort="id:ASC")
        assert [one["status"] for one in history["content"]] == ["canceling", "running"]
    for name in running:
        await (await world.device(name)).confirm_cancel()
    await world.reaches(first, "paused")
    await world.act(first, "resume")
    await world.reaches(first, "finished")
    assert (await world.rollout(first))["totalTargetsPerStatus"]["cancelled"] == 8


async def test_until_its_group_starts_an_overlapped_device_still_installs_the_first_set(world: World) -> None:
    first = await world.run_rollout("d20", 4, (100,))
    other_set = await world.make_set("FW-d20b", "3.0.0")
    second = await world.make_rollout("d20b", other_set, (50, 50), prefix="d20")
    await world.begin(second)
    waiting = {name for name, _ in await world.actions(second, 1, active=False)}
    still = [(name, action) for name, action in await world.actions(first, 0) if name in waiting]
    assert len(still) == 2
    name, action = still[0]
    assert "deploymentBase" in await (await world.device(name)).poll()
    assert await (await world.device(name)).report(action, "success") == 200
    assert (await world.counts(first, 0))["finished"] == 1


async def test_update_status_of_a_target_cannot_be_put(world: World) -> None:
    (name,) = await world.make_targets("d21", 1)
    answer = await world.admin.put(f"/targets/{name}", {"updateStatus": "in_sync", "description": "seen"})
    assert (answer.status_code, answer.json()["updateStatus"]) == (200, "unknown")


async def test_membership_is_not_in_name_order_and_percentages_are_of_all(world: World) -> None:
    set_id = await world.make_set("FW-d22", "2.0.0")
    names = await world.make_targets("d22", 200)
    rollout = await world.make_rollout("d22", set_id, (5, 25, 70))
    groups = await world.groups(rollout)
    assert [group["totalTargets"] for group in groups] == [10, 50, 140]
    page = await world.admin.read(f"/rollouts/{rollout}/deploygroups/{groups[0]['id']}/targets", limit=500)
    assert [one["controllerId"] for one in page["content"]] != names[:10]
