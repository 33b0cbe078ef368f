"""A release is made once, whatever fails between the bot and hawkBit, and what it replaces is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Any, TypeVar

import pytest

from core.access import Action
from core.errors import NotAllowed, NotFound, Refused
from core.ids import Channel, DeviceName, RolloutId, Stack, Subject, Tenant
from core.rollouts.actors import person
from core.rollouts.policy import PromotionPolicy
from core.rollouts.wish import ReleaseWish
from flows.release.acts import ReleaseActs
from flows.release.making import ReleaseMaker
from flows.release.reading import ReleaseReader
from flows.rollouts.site import Site
from flows.world import StackWorld, TenantWorld, World
from integrations.hawkbit import HawkbitActions, HawkbitReleases
from integrations.store.audit import AuditLog
from integrations.store.connection import Store
from integrations.store.incidents import Incidents
from integrations.store.previous_sets import PreviousSets
from integrations.store.releases import ReleaseStore
from sandbox.hawkbit.control import seed_set, seed_target
from sandbox.hawkbit.model import Rollout
from tests.conftest import ManualClock
from tests.scenario.rollout_lab import CHANNEL, EU1, NEW, TENANT, Lab, lab

T = TypeVar("T")
POLICY = PromotionPolicy(enabled=True, owners=frozenset({"bot"}))
ANNA = person(Subject("sub-anna"), "anna", tenants=[TENANT])
WISH = ReleaseWish(stack=EU1, set_name="FW", version=NEW, where="controllerId==gw-*", shares=(20.0, 80.0))
MAKES = "POST /rest/v1/rollouts"


@dataclass(slots=True)
class Maker:
    """One process that makes releases on the lab's hawkBit, with its clock in the test's hand."""

    lab: Lab
    clock: ManualClock
    reader: ReleaseReader
    maker: ReleaseMaker
    acts: ReleaseActs
    store: ReleaseStore

    async def make(self, wish: ReleaseWish = WISH, **more: Any) -> tuple[bool, str]:
        return await self.passing(self.maker.make(wish, ANNA, **more))

    async def passing(self, work: Awaitable[T]) -> T:
        """What waits inside is over as soon as nothing else goes on."""
        task = asyncio.ensure_future(work)
        while not task.done():
            await asyncio.sleep(0.005)
            await self.clock.forward(0.3)
        return await task

    async def audited(self) -> list[Any]:
        return [e async for e in AuditLog(self.lab.store, self.clock).entries() if e.action == "create"]

    @property
    def rollouts(self) -> list[Rollout]:
        return list(self.lab.hawkbit.tenant().repo.rollouts.values())


def add_maker(lab: Lab, clock: ManualClock) -> Maker:
    bot = lab.add_bot()
    actions, releases = HawkbitActions(bot.client.access), HawkbitReleases(bot.client.access, upload_timeout_s=5.0)
    devices: Any = lab.fleet
    site = Site(EU1, bot.client, actions, releases, {TENANT: devices}, lab.policy, CHANNEL, "bot")
    tenant = TenantWorld(TENANT, devices, devices, ip_network("10.8.0.0/16"), Channel("C0OPS"))
    stack = StackWorld(EU1, bot.client, actions, releases, None, {TENANT: tenant}, CHANNEL, "wireguard_ip")
    world, kept = World([stack], clock), ReleaseStore(lab.store)
    reader = ReleaseReader(world=world, sites={EU1: site}, incidents=Incidents(lab.store), clock=clock)
    maker = ReleaseMaker(
        reader=reader, sites={EU1: site}, ledger=bot.ledger, releases=kept, previous=PreviousSets(lab.store)
    )
    return Maker(lab, clock, reader, maker, ReleaseActs(world=world, reader=reader, maker=maker, releases=kept), kept)


@pytest.fixture
async def here(store: Store, clock: ManualClock) -> AsyncIterator[Maker]:
    """Ten devices gw-00 to gw-09: six on FW:1.0.0, three on FW:1.5.0, one of which hawkBit knows no set."""
    async with lab(store, clock, POLICY, tick_s=2.0) as made:
        repo = made.hawkbit.tenant().repo
        old, older = seed_set(repo, "FW", "1.5.0"), seed_set(repo, "FW", "1.0.0")
        for number in range(10):
            seed_target(repo, f"gw-{number:02}", installed=older if number < 6 else old if number < 9 else None)
        yield add_maker(made, clock)


async def test_what_is_made_pauses_after_every_group_and_what_it_replaces_is_kept(here: Maker) -> None:
    done, text = await here.make()
    (made,) = here.rollouts
    assert done
    assert f"Made as rollout {made.id}" in text
    assert (made.name, made.filter, made.created_by, made.type) == (WISH.name, WISH.where, "bot", "forced")
    here.lab.hawkbit.tick()
    assert [len(group.members) for group in made.groups] == [2, 8]
    assert {group.conditions.success_action for group in made.groups} == {"PAUSE"}
    assert {group.conditions.success_threshold for group in made.groups} == {"95"}
    before = await PreviousSets(here.lab.store).of(EU1, RolloutId(made.id))
    assert before == {
        **{DeviceName(f"gw-{n:02}"): "FW:1.0.0" for n in range(6)},
        **{DeviceName(f"gw-{n:02}"): "FW:1.5.0" for n in range(6, 9)},
    }
    intent, outcome = await here.audited()
    assert (intent.kind, intent.data["set"], intent.data["where"]) == ("intent", "FW:2.0.0", WISH.where)
    assert (outcome.ref, outcome.data["rollout"]) == (f"{intent.seq}", made.id)
    assert await here.store.making() == []


async def test_the_chosen_policy_stands_in_the_record(here: Maker) -> None:
    await here.make(replace(WISH, policy="default"))
    (made,) = here.rollouts
    assert (await here.lab.record(made)).policy == "default"


async def test_the_same_wish_twice_is_one_rollout(here: Maker) -> None:
    first, second = await here.make(), await here.make()
    assert first[0]
    assert second[0]
    assert "made before" in second[1]
    assert len(here.rollouts) == 1


async def test_two_processes_at_once_make_one(here: Maker, clock: ManualClock) -> None:
    other = add_maker(here.lab, clock)
    both = await here.passing(asyncio.gather(here.maker.make(WISH, ANNA), other.maker.make(WISH, ANNA)))
    assert [done for done, _ in both] == [True, True]
    assert len(here.rollouts) == 1


async def test_another_rollout_of_that_name_is_not_taken_for_it(here: Maker) -> None:
    await here.make()
    done, text = await here.make(replace(WISH, shares=(50.0, 25.0, 25.0), forced=False))
    assert not done
    assert "2 groups" in text
    assert "type forced" in text
    assert len(here.rollouts) == 1


async def test_one_that_ended_is_made_again_under_a_label(here: Maker) -> None:
    await here.make()
    (made,) = here.rollouts
    made.status = "stopped"
    done, text = await here.make()
    assert not done
    assert "label" in text
    assert (await here.make(replace(WISH, label="again")))[0]
    assert len(here.rollouts) == 2


@pytest.mark.parametrize("fault", ["lost_answer", "status_after"])
async def test_an_answer_that_does_not_come_is_read_back(here: Maker, fault: Any) -> None:
    here.lab.server.faults.add(fault, f"{MAKES}$", times=1)
    done, text = await here.make()
    assert done, text
    assert len(here.rollouts) == 1
    assert [e.kind for e in await here.audited()] == ["intent", "outcome"]


async def test_a_request_that_was_lost_made_nothing_and_that_is_said(here: Maker) -> None:
    here.lab.server.faults.add("lost_request", f"{MAKES}$", times=1)
    done, text = await here.make()
    assert not done
    assert "Nothing was made" in text
    assert here.rollouts == []
    assert await here.store.making() == []
    assert (await here.make())[0]


async def killed_while_hawkbit_answers(here: Maker) -> None:
    """The process ends after hawkBit has made it and before it heard so; its lease ends as a dead one's does."""
    here.lab.server.faults.add("late_answer", f"{MAKES}$", times=1, delay_s=3.0)
    dying = asyncio.create_task(here.maker.make(WISH, ANNA))
    async with asyncio.timeout(5):
        while not here.rollouts:
            await asyncio.sleep(0.01)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    assert len(await here.store.making()) == 1


