"""What starts a group, what pauses a rollout, and what the JSON then says (measured on hawkBit 1.1.0)."""

from __future__ import annotations

import asyncio

import pytest

from tests.contract.hawkbit.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_pause_comes_at_the_threshold_while_the_group_still_runs(world: World) -> None:
    rollout = await world.run_rollout("p1", 40)
    await world.finish(rollout, 0, ok=18)
    await world.ticks(2)
    assert (await world.rollout(rollout))["status"] == "running"
    await world.finish(rollout, 0, ok=1)
    paused = await world.reaches(rollout, "paused")
    first, second = await world.groups(rollout)
    assert (first["status"], second["status"]) == ("running", "scheduled")
    assert (first["totalTargetsPerStatus"]["finished"], first["totalTargetsPerStatus"]["running"]) == (19, 1)
    assert paused["lastModifiedBy"] == paused["createdBy"]
    assert first["lastModifiedBy"] == "system"


async def test_while_paused_neither_success_nor_errors_change_the_group(world: World) -> None:
    rollout = await world.run_rollout("p2", 40, error=1)
    await world.finish(rollout, 0, ok=19)
    before = await world.reaches(rollout, "paused")
    await world.finish(rollout, 0, failed=1)
    await world.ticks(3)
    assert await world.group_words(rollout) == ["running", "scheduled"]
    assert (await world.rollout(rollout))["lastModifiedAt"] == before["lastModifiedAt"]


async def test_a_group_that_ends_with_the_threshold_is_finished_and_written_by_the_creator(world: World) -> None:
    rollout = await world.run_rollout("p3", 20)
    await world.finish(rollout, 0, ok=10)
    paused = await world.reaches(rollout, "paused")
    first = (await world.groups(rollout))[0]
    assert first["status"] == "finished"
    assert first["lastModifiedBy"] == paused["createdBy"]
    assert abs(first["lastModifiedAt"] - paused["lastModifiedAt"]) <= 50


async def test_resume_after_a_success_pause_starts_the_next_group_in_the_same_transaction(world: World) -> None:
    rollout = await world.run_rollout("p4", 40)
    await world.finish(rollout, 0, ok=19)
    await world.reaches(rollout, "paused")
    assert await world.act(rollout, "resume") == 204
    assert await world.group_words(rollout) == ["running", "running"]
    assert (await world.rollout(rollout))["lastModifiedBy"] == world.bot.name


async def test_a_completion_below_the_threshold_pauses_and_looks_like_success(world: World) -> None:
    rollout = await world.run_rollout("p5", 20)
    await world.finish(rollout, 0, ok=9, failed=1)
    paused = await world.reaches(rollout, "paused")
    first = (await world.groups(rollout))[0]
    assert (first["status"], paused["lastModifiedBy"]) == ("finished", paused["createdBy"])
    assert first["totalTargetsPerStatus"]["finished"] == 9


async def test_resume_below_the_threshold_starts_the_next_group_one_pass_later(world: World) -> None:
    rollout = await world.run_rollout("p6", 20)
    await world.finish(rollout, 0, ok=9, failed=1)
    await world.reaches(rollout, "paused")
    assert await world.act(rollout, "resume") == 204
    if world.sandbox is not None:
        assert await world.group_words(rollout) == ["finished", "scheduled"]
        assert await world.act(rollout, "resume") == 400

    async def started() -> bool:
        return await world.group_words(rollout) == ["finished", "running"]

    await world.until(started, "second group running")


async def test_a_group_given_up_device_by_device_completes_at_zero_percent(world: World) -> None:
    rollout = await world.run_rollout("p7", 6)
    for name, action in await world.actions(rollout, 0):
        await world.drop(name, action)
    paused = await world.reaches(rollout, "paused")
    first = (await world.groups(rollout))[0]
    assert (first["status"], paused["lastModifiedBy"]) == ("finished", paused["createdBy"])
    assert (first["totalTargetsPerStatus"]["finished"], first["totalTargetsPerStatus"]["cancelled"]) == (0, 3)


async def test_nextgroup_promotes_at_the_threshold(world: World) -> None:
    rollout = await world.run_rollout("p8", 40, action="NEXTGROUP")
    await world.finish(rollout, 0, ok=19)

    async def promoted() -> bool:
        return await world.group_words(rollout) == ["running", "running"]

    await world.until(promoted, "second group running")
    assert (await world.rollout(rollout))["status"] == "running"


