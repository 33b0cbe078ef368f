"""What the hawkBit client reads and does, against the stand-in over the real wire."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from core.errors import (
    Conflict,
    NotAllowed,
    NotFound,
    Refused,
)
from core.ids import DeviceName, GroupId, RolloutId
from core.ports import Rollouts
from core.rollouts.facts import Counts, DistributionSet, GroupStatus, RolloutStatus
from integrations.hawkbit import errors
from sandbox.hawkbit import control
from sandbox.hawkbit.accounts import EVERYDAY
from sandbox.hawkbit.model import Conditions
from sandbox.hawkbit.operations import GroupWish, RolloutWish, even_groups
from tests.unit.integrations.hawkbit_lab import PAUSE, SHORT_S, Bench, bench, failure, front

pytestmark = pytest.mark.asyncio(loop_scope="module")
__all__ = ["bench", "front"]


async def test_the_client_is_the_port(bench: Bench) -> None:
    port: Rollouts = bench.client
    assert port is bench.client


# reading


async def test_active_brings_every_rollout_that_is_not_over(bench: Bench) -> None:
    bench.devices(4)
    ready, running = bench.ready("ready"), bench.running("running", 1)
    ended = bench.running("ended", 1)
    bench.finish(ended, 0)
    stopped = bench.ready("stopped")
    bench.sandbox.tenant().operations.stop(stopped, "admin")
    bench.sandbox.tick()
    found = {facts.id: facts for facts in await bench.client.active()}
    assert set(found) == {ready.id, running.id}
    facts = found[RolloutId(ready.id)]
    assert (facts.status, facts.name, facts.created_by, facts.last_modified_by) == (
        RolloutStatus.READY,
        "ready",
        "bot",
        "system",
    )
    assert (facts.total, facts.total_groups, facts.counts) == (4, 2, Counts(notstarted=4))
    assert facts.created_at == datetime.fromtimestamp(ready.created_at / 1000, UTC)


async def test_active_goes_past_the_silent_cap_of_500(bench: Bench) -> None:
    bench.devices(1)
    for index in range(505):
        wish = RolloutWish(f"r{index}", "controllerId==dev-*", bench.v2, groups=even_groups(1, PAUSE))
        bench.sandbox.tenant().operations.create(wish, "bot", may_lock=True)
    found = await bench.client.active()
    assert len({facts.id for facts in found}) == len(found) == 505


async def test_a_list_that_shrinks_between_pages_is_read_again(bench: Bench) -> None:
    bench.devices(1)
    made = []
    for index in range(505):
        wish = RolloutWish(f"r{index}", "controllerId==dev-*", bench.v2, groups=even_groups(1, PAUSE))
        made.append(bench.sandbox.tenant().operations.create(wish, "bot", may_lock=True))
    answered = bench.client._wire.read
    asked: list[int] = []

    async def read_and_end_one(*args: object, **params: object) -> object:
        asked.append(int(str(params["offset"])))
        answer = await answered(*args, **params)  # type: ignore[arg-type]
        if len(asked) == 1:
            bench.sandbox.tenant().engine.move(made[0], "finished", "system")
        return answer

    bench.client._wire.read = read_and_end_one  # type: ignore[method-assign,assignment]
    found = await bench.client.active()
    assert {facts.id for facts in found} == {rollout.id for rollout in made[1:]}
    assert asked == [0, 500, 0, 500]


async def test_find_is_exact_where_hawkbit_ignores_case_and_takes_wildcards(bench: Bench) -> None:
    bench.devices(2)
    for name in ("Release 1", "release 1", 'a "quoted" \\ name', "release *"):
        bench.ready(name)
    for name in ("release 1", "Release 1", 'a "quoted" \\ name', "release *"):
        found = await bench.client.find(name)
        assert found is not None
        assert found.name == name
    assert await bench.client.find("RELEASE 1") is None
    assert await bench.client.find("rel*") is None


async def test_a_rollout_is_none_when_gone_or_marked_deleted(bench: Bench) -> None:
    bench.devices(2)
    rollout = bench.running()
    assert await bench.client.rollout(RolloutId(rollout.id)) is not None
    bench.sandbox.tenant().operations.delete(rollout, "admin")
    bench.sandbox.tick()
    assert await bench.client.rollout(RolloutId(rollout.id)) is None
    assert await bench.client.rollout(RolloutId(4711)) is None


async def test_a_404_that_is_not_hawkbits_says_nothing_about_the_rollout(bench: Bench) -> None:
    bench.faults.add("status", "/rollouts/1", status=404, body={"message": "no backend"})
    assert isinstance(await failure(bench.client.rollout(RolloutId(1))), errors.BadAnswer)


async def test_groups_come_in_starting_order_with_counts_and_rules(bench: Bench) -> None:
    bench.devices(20)
    rollout = bench.running()
    control.finish(bench.repo, next(iter(rollout.groups[0].actions.values())).target.controller_id)
    first, second = await bench.client.groups(RolloutId(rollout.id))
    assert (first.status, second.status) == (GroupStatus.RUNNING, GroupStatus.SCHEDULED)
    assert (first.counts, second.counts) == (Counts(running=9, finished=1), Counts(scheduled=10))
    assert (first.pauses, first.success_threshold_pct, first.error_threshold_pct) == (True, 95.0, 20.0)
    assert first.id < second.id


async def test_nextgroup_groups_do_not_pause(bench: Bench) -> None:
    bench.devices(2)
    wish = RolloutWish("n", "controllerId==dev-*", bench.v2, groups=[GroupWish("g1", 100, Conditions())])
    made = bench.sandbox.tenant().operations.create(wish, "bot", may_lock=True)
    (group,) = await bench.client.groups(RolloutId(made.id))
    assert (group.pauses, group.status) == (False, GroupStatus.CREATING)


async def test_a_status_word_of_a_newer_hawkbit_becomes_unknown(bench: Bench) -> None:
    bench.devices(2)
    rollout = bench.running()
    rollout.status, rollout.groups[0].status = "rehearsing", "rehearsing"
    facts = await bench.client.rollout(RolloutId(rollout.id))
    assert facts is not None
    assert facts.status is RolloutStatus.UNKNOWN
    assert (await bench.client.groups(RolloutId(rollout.id)))[0].status is GroupStatus.UNKNOWN


async def test_sets_by_id_and_by_exact_version(bench: Bench) -> None:
    wanted = DistributionSet(bench.v2.id, "FW", "2.0.0", locked=True, valid=True)
    assert await bench.client.distribution_set(bench.v2.id) == wanted
    assert await bench.client.set_by_version("FW", "2.0.0") == wanted
    assert await bench.client.set_by_version("fw", "2.0.0") is None
    assert await bench.client.set_by_version("FW", "2.0.*") is None
    assert isinstance(await failure(bench.client.distribution_set(999)), NotFound)


async def test_claims_are_the_devices_of_the_group_with_the_wanted_set(bench: Bench) -> None:
    bench.devices(20, on_v1=True)
    other = control.seed_set(bench.repo, "OTHER", "2.0.0")
    control.seed_target(bench.repo, "dev-other", installed=other)
    rollout = bench.running()
    bench.finish(rollout, 0)
    wanted = await bench.client.distribution_set(bench.v2.id)
    group = rollout.groups[0]
    claims = await bench.client.claims(RolloutId(rollout.id), GroupId(group.id), wanted)
    assert set(claims) == {target.controller_id for target in group.members}
    assert all(claim.installed_at is not None for claim in claims.values())
    late = await bench.client.claims(RolloutId(rollout.id), GroupId(rollout.groups[1].id), wanted)
    assert late == {}


async def test_claims_and_members_go_past_500(bench: Bench) -> None:
    names = bench.devices(510)
    rollout = bench.running(groups=1)
    bench.finish(rollout, 0)
    group = GroupId(rollout.groups[0].id)
    assert await bench.client.members(RolloutId(rollout.id), group) == frozenset(names)
    wanted = await bench.client.distribution_set(bench.v2.id)
    assert set(await bench.client.claims(RolloutId(rollout.id), group, wanted)) == set(names)


async def test_claims_of_a_set_with_a_wildcard_in_its_name_are_refused(bench: Bench) -> None:
    wild = DistributionSet(9, "FW", "2.*", locked=True, valid=True)
    with pytest.raises(Refused):
        await bench.client.claims(RolloutId(1), GroupId(1), wild)


async def test_a_target_with_its_two_sets(bench: Bench) -> None:
    (name,) = bench.devices(1, on_v1=True)
    bench.running(groups=1)
    facts = await bench.client.target(name)
    assert facts is not None
    assert (facts.update_status, facts.last_poll_at) == ("pending", None)
    assert (str(facts.assigned), str(facts.installed)) == ("FW:2.0.0", "FW:1.0.0")
    control.finish(bench.repo, name, "failure")
    failed = await bench.client.target(name)
    assert failed is not None
    assert (failed.update_status, failed.assigned) == ("error", None)
    assert await bench.client.target(DeviceName("nobody")) is None


@pytest.mark.parametrize("name", ["", ".", ".."])
async def test_a_name_that_would_be_another_path_is_refused(bench: Bench, name: str) -> None:
    with pytest.raises(Refused):
        await bench.client.target(DeviceName(name))


async def test_actions_are_newest_first_and_only_the_newest_carries_its_set(bench: Bench) -> None:
    (name,) = bench.devices(1, on_v1=True)
    rollout = bench.running(groups=1)
    newest, offline = await bench.client.actions(name)
    assert (newest.status, newest.active, newest.set_name, newest.rollout) == (
        "running",
        True,
        "FW:2.0.0",
        rollout.id,
    )
    assert newest.set == await bench.client.distribution_set(bench.v2.id)
    assert (offline.set_name, offline.set, offline.rollout) == ("FW:1.0.0", None, None)
    assert await bench.client.actions(DeviceName("nobody")) == []


async def test_actions_of_one_device_are_not_those_of_another_that_differs_in_case(bench: Bench) -> None:
    control.seed_target(bench.repo, "Dev-1", installed=bench.v1)
    control.seed_target(bench.repo, "dev-1", installed=bench.v2)
    assert [one.set_name for one in await bench.client.actions(DeviceName("Dev-1"))] == ["FW:1.0.0"]


async def test_userinfo_tells_name_and_rights(bench: Bench) -> None:
    assert await bench.client.userinfo() == ("bot", frozenset(EVERYDAY))


# writing


async def test_start_pause_resume(bench: Bench) -> None:
    bench.devices(20)
    rollout = bench.ready()
    await bench.client.start(RolloutId(rollout.id))
    bench.sandbox.tick()
    assert rollout.status == "running"
    await bench.client.pause(RolloutId(rollout.id))
    assert (rollout.status, rollout.modified_by) == ("paused", "bot")
    await bench.client.resume(RolloutId(rollout.id), timeout_s=SHORT_S)
    assert (rollout.status, rollout.groups[1].status) == ("running", "scheduled")


async def test_resume_that_comes_second_is_a_conflict(bench: Bench) -> None:
    bench.devices(20)
    rollout = bench.running()
    bench.finish(rollout, 0)
    await bench.client.resume(RolloutId(rollout.id), timeout_s=SHORT_S)
    error = await failure(bench.client.resume(RolloutId(rollout.id), timeout_s=SHORT_S))
    assert isinstance(error, Conflict)
    assert (error.reason, error.retryable, error.unknown_outcome) == ("illegal_state", False, False)
    assert "current state is running" in error.user_text
    assert [start.index for start in bench.sandbox.starts] == [0, 1]


async def test_stop_and_assign_go_by_the_brake_account(bench: Bench) -> None:
    (name, *_) = bench.devices(4)
    rollout = bench.running()
    await bench.client.stop(RolloutId(rollout.id))
    assert rollout.modified_by == "brake"
    assert await bench.client.assign(name, bench.v1.id, offline=False) is True
    assert bench.repo.targets[name].actions[-1].created_by == "brake"
    assert bench.repo.targets[name].actions[-1].force_type == "forced"
    assert await bench.client.assign(name, bench.v1.id) is False


async def test_an_offline_assignment_is_recorded_without_an_open_action(bench: Bench) -> None:
    (name,) = bench.devices(1)
    assert await bench.client.assign(name, bench.v1.id, offline=True) is True
    assert bench.repo.targets[name].installed is bench.v1
    assert bench.repo.targets[name].active_actions() == []


async def test_without_a_brake_account_nothing_is_sent(bench: Bench) -> None:
    bench.devices(2)
    rollout = bench.running()
    client = bench.make_client()
    try:
        for call in (client.stop(RolloutId(rollout.id)), client.assign(DeviceName("dev-0000"), 1)):
            error = await failure(call)
            assert isinstance(error, NotAllowed)
            assert error.reason == "no_brake_account"
    finally:
        await client.aclose()
    assert rollout.status == "running"
