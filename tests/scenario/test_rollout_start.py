"""Group 1 is started by hand, once, and only when the bot will be able to tell its devices' new boot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pytest

from core.errors import NotAllowed
from core.ids import RolloutId, Subject
from core.rollouts.actors import person
from core.rollouts.policies import Policies
from core.rollouts.policy import PromotionPolicy
from core.windows import Interval, Schedule
from flows.rollouts.start import Starter
from integrations.store.audit import AuditLog
from integrations.store.connection import Store
from sandbox.hawkbit.model import Rollout
from tests.conftest import ManualClock
from tests.scenario.rollout_lab import EU1, Bot, Lab, lab

POLICY = PromotionPolicy(enabled=True, owners=frozenset({"bot"}))
ANNA = person(Subject("sub-anna"), "anna")
STARTS = "POST /rest/v1/rollouts/.*/start$"


@dataclass(slots=True)
class Desk:
    lab: Lab
    clock: ManualClock
    bot: Bot
    rollout: Rollout

    async def looked_at(self) -> None:
        for _ in range(2):
            await self.bot.watch.tick()
            await self.clock.forward(3.0)

    async def start(self, **more: Any) -> tuple[bool, str]:
        """hawkBit goes on while it waits."""
        starter = Starter({EU1: self.bot.watch._site}, self.bot.ledger)
        work = asyncio.create_task(starter.start(EU1, RolloutId(self.rollout.id), ANNA, **more))
        while not work.done():
            await asyncio.sleep(0.005)
            self.lab.hawkbit.tick()
            await self.clock.forward(0.5)
        return await work

    async def view(self) -> Any:
        return (await self.lab.record(self.rollout)).progress

    async def audited(self) -> list[Any]:
        return [e async for e in AuditLog(self.lab.store, self.clock).entries() if e.action == "start"]


@pytest.fixture
async def here(store: Store, clock: ManualClock) -> AsyncIterator[Desk]:
    async with lab(store, clock, POLICY, tick_s=2.0) as made:
        yield Desk(made, clock, made.add_bot(), made.add_rollout("fw", (2, 3, 4)))


async def test_it_starts_once_and_the_message_says_so(here: Desk) -> None:
    await here.looked_at()
    assert (await here.view()).can_start
    done, text = await here.start()
    assert done
    assert "Group 1 is started: 2 devices" in text
    assert here.lab.started(here.rollout) == [1]
    assert not (await here.view()).can_start
    assert await here.start() == (True, "It has started already. Nothing was done.")
    assert here.lab.started(here.rollout) == [1]
    assert [e.data.get("outcome") for e in await here.audited()] == [None, "started", None, "started"]


async def test_not_before_its_devices_were_looked_at(here: Desk) -> None:
    done, text = await here.start()
    assert not done
    assert "0 of 2 devices of group 1 were looked at" in text
    assert here.lab.started(here.rollout) == []


@pytest.mark.parametrize("fault", ["lost_answer", "status_after"])
async def test_a_lost_answer_is_read_back(here: Desk, fault: Any) -> None:
    await here.looked_at()
    here.lab.server.faults.add(fault, STARTS, times=1)
    assert (await here.start())[0]
    assert here.lab.started(here.rollout) == [1]


async def test_a_lost_request_is_told_and_not_repeated(here: Desk) -> None:
    await here.looked_at()
    fault = here.lab.server.faults.add("lost_request", STARTS)
    done, text = await here.start()
    assert not done
    assert "still ready" in text
    assert fault.hits == 1


async def test_whoever_is_second_is_told_that_it_has_started(here: Desk) -> None:
    await here.looked_at()
    ours = here.lab.server.faults.add("late_request", STARTS, times=1, delay_s=0.5)
    work = asyncio.create_task(here.start())
    async with asyncio.timeout(5):
        while not ours.hits:
            await asyncio.sleep(0.01)
    here.lab.start(here.rollout)
    assert (await work)[0]
    assert here.lab.started(here.rollout) == [1]


async def test_not_while_it_is_on_hold(here: Desk) -> None:
    await here.looked_at()
    await here.bot.brakes.hold(EU1, RolloutId(here.rollout.id), ANNA, "wait for the fix")
    done, text = await here.start()
    assert not done
    assert "on hold by anna: wait for the fix" in text
    assert here.lab.started(here.rollout) == []


async def test_not_in_a_freeze(here: Desk, clock: ManualClock) -> None:
    await here.looked_at()
    now = int(clock.now().timestamp())
    site = here.bot.watch._site
    freeze = Schedule(fixed=(Interval(now - 60, now + 86_400, "year's end"),))
    site.adopt(Policies(replace(site.policy, freeze=freeze)))
    done, text = await here.start()
    assert not done
    assert "year's end" in text
    assert here.lab.started(here.rollout) == []


async def test_not_on_rights_that_were_lost(here: Desk) -> None:
    async def no_more() -> datetime:
        raise NotAllowed("not any more")

    await here.looked_at()
    with pytest.raises(NotAllowed):
        await here.start(still_allowed=no_more)
    assert here.lab.started(here.rollout) == []
    assert await here.audited() == []