async def test_nextgroup_promotes_a_group_that_completed_below_the_threshold(world: World) -> None:
    rollout = await world.run_rollout("p9", 20, action="NEXTGROUP")
    await world.finish(rollout, 0, ok=9, failed=1)

    async def promoted() -> bool:
        return await world.group_words(rollout) == ["finished", "running"]

    await world.until(promoted, "second group running")


async def test_of_four_concurrent_resumes_one_wins_and_one_group_starts(world: World) -> None:
    rollout = await world.run_rollout("p10", 40, (25, 25, 50))
    await world.finish(rollout, 0, ok=10)
    await world.reaches(rollout, "paused")
    answers = await asyncio.gather(*(world.act(rollout, "resume") for _ in range(4)))
    assert sorted(answers) == [204, 400, 400, 400]
    assert await world.group_words(rollout) == ["finished", "running", "scheduled"]


async def test_trigger_next_group_is_not_idempotent(world: World) -> None:
    rollout = await world.run_rollout("p11", 10, (20, 20, 20, 40))
    assert [await world.act(rollout, "triggerNextGroup", by=world.admin) for _ in range(3)] == [204, 204, 204]
    assert await world.group_words(rollout) == ["running"] * 4
    last = await world.admin.post(f"/rollouts/{rollout}/triggerNextGroup")
    assert (last.status_code, last.json()["message"]) == (
        400,
        "Rollout does not have any groups left to be triggered",
    )


async def test_two_concurrent_triggers_start_two_groups(world: World) -> None:
    rollout = await world.run_rollout("p12", 10, (20, 20, 20, 40))
    answers = await asyncio.gather(*(world.act(rollout, "triggerNextGroup", by=world.admin) for _ in range(2)))
    assert answers == [204, 204]
    assert (await world.group_words(rollout)).count("running") == 3


async def test_trigger_is_refused_unless_running(world: World) -> None:
    set_id = await world.make_set("FW-p13", "2.0.0")
    await world.make_targets("p13", 4)
    rollout = await world.make_rollout("p13", set_id)
    assert await world.act(rollout, "triggerNextGroup", by=world.admin) == 400
    await world.begin(rollout)
    assert await world.act(rollout, "pause") == 204
    refused = await world.admin.post(f"/rollouts/{rollout}/triggerNextGroup")
    assert (refused.status_code, refused.json()["message"]) == (400, "Rollout is not in running state")


async def test_resume_and_then_trigger_start_two_groups(world: World) -> None:
    rollout = await world.run_rollout("p14", 40, (25, 25, 50))
    await world.finish(rollout, 0, ok=10)
    await world.reaches(rollout, "paused")
    assert await world.act(rollout, "resume") == 204
    assert await world.act(rollout, "triggerNextGroup", by=world.admin) == 204
    assert await world.group_words(rollout) == ["finished", "running", "running"]


async def test_pause_is_refused_on_a_paused_rollout_and_leaves_its_author(world: World) -> None:
    bot, admin = world.two_people()
    rollout = await world.run_rollout("p15", 20)
    await world.finish(rollout, 0, ok=10)
    await world.reaches(rollout, "paused")
    assert await world.act(rollout, "pause", by=admin) == 400
    assert (await world.rollout(rollout))["lastModifiedBy"] == bot.name


async def test_a_hand_pause_that_reached_the_threshold_meanwhile_is_promoted_by_resume_at_once(world: World) -> None:
    bot, admin = world.two_people()
    rollout = await world.run_rollout("p16", 60, (50, 50))
    await world.finish(rollout, 0, ok=18)
    assert await world.act(rollout, "pause", by=admin) == 204
    await world.finish(rollout, 0, ok=11)
    await world.ticks(2)
    paused = await world.rollout(rollout)
    assert (paused["status"], paused["lastModifiedBy"]) == ("paused", admin.name)
    assert await world.group_words(rollout) == ["running", "scheduled"]
    assert await world.act(rollout, "resume") == 204
    assert await world.group_words(rollout) == ["running", "running"]
    assert (await world.rollout(rollout))["lastModifiedBy"] == bot.name


async def test_resume_below_the_threshold_of_a_running_group_starts_nothing(world: World) -> None:
    rollout = await world.run_rollout("p17", 40)
    await world.finish(rollout, 0, ok=12)
    assert await world.act(rollout, "pause") == 204
    assert await world.act(rollout, "resume") == 204
    await world.ticks(3)
    assert await world.group_words(rollout) == ["running", "scheduled"]


