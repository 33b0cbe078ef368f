"""Single actions by the bot's own adapter, each trap of hawkBit's a test (measured on hawkBit 1.1.0)."""

from __future__ import annotations

import pytest

from core.errors import Conflict, NotAllowed, NotFound
from core.ids import DeviceName, GroupId, RolloutId
from integrations.hawkbit import HawkbitAccount, HawkbitActions, HawkbitRollouts, actions
from tests.contract.hawkbit.world import TLS, World

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_open_are_those_that_wait_run_or_are_being_cancelled(world: World) -> None:
    rollout = await world.run_rollout("a1", 8)
    (done, _), (asked, cancelled), *running = await world.actions(rollout, 0)
    await world.finish(rollout, 0, ok=1)
    await world.fleet.cancel(DeviceName(asked), cancelled)
    found = await world.fleet.open(RolloutId(rollout))
    assert sorted(one.status for one in found) == sorted(["canceling", *["running"] * 2, *["scheduled"] * 4])
    assert done not in {one.device for one in found}
    first = GroupId((await world.groups(rollout))[0]["id"])
    mine = await world.fleet.open(RolloutId(rollout), first)
    assert {one.device for one in mine} == {asked, *(name for name, _ in running)}
    assert {one.set_name for one in mine} == {f"FW-a1{world.tag}:2.0.0"}
    assert [one.id for one in mine] == sorted(one.id for one in mine)
    assert {one.forced for one in mine} == {False}


async def test_the_devices_own_words_come_newest_first_with_their_code(world: World) -> None:
    rollout = await world.run_rollout("a2", 1, (100,))
    ((name, action),) = await world.actions(rollout, 0)
    device = await world.device(name)
    await device.report(action, "none", execution="proceeding", details=["LastError: no slot is writable"])
    await device.report(action, "failure", details=["Failed to install software bundle."], code=1, timestamp=1)
    newest, before, *_ = await world.fleet.words(DeviceName(name), action)
    assert (newest.kind, newest.code) == ("error", 1)
    assert "Failed to install software bundle." in newest.messages
    assert before.messages == ("LastError: no slot is writable",)
    assert newest.at.year > 2000, "hawkBit's clock, not the device's"
    assert len(await world.fleet.words(DeviceName(name), action, limit=1)) == 1


async def test_a_cancel_is_asked_for_as_often_as_one_likes(world: World) -> None:
    rollout = await world.run_rollout("a3", 2, (100,))
    (name, action), (other, over) = await world.actions(rollout, 0)
    await world.fleet.cancel(DeviceName(name), action)
    await world.fleet.cancel(DeviceName(name), action)
    assert (await world.counts(rollout, 0))["running"] == 2, "canceling counts as running"
    await (await world.device(name)).confirm_cancel()
    await world.fleet.cancel(DeviceName(name), action)
    assert await (await world.device(other)).report(over) == 200
    await world.fleet.cancel(DeviceName(other), over)
    counts = await world.counts(rollout, 0)
    assert (counts["cancelled"], counts["finished"]) == (1, 1)


async def test_a_scheduled_action_cannot_be_cancelled_alone_and_that_is_no_success(world: World) -> None:
    rollout = await world.run_rollout("a4", 4)
    waiting = next(one for one in await world.fleet.open(RolloutId(rollout)) if one.status == "scheduled")
    for act in (world.fleet.cancel, world.fleet.quit):
        with pytest.raises(Conflict) as caught:
            await act(waiting.device, waiting.id)
        assert caught.value.reason == "action_state"
    assert (await world.counts(rollout, 1))["scheduled"] == 2


async def test_a_force_quit_needs_a_cancel_before_it_and_then_completes_the_group(world: World) -> None:
    rollout = await world.run_rollout("a5", 4)
    await world.finish(rollout, 0, ok=1)
    ((name, action),) = await world.actions(rollout, 0)
    with pytest.raises(Conflict, match="not canceled yet"):
        await world.fleet.quit(DeviceName(name), action)
    await world.fleet.cancel(DeviceName(name), action)
    await world.fleet.quit(DeviceName(name), action)
    await world.fleet.quit(DeviceName(name), action)
    await world.reaches(rollout, "paused")
    counts = await world.counts(rollout, 0)
    assert (counts["finished"], counts["cancelled"]) == (1, 1)


async def test_a_device_that_had_downloaded_drifts_unseen_after_a_force_quit(world: World) -> None:
    v1 = await world.make_set("FW-a6", "1.0.0")
    rollout = await world.run_rollout("a6", 1, (100,), installed=v1)
    ((name, action),) = await world.actions(rollout, 0)
    device = await world.device(name)
    await device.report(action, "none", execution="downloaded")
    await world.fleet.cancel(DeviceName(name), action)
    await world.fleet.quit(DeviceName(name), action)
    assert await device.report(action, "success") == 410
    target = await world.rollouts.target(DeviceName(name))
    assert target is not None
    assert (target.update_status, str(target.installed)) == ("in_sync", f"FW-a6{world.tag}:1.0.0")