async def test_killed_after_hawkbit_made_it_the_next_tick_of_another_finishes(here: Maker, clock: ManualClock) -> None:
    await killed_while_hawkbit_answers(here)
    other = add_maker(here.lab, clock)
    await here.passing(other.maker.tick())
    assert len(await here.store.making()) == 1, "not before its maker must be dead"
    await clock.forward(31)
    await here.passing(other.maker.tick())
    (made,) = here.rollouts
    assert await here.store.making() == []
    assert len(await PreviousSets(here.lab.store).of(EU1, RolloutId(made.id))) == 9
    intent, outcome = await here.audited()
    assert (outcome.ref, outcome.data["outcome"]) == (f"{intent.seq}", "made")


async def test_killed_after_hawkbit_made_it_a_repeat_finishes(here: Maker, clock: ManualClock) -> None:
    await killed_while_hawkbit_answers(here)
    done, text = await add_maker(here.lab, clock).make()
    assert done, text
    assert len(here.rollouts) == 1
    assert [e.kind for e in await here.audited()] == ["intent", "outcome"]


async def test_killed_before_hawkbit_was_asked_it_is_made_by_a_repeat_or_told_as_not_made(
    here: Maker, clock: ManualClock
) -> None:
    here.lab.server.faults.add("late_request", f"{MAKES}$", times=1, delay_s=600.0)
    dying = asyncio.create_task(here.maker.make(WISH, ANNA))
    async with asyncio.timeout(5):
        while not await here.store.making():
            await asyncio.sleep(0.01)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    await clock.forward(31)
    await here.passing(here.maker.tick())
    assert await here.store.making() == []
    assert (await here.audited())[-1].data["outcome"] == "not_made"
    assert (await add_maker(here.lab, clock).make())[0]
    assert len(here.rollouts) == 1


