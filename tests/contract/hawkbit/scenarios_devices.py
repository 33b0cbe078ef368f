"""The recorded situations of devices, actions and sets, re-enacted."""

from __future__ import annotations

from tests.contract.hawkbit.recordings import Answers, recorded, reproduces
from tests.contract.hawkbit.scenarios_rollouts import FULL
from tests.contract.hawkbit.world import World

BUNDLE = bytes(4101)


@reproduces(
    "target_actions_list",
    "action_force_put",
    "action_cancel_204",
    "action_canceling",
    "action_cancel_again_405",
    "action_status_list",
    "action_failed",
    "action_status_list_failed",
    "target_assignDS_200",
    "ds_assignedTargets_200",
)
async def the_actions_of_a_device(world: World) -> Answers:
    http, seen = world.admin, Answers()
    edge = await world.make_set("edge", "2.0.0")
    names = await world.make_targets("ac", 8)
    rollout = await world.make_rollout("e5-act", edge, (100,), by=world.admin, prefix="ac")
    await world.begin(rollout, by=world.admin)
    (name, action), (broken, failing) = (await world.actions(rollout, 0))[:2]
    here = f"/targets/{name}/actions/{action}"
    seen["target_actions_list"] = await http.get(f"/targets/{name}/actions")
    seen["action_force_put"] = await http.put(here, {"forceType": "forced"})
    seen["action_cancel_204"] = await http.delete(here)
    seen["action_canceling"] = await http.get(here)
    seen["action_cancel_again_405"] = await http.delete(here)
    await (await world.device(name)).confirm_cancel()
    seen["action_status_list"] = await http.get(f"{here}/status", sort="id:ASC")
    device = await world.device(broken)
    await device.http.get((await device.poll())["deploymentBase"])
    await device.report(failing, "none", execution="proceeding", details=["installing"])
    await device.report(failing, "failure", details=["slot verification failed"], code=1)
    seen["action_failed"] = await http.get(f"/targets/{broken}/actions/{failing}")
    seen["action_status_list_failed"] = await http.get(f"/targets/{broken}/actions/{failing}/status", sort="id:ASC")
    newer = await world.make_set("edge", "3.0.0")
    others = [one for one in names if one not in (name, broken)]
    seen["target_assignDS_200"] = await http.post(f"/targets/{others[0]}/assignedDS", {"id": newer, "type": "forced"})
    seen["ds_assignedTargets_200"] = await http.post(
        f"/distributionsets/{newer}/assignedTargets", [{"id": one, "type": "forced"} for one in others[1:3]]
    )
    return seen


@reproduces("actions_global_list", "actions_compact")
async def lists_of_actions(world: World) -> Answers:
    seen = Answers()
    for name, prefix, devices, failed, version in (
        ("e5-retry", "re", 40, 21, "1.0.0"),
        ("e5-act", "ac", 8, 1, "2.0.0"),
    ):
        set_id = await world.make_set("edge", version)
        await world.make_targets(prefix, devices)
        rollout = await world.make_rollout(name, set_id, (100,), by=world.admin, prefix=prefix, error=90)
        await world.begin(rollout, by=world.admin)
        await world.finish(rollout, 0, failed=failed)
    seen["actions_global_list"] = await world.admin.get("/actions", limit=2, representation="full", q="status==error")
    set_id = await world.make_set("edge", "3.0.0")
    await world.make_targets("z2", 10)
    rollout = await world.make_rollout("e10-delta", set_id, by=world.admin, prefix="z2")
    await world.begin(rollout, by=world.admin)
    seen["actions_compact"] = await world.admin.get("/actions", q=f"rollout.id=={rollout}", limit=1)
    return seen


@reproduces("artifact_created", "target_assignedDS_get", "target_installedDS", "target_installed_v2")
async def what_a_device_has(world: World) -> Answers:
    http, seen = world.admin, Answers()
    v1 = await world.make_set("fw2", "1.0.0", lock=False)
    modules = (await http.read("/softwaremodules"))["content"]
    files = {"file": ("edge-1.0.0.raucb", BUNDLE)}
    seen["artifact_created"] = await http.http.post(f"/softwaremodules/{modules[0]['id']}/artifacts", files=files)
    v2 = await world.make_set("fw2", "2.0.0")
    await world.make_targets("rc", 2, installed=v1)
    rollout = await world.make_rollout("rc-v2", v2, (100,), by=world.admin, prefix="rc")
    await world.begin(rollout, by=world.admin)
    (good, action), (bad, failing) = await world.actions(rollout, 0)
    device = await world.device(good)
    await device.poll()
    await device.report(action, "success")
    await (await world.device(bad)).report(failing, "failure")
    seen["target_installed_v2"] = await http.get(f"/targets/{good}")
    seen["target_installedDS"] = await http.get(f"/targets/{good}/installedDS")
    seen["target_assignedDS_get"] = await http.get(f"/targets/{bad}/assignedDS")
    return seen


@reproduces("ds_invalidate", "ds_invalidated_get", "rollout_with_invalid_ds_400")
async def invalidating_a_set(world: World) -> Answers:
    http, set_id = world.admin, await world.make_set("fw2", "2.0.0")
    wish = {"actionCancelationType": "soft", "cancelRollouts": True}
    await world.make_targets("inv", 2)
    return {
        "ds_invalidate": await http.post(f"/distributionsets/{set_id}/invalidate", wish),
        "ds_invalidated_get": await http.get(f"/distributionsets/{set_id}"),
        "rollout_with_invalid_ds_400": await http.post("/rollouts", world.body("inv", set_id)),
    }