async def test_a_hand_pause_over_a_bad_completion_needs_two_resumes(world: World) -> None:
    rollout = await world.run_rollout("p18", 20)
    assert await world.act(rollout, "pause", by=world.admin) == 204
    await world.finish(rollout, 0, ok=9, failed=1)
    assert await world.act(rollout, "resume") == 204
    again = await world.reaches(rollout, "paused")
    assert again["lastModifiedBy"] == again["createdBy"]
    assert await world.group_words(rollout) == ["finished", "scheduled"]
    assert await world.act(rollout, "resume") == 204

    async def started() -> bool:
        return await world.group_words(rollout) == ["finished", "running"]

    await world.until(started, "second group running")


async def test_a_late_resume_meant_for_one_group_starts_the_next_but_one(world: World) -> None:
    """The ABA of compare-and-set on `paused`: resume names no group."""
    have = await world.make_set("FW-p19", "2.0.0")
    rollout = await world.run_rollout("p19", 30, (30, 30, 40), set_id=have, installed=have)
    await world.reaches(rollout, "paused")
    assert await world.act(rollout, "resume") == 204
    await world.reaches(rollout, "paused")
    assert await world.group_words(rollout) == ["finished", "finished", "scheduled"]
    assert await world.act(rollout, "resume") == 204
    assert (await world.group_words(rollout))[2] != "scheduled"


async def test_a_late_resume_undoes_a_persons_pause(world: World) -> None:
    _, admin = world.two_people()
    rollout = await world.run_rollout("p20", 40)
    await world.finish(rollout, 0, ok=20)
    await world.reaches(rollout, "paused")
    assert await world.act(rollout, "resume", by=admin) == 204
    assert await world.act(rollout, "pause", by=admin) == 204
    assert await world.act(rollout, "resume") == 204
    assert (await world.rollout(rollout))["status"] == "running"


async def test_after_a_persons_resume_the_next_success_pause_is_the_creators_again(world: World) -> None:
    bot, admin = world.two_people()
    rollout = await world.run_rollout("p21", 30, (30, 30, 40))
    await world.finish(rollout, 0, ok=9)
    await world.reaches(rollout, "paused")
    assert await world.act(rollout, "resume", by=admin) == 204
    assert (await world.rollout(rollout))["lastModifiedBy"] == admin.name
    await world.finish(rollout, 1, ok=9)
    assert (await world.reaches(rollout, "paused"))["lastModifiedBy"] == bot.name


async def test_nextgroup_paused_by_hand_moves_on_with_the_pass_after_resume(world: World) -> None:
    rollout = await world.run_rollout("p22", 40, action="NEXTGROUP")
    assert await world.act(rollout, "pause") == 204
    await world.finish(rollout, 0, ok=19)
    await world.ticks(2)
    assert await world.group_words(rollout) == ["running", "scheduled"]
    assert await world.act(rollout, "resume") == 204
    if world.sandbox is not None:
        assert await world.group_words(rollout) == ["running", "scheduled"]

    async def started() -> bool:
        return await world.group_words(rollout) == ["running", "running"]

    await world.until(started, "second group running")


async def test_error_share_must_be_strictly_above_the_threshold(world: World) -> None:
    rollout = await world.run_rollout("p23", 20)
    await world.finish(rollout, 0, failed=2)
    await world.ticks(3)
    assert (await world.rollout(rollout))["status"] == "running"
    await world.finish(rollout, 0, failed=1)
    paused = await world.reaches(rollout, "paused")
    first = (await world.groups(rollout))[0]
    assert (first["status"], paused["lastModifiedBy"]) == ("error", paused["createdBy"])
    assert first["totalTargetsPerStatus"]["running"] == 7


async def test_resume_after_an_error_pause_starts_the_next_group_at_once(world: World) -> None:
    rollout = await world.run_rollout("p24", 20)
    await world.finish(rollout, 0, failed=3)
    await world.reaches(rollout, "paused")
    assert await world.act(rollout, "triggerNextGroup", by=world.admin) == 400
    assert await world.act(rollout, "resume") == 204
    assert await world.group_words(rollout) == ["error", "running"]
    await world.finish(rollout, 0, ok=7)
    await world.ticks(2)
    assert (await world.group_words(rollout))[0] == "error"
    assert (await world.counts(rollout, 0))["finished"] == 7