async def test_nothing_is_made_on_rights_that_were_lost_meanwhile(here: Maker) -> None:
    async def no_more() -> datetime:
        raise NotAllowed("not any more")

    with pytest.raises(NotAllowed):
        await here.make(still_allowed=no_more)
    assert here.rollouts == []
    assert await here.audited() == []


async def test_an_unlocked_set_is_locked_first_and_without_the_account_for_it_that_is_said(
    here: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = here.lab.hawkbit.tenant().repo
    fresh = seed_set(repo, "FW", "3.0.0", locked=False)
    wish = replace(WISH, version="3.0.0")
    releases: Any = here.reader._world.stack(EU1).releases
    monkeypatch.setattr(releases, "_access", replace(releases._access, release=None))
    with pytest.raises(NotAllowed, match="release account"):
        await here.make(wish)
    assert here.rollouts == []
    assert await here.store.making() == []
    monkeypatch.undo()
    assert (await here.make(wish))[0]
    assert fresh.locked


@pytest.mark.parametrize(
    ("wish", "kind", "said"),
    [
        (replace(WISH, version="9.9"), NotFound, "has no set FW:9.9"),
        (replace(WISH, where="controllerId==nobody-*"), Refused, "No device passes"),
        (replace(WISH, where="controllerId=="), Refused, "hawkBit refused"),
        (replace(WISH, shares=(1.0, 99.0)), Refused, "Group 1 would be empty"),
    ],
)
async def test_what_cannot_be_is_refused_in_words_before_anything_is_written(
    here: Maker, wish: ReleaseWish, kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        await here.make(wish)
    assert here.rollouts == []
    assert await here.audited() == []


async def test_devices_of_a_running_rollout_are_told_by_what_would_become_of_them(here: Maker) -> None:
    await here.make()
    (first,) = here.rollouts
    here.lab.hawkbit.tick()
    again = replace(WISH, label="again")
    (waiting,) = (await here.reader.reach(again)).overlaps
    assert (waiting.name, waiting.unstarted) == (WISH.name, 10)
    here.lab.start(first)
    for _ in range(3):
        here.lab.hawkbit.tick()
    (running,) = (await here.reader.reach(again)).overlaps
    assert (running.running, running.waiting, running.unstarted) == (2, 8, 0)
    assert (await here.reader.reach(WISH)).overlaps == (), "a rollout does not stand in its own way"


async def test_a_preview_counts_what_may_surprise(here: Maker, clock: ManualClock) -> None:
    repo = here.lab.hawkbit.tenant().repo
    for number in range(10):
        repo.target(f"gw-{number:02}").polled_at = int((clock.now() - timedelta(minutes=5)).timestamp() * 1000)
    repo.target("gw-03").polled_at = int((clock.now() - timedelta(hours=2)).timestamp() * 1000)
    repo.target("gw-04").polled_at = None
    view = await here.reader.preview(WISH)
    assert (view.silent, view.never, view.unread) == (2, 1, 0)
    assert view.before == {"FW:1.0.0": 6, "FW:1.5.0": 3, "": 1}
    assert [(p.tenant, p.devices) for p in view.places] == [(TENANT, 10)]
    here.lab.fleet.unread = {"gw-01", "gw-02"}
    assert (await here.reader.preview(WISH)).unread == 2


async def test_an_order_carries_its_wish_past_the_life_of_its_draft(here: Maker) -> None:
    draft = await here.store.keep(WISH)
    order = await here.acts.ordered(f"create:{draft}")
    assert (order.action, order.tenants, order.stack) == (Action.CREATE, frozenset({TENANT}), EU1)
    assert (await here.acts.settled(order)).devices == 10
    evidence = await here.acts.evidence(order)
    await here.lab.store.flushdb()
    assert (await here.acts.evidence(order)).digest == evidence.digest
    assert (await here.passing(here.acts.carry_out(order, ANNA)))[0]
    with pytest.raises(NotFound, match="over a day old"):
        await here.acts.ordered(f"create:{draft}")


async def test_a_device_that_nobody_knows_takes_the_right_in_every_tenant(
    here: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def names(*, limit: int) -> list[DeviceName]:
        return [DeviceName(f"gw-{n:02}") for n in range(9)]

    monkeypatch.setattr(here.lab.fleet, "names", names)
    reach = await here.reader.reach(WISH)
    assert reach.strangers == {"gw-09"}
    other = TenantWorld(Tenant("b"), None, here.lab.fleet, ip_network("10.9.0.0/16"), Channel("C0B"))  # type: ignore[arg-type]
    stack = here.reader._world.stack(Stack("eu1"))
    two = World([replace(stack, tenants={**stack.tenants, Tenant("b"): other})], here.clock)
    here.reader._world = two
    assert (await here.reader.tenants(WISH))[0] == {TENANT, "b"}
