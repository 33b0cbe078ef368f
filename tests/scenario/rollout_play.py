"""One rollout and one bot moved by hand, on the laboratory's hawkBit: what the tests of rollouts are told in."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from core.ids import RolloutId, Subject
from core.rollouts.actors import person
from core.rollouts.policy import PromotionPolicy
from flows.rollouts.brakes import BrakeResult
from flows.rollouts.promote import PromotionResult
from integrations.store.audit import AuditLog
from sandbox.hawkbit.model import Rollout
from tests.conftest import ManualClock
from tests.scenario.rollout_lab import EU1, Bot, Lab

POLICY = PromotionPolicy(enabled=True, owners=frozenset({"bot"}), agree_s=2.0, settle_s=10.0, soak_s=0.0)
ANNA = person(Subject("sub-anna"), "anna")


class Play:
    """One rollout and one bot, moved by hand."""

    def __init__(self, lab: Lab, clock: ManualClock, rollout: Rollout, bot: Bot | None = None) -> None:
        self.lab, self.clock, self.rollout = lab, clock, rollout
        self.bot = bot or lab.add_bot()
        self.id = RolloutId(rollout.id)

    async def rounds(self, count: int, *, devices: bool = True) -> None:
        """`count` times: devices work, hawkBit ticks, three seconds pass, the bot looks."""
        for _ in range(count):
            if devices:
                self.lab.fleet.work()
            self.lab.hawkbit.tick()
            await self.clock.forward(3.0)
            await self.bot.watch.tick()

    async def promote(self, group: int, by: Any = ANNA, **more: Any) -> PromotionResult:
        return await self.bot.promoter.promote(EU1, self.id, group, by, **more)

    async def brake(self, action: str, by: Any = ANNA) -> BrakeResult:
        """Waits inside a brake are over at once."""
        work: asyncio.Task[BrakeResult] = asyncio.create_task(getattr(self.bot.brakes, action)(EU1, self.id, by))
        while not work.done():
            await asyncio.sleep(0.005)
            await self.clock.forward(1.0)
        return await work

    async def view(self) -> Any:
        return (await self.lab.record(self.rollout)).progress

    async def message(self) -> str:
        raw = await self.lab.store.get(f"cdm:outbox:want:rollout:eu1/{self.id}")
        return str(orjson.loads(raw)) if raw else ""

    async def audited(self, action: str) -> list[Any]:
        return [e async for e in AuditLog(self.lab.store, self.clock).entries() if e.action == action]

    @property
    def started(self) -> list[int]:
        return self.lab.started(self.rollout)


async def begin(here: Lab, clock: ManualClock, *sizes: int, **more: Any) -> Play:
    """A started rollout that the bot has seen before."""
    play = Play(here, clock, here.add_rollout("fw", sizes or (2, 3, 4), **more))
    await play.rounds(2)
    here.start(play.rollout)
    here.hawkbit.tick()
    return play


async def ready(here: Lab, clock: ManualClock, *sizes: int, **more: Any) -> Play:
    """Group 1 is verified and paused by success, and the bot is held back from going on by itself."""
    play = await begin(here, clock, *sizes, **more)
    await play.bot.brakes.hold(EU1, play.id, ANNA, "test")
    await play.rounds(7)
    await play.bot.brakes.unhold(EU1, play.id, ANNA)
    assert play.started == [1]
    assert play.rollout.status == "paused"
    return play
