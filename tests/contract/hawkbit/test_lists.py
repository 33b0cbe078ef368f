"""Lists: filters, paging, sorting, representations, ETags (measured on hawkBit 1.1.0)."""

from __future__ import annotations

import pytest

from tests.contract.hawkbit.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

STATUS_KEYS = {"running", "notstarted", "scheduled", "cancelled", "finished", "error"}


async def test_a_page_is_silently_capped_at_500(world: World) -> None:
    await world.make_targets("l1", 510)
    query = f"controllerId==l1{world.tag}-*"
    page = await world.admin.read("/targets", q=query, limit=1000)
    assert (page["size"], page["total"], len(page["content"])) == (500, 510, 500)
    rest = await world.admin.read("/targets", q=query, limit=1000, offset=500)
    assert rest["size"] == 10


@pytest.mark.parametrize(("limit", "size"), [(None, 50), (0, 50), (-1, 50), (7, 7)])
async def test_no_limit_zero_or_negative_means_50(world: World, limit: int | None, size: int) -> None:
    await world.make_targets("l2", 60)
    more = {} if limit is None else {"limit": limit}
    assert (await world.admin.read("/targets", q=f"controllerId==l2{world.tag}-*", **more))["size"] == size


async def test_an_offset_past_the_end_is_an_empty_page(world: World) -> None:
    page = await world.admin.read("/targets", offset=1_000_000)
    assert (page["content"], page["size"]) == ([], 0)


async def test_only_full_representation_carries_counts(world: World) -> None:
    rollout = await world.run_rollout("l3", 4)
    for representation, carries in (("full", True), ("compact", False), ("nonsense", False)):
        (row,) = (await world.admin.read("/rollouts", q=f"id=={rollout}", representation=representation))["content"]
        assert ("totalTargetsPerStatus" in row, "totalGroups" in row) == (carries, carries)
    groups = await world.admin.read(f"/rollouts/{rollout}/deploygroups")
    assert "totalTargetsPerStatus" not in groups["content"][0]
    one = await world.admin.read(f"/rollouts/{rollout}/deploygroups/{groups['content'][0]['id']}")
    assert set(one["totalTargetsPerStatus"]) == STATUS_KEYS


async def test_counts_always_sum_to_the_total(world: World) -> None:
    rollout = await world.run_rollout("l4", 20, (40, 60))
    await world.finish(rollout, 0, ok=3, failed=1)
    for row in [await world.rollout(rollout), *await world.groups(rollout)]:
        assert set(row["totalTargetsPerStatus"]) == STATUS_KEYS
        assert sum(row["totalTargetsPerStatus"].values()) == row["totalTargets"]


async def test_rollouts_can_be_filtered_by_status_set_and_name(world: World) -> None:
    rollout = await world.run_rollout("l5", 4)
    name = f"l5{world.tag}"
    for query in (
        f"name=={name}",
        f"name=={name.upper()}",
        f'name=="{name}"',
        f"name=={name};status=in=(running,paused)",
        f"name=={name},id==999999",
        f"(name=={name};status==running);id=={rollout}",
        f"name=={name} and status!=paused",
        f"name=={name};distributionset.version==2.0.*",
        f"name=={name};createdby=={world.bot.name}",
        f"name=={name};id=out=(999999)",
        f"name=={name};createdAt=ge=1",
    ):
        assert (await world.admin.read("/rollouts", q=query))["total"] == 1, query
    assert (await world.admin.read("/rollouts", q=f"name=={name};status==paused"))["total"] == 0


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/rollouts", "type==soft"),
        ("/rollouts", "weight==1"),
        ("/rollouts", "status==jumping"),
        ("/targets", "installedds.id==1"),
        ("/targets", "installedds==1"),
        ("/targets", "installedat==1"),
        ("/actions", "nofield==1"),
    ],
)
async def test_a_field_a_list_does_not_know_is_400(world: World, path: str, query: str) -> None:
    answer = await world.admin.get(path, q=query)
    assert (answer.status_code, answer.json()["errorCode"]) == (
        400,
        "hawkbit.server.error.rest.param.rsqlInvalidField",
    )


async def test_groups_cannot_be_filtered_by_status(world: World) -> None:
    rollout = await world.run_rollout("l6", 4)
    assert (await world.admin.get(f"/rollouts/{rollout}/deploygroups", q="status==running")).status_code == 400
    assert (await world.admin.read(f"/rollouts/{rollout}/deploygroups", q="name==g2"))["total"] == 1