@reproduces(
    "f1_resume_running_92pct_400",
    "f1_action_force_quit_204",
    "f1_action_force_quitted",
    "f1_action_status_force_quitted",
    "f1_rollout_paused_after_force_quit",
    "f1_deploygroups_paused_after_force_quit",
)
async def giving_up_silent_devices(world: World) -> Answers:
    http, seen = world.admin, Answers()
    firmware = await world.make_set("FW", "2.0.0")
    await world.make_targets("f1a", 50)
    rollout = await world.make_rollout("f1a", firmware)
    await world.begin(rollout)
    await world.finish(rollout, 0, ok=23)
    seen["f1_resume_running_92pct_400"] = await world.bot.post(f"/rollouts/{rollout}/resume")
    (first, doomed), (name, action) = await world.actions(rollout, 0)
    await world.drop(first, doomed)
    here = f"/targets/{name}/actions/{action}"
    await http.delete(here)
    seen["f1_action_force_quit_204"] = await http.delete(here, force="true")
    seen["f1_action_force_quitted"] = await http.get(here)
    seen["f1_action_status_force_quitted"] = await http.get(f"{here}/status", sort="id:ASC")
    await world.reaches(rollout, "paused")
    seen["f1_rollout_paused_after_force_quit"] = await http.get(f"/rollouts/{rollout}")
    seen["f1_deploygroups_paused_after_force_quit"] = await http.get(f"/rollouts/{rollout}/deploygroups", **FULL)
    return seen


@reproduces("f1_deploygroups_running_after_action_delete")
async def deleting_an_action(world: World) -> Answers:
    rollout = await world.run_rollout("f1e", 20)
    await world.finish(rollout, 0, ok=8)
    name, action = (await world.actions(rollout, 0))[0]
    await world.admin.delete(f"/targets/{name}/actions", body=[action])
    await world.ticks()
    return {
        "f1_deploygroups_running_after_action_delete": await world.admin.get(
            f"/rollouts/{rollout}/deploygroups", **FULL
        )
    }


@reproduces("f5_deploygroup_targets", "f5_actions_group_finished_full")
async def evidence_of_a_group(world: World) -> Answers:
    """The recordings keep two rows of 500 and 490: so does this, of two."""
    firmware = await world.make_set("FW", "2.0.0")
    await world.make_targets("v5", 2)
    rollout = await world.make_rollout("v5-r", firmware, (100,), prefix="v5")
    await world.begin(rollout)
    for name, _ in await world.actions(rollout, 0):
        await (await world.device(name)).poll()
    await world.finish(rollout, 0, ok=2)
    group = (await world.groups(rollout))[0]["id"]
    query = f"rollout.id=={rollout};rolloutGroup.id=={group};status==finished"
    return {
        "f5_deploygroup_targets": await world.admin.get(f"/rollouts/{rollout}/deploygroups/{group}/targets", limit=500),
        "f5_actions_group_finished_full": await world.admin.get("/actions", q=query, limit=500, representation="full"),
    }


@reproduces("f6_offline_assign_v1_200", "f6_action_offline", "f6_assign_same_again_200")
async def correcting_a_claim_offline(world: World) -> Answers:
    http = world.admin
    v1, v2 = await world.make_set("FW", "1.0.0"), await world.make_set("FW", "2.0.0")
    (name,) = await world.make_targets("f6a", 1, installed=v2)
    same = await http.post(f"/targets/{name}/assignedDS", {"id": v2, "type": "forced"})
    offline = await http.post(f"/targets/{name}/assignedDS", {"id": v1, "type": "forced"}, offline="true")
    action = offline.json()["assignedActions"][0]["id"]
    return {
        "f6_assign_same_again_200": same,
        "f6_offline_assign_v1_200": offline,
        "f6_action_offline": await http.get(f"/targets/{name}/actions/{action}"),
    }


@reproduces("rauc_updater_action_status_success", "rauc_updater_action_status_failure")
async def what_the_real_updater_reports(world: World) -> Answers:
    """Replays the real rauc-hawkbit-updater's reports, line by line. The download line, written by the server when a
    file is fetched, is sent as a report here: the stand-in serves no files."""
    seen = Answers()
    for word, label in (("success", "rauc-ok"), ("failure", "rauc-bad")):
        lines = recorded(f"rauc_updater_action_status_{word}")["body"]["content"][2:]
        set_id = await world.make_set(label, "2.0.0")
        await world.make_targets(label, 1)
        rollout = await world.make_rollout(label, set_id, (100,), by=world.admin)
        await world.begin(rollout, by=world.admin)
        ((name, action),) = await world.actions(rollout, 0)
        device = await world.device(name)
        await device.http.get((await device.poll())["deploymentBase"])
        for line in lines[:-1]:
            kind = "download" if line["type"] == "download" else "proceeding"
            await device.report(action, "none", execution=kind, details=line["messages"])
        await device.report(action, word, details=lines[-1]["messages"])
        seen[f"rauc_updater_action_status_{word}"] = await world.admin.get(
            f"/targets/{name}/actions/{action}/status", sort="id:ASC"
        )
    return seen
