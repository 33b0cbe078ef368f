"""The recorded situations of rollouts, re-enacted with the same people, names and numbers of devices."""

from __future__ import annotations

from tests.contract.hawkbit.recordings import Answers, reproduces
from tests.contract.hawkbit.world import World

FULL = {"representation": "full", "limit": 500, "sort": "id:ASC"}


@reproduces(
    "targets_create_201",
    "distributionset_created_201",
    "rollout_create_201",
    "rollout_ready",
    "deploygroups_ready_full",
    "rollout_start_204",
    "rollout_running",
    "deploygroups_running_full",
    "deploygroups_compact",
    "rollouts_list_compact",
    "rollouts_list_full",
    "rollout_finished",
    "deploygroups_finished_full",
)
async def life_of_a_nextgroup_rollout(world: World) -> Answers:
    http, seen = world.admin, Answers()
    wanted = [{"name": "edge-os", "version": "1.0.0", "type": "os", "vendor": "lab"}]
    module = (await http.post("/softwaremodules", wanted)).json()[0]["id"]
    edge = [{"name": "edge", "version": "1.0.0", "type": "os", "modules": [{"id": module}]}]
    seen["distributionset_created_201"] = await http.post("/distributionsets", edge)
    set_id = seen["distributionset_created_201"].json()[0]["id"]
    await world.make_targets("dev", 198)
    more = [{"controllerId": name, "name": name} for name in ("dev-0200", "dev-0201")]
    seen["targets_create_201"] = await http.post("/targets", more)
    body = world.body("e1-nextgroup", set_id, (5.0, 26.315788, 100), prefix="dev", action="NEXTGROUP")
    seen["rollout_create_201"] = await http.post("/rollouts", body)
    rollout = seen["rollout_create_201"].json()["id"]
    await world.reaches(rollout, "ready")
    groups = f"/rollouts/{rollout}/deploygroups"
    seen["rollout_ready"] = await http.get(f"/rollouts/{rollout}")
    seen["deploygroups_ready_full"] = await http.get(groups, representation="full")
    seen["rollout_start_204"] = await http.post(f"/rollouts/{rollout}/start")
    await world.reaches(rollout, "running")
    seen["rollout_running"] = await http.get(f"/rollouts/{rollout}")
    seen["deploygroups_running_full"] = await http.get(groups, representation="full")
    seen["deploygroups_compact"] = await http.get(groups)
    seen["rollouts_list_compact"] = await http.get("/rollouts")
    seen["rollouts_list_full"] = await http.get("/rollouts", representation="full")
    for index, size in enumerate((10, 53, 137)):
        await world.finish(rollout, index, ok=size)
        await world.ticks()
    await world.reaches(rollout, "finished")
    seen["rollout_finished"] = await http.get(f"/rollouts/{rollout}")
    seen["deploygroups_finished_full"] = await http.get(groups, representation="full")
    return seen


@reproduces("trigger_next_204", "trigger_no_next_group_400", "trigger_404", "retry_running_400", "error_404_rollout")
async def triggering_groups_by_hand(world: World) -> Answers:
    rollout = await world.run_rollout("e2-trigger", 10, by=world.admin, action="NEXTGROUP")
    http = world.admin
    return {
        "retry_running_400": await http.post(f"/rollouts/{rollout}/retry"),
        "trigger_next_204": await http.post(f"/rollouts/{rollout}/triggerNextGroup"),
        "trigger_no_next_group_400": await http.post(f"/rollouts/{rollout}/triggerNextGroup"),
        "trigger_404": await http.post("/rollouts/99999/triggerNextGroup"),
        "error_404_rollout": await http.get("/rollouts/4711"),
    }


@reproduces("pause_204", "pause_again_400", "trigger_not_running_400", "resume_204", "resume_again_400")
async def pausing_and_resuming_by_hand(world: World) -> Answers:
    rollout = await world.run_rollout("e2-pause", 10, by=world.admin)
    http, here = world.admin, f"/rollouts/{rollout}"
    return {
        "pause_204": await http.post(f"{here}/pause"),
        "pause_again_400": await http.post(f"{here}/pause"),
        "trigger_not_running_400": await http.post(f"{here}/triggerNextGroup"),
        "resume_204": await http.post(f"{here}/resume"),
        "resume_again_400": await http.post(f"{here}/resume"),
    }


