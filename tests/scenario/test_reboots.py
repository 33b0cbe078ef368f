"""Devices that installed and wait for their reboot are rebooted by an order: each once, whoever dies on the way, in
their tenant's window, over real SSH."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from core.access import Action
from core.approvals import Order
from core.errors import Refused
from core.ids import Stack, Subject
from core.rollouts.actors import person
from core.rollouts.policies import Policies
from core.windows import Schedule, Weekly
from flows.rollouts.reboot_runs import COMMAND, RebootRuns
from flows.rollouts.reboots import RebootActs
from flows.world import World
from integrations.store.connection import Store
from integrations.store.reboots import Reboots
from tests.conftest import ManualClock
from tests.scenario.rollout_lab import CHANNEL, EU1, TENANT
from tests.scenario.test_proof_by_rauc import BY_RAUC, Canaries, canaries_of

ANNA = person(Subject("sub-anna"), "anna")
ORDERED = Order(
    action=Action.RUN_CHANGE_MANY,
    object="rollout:eu1/1",
    title="Reboot devices of fw on eu1",
    params={"verb": "reboot", "stack": "eu1", "rollout": "1"},
    stack=Stack("eu1"),
    tenants=frozenset({TENANT}),
    channel=CHANNEL,
)


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Ordering:
    canaries: Canaries
    clock: ManualClock
    acts: RebootActs
    runs: RebootRuns

    async def order(self) -> Order:
        return await self.acts.settled(ORDERED)

    async def begins(self, order: Order, reason: str = "they wait (approved by alice, request 234567)") -> Any:
        return await self.acts.carry_out(order, ANNA, reason)

    async def tick(self) -> None:
        """Leases that are waited for come free as the clock goes on."""
        work = asyncio.create_task(self.runs.tick())
        while not work.done():
            await asyncio.sleep(0.005)
            await self.clock.forward(0.06)
        await work

    @property
    def rebooted(self) -> dict[str, int]:
        """How often each device was told to reboot."""
        return {name: device.reboots for name, device in self.canaries.relay.controllers.items() if device.reboots}

    async def message(self) -> str:
        keys = [key async for key in self.canaries.lab.store.scan_iter(match="cdm:outbox:want:*:reboot:*")]
        return str(await self.canaries.lab.store.get(keys[0])) if keys else ""


@pytest.fixture
async def here(store: Store, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Ordering]:
    """Six canaries have installed and wait."""
    async with canaries_of(store, clock, tmp_path, BY_RAUC, count=6) as canaries:
        canaries.claim(canaries.names)
        canaries.lab.hawkbit.tick()
        await canaries.looks()
        await canaries.looks()
        bot, under_way = canaries.play.bot, Reboots(store)
        sites = {EU1: bot.site}
        yield Ordering(
            canaries,
            clock,
            RebootActs(world=World([], clock), sites=sites, ledger=bot.ledger, under_way=under_way),
            RebootRuns(sites=sites, ledger=bot.ledger, under_way=under_way),
        )


async def test_each_waiting_device_is_rebooted_once_few_at_a_time_and_then_verified(here: Ordering) -> None:
    order = await here.order()
    assert (order.title, order.devices) == ("Reboot 6 devices of fw on eu1", 6)
    assert (await here.acts.evidence(order)).facts["devices to reboot"] == tuple(sorted(here.canaries.names))
    done, said = await here.begins(order)
    assert done
    assert "6 devices" in said
    await here.tick()
    first = set(here.rebooted)
    assert len(first) == 4, "two wait until somebody is back"
    await here.tick()
    assert set(here.rebooted) == first
    assert "RUNNING" in await here.message()
    here.canaries.boot(first)
    await here.tick()
    await here.tick()
    here.canaries.boot(set(here.rebooted) - first)
    await here.tick()
    assert here.rebooted == dict.fromkeys(here.canaries.names, 1)
    assert "DONE" in await here.message()
    assert "6 back" in await here.message()
    assert (await here.canaries.looks()).bars[0].verified == 6
    entries = await here.canaries.play.audited("reboot")
    assert [(e.kind, e.actor) for e in entries] == [("intent", "sub-anna"), ("outcome", "sub-anna")]
    assert await Reboots(here.canaries.lab.store).under_way(EU1) == ()


@pytest.mark.parametrize("sent", [False, True], ids=["before it was sent", "after it was sent"])
async def test_a_process_killed_at_a_device_reboots_none_twice(
    here: Ordering, monkeypatch: pytest.MonkeyPatch, sent: bool
) -> None:
    slots = here.canaries.play.bot.site.slots
    assert slots is not None
    says = type(slots).says

    async def killed(self: Any, found: Any, argv: Any, max_bytes: int) -> bytes:
        if argv == COMMAND:
            if sent:
                await says(self, found, argv, max_bytes)
            raise Killed
        return await says(self, found, argv, max_bytes)

    await here.begins(await here.order())
    with monkeypatch.context() as patched:
        patched.setattr(type(slots), "says", killed)
        with pytest.raises(BaseException, match=r"Killed|unhandled") as died:
            await here.tick()
        assert not isinstance(died.value, Exception)
    at_the_kill, booted = set(here.rebooted), set[str]()
    for waits_s in (1, 1, 1, 601, 1, 1, 1):
        here.canaries.boot(set(here.rebooted) - booted)
        booted |= set(here.rebooted)
        await here.clock.forward(waits_s)
        await here.tick()
    assert set(here.rebooted.values()) == {1}
    record = await here.canaries.lab.record(here.canaries.play.rollout)
    assert record.reboot.over
    not_done = [step for step in record.reboot.steps if step.state == "not_done"]
    assert {step.device for step in not_done} == set(here.canaries.names) - set(here.rebooted)
    assert bool(booted & at_the_kill) is sent
    assert all("it did not boot; order it again" in step.why for step in not_done)


async def test_the_same_agreement_is_one_order_and_another_one_waits_for_its_end(here: Ordering) -> None:
    order = await here.order()
    await here.begins(order)
    assert await here.begins(order) == (
        True,
        "It was begun before; its message in the rollout's thread tells each device's outcome.",
    )
    done, said = await here.begins(order, "again (approved by alice, request 345678)")
    assert not done
    assert "Other devices of this rollout are being rebooted" in said


async def test_outside_the_tenants_window_nothing_is_ordered_and_it_is_said_when_that_opens(here: Ordering) -> None:
    site = here.canaries.play.bot.site
    nightly = Schedule("UTC", (Weekly(tuple(range(7)), 22 * 60, 23 * 60),))
    order = await here.order()
    site.adopt(Policies(replace(BY_RAUC, reboot_windows={TENANT: nightly})))
    with pytest.raises(Refused, match=r"the next one opens 2026-11-24 22:00 UTC\. Nothing was done"):
        await here.order()
    done, said = await here.begins(order)
    assert not done
    assert "opens 2026-11-24 22:00 UTC" in said
    await here.tick()
    assert here.rebooted == {}


async def test_what_does_not_answer_or_refuses_is_told_and_the_others_go_on(here: Ordering) -> None:
    away, odd, *_ = sorted(here.canaries.names)
    devices = here.canaries.relay.devices
    devices.switches(away).link = "refused"
    await here.begins(await here.order())
    await here.tick()
    devices.switches(odd).link = "refused"
    here.canaries.boot(here.rebooted)
    for _ in range(3):
        await here.tick()
        here.canaries.boot(name for name in here.rebooted if name != odd)
    await here.clock.forward(601)
    for _ in range(2):
        await here.tick()
    message = await here.message()
    assert "OUTCOME UNKNOWN" in message
    assert "nothing was sent" in message
    assert "not reached since its reboot" in message
    assert here.rebooted == {name: 1 for name in here.canaries.names if name != away}


async def test_with_nobody_waiting_there_is_nothing_to_order(here: Ordering) -> None:
    here.canaries.boot(here.canaries.names)
    await here.canaries.looks()
    with pytest.raises(Refused, match="No device of this rollout waits for a reboot"):
        await here.order()
