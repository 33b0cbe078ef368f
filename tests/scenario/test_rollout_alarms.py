"""Alarms of devices under an update: from ThingsBoard's webhook to the rollout's gates and its message."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from core.ids import RolloutId
from core.rollouts.gates import Reason
from core.rollouts.policy import PromotionPolicy
from core.rollouts.views import Mood
from integrations.store.connection import Store
from integrations.store.rollout_past import RolloutPast
from sandbox.hawkbit.control import finish
from sandbox.hawkbit.model import Rollout
from tests.conftest import ManualClock
from tests.scenario.alarm_lab import AlarmLab, alarm_lab
from tests.scenario.rollout_lab import EU1, Bot, Lab, lab

POLICY = PromotionPolicy(
    enabled=True,
    owners=frozenset({"bot"}),
    threshold_pct=80.0,
    agree_s=2.0,
    settle_s=10.0,
    max_errors=1,
    max_errors_pct=100.0,
    max_alarm_pct=10.0,
)


@dataclass
class Joined:
    """One bot over both stand-ins, on one store."""

    thingsboard: AlarmLab
    hawkbit: Lab
    clock: ManualClock
    bot: Bot
    rollout: Rollout

    async def rounds(self, count: int, *, devices: bool = True, read: bool = True) -> None:
        for _ in range(count):
            if devices:
                self.hawkbit.fleet.work()
            self.hawkbit.hawkbit.tick()
            await self.clock.forward(3.0)
            if read:
                await self.thingsboard.reconciler.tick()
            await self.thingsboard.folded()
            await self.bot.watch.tick()

    @property
    def canaries(self) -> list[str]:
        return [target.controller_id for target in self.rollout.groups[0].members]

    async def raise_alarm(self, device: str, kind: str = "OTA Failure") -> None:
        await self.thingsboard.tell(self.thingsboard.raise_alarm(device, kind))

    async def fails(self, device: str, *said: str) -> None:
        """Its install fails, it says why, and ThingsBoard tells of it."""
        finish(self.hawkbit.hawkbit.tenant().repo, device, "failure", details=[*said, "Failed to install."])
        await self.raise_alarm(device)
        await self.thingsboard.folded()

    async def hawkbit_asked(self) -> str:
        """The incident of the only failure, after hawkBit was asked about it."""
        lease = await self.thingsboard.leases.acquire("alarms:updates", 60)
        assert lease is not None
        await self.thingsboard.fold.updates.step(lease)
        await lease.release()
        await self.thingsboard.folded()
        incident = await self.thingsboard.only()
        return (await self.thingsboard.message(incident.id)).text

    async def text(self) -> str:
        return (await self.thingsboard.wanted())[f"rollout:eu1/{self.rollout.id}"].message.text

    @property
    async def record(self) -> Any:
        return await self.hawkbit.record(self.rollout)


@pytest.fixture
async def here(store: Store, clock: ManualClock) -> AsyncIterator[Joined]:
    async with AsyncExitStack() as stack:
        hawkbit = await stack.enter_async_context(lab(store, clock, POLICY, tick_s=2.0))
        thingsboard = await stack.enter_async_context(alarm_lab(store, clock, hawkbit.server.url))
        rollout = hawkbit.add_rollout("fw", [10, 20], success=80)
        bot = hawkbit.add_bot()
        for _ in range(2):
            await thingsboard.reconciler.tick()
            await clock.forward(1.0)
            await bot.watch.tick()
        hawkbit.start(rollout)
        yield Joined(thingsboard, hawkbit, clock, bot, rollout)


async def test_an_ota_failure_shows_in_the_rollout_and_is_one_error_with_hawkbits(here: Joined) -> None:
    bad = here.canaries[3]
    here.hawkbit.fleet.broken = {bad}
    await here.rounds(2)
    await here.raise_alarm(bad)
    await here.rounds(1)
    assert f"*OTA failure raised* in group 1 (1): `{bad}`" in await here.text()
    assert (await here.record).progress.mood is not Mood.FAILED, "its error in hawkBit and its alarm are one"


async def test_ota_failures_that_hawkbit_does_not_know_of_fail_the_rollout(here: Joined) -> None:
    here.hawkbit.fleet.silent = set(here.canaries[:2])
    await here.rounds(2)
    for device in here.canaries[:2]:
        await here.raise_alarm(device)
    await here.rounds(2)
    record = await here.record
    assert record.progress.mood is Mood.FAILED
    assert "2 OTA failure alarms" in await here.text()
    assert "2 errors, 1 allowed (2 of them told by alarms alone)" in await here.text()
    assert here.hawkbit.started(here.rollout) == [1]


async def test_a_failure_from_before_the_rollout_counts_for_nothing(here: Joined) -> None:
    await here.raise_alarm("old-000")
    await here.thingsboard.folded()
    await here.clock.forward(60)
    later = here.hawkbit.add_rollout("old", [1])
    here.hawkbit.start(later)
    await here.rounds(2, devices=False)
    record = await here.hawkbit.record(later)
    assert record.progress.bars[0].alarmed == 0


async def test_more_alarms_on_updated_devices_than_on_the_others_fail_the_gate(here: Joined) -> None:
    await here.rounds(8, devices=False)
    for device in here.canaries[:2]:
        await here.raise_alarm(device, "High Temperature")
    await here.rounds(10)
    assert "of 10 updated devices have an open alarm" in await here.text()
    assert here.hawkbit.started(here.rollout) == [1]
    (*_, last) = await RolloutPast(here.thingsboard.store).moments(EU1, RolloutId(here.rollout.id))
    assert last.inputs.alarms is not None
    assert (last.inputs.alarms.updated_with, last.inputs.alarms.others_with) == (2, 0)


async def test_alarms_that_were_not_read_lately_hold_it(here: Joined) -> None:
    """ThingsBoard does not answer the reconciler: nobody knows whether the updated devices are worse off."""
    await here.rounds(1)
    here.thingsboard.server.faults.add("status", "GET /api/v2/alarms", status=503)
    await here.clock.forward(901.0)
    await here.rounds(12)
    (*_, last) = await RolloutPast(here.thingsboard.store).moments(EU1, RolloutId(here.rollout.id))
    assert Reason.ALARMS_MISSING in [gate.reason for gate in last.gates]
    assert here.hawkbit.started(here.rollout) == [1]


# what an incident of a failed update shows


async def test_the_incident_shows_rollout_group_actions_and_the_devices_last_error(here: Joined) -> None:
    await here.rounds(2, devices=False)
    await here.fails(here.canaries[0], "LastError: older", "LastError: slot *rootfs.1* <!channel>: password=hunter2")
    shown = await here.hawkbit_asked()
    assert "*Update* rollout *fw*, group 1 of 2 (g1)" in shown
    assert "*Its actions* `FW:2.0.0` error" in shown
    assert "*The device says* slot" in shown
    assert "older" not in shown
    assert "hunter2" not in shown
    assert "<!channel>" not in shown


async def test_without_hawkbit_the_incident_says_so_and_is_filled_in_once_it_answers(here: Joined) -> None:
    await here.rounds(2, devices=False)
    await here.fails(here.canaries[0], "LastError: no slot is writable")
    here.hawkbit.server.faults.add("status", "GET /rest/v1/targets", status=503)
    assert "*Update* not known yet: hawkBit" in await here.hawkbit_asked()
    here.hawkbit.server.faults.clear()
    assert "*Update* not known yet" in await here.hawkbit_asked(), "not asked again at once"
    await here.clock.forward(61)
    assert "*The device says* no slot is writable" in await here.hawkbit_asked()


async def test_a_story_once_known_stays_when_hawkbit_goes_away(here: Joined) -> None:
    await here.rounds(2, devices=False)
    await here.fails(here.canaries[0], "LastError: no slot is writable")
    await here.hawkbit_asked()
    here.hawkbit.server.faults.add("status", "GET /rest/v1/targets", status=503)
    alarm = next(iter(here.thingsboard.sandbox.world.alarms.values()))
    here.thingsboard.sandbox.engine.alarms.acknowledge(alarm, here.thingsboard.ada)
    await here.thingsboard.tell(alarm, "ALARM_ACK", **here.thingsboard.by(here.thingsboard.ada))
    await here.thingsboard.folded()
    assert "no slot is writable" in await here.hawkbit_asked()


async def test_what_hawkbit_says_of_a_name_that_two_tenants_have_is_shown_to_neither(here: Joined) -> None:
    await here.rounds(2, devices=False)
    here.thingsboard.add_tenant_with(here.canaries[0])
    await here.fails(here.canaries[0], "LastError: no slot is writable")
    assert "*Update*" not in await here.hawkbit_asked()


async def test_a_device_that_hawkbit_does_not_know_has_no_story(here: Joined) -> None:
    await here.thingsboard.tell(here.thingsboard.raise_alarm("stranger"))
    await here.thingsboard.folded()
    assert "*Update*" not in await here.hawkbit_asked()