@reproduces("rollout_paused_by_success_action", "deploygroups_paused_by_success_action")
async def paused_by_success(world: World) -> Answers:
    await world.make_targets("p", 100)
    edge = await world.make_set("edge", "1.0.0")
    rollout = await world.make_rollout("e3-pause", edge, (20, 30, 50), by=world.admin, prefix="p")
    await world.begin(rollout, by=world.admin)
    await world.finish(rollout, 0, ok=19)
    await world.reaches(rollout, "paused")
    return {
        "rollout_paused_by_success_action": await world.admin.get(f"/rollouts/{rollout}"),
        "deploygroups_paused_by_success_action": await world.admin.get(
            f"/rollouts/{rollout}/deploygroups", representation="full"
        ),
    }


@reproduces(
    "rollout_error_threshold_nextgroup",
    "deploygroups_error_threshold_nextgroup",
    "rollout_error_threshold_pause",
    "deploygroups_error_threshold_pause",
)
async def paused_by_errors(world: World) -> Answers:
    edge, seen = await world.make_set("edge", "1.0.0"), Answers()
    for action, prefix in (("NEXTGROUP", "ern"), ("PAUSE", "erp")):
        await world.make_targets(prefix, 50)
        rollout = await world.make_rollout(
            f"e4-err-{action}", edge, (20, 30, 50), by=world.admin, prefix=prefix, action=action
        )
        await world.begin(rollout, by=world.admin)
        await world.finish(rollout, 0, failed=3)
        await world.reaches(rollout, "paused")
        word = action.lower()
        seen[f"rollout_error_threshold_{word}"] = await world.admin.get(f"/rollouts/{rollout}")
        seen[f"deploygroups_error_threshold_{word}"] = await world.admin.get(
            f"/rollouts/{rollout}/deploygroups", representation="full"
        )
    return seen


@reproduces(
    "config_approval_put_204",
    "config_approval_get",
    "rollout_waiting_for_approval",
    "start_while_waiting_for_approval_400",
    "approve_204",
    "rollout_approved",
    "rollout_denied",
)
async def approving(world: World) -> Answers:
    http, seen, key = world.admin, Answers(), "/system/configs/rollout.approval.enabled"
    seen["config_approval_put_204"] = await http.put(key, {"value": True})
    seen["config_approval_get"] = await http.get(key)
    edge = await world.make_set("edge", "1.0.0")
    await world.make_targets("ap2", 20)
    made = {}
    for name in ("e5-appr2", "e5-deny2"):
        answer = await http.post("/rollouts", world.body(name, edge, prefix="ap2"))
        made[name] = int(answer.json()["id"])
        await world.reaches(made[name], "waiting_for_approval")
    approved, denied = f"/rollouts/{made['e5-appr2']}", f"/rollouts/{made['e5-deny2']}"
    seen["rollout_waiting_for_approval"] = await http.get(approved)
    seen["start_while_waiting_for_approval_400"] = await http.post(f"{approved}/start")
    seen["approve_204"] = await http.post(f"{approved}/approve", remark="ok by bot")
    seen["rollout_approved"] = await http.get(approved)
    await http.post(f"{denied}/deny", remark="no")
    seen["rollout_denied"] = await http.get(denied)
    return seen


@reproduces("stop_204", "rollout_stopped", "action_canceled", "delete_rollout", "rollout_deleted_get")
async def stopping_and_deleting(world: World) -> Answers:
    http, seen = world.admin, Answers()
    edge = await world.make_set("edge", "1.0.0")
    await world.make_targets("st2", 20)
    rollout = await world.make_rollout("e5-stop2", edge, by=world.admin, prefix="st2", action="NEXTGROUP")
    await world.begin(rollout, by=world.admin)
    await world.finish(rollout, 0, ok=3)
    seen["stop_204"] = await http.post(f"/rollouts/{rollout}/stop")
    await world.reaches(rollout, "stopped")
    seen["rollout_stopped"] = await http.get(f"/rollouts/{rollout}")
    for name, action in await world.actions(rollout, 0):
        await (await world.device(name)).confirm_cancel()
        seen["action_canceled"] = await http.get(f"/targets/{name}/actions/{action}")
    seen["delete_rollout"] = await http.delete(f"/rollouts/{rollout}")
    await world.reaches(rollout, "deleted")
    seen["rollout_deleted_get"] = await http.get(f"/rollouts/{rollout}")
    return seen


