"""Who may do what, and how a refusal looks (measured on hawkBit 1.1.0)."""

from __future__ import annotations

import httpx
import pytest

from tests.contract.hawkbit.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_no_credentials_is_an_empty_401(world: World) -> None:
    answer = await world.admin.http.get("/rollouts", auth=httpx.Auth())
    assert (answer.status_code, answer.content) == (401, b"")


async def test_a_bad_password_is_401_and_says_so(world: World) -> None:
    answer = await world.admin.http.get("/rollouts", auth=(world.admin.name, "wrong"))
    assert (answer.status_code, answer.json()["error"]) == (401, "Unauthorized")


async def test_a_tenant_in_the_user_name_is_not_understood(world: World) -> None:
    answer = await world.admin.http.get("/rollouts", auth=(f"DEFAULT\\{world.admin.name}", "admin"))
    assert answer.status_code == 401


async def test_unknown_paths_and_methods_get_the_containers_answer(world: World) -> None:
    unknown = await world.admin.get("/nothing")
    assert (unknown.status_code, unknown.json()["error"]) == (404, "Not Found")
    wrong = await world.admin.put("/rollouts", {})
    assert (wrong.status_code, set(wrong.json())) == (405, {"timestamp", "status", "error"})


@pytest.mark.parametrize(
    ("who", "handles", "brakes"),
    [
        ("handler", 204, 403),
        ("rollout-updater", 403, 204),
        ("target-updater", 403, 403),
        ("viewer", 403, 403),
    ],
)
async def test_start_pause_resume_are_one_right_and_stop_trigger_another(
    world: World, who: str, handles: int, brakes: int
) -> None:
    person = world.person(who)
    rollout = await world.run_rollout(f"r1-{who}", 6, (30, 30, 40))
    assert await world.act(rollout, "pause", by=person) == handles
    if handles == 403:
        await world.act(rollout, "pause")
    assert await world.act(rollout, "resume", by=person) == handles
    if handles == 403:
        await world.act(rollout, "resume")
    assert await world.act(rollout, "triggerNextGroup", by=person) == brakes
    assert await world.act(rollout, "stop", by=person) == brakes


@pytest.mark.parametrize(
    ("who", "status"),
    [("handler", 403), ("rollout-updater", 403), ("target-updater", 204), ("blind-updater", 204)],
)
async def test_cancel_force_quit_and_delete_need_the_right_on_targets(world: World, who: str, status: int) -> None:
    person = world.person(who)
    rollout = await world.run_rollout(f"r2-{who}", 2, (100,))
    (name, action), (other, doomed) = await world.actions(rollout, 0)
    assert (await person.delete(f"/targets/{name}/actions/{action}")).status_code == status
    if status == 403:
        await world.admin.delete(f"/targets/{name}/actions/{action}")
    assert (await person.delete(f"/targets/{name}/actions/{action}", force="true")).status_code == status
    assert (await person.delete(f"/targets/{other}/actions", body=[doomed])).status_code == status


@pytest.mark.parametrize(
    ("who", "status"),
    [
        ("handler", 403),
        ("rollout-updater", 403),
        ("target-updater", 200),
        ("blind-updater", 403),
        ("bot", 403),
    ],
)
@pytest.mark.parametrize("offline", ["true", "false"])
async def test_assigning_needs_the_right_on_targets_and_to_read_sets(
    world: World, who: str, status: int, offline: str
) -> None:
    set_id = await world.make_set(f"FW-r3-{who}", "1.0.0")
    (name,) = await world.make_targets(f"r3-{who}", 1)
    answer = await world.person(who).post(f"/targets/{name}/assignedDS", {"id": set_id}, offline=offline)
    assert answer.status_code == status


async def test_a_set_never_used_must_be_locked_before_the_bot_may_roll_it_out(world: World) -> None:
    bot, _ = world.two_people()
    set_id = await world.make_set("FW-r4", "1.0.0", lock=False)
    await world.make_targets("r4", 4)
    assert (await bot.post("/rollouts", world.body("r4", set_id))).status_code == 403
    assert (await world.admin.put(f"/distributionsets/{set_id}", {"locked": True})).json()["locked"] is True
    assert (await bot.post("/rollouts", world.body("r4", set_id))).status_code == 201


async def test_first_use_locks_a_set(world: World) -> None:
    set_id = await world.make_set("FW-r5", "1.0.0", lock=False)
    await world.make_targets("r5", 4)
    assert (await world.admin.post("/rollouts", world.body("r5", set_id))).status_code == 201
    assert (await world.admin.read(f"/distributionsets/{set_id}"))["locked"] is True


@pytest.mark.parametrize(
    ("who", "kind", "rollouts", "status"),
    [
        ("set-updater", "none", False, 204),
        ("set-updater", "none", True, 403),
        ("set-rollout", "none", True, 204),
        ("set-rollout", "soft", True, 403),
        ("target-updater", "none", False, 403),
        ("admin", "soft", True, 204),
    ],
)
async def test_invalidating_needs_a_right_for_each_thing_it_does(
    world: World, who: str, kind: str, rollouts: bool, status: int
) -> None:
    set_id = await world.make_set(f"FW-r6-{who}", "1.0.0")
    answer = await world.person(who).post(
        f"/distributionsets/{set_id}/invalidate", {"actionCancelationType": kind, "cancelRollouts": rollouts}
    )
    assert answer.status_code == status
    assert (await world.admin.read(f"/distributionsets/{set_id}"))["valid"] is (status == 403)


async def test_fine_permissions_given_as_roles_are_no_rights(world: World) -> None:
    person = world.person("roles-only")
    assert "ROLE_READ_ROLLOUT" in (await person.read("/userinfo"))["permissions"]
    assert (await person.get("/rollouts")).status_code == 403


async def test_another_tenants_rollout_is_404(world: World) -> None:
    rollout = await world.run_rollout("r7", 2, (100,))
    stranger = world.person("stranger")
    assert (await stranger.get(f"/rollouts/{rollout}")).status_code == 404
    assert (await stranger.read("/rollouts"))["total"] == 0


async def test_an_edit_hides_who_paused(world: World) -> None:
    _, admin = world.two_people()
    rollout = await world.run_rollout("r8", 4)
    await world.act(rollout, "pause")
    assert (await admin.put(f"/rollouts/{rollout}", {"description": "held"})).status_code == 200
    shown = await world.rollout(rollout)
    assert (shown["lastModifiedBy"], shown["description"], shown["status"]) == (admin.name, "held", "paused")


async def test_an_unknown_setting_is_400(world: World) -> None:
    answer = await world.admin.get("/system/configs/multi.assignments.enabled")
    assert (answer.status_code, answer.json()["errorCode"]) == (400, "hawkbit.server.error.configKeyInvalid")
