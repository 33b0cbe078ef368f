"""The recorded refusals and the system's own answers, re-enacted."""

from __future__ import annotations

from dataclasses import replace

import httpx

from tests.contract.hawkbit.recordings import Answers, reproduces
from tests.contract.hawkbit.world import World


@reproduces(
    "error_400_bad_enum",
    "error_400_bad_json",
    "error_400_bad_rsql",
    "error_400_bad_sort",
    "error_400_rsql_syntax",
    "error_400_incomplete_ds",
    "error_400_no_targets",
    "error_409_duplicate_name",
    "error_quota_groups",
    "error_quota_targets_per_group",
)
async def asking_for_what_cannot_be(world: World) -> Answers:
    http, seen = world.admin, Answers()
    edge = await world.make_set("edge", "1.0.0")
    hollow = await world.make_set("edge-hollow", "1.0.0", lock=False, modules=False)
    await world.make_targets("no", 40)
    body = world.body("no", edge)
    seen["error_400_bad_enum"] = await http.post("/rollouts", world.body("no", edge, action="JUMP"))
    seen["error_400_bad_json"] = await http.http.post("/rollouts", content=b"{nope")
    seen["error_400_bad_rsql"] = await http.get("/rollouts", q="nofield==1")
    seen["error_400_bad_sort"] = await http.get("/rollouts", sort="bogus:ASC")
    seen["error_400_rsql_syntax"] = await http.get("/rollouts", q="name==")
    seen["error_400_incomplete_ds"] = await http.post("/rollouts", world.body("no", hollow))
    seen["error_400_no_targets"] = await http.post("/rollouts", world.body("none", edge))
    quotas = world.stand_in().quotas
    quotas.groups_per_rollout, quotas.targets_per_group = 5, 30
    seen["error_quota_groups"] = await http.post("/rollouts", world.body("no", edge, (10,) * 10))
    seen["error_quota_targets_per_group"] = await http.post("/rollouts", world.body("no", edge, (100,)))
    assert (await http.post("/rollouts", body)).status_code == 201
    seen["error_409_duplicate_name"] = await http.post("/rollouts", body)
    return seen


@reproduces(
    "error_401_no_credentials",
    "error_401_bad_password",
    "error_401_invalid_jwt",
    "error_404_unknown_path",
    "userinfo",
    "system_config_all",
)
async def knocking_at_the_door(world: World) -> Answers:
    http, accounts = world.admin.http, world.stand_in().accounts
    accounts["bot"] = replace(accounts["bot"], permissions=frozenset(), roles=accounts["roles-only"].roles)
    return {
        "error_401_no_credentials": await http.get("/rollouts", auth=httpx.Auth()),
        "error_401_bad_password": await http.get("/rollouts", auth=("admin", "wrong")),
        "error_401_invalid_jwt": await http.get(
            "/rollouts?limit=1", auth=httpx.Auth(), headers={"Authorization": "Bearer a.b.c"}
        ),
        "error_404_unknown_path": await http.get("/nothing"),
        "userinfo": await world.bot.get("/userinfo"),
        "system_config_all": await http.get("/system/configs"),
    }


@reproduces(
    "error_403_create_rollout",
    "error_403_resume",
    "f9_error_403_create_from_unlocked_set",
    "f9_error_403_stop_handle_only",
)
async def acting_without_the_right(world: World) -> Answers:
    viewer = world.person("viewer")
    rollout = await world.run_rollout("e7", 4)
    fresh = await world.make_set("FW", "9.0.0", lock=False)
    return {
        "error_403_create_rollout": await viewer.post("/rollouts", world.body("e7b", fresh, prefix="e7")),
        "error_403_resume": await viewer.post(f"/rollouts/{rollout}/resume"),
        "f9_error_403_create_from_unlocked_set": await world.bot.post(
            "/rollouts", world.body("f9", fresh, prefix="e7")
        ),
        "f9_error_403_stop_handle_only": await world.person("handler").post(f"/rollouts/{rollout}/stop"),
    }


@reproduces("error_429")
async def flooding(world: World) -> Answers:
    """The real flood filter exempts loopback addresses: so it is switched on for one call."""
    fault = {"kind": "status", "match": "/rest/v1/rollouts", "status": 429, "times": 1}
    await world.admin.http.post(world.url + "/_sandbox/faults", json=fault)
    return {"error_429": await world.admin.get("/rollouts", limit=1)}