@pytest.mark.parametrize("query", ["name==", "name", "(name==a", "name=in=()", "==a", "name==a;"])
async def test_bad_filter_syntax_is_400_without_a_message(world: World, query: str) -> None:
    answer = await world.admin.get("/rollouts", q=query)
    assert answer.status_code == 400
    assert answer.json()["errorCode"] == "hawkbit.server.error.rest.param.rsqlParamSyntax"
    assert "message" not in answer.json()


@pytest.mark.parametrize("sort", ["id", "bogus:ASC"])
async def test_a_sort_without_direction_or_field_is_400(world: World, sort: str) -> None:
    assert (await world.admin.get("/rollouts", sort=sort)).status_code == 400


async def test_targets_cannot_be_sorted_by_installed_at(world: World) -> None:
    assert (await world.admin.get("/targets", sort="installedAt:ASC")).status_code == 400


async def test_sort_orders_both_ways(world: World) -> None:
    names = await world.make_targets("l7", 3)
    query = f"controllerId==l7{world.tag}-*"
    for direction, expected in (("ASC", names), ("DESC", names[::-1])):
        page = await world.admin.read("/targets", q=query, sort=f"controllerId:{direction}")
        assert [one["controllerId"] for one in page["content"]] == expected


async def test_group_targets_take_the_filters_of_targets(world: World) -> None:
    rollout = await world.run_rollout("l8", 10)
    group = (await world.groups(rollout))[0]["id"]
    await world.finish(rollout, 0, ok=3)
    path = f"/rollouts/{rollout}/deploygroups/{group}/targets"
    product = f"FW-l8{world.tag}"
    have = await world.admin.read(path, q=f"installedds.name=={product};installedds.version==2.0.0")
    assert have["total"] == 3
    assert all("installedAt" in one for one in have["content"])
    assert (await world.admin.read(path, q="updatestatus==pending"))["total"] == 2
    assert (await world.admin.get(path, q="status==finished")).status_code == 400


async def test_not_equal_also_matches_devices_without_a_set(world: World) -> None:
    old = await world.make_set("FW-l9", "1.0.0")
    await world.make_targets("l9a", 2, installed=old)
    await world.make_targets("l9b", 3)
    query = f"(controllerId==l9a{world.tag}-*,controllerId==l9b{world.tag}-*);installedds.version!=1.0.0"
    assert (await world.admin.read("/targets", q=query))["total"] == 3


async def test_actions_are_filtered_by_rollout_group_device_and_state(world: World) -> None:
    rollout = await world.run_rollout("l10", 6, (50, 50))
    await world.finish(rollout, 0, ok=1, failed=0)
    group = (await world.groups(rollout))[0]["id"]
    for query, total in (
        (f"rollout.id=={rollout}", 6),
        (f"rollout.id=={rollout};rolloutGroup.id=={group}", 3),
        (f"rollout.id=={rollout};active==true", 2),
        (f"rollout.id=={rollout};status==finished", 1),
        (f"rollout.id=={rollout};status==scheduled", 3),
        (f"rollout.name==l10{world.tag};distributionset.version==2.0.0", 6),
        (f"target.controllerId==l10{world.tag}-0000", 1),
    ):
        assert (await world.admin.read("/actions", q=query))["total"] == total, query


async def test_an_unchanged_answer_is_304_without_a_body(world: World) -> None:
    rollout = await world.run_rollout("l11", 4)
    path = f"/rollouts/{rollout}/deploygroups"
    etag = (await world.admin.get(path)).headers["etag"]
    assert etag.startswith('"')
    again = await world.admin.http.get(path, headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    full = await world.admin.http.get(path + "?representation=full", headers={"If-None-Match": etag})
    assert full.status_code == 200


async def test_compact_actions_carry_the_device_only_in_the_self_link(world: World) -> None:
    rollout = await world.run_rollout("l12", 2, (100,))
    compact = (await world.admin.read("/actions", q=f"rollout.id=={rollout}"))["content"][0]
    full = (await world.admin.read("/actions", q=f"rollout.id=={rollout}", representation="full"))["content"][0]
    assert list(compact["_links"]) == ["self"]
    assert full["_links"]["distributionset"]["name"] == f"FW-l12{world.tag}:2.0.0"
