"""Promise P2, one promotion: one decision starts one group. Proven on the stand-in's own log of what began.

Three bots on one store, and people who click on all of them, against a hawkBit that ticks every 20 ms, loses answers,
applies requests late (up to the stated bound), answers 5xx after the effect; bots freeze for longer than their leases
and go on. CDM_P2_PROMOTIONS sets the size (60).
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter

from core.ids import RolloutId, Subject
from core.rollouts.actors import person
from core.rollouts.policy import PromotionPolicy
from flows.rollouts.promote import PromotionOutcome
from integrations.clock import SystemClock
from integrations.store.audit import AuditLog
from integrations.store.connection import Store
from sandbox.hawkbit.model import Rollout
from tests.scenario.rollout_lab import EU1, Bot, Lab, lab, running, until

PROMOTIONS = int(os.environ.get("CDM_P2_PROMOTIONS", "60"))
GROUPS, SIZE = 6, 4
LIFE_S, TIMEOUT_S, LEASE_S = 0.8, 0.3, 1.5
POLICY = PromotionPolicy(
    enabled=True,
    owners=frozenset({"bot"}),
    agree_s=0.05,
    settle_s=0.05,
    tick_s=0.02,
    request_timeout_s=TIMEOUT_S,  # far above the tick: late requests meet rollouts that have moved on
    max_read_age_s=0.5,
    max_request_life_s=LIFE_S,
    lease_s=LEASE_S,
)
ANNA = person(Subject("sub-anna"), "anna")


async def click(lab: Lab, rollouts: list[Rollout], rng: random.Random, seen: Counter[str]) -> None:
    """A person: looks at a message, clicks the Promote or Resume it shows, sometimes twice, sometimes an old one."""
    while True:
        await asyncio.sleep(rng.uniform(0.005, 0.05))
        rollout, bot = rng.choice(rollouts), rng.choice(lab.bots)
        view = (await lab.record(rollout)).progress
        if view is None or view.next_number is None:
            continue
        group = view.next_number if rng.random() < 0.9 else rng.randint(2, GROUPS)
        clicks = [bot.promoter.promote(EU1, RolloutId(rollout.id), group, ANNA, wait_s=1.0)]
        if rng.random() < 0.3:
            other = rng.choice(lab.bots)
            clicks.append(other.promoter.promote(EU1, RolloutId(rollout.id), group, ANNA, wait_s=1.0))
        for result in await asyncio.gather(*clicks):
            seen[result.outcome] += 1


async def freeze(bots: list[Bot], rng: random.Random) -> None:
    """One bot after another stands still, for shorter or longer than its leases; never all at once."""
    while True:
        await asyncio.sleep(rng.uniform(0.1, 0.4))
        bot = rng.choice(bots)
        bot.freezer.freeze()
        await asyncio.sleep(rng.choice([0.05, 0.3, LEASE_S + LIFE_S]))
        bot.freezer.thaw()


def check_starts(lab: Lab, rollouts: list[Rollout]) -> None:
    """None doubled: each group began once, in order. None past a gate: 95 % of the group before ran the new version."""
    starts = [s for s in lab.hawkbit.starts if s.rollout in {r.id for r in rollouts}]
    assert max(Counter((s.rollout, s.group) for s in starts).values()) == 1
    for rollout in rollouts:
        assert lab.started(rollout) == list(range(1, len(lab.started(rollout)) + 1))
        for start in starts:
            if start.rollout == rollout.id and start.index > 0:
                before = [t.controller_id for t in rollout.groups[start.index - 1].members]
                proven = sum(lab.fleet.booted_new_at.get(n, float("inf")) * 1000 <= start.at + 1 for n in before)
                assert proven * 100 >= 95 * len(before), f"{rollout.name} group {start.index + 1} began at {proven}"


async def test_p2_one_decision_starts_one_group(store: Store) -> None:
    rng = random.Random(2)
    clock = SystemClock()
    async with lab(store, clock, POLICY, tick_s=0.02) as here:
        count = max(PROMOTIONS // (GROUPS - 1), 1)
        good = [here.add_rollout(f"good{i}", [SIZE] * GROUPS) for i in range(count)]
        broken = here.add_rollout("broken", [SIZE] * 4)
        liars = here.add_rollout("liars", [SIZE] * 4)
        # The second group of each is bad: in one the installs fail, in the other they are only claimed.
        here.fleet.broken = {t.controller_id for t in broken.groups[1].members[:2]}
        here.fleet.falling_back = {t.controller_id for t in liars.groups[1].members}
        everything = [*good, broken, liars]
        for _ in range(3):
            here.add_bot()
        seen: Counter[str] = Counter()
        async with running(here.hawkbit.run(), here.fleet.run(0.01), *(b.run(0.03) for b in here.bots)):
            for rollout in everything:
                here.start(rollout)
            async with (
                asyncio.timeout(30 + PROMOTIONS),
                running(freeze(here.bots, rng), *(click(here, everything, rng, seen) for _ in range(4))),
            ):
                faults = here.server.faults
                faults.add("lost_answer", "POST .*/resume", share=0.15)
                faults.add("late_request", "POST .*/resume", share=0.2, delay_s=0.01, delay_max_s=LIFE_S * 0.95)
                faults.add("status_after", "POST .*/resume", share=0.1, status=503)
                faults.add("lost_request", "POST .*/resume", share=0.05)
                await until(
                    lambda: all(len(here.started(r)) == GROUPS for r in good),
                    within_s=30 + PROMOTIONS,
                    what=lambda: f"lost: {Counter(len(here.started(r)) for r in good)}",
                )
                await asyncio.sleep(2 * LIFE_S)  # whatever is still on its way arrives
        check_starts(here, everything)
        assert here.started(broken) == [1, 2]
        assert here.started(liars) == [1, 2]
        assert sum(f.hits for f in faults.active) > PROMOTIONS * 0.2
        assert seen[PromotionOutcome.STARTED] + seen[PromotionOutcome.UNSETTLED] > 0, seen
        entries, why = await AuditLog(store, clock).verify()
        assert why is None
        assert entries > 2 * PROMOTIONS
