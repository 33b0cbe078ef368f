"""Several policies at once: each rollout is decided by its own, for the scheduler and for people."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from core.rollouts.policies import PolicyRule
from core.windows import Interval, Schedule
from flows.rollouts.promote import PromotionOutcome
from integrations.store.connection import Store
from integrations.store.leases import Leases
from integrations.store.rollout_past import RolloutPast
from integrations.store.rollouts import RolloutStore
from tests.conftest import ManualClock
from tests.scenario.rollout_lab import EU1, TENANT, Lab, lab
from tests.scenario.rollout_play import POLICY, Play


@pytest.fixture
async def here(store: Store, clock: ManualClock) -> AsyncIterator[Lab]:
    async with lab(store, clock, POLICY, tick_s=2.0) as made:
        yield made


async def test_a_rollout_is_decided_by_the_policy_whose_pattern_fits_its_name(here: Lab, clock: ManualClock) -> None:
    shut = Interval(0, int(clock.now().timestamp()) + 86_400, "plant shutdown")
    careful = replace(POLICY, name="careful", freeze=Schedule(fixed=(shut,)), production={TENANT: Schedule()})
    here.rules = [PolicyRule(careful, ("careful-*",))]
    free, held = here.add_rollout("free-1", [5, 5]), here.add_rollout("careful-1", [5, 5])
    by_default = Play(here, clock, free)
    by_rule = Play(here, clock, held, by_default.bot)
    for rollout in (free, held):
        here.start(rollout)
    await by_default.rounds(8)
    assert (by_default.started, by_rule.started) == ([1, 2], [1])
    assert "plant shutdown" in await by_rule.message()
    refused = await by_rule.promote(2)
    assert refused.outcome is PromotionOutcome.REFUSED
    assert "plant shutdown" in refused.text
    kept = await RolloutPast(here.store).moments(EU1, by_rule.id)
    assert kept[-1].inputs.policy == careful


async def test_the_policy_chosen_for_a_rollout_decides_whatever_its_name(here: Lab, clock: ManualClock) -> None:
    here.rules = [PolicyRule(replace(POLICY, name="slow", soak_s=86_400.0))]
    rollout = here.add_rollout("free-1", [5, 5])
    play = Play(here, clock, rollout)
    records, record = RolloutStore(here.store), await here.record(rollout)
    lease = await Leases(here.store, clock).acquire("as its maker", 60)
    assert lease is not None
    _, commands = records.save(replace(record, policy="slow"))
    await lease.commit(commands)
    here.start(rollout)
    await play.rounds(8)
    assert play.started == [1]
    assert "soak" in await play.message()
