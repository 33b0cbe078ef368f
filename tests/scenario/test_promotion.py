"""Promise P2, one promotion: one decision starts one group. Proven on the stand-in's own log of what began.

Three bots on one store, and people who click on all of them, against a hawkBit that ticks every 20 ms, loses answers,
applies requests late (up to the stated bound), answers 5xx after the effect and mixes moments in one reply; bots freeze
for longer than their leases and go on. CDM_P2_PROMOTIONS sets the size (60).
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from core.ids import RolloutId, Subject
from core.rollouts.actors import person
from core.rollouts.policy import PromotionPolicy
from core.rollouts.records import AttemptState
from flows.rollouts.promote import PromotionOutcome
from integrations.clock import SystemClock
from integrations.store.audit import AuditLog
from integrations.store.connection import Store
from sandbox.hawkbit.model import Rollout
from tests.scenario.rollout_lab import EU1, Bot, Lab, lab, running, until

PROMOTIONS = int(os.environ.get("CDM_P2_PROMOTIONS", "60"))
GROUPS, SIZE = 6, 4
LIFE_S, TIMEOUT_S, LEASE_S = 1.0, 0.2, 1.0
POLICY = PromotionPolicy(
    enabled=True,
    owners=frozenset({"bot"}),
    agree_s=0.05,
    settle_s=0.05,
    tick_s=0.02,
    request_timeout_s=TIMEOUT_S,  # far above the tick: late requests meet rollouts that have moved on
    max_read_age_s=0.8,
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
    """Now and then a bot stands still, anywhere, shortly or for longer than its leases live; never all at once."""

    def at_worst(written: Sequence[Any]) -> float:
        """Right after it wrote an attempt down and before it sends: till the others have given its lease away, waited
        out its request and gone on."""
        about_to_send = any(isinstance(w, bytes) and b" is being started by " in w for w in written)
        if not about_to_send or rng.random() > 0.3 or any(b.freezer.frozen for b in bots):
            return 0.0
        return LEASE_S + LIFE_S + rng.uniform(0.0, 1.0)

    for bot in bots:
        bot.freezer.at_worst = at_worst
    while True:
        await asyncio.sleep(rng.uniform(0.2, 0.6))
        if not any(b.freezer.frozen for b in bots):
            rng.choice(bots).freezer.freeze_for(rng.choice([0.05, 0.3]))


async def check(lab: Lab, rollouts: list[Rollout]) -> None:
    """None doubled: each group began once, in order, by the one attempt that was meant for it. None past a gate: 95 %
    of the group before ran the new version."""
    for rollout in rollouts:
        starts = [s for s in lab.hawkbit.starts if s.rollout == rollout.id]
        assert [s.index for s in starts] == list(range(len(starts))), rollout.name
        attempts = (await lab.record(rollout)).attempts
        assert [a.group_index for a in attempts if a.state is AttemptState.STARTED] == lab.started(rollout)[1:], (
            f"{rollout.name}: {[(a.number, a.group_index, a.state.value) for a in attempts]}"
        )
        for start in starts[1:]:
            before = [t.controller_id for t in rollout.groups[start.index - 1].members]
            proven = sum(lab.fleet.booted_new_at.get(n, float("inf")) * 1000 <= start.at + 1 for n in before)
            assert proven * 100 >= 95 * len(before), f"{rollout.name}: group {start.index + 1} began too early"


async def all_settled(lab: Lab, rollouts: list[Rollout]) -> None:
    """Every attempt is read back, and whatever was still on its way has arrived."""
    async with asyncio.timeout(20):
        while any([(await lab.record(r)).open_attempt for r in rollouts]):
            await asyncio.sleep(0.1)
    await asyncio.sleep(LIFE_S)


async def test_p2_one_decision_starts_one_group(store: Store) -> None:
    rng = random.Random(2)
    clock = SystemClock()
    async with lab(store, clock, POLICY, tick_s=0.02) as here:
        here.hawkbit.mixed_snapshots = True
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
                faults.add("lost_answer", "POST .*/resume", share=0.1)
                faults.add("late_request", "POST .*/resume", share=0.35, delay_s=0.01, delay_max_s=LIFE_S * 0.95)
                faults.add("status_after", "POST .*/resume", share=0.1, status=503)
                faults.add("lost_request", "POST .*/resume", share=0.05)
                await until(
                    lambda: all(len(here.started(r)) == GROUPS for r in good),
                    within_s=30 + PROMOTIONS,
                    what=lambda: f"lost: {Counter(len(here.started(r)) for r in good)}",
                )
            await all_settled(here, everything)
        await check(here, everything)
        assert here.started(broken) == [1, 2]
        assert here.started(liars) == [1, 2]
        assert sum(f.hits for f in faults.active) > PROMOTIONS * 0.2
        assert sum(b.freezer.hits for b in here.bots) > PROMOTIONS / 20
        assert seen[PromotionOutcome.STARTED] + seen[PromotionOutcome.UNSETTLED] > 0, seen
        entries, why = await AuditLog(store, clock).verify()
        assert why is None
        assert entries > 2 * PROMOTIONS