async def test_forcing_turns_soft_into_forced_once_and_for_all(world: World) -> None:
    rollout = await world.run_rollout("a7", 1, (100,))
    (one,) = await world.fleet.open(RolloutId(rollout))
    assert not one.forced
    await world.fleet.force(one.device, one.id)
    await world.fleet.force(one.device, one.id)
    assert [one.forced for one in await world.fleet.open(RolloutId(rollout))] == [True]


async def test_many_get_a_set_and_those_who_have_it_or_are_unknown_do_not_count(world: World) -> None:
    set_id = await world.make_set("FW-a8", "1.0.0")
    one, two, three = [DeviceName(name) for name in await world.make_targets("a8", 3)]
    assert await world.fleet.assign_many(set_id, [one]) == 1
    nobody = DeviceName(f"a8{world.tag}-nobody")
    assert await world.fleet.assign_many(set_id, [one, two, three, nobody], forced=False) == 2
    kinds = [
        (await world.admin.read(f"/targets/{name}/actions"))["content"][0]["forceType"] for name in (one, two, three)
    ]
    assert kinds == ["forced", "soft", "soft"]
    assert await world.fleet.assign_many(set_id, []) == 0


async def test_recording_what_a_device_runs_does_nothing_while_an_action_is_open(world: World) -> None:
    v1, v2 = await world.make_set("FW-a9", "1.0.0"), await world.make_set("FW-a9", "2.0.0")
    busy, idle = [DeviceName(name) for name in await world.make_targets("a9", 2)]
    await world.fleet.assign_many(v2, [busy])
    assert await world.fleet.assign_many(v1, [busy, idle], offline=True) == 1
    assert (await world.set_of(busy, "assignedDS"), await world.set_of(busy, "installedDS")) == (v2, None)
    assert await world.set_of(idle, "installedDS") == v1


async def test_after_an_end_by_errors_only_cancelling_each_action_stops_the_rest(world: World) -> None:
    rollout = await world.run_rollout("a10", 4, (100,), error=20)
    await world.finish(rollout, 0, failed=1)
    await world.reaches(rollout, "finished")
    with pytest.raises(Conflict):
        await world.rollouts.stop(RolloutId(rollout))
    left = await world.fleet.open(RolloutId(rollout))
    assert [one.status for one in left] == ["running"] * 3
    for one in left:
        await world.fleet.cancel(one.device, one.id)
        await world.fleet.quit(one.device, one.id)
    assert await world.fleet.open(RolloutId(rollout)) == []
    assert (await world.rollout(rollout))["status"] == "finished"


async def test_an_action_of_a_deleted_device_is_not_found(world: World) -> None:
    rollout = await world.run_rollout("a11", 1, (100,))
    ((name, action),) = await world.actions(rollout, 0)
    assert (await world.admin.delete(f"/targets/{name}")).is_success
    for act in (world.fleet.cancel, world.fleet.quit, world.fleet.force):
        with pytest.raises(NotFound):
            await act(DeviceName(name), action)


async def test_more_devices_than_one_request_may_take_go_in_parts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.stand_in().quotas.assignments_per_request = 3
    monkeypatch.setattr(actions, "AT_ONCE", 3)
    set_id = await world.make_set("FW-a12", "1.0.0")
    names = [DeviceName(name) for name in await world.make_targets("a12", 7)]
    assert await world.fleet.assign_many(set_id, names) == 7
    monkeypatch.setattr(actions, "AT_ONCE", 4)
    with pytest.raises(Exception, match="maximum is 3") as caught:
        await world.fleet.assign_many(set_id, names)
    assert getattr(caught.value, "reason", "") == "quota"


@pytest.mark.parametrize("act", ["cancel", "quit", "force"])
async def test_the_everyday_account_may_touch_no_action_and_without_another_nothing_is_sent(
    world: World, act: str
) -> None:
    bot, _ = world.two_people()
    rollout = await world.run_rollout(f"a13-{act}", 1, (100,))
    (one,) = await world.fleet.open(RolloutId(rollout))
    everyday = HawkbitAccount(bot.name, lambda: bot.name)
    for brake, reason in ((everyday, "forbidden"), (None, "no_brake_account")):
        client = HawkbitRollouts(world.url, everyday, brake, verify=TLS)
        with pytest.raises(NotAllowed) as caught:
            await getattr(HawkbitActions(client.access), act)(one.device, one.id)
        await client.aclose()
        assert caught.value.reason == reason
    assert [one.forced for one in await world.fleet.open(RolloutId(rollout))] == [False]
