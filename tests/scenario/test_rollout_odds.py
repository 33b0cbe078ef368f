"""What hawkBit does by itself, or has done to it, while the bot watches: each awkward thing that was measured on a real
one, and that no group starts because of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from core.rollouts.views import Mood
from flows.rollouts.promote import PromotionOutcome
from integrations.store.connection import Store
from sandbox.hawkbit.control import seed_set
from sandbox.hawkbit.model import Conditions
from sandbox.hawkbit.operations import GroupWish, RolloutWish
from tests.conftest import ManualClock
from tests.scenario.rollout_lab import Lab, lab
from tests.scenario.rollout_play import POLICY, Play, begin, ready


@pytest.fixture
async def here(store: Store, clock: ManualClock) -> AsyncIterator[Lab]:
    async with lab(store, clock, POLICY, tick_s=2.0) as made:
        yield made


def devices(play: Play, group: int) -> list[str]:
    return [target.controller_id for target in play.rollout.groups[group - 1].members]


async def test_nine_of_ten_at_a_threshold_of_95_are_held_though_hawkbit_would_resume(
    here: Lab, clock: ManualClock
) -> None:
    """hawkBit pauses a completed group whatever its share, and its resume starts the next one."""
    here.policy = replace(here.policy, max_errors_pct=50.0)
    play = await begin(here, clock, 10, 5)
    here.fleet.broken = {devices(play, 1)[0]}
    await play.rounds(10)
    assert play.rollout.status == "paused"
    assert play.started == [1]
    said = await play.message()
    assert "9 of 10 verified" in said
    assert "95 % can no longer be reached" in said
    assert (await play.promote(2)).outcome is PromotionOutcome.REFUSED


async def test_a_pause_by_a_person_at_60_percent_stays_one_when_97_are_reached_meanwhile(
    here: Lab, clock: ManualClock
) -> None:
    """The JSON then reads as a success pause but for its author, and a resume would start group 2 at once."""
    play = await begin(here, clock, 40, 10)
    first = devices(play, 1)
    here.fleet.silent = set(first[24:])
    await play.rounds(3)
    here.hawkbit.tenant().operations.pause(play.rollout, "admin", overtaken=False)
    await play.rounds(2)
    here.fleet.silent = set(first[39:])
    await play.rounds(8)
    assert play.rollout.status == "paused"
    assert play.started == [1]
    assert "admin" in " ".join((await play.view()).reasons)


async def test_the_same_pause_by_the_account_that_created_it_stays_one_too(here: Lab, clock: ManualClock) -> None:
    """Seen while the share was too low for a success pause, it is remembered."""
    play = await begin(here, clock, 40, 10)
    first = devices(play, 1)
    here.fleet.silent = set(first[24:])
    await play.rounds(3)
    here.hawkbit.tenant().operations.pause(play.rollout, "bot", overtaken=False)
    await play.rounds(2)
    here.fleet.silent = set(first[39:])
    await play.rounds(8)
    assert play.started == [1]
    assert (await play.view()).mood is Mood.PAUSED


async def test_errors_in_the_last_group_are_no_success_though_hawkbit_says_finished(
    here: Lab, clock: ManualClock
) -> None:
    play = await begin(here, clock, 2, 4)
    here.fleet.broken = set(devices(play, 2)[:3])
    here.fleet.silent = set(devices(play, 2)[3:])
    await play.rounds(14)
    assert play.rollout.status == "finished"
    assert play.started == [1, 2]
    view = await play.view()
    assert view.mood is not Mood.DONE
    assert view.bars[1].errors == 3
    assert view.bars[1].open == 1
    assert "3 errors" in await play.message()


async def test_a_target_deleted_mid_way_does_not_better_the_share(here: Lab, clock: ManualClock) -> None:
    """hawkBit's total shrinks, so 18 of 19 would be 18 of 18; whoever was in the group stays in the count."""
    play = await begin(here, clock, 19, 5)
    silent = set(devices(play, 1)[:2])
    here.fleet.silent = set(silent)
    await play.rounds(4)
    repo = here.hawkbit.tenant().repo
    for name in silent:
        repo.remove_target(repo.targets[name])
    await play.rounds(8)
    assert play.rollout.groups[0].total == 17
    assert play.started == [1]
    assert "17 of 19 verified" in await play.message()


async def test_a_second_rollout_over_the_same_devices_starts_nothing_of_the_first(
    here: Lab, clock: ManualClock
) -> None:
    """It cancels what the first has only scheduled, and that limps through groups of nothing but cancelled actions."""
    play = await ready(here, clock, 4, 5, 6)
    tenant, names = here.hawkbit.tenant(), ",".join(devices(play, 2))
    conditions = Conditions(success_threshold="95", error_threshold="20", success_action="PAUSE")
    fix = seed_set(tenant.repo, "FW", "2.0.1")
    groups = [GroupWish("all", 100.0, conditions)]
    other = tenant.operations.create(
        RolloutWish("hotfix", f"controllerId=in=({names})", fix, groups=groups), "admin", may_lock=True
    )
    tenant.engine.tick()
    tenant.operations.start(other, "admin")
    await play.rounds(8, devices=False)
    assert play.started == [1]
    assert "5 of 5 devices of group 2 were given something else" in await play.message()


async def test_a_restarting_hawkbit_is_waited_for(here: Lab, clock: ManualClock) -> None:
    """502 from whatever stands before it, then refused connections, then as if nothing had been."""
    play = await begin(here, clock, 3, 3)
    away = here.server.faults.add("status", ".", status=502)
    await play.rounds(6)
    assert play.started == [1]
    assert "hawkBit does not answer" not in await play.message() or away.hits
    here.server.faults.clear()
    await play.rounds(8)
    assert play.started == [1, 2]


async def test_a_reply_that_mixes_two_moments_starts_nothing_twice(here: Lab, clock: ManualClock) -> None:
    """The next group shown as scheduled although its devices run already."""
    here.hawkbit.mixed_snapshots = True
    play = await begin(here, clock, 3, 3, 3)
    await play.rounds(20)
    assert play.started == [1, 2, 3]
    assert len((await here.record(play.rollout)).attempts) == 2