@reproduces("rollout_retry_201")
async def retrying(world: World) -> Answers:
    edge = await world.make_set("edge", "1.0.0")
    await world.make_targets("re", 10)
    rollout = await world.make_rollout("e5-retry", edge, (100,), by=world.admin, prefix="re", error=50)
    await world.begin(rollout, by=world.admin)
    await world.finish(rollout, 0, ok=7, failed=3)
    await world.reaches(rollout, "finished")
    return {"rollout_retry_201": await world.admin.post(f"/rollouts/{rollout}/retry")}


@reproduces("rollback_rollout_create_201", "rollback_rollout_finished")
async def rolling_back(world: World) -> Answers:
    v1, v2 = await world.make_set("fw2", "1.0.0"), await world.make_set("fw2", "2.0.0")
    names = await world.make_targets("rc", 100, installed=v1)
    moved = [{"id": name} for name in names[:41]]
    await world.admin.post(f"/distributionsets/{v2}/assignedTargets", moved, offline="true")
    body = world.body("rc-rollback-v1", v1, (20, 80), action="NEXTGROUP", kind="forced")
    body["targetFilterQuery"] = "(installedds.version==2.0.0,assignedds.version==2.0.0);controllerId==rc-*"
    seen = {"rollback_rollout_create_201": await world.admin.post("/rollouts", body)}
    rollout = seen["rollback_rollout_create_201"].json()["id"]
    await world.reaches(rollout, "ready")
    await world.begin(rollout, by=world.admin)
    for index, size in enumerate((8, 33)):
        await world.finish(rollout, index, ok=size)
        await world.ticks()
    await world.reaches(rollout, "finished")
    seen["rollback_rollout_finished"] = await world.admin.get(f"/rollouts/{rollout}")
    return seen


@reproduces("f2_rollout_manual_pause_97pct", "f2_deploygroups_manual_pause_97pct")
async def paused_by_a_person(world: World) -> Answers:
    firmware = await world.make_set("FW", "2.0.0")
    await world.make_targets("f2a0", 99)
    rollout = await world.make_rollout("f2a0", firmware, (34, 33, 33))
    await world.begin(rollout)
    await world.finish(rollout, 0, ok=21)
    await world.act(rollout, "pause", by=world.admin)
    await world.finish(rollout, 0, ok=12)
    await world.ticks()
    return {
        "f2_rollout_manual_pause_97pct": await world.admin.get(f"/rollouts/{rollout}"),
        "f2_deploygroups_manual_pause_97pct": await world.admin.get(f"/rollouts/{rollout}/deploygroups", **FULL),
    }


@reproduces(
    "f4_rollout_success_pause",
    "f4_deploygroups_success_pause",
    "f4_rollout_manual_pause_by_creator_100pct",
    "f4_deploygroups_manual_pause_by_creator_100pct",
)
async def success_pause_and_the_creators_own_pause(world: World) -> Answers:
    firmware, seen = await world.make_set("FW", "2.0.0"), Answers()
    for name, word in (("f4s", "success_pause"), ("f4m", "manual_pause_by_creator_100pct")):
        await world.make_targets(name, 40)
        rollout = await world.make_rollout(name, firmware)
        await world.begin(rollout)
        if name == "f4m":
            await world.finish(rollout, 0, ok=10)
            await world.act(rollout, "pause")
            await world.finish(rollout, 0, ok=10)
            await world.ticks()
        else:
            await world.finish(rollout, 0, ok=19)
            await world.reaches(rollout, "paused")
        seen[f"f4_rollout_{word}"] = await world.admin.get(f"/rollouts/{rollout}")
        seen[f"f4_deploygroups_{word}"] = await world.admin.get(f"/rollouts/{rollout}/deploygroups", **FULL)
    return seen


@reproduces("f7_deploygroups_last_group_stopped")
async def stopping_in_the_last_group(world: World) -> Answers:
    rollout = await world.run_rollout("f7", 100, (10, 90))
    await world.finish(rollout, 0, ok=10)
    await world.reaches(rollout, "paused")
    await world.act(rollout, "resume")
    await world.finish(rollout, 1, ok=36, failed=3)
    await world.act(rollout, "stop", by=world.admin)
    await world.reaches(rollout, "stopped")
    return {"f7_deploygroups_last_group_stopped": await world.admin.get(f"/rollouts/{rollout}/deploygroups", **FULL)}
