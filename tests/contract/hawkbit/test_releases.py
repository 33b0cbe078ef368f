"""Making a release by the bot's own adapter: files, modules, sets, rollouts. What is said of files beyond the recorded
answer is from hawkBit's source (1.1.0); the rest was measured."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.errors import Conflict, NotAllowed, Refused
from core.ids import DeviceName, RolloutId
from core.rollouts.facts import DistributionSet
from core.rollouts.release import GroupWish, RolloutWish
from integrations.hawkbit import HawkbitAccount, HawkbitReleases, HawkbitRollouts, releases, upload
from tests.contract.hawkbit.world import TLS, World

pytestmark = pytest.mark.asyncio(loop_scope="module")

AWKWARD = bytes(range(256)) * 40 + b"\r\n--\r\n\r\n" + b"\n\r"
GROUPS = (GroupWish("canary", 5), GroupWish("early", 25), GroupWish("fleet", 70))


@pytest.fixture
def bundle(tmp_path: Path) -> tuple[Path, str]:
    path = tmp_path / 'größer "1".raucb'
    path.write_bytes(AWKWARD)
    return path, hashlib.sha256(AWKWARD).hexdigest()


def wish(world: World, name: str, set_id: int) -> RolloutWish:
    return RolloutWish(
        name=name + world.tag,
        description="by Slack",
        set_id=set_id,
        query=f"controllerId=={name}{world.tag}-*",
        groups=GROUPS,
        success_threshold_pct=95,
        error_threshold_pct=20,
        forced=True,
        start_at=None,
        weight=700,
    )


# files


async def test_a_module_is_made_once_and_found_again(world: World) -> None:
    first = await world.releases.module(f"m1{world.tag}", "1.0.0")
    assert await world.releases.module(f"m1{world.tag}", "1.0.0") == first
    assert await world.releases.module(f"m1{world.tag}", "1.0.1") != first
    assert await world.releases.module(f"m1{world.tag}", "1.0.0", type="application") != first


async def test_a_file_arrives_byte_for_byte_with_its_progress_told(
    world: World, bundle: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, sha256 = bundle
    monkeypatch.setattr(upload, "CHUNK", 4096)
    module = await world.releases.module(f"m2{world.tag}", "1.0.0")
    told: list[int] = []
    made = await world.releases.upload(module, path, sha256=sha256.upper(), sent=told.append)
    assert (made.filename, made.size, made.sha256) == (path.name, len(AWKWARD), sha256)
    assert told == [4096, 8192, len(AWKWARD)]
    assert await world.releases.artifacts(module) == [made]


async def test_the_same_file_again_is_not_sent_and_another_of_its_name_is_refused(
    world: World, bundle: tuple[Path, str]
) -> None:
    path, sha256 = bundle
    module = await world.releases.module(f"m3{world.tag}", "1.0.0")
    told: list[int] = []
    made = await world.releases.upload(module, path, sha256=sha256, sent=lambda _: None)
    assert await world.releases.upload(module, path, sha256=sha256, sent=told.append) == made
    path.write_bytes(b"other")
    other = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(Conflict, match="another checksum"):
        await world.releases.upload(module, path, sha256=other, sent=told.append)
    assert (told, await world.releases.artifacts(module)) == ([], [made])


async def test_a_file_that_is_not_what_its_checksum_says_is_not_kept(world: World, bundle: tuple[Path, str]) -> None:
    module = await world.releases.module(f"m4{world.tag}", "1.0.0")
    with pytest.raises(Refused, match="sha256"):
        await world.releases.upload(module, bundle[0], sha256="0" * 64, sent=lambda _: None)
    assert await world.releases.artifacts(module) == []


async def test_an_empty_or_missing_file_is_refused_before_anything_is_sent(world: World, tmp_path: Path) -> None:
    module = await world.releases.module(f"m5{world.tag}", "1.0.0")
    (tmp_path / "empty").touch()
    for name, words in (("empty", "is empty"), ("missing", "could not be read")):
        with pytest.raises(Refused, match=words):
            await world.releases.upload(module, tmp_path / name, sha256="0" * 64, sent=lambda _: None)


async def test_a_module_in_a_locked_set_takes_no_more_files(world: World, bundle: tuple[Path, str]) -> None:
    module = await world.releases.module(f"m6{world.tag}", "1.0.0")
    await world.releases.make_set(f"m6{world.tag}", "1.0.0", module)
    with pytest.raises(Refused, match="is locked"):
        await world.releases.upload(module, bundle[0], sha256=bundle[1], sent=lambda _: None)


async def test_an_upload_cut_off_may_be_repeated(world: World, bundle: tuple[Path, str]) -> None:
    world.stand_in()
    path, sha256 = bundle
    module = await world.releases.module("m7", "1.0.0")
    for kind, there in (("lost_request", 0), ("lost_answer", 1)):
        fault = {"kind": kind, "match": "POST .*/artifacts", "times": 1}
        await world.admin.http.post(world.url + "/_sandbox/faults", json=fault)
        with pytest.raises(Exception, match="may or may not have happened") as caught:
            await world.releases.upload(module, path, sha256=sha256, sent=lambda _: None)
        assert getattr(caught.value, "unknown_outcome", False)
        assert len(await world.releases.artifacts(module)) == there
    assert (await world.releases.upload(module, path, sha256=sha256, sent=lambda _: None)).sha256 == sha256


# sets


async def test_a_set_is_made_locked_and_found_again(world: World) -> None:
    module = await world.releases.module(f"s1{world.tag}-os", "2.0.0")
    made = await world.releases.make_set(f"s1{world.tag}", "2.0.0", module)
    assert (str(made), made.locked, made.valid) == (f"s1{world.tag}:2.0.0", True, True)
    assert (await world.admin.read(f"/distributionsets/{made.id}"))["locked"] is True
    assert await world.releases.make_set(f"s1{world.tag}", "2.0.0", module) == made
    assert made in await world.releases.sets()


async def test_a_set_left_unlocked_half_way_is_locked_by_the_repeat(world: World) -> None:
    module = await world.releases.module(f"s2{world.tag}-os", "2.0.0")
    body = [{"name": f"s2{world.tag}", "version": "2.0.0", "type": "os", "modules": [{"id": module}]}]
    half = (await world.admin.post("/distributionsets", body)).json()[0]
    assert half["locked"] is False
    assert (await world.releases.make_set(f"s2{world.tag}", "2.0.0", module)).id == half["id"]
    assert (await world.admin.read(f"/distributionsets/{half['id']}"))["locked"] is True
    await world.releases.lock(half["id"])


async def test_a_set_with_other_software_in_it_is_not_taken_for_ours(world: World) -> None:
    await world.make_set("s3", "2.0.0")
    other = await world.releases.module(f"s3{world.tag}-other", "2.0.0")
    with pytest.raises(Conflict, match="other software"):
        await world.releases.make_set(f"s3{world.tag}", "2.0.0", other)


async def test_an_invalidated_set_is_so_for_ever_and_leaves_its_rollouts_alone(world: World) -> None:
    set_id = await world.make_set("FW-s4", "2.0.0")
    rollout = await world.run_rollout("s4", 4, set_id=set_id)
    await world.releases.invalidate(set_id)
    await world.releases.invalidate(set_id)
    assert [one.valid for one in await world.releases.sets() if one.id == set_id] == [False]
    with pytest.raises(Refused, match="is invalid"):
        await world.releases.create(replace(wish(world, "s4", set_id), name=f"s4-again{world.tag}"))
    assert (await world.rollout(rollout))["status"] == "running"
    assert [one.status for one in await world.fleet.open(RolloutId(rollout))] == ["running"] * 2 + ["scheduled"] * 2


# rollouts


async def test_a_rollout_is_made_as_wished_and_pauses_after_every_group(world: World) -> None:
    set_id = await world.make_set("FW-r1", "2.0.0")
    await world.make_targets("r1", 40)
    made = await world.releases.create(wish(world, "r1", set_id))
    facts = await world.rollouts.rollout(made)
    assert facts is not None
    assert (facts.name, facts.set_id, facts.action_type) == (f"r1{world.tag}", set_id, "forced")
    shown = await world.reaches(made, "ready")
    assert (shown["description"], shown["weight"]) == ("by Slack", 700)
    groups = await world.rollouts.groups(made)
    assert [(group.name, group.total) for group in groups] == [("canary", 2), ("early", 10), ("fleet", 28)]
    assert {(g.pauses, g.success_threshold_pct, g.error_threshold_pct) for g in groups} == {(True, 95, 20)}


async def test_a_repeated_create_is_a_conflict_and_makes_no_second(world: World) -> None:
    set_id = await world.make_set("FW-r2", "2.0.0")
    await world.make_targets("r2", 40)
    made = await world.releases.create(wish(world, "r2", set_id))
    with pytest.raises(Conflict) as caught:
        await world.releases.create(wish(world, "r2", set_id))
    assert caught.value.reason == "already_exists"
    found = await world.rollouts.find(f"r2{world.tag}")
    assert found is not None
    assert found.id == made


async def test_a_start_time_starts_a_soft_rollout_by_itself(world: World) -> None:
    set_id = await world.make_set("FW-r3", "2.0.0")
    await world.make_targets("r3", 40)
    at = datetime.now(UTC) + timedelta(milliseconds=1)
    made = await world.releases.create(replace(wish(world, "r3", set_id), forced=False, start_at=at, weight=None))
    shown = await world.reaches(made, "running")
    assert (shown["startAt"], shown["type"], shown["weight"]) == (round(at.timestamp() * 1000), "soft", 1000)


async def test_nothing_to_cover_shares_that_do_not_add_up_and_no_filter_are_refused(world: World) -> None:
    set_id = await world.make_set("FW-r4", "2.0.0")
    await world.make_targets("r4", 10)
    good = wish(world, "r4", set_id)
    for bad, words in (
        (replace(good, query=f"controllerId==nobody{world.tag}"), "does not match any existing targets"),
        (replace(good, groups=GROUPS[:2]), "don't match all targets"),
        (replace(good, query=" "), "filter is empty"),
        (replace(good, query="site==a"), "field"),
    ):
        with pytest.raises(Refused, match=words):
            await world.releases.create(bad)


async def test_a_set_nobody_locked_gives_no_rollout_until_the_release_account_locks_it(world: World) -> None:
    world.two_people()
    set_id = await world.make_set("FW-r5", "2.0.0", lock=False)
    await world.make_targets("r5", 40)
    with pytest.raises(NotAllowed):
        await world.releases.create(wish(world, "r5", set_id))
    await world.releases.lock(set_id)
    await world.releases.create(wish(world, "r5", set_id))


# whom it covers, and what they had


async def test_whom_a_filter_covers_and_who_has_or_is_to_have_the_set(world: World) -> None:
    v1 = await world.make_set("FW-c1", "1.0.0")
    namesake = await world.make_set("other-c1", "1.0.0")
    old = await world.make_targets("c1-old", 2, installed=v1)
    await world.make_targets("c1-other", 2, installed=namesake)
    (fresh,) = await world.make_targets("c1-new", 1)
    await world.fleet.assign_many(v1, [DeviceName(fresh)])
    await (await world.device(fresh)).poll()
    query = f"controllerId==c1-old{world.tag}*,controllerId==c1-other{world.tag}*,controllerId==c1-new{world.tag}*"
    seen = {one.device: one for one in await world.releases.covered(query)}
    assert len(seen) == 5
    assert seen[DeviceName(fresh)].last_poll_at is not None
    assert (seen[DeviceName(old[0])].last_poll_at, seen[DeviceName(old[0])].update_status) == (None, "in_sync")
    wanted = await world.rollouts.distribution_set(v1)
    assert await world.releases.having(query, wanted) == set(old)
    assert await world.releases.assigned(query, wanted) == {*old, fresh}


async def test_a_wrong_filter_is_told_in_hawkbits_sense(world: World) -> None:
    for query, words in (("controllerId==", "not well formed"), ("site==a", "field")):
        with pytest.raises(Refused, match=words):
            await world.releases.covered(query)
    with pytest.raises(Refused, match="filter is empty"):
        await world.releases.covered("")
    with pytest.raises(Refused, match="takes for any text"):
        await world.releases.having("name==*", DistributionSet(1, "FW", "1.*", locked=True, valid=True))


async def test_what_a_device_had_is_its_newest_finished_action_before_the_rollouts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(releases, "NAMES_IN_A_QUERY", 30)
    v1, v2 = await world.make_set("FW-p1", "1.0.0"), await world.make_set("FW-p1", "2.0.0")
    names = [DeviceName(name) for name in await world.make_targets("p1", 4, installed=v1)]
    newer, updated, failed, silent = names
    await world.fleet.assign_many(v2, [newer], offline=True)
    v3 = await world.make_set("FW-p1", "3.0.0")
    (bare,) = await world.make_targets("p1bare", 1)
    body = world.body("p1", v3, (100,))
    made = await world.bot.post("/rollouts", body)
    rollout = RolloutId(made.json()["id"])
    await world.reaches(rollout, "ready")
    await world.begin(rollout)
    open_now = {one.device: one.id for one in await world.fleet.open(rollout)}
    assert await (await world.device(updated)).report(open_now[updated], "success") == 200
    assert await (await world.device(failed)).report(open_now[failed], "failure") == 200
    await world.fleet.assign_many(v2, [updated], offline=True)
    had = await world.releases.finished_before([*names, DeviceName(bare)], rollout)
    tag = f"FW-p1{world.tag}"
    assert had == {newer: f"{tag}:2.0.0", updated: f"{tag}:1.0.0", failed: f"{tag}:1.0.0", silent: f"{tag}:1.0.0"}


# accounts


async def test_only_the_release_account_changes_sets_and_without_one_nothing_is_sent(
    world: World, bundle: tuple[Path, str]
) -> None:
    bot, admin = world.two_people()
    path, sha256 = bundle
    set_id = await world.make_set("FW-k1", "1.0.0", lock=False)
    everyday = HawkbitAccount(bot.name, lambda: bot.name)
    for account, reason in ((everyday, "forbidden"), (None, "no_release_account")):
        client = HawkbitRollouts(world.url, everyday, release=account, verify=TLS)
        mine = HawkbitReleases(client.access, upload_timeout_s=5)
        for call in (
            mine.module("k1", "1.0.0"),
            mine.artifacts(1),
            mine.upload(1, path, sha256=sha256, sent=lambda _: None),
            mine.make_set("k1", "1.0.0", 1),
            mine.lock(set_id),
            mine.invalidate(set_id),
        ):
            with pytest.raises(NotAllowed) as caught:
                await call
            assert caught.value.reason == reason
        await client.aclose()
    shown = await admin.read(f"/distributionsets/{set_id}")
    assert (shown["locked"], shown["valid"]) == (False, True)


async def test_the_release_account_brings_nothing_to_a_device(world: World) -> None:
    release = world.person("release")
    set_id = await world.make_set("FW-k2", "1.0.0")
    (name,) = await world.make_targets("k2", 1)
    for answer in (
        await release.post("/rollouts", world.body("k2", set_id)),
        await release.post(f"/targets/{name}/assignedDS", {"id": set_id}),
        await release.post(f"/distributionsets/{set_id}/assignedTargets", [{"id": name}]),
        await release.get("/targets"),
    ):
        assert answer.status_code == 403