async def test_errors_in_the_last_group_end_the_rollout_as_finished_with_devices_still_installing(world: World) -> None:
    rollout = await world.run_rollout("p25", 10, (100,))
    await world.finish(rollout, 0, failed=3)
    await world.reaches(rollout, "finished")
    last = (await world.groups(rollout))[0]
    assert (last["status"], last["totalTargetsPerStatus"]["running"]) == ("error", 7)
    assert [await world.act(rollout, verb, by=world.admin) for verb in ("pause", "resume", "stop")] == [400] * 3
    await world.finish(rollout, 0, ok=7)
    assert (await world.counts(rollout, 0))["finished"] == 7


async def test_all_errors_in_a_rollout_of_one_group_are_still_called_finished(world: World) -> None:
    rollout = await world.run_rollout("p26", 3, (100,))
    await world.finish(rollout, 0, failed=3)
    assert (await world.reaches(rollout, "finished"))["totalTargetsPerStatus"]["error"] == 3


async def test_the_last_group_never_pauses(world: World) -> None:
    rollout = await world.run_rollout("p27", 20, (100,))
    await world.finish(rollout, 0, ok=19)
    await world.ticks(2)
    assert (await world.rollout(rollout))["status"] == "running"
    await world.finish(rollout, 0, ok=1)
    finished = await world.reaches(rollout, "finished")
    assert finished["lastModifiedBy"] == "system"


async def test_devices_that_have_the_set_finish_untouched_when_their_group_starts(world: World) -> None:
    have = await world.make_set("FW-p28", "2.0.0")
    rollout = await world.run_rollout("p28", 4, (100,), set_id=have, installed=have)
    assert (await world.counts(rollout, 0))["finished"] == 4
    name, action = (await world.actions(rollout, 0, active=False))[0]
    history = await world.admin.read(f"/targets/{name}/actions/{action}/status")
    assert history["content"][0]["messages"] == [
        "Update Server: Distribution Set is already assigned. Skipping this action."
    ]
    assert "deploymentBase" not in await (await world.device(name)).poll()
    await world.reaches(rollout, "finished")


async def test_pause_is_no_barrier_for_a_pass_under_way(world: World) -> None:
    world.stand_in().pause_race = True
    rollout = await world.run_rollout("p29", 40, action="NEXTGROUP")
    await world.finish(rollout, 0, ok=19)
    assert await world.act(rollout, "pause") == 204
    assert await world.group_words(rollout) == ["running", "scheduled"]
    await world.ticks()
    assert await world.group_words(rollout) == ["running", "running"]
    assert (await world.rollout(rollout))["status"] == "paused"


async def test_without_the_race_a_pause_in_time_holds_the_next_group(world: World) -> None:
    world.stand_in()
    rollout = await world.run_rollout("p33", 40, action="NEXTGROUP")
    await world.finish(rollout, 0, ok=19)
    assert await world.act(rollout, "pause") == 204
    await world.ticks(3)
    assert await world.group_words(rollout) == ["running", "scheduled"]


async def test_the_pause_race_needs_a_group_that_would_move_on_right_now(world: World) -> None:
    world.stand_in().pause_race = True
    rollout = await world.run_rollout("p30", 40, action="NEXTGROUP")
    await world.finish(rollout, 0, ok=10)
    assert await world.act(rollout, "pause") == 204
    await world.finish(rollout, 0, ok=10)
    await world.ticks(3)
    assert await world.group_words(rollout) == ["running", "scheduled"]


async def test_one_reply_can_mix_moments_and_the_next_agrees(world: World) -> None:
    world.stand_in().mixed_snapshots = True
    rollout = await world.run_rollout("p31", 20)
    await world.groups(rollout)
    await world.finish(rollout, 0, ok=10)
    await world.reaches(rollout, "paused")
    await world.act(rollout, "resume")
    mixed = (await world.groups(rollout))[1]
    assert (mixed["status"], mixed["totalTargetsPerStatus"]["running"]) == ("scheduled", 10)
    assert (await world.groups(rollout))[1]["status"] == "running"


async def test_the_event_log_names_each_start_and_its_cause(world: World) -> None:
    world.stand_in()
    rollout = await world.run_rollout("p32", 40, (25, 25, 25, 25))
    await world.finish(rollout, 0, ok=10)
    await world.reaches(rollout, "paused")
    await world.act(rollout, "resume")
    await world.act(rollout, "triggerNextGroup", by=world.admin)
    log = (await world.admin.http.get(world.url + "/_sandbox/hawkbit")).json()["starts"]
    assert [(one["index"], one["by"], one["user"]) for one in log if one["rollout"] == rollout] == [
        (0, "start", "bot"),
        (1, "resume", "bot"),
        (2, "trigger", "admin"),
    ]
