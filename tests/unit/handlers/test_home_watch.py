"""Tabs that follow a change: once each, by one process, within the budget, and only those it concerns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from core.approvals import Request, digest_for
from core.ids import ApprovalId, SlackUser, Tenant
from handlers.slack.home_watch import HomeWatch
from integrations.clock import SystemClock
from integrations.store.budgets import Buckets
from integrations.store.connection import Store
from integrations.store.homes import MAX_LOOKING, Homes, Shown
from integrations.store.leases import Leases
from tests.unit.core.approval_samples import OPEN

A, B = Tenant("customer-a"), Tenant("customer-b")
CLOCK = SystemClock()


@dataclass
class Requests:
    """Stands in for the book."""

    found: list[Request] = field(default_factory=list)

    async def live(self) -> Sequence[Request]:
        return self.found


@dataclass
class Tabs:
    """Stands in for the desk: shows what there is."""

    homes: Homes
    requests: Requests
    followed: list[SlackUser] = field(default_factory=list)

    async def follow(self, user: SlackUser) -> None:
        self.followed.append(user)
        await self.opened(user, A)

    async def opened(self, user: SlackUser, *tenants: Tenant) -> None:
        seen = frozenset(tenants)
        await self.homes.show(user, Shown(seen, digest_for(self.requests.found, seen, user)))


@dataclass
class Lab:
    store: Store
    homes: Homes
    requests: Requests
    tabs: Tabs

    def process(self) -> HomeWatch:
        return HomeWatch(
            desk=cast(Any, self.tabs),
            book=cast(Any, self.requests),
            homes=self.homes,
            leases=Leases(self.store, CLOCK),
            buckets=Buckets(self.store),
            clock=CLOCK,
        )

    async def looks(self, name: str, *tenants: Tenant) -> SlackUser:
        user = SlackUser("T1", name)
        await self.homes.looked(user, CLOCK.now())
        await self.tabs.opened(user, *tenants)
        return user


@pytest.fixture
def lab(store: Store) -> Lab:
    homes, requests = Homes(store), Requests()
    return Lab(store, homes, requests, Tabs(homes, requests))


async def test_a_request_reaches_those_of_its_tenants_and_who_asked_once(lab: Lab) -> None:
    alice, bob = await lab.looks("UALICE", A), await lab.looks("UBOB")
    await lab.looks("UFRANK", B)
    watch = lab.process()
    await watch.tick()
    assert lab.tabs.followed == []
    lab.requests.found = [OPEN]
    for _ in range(3):
        await watch.tick()
    assert sorted(lab.tabs.followed) == [alice, bob]


async def test_a_person_s_tab_rests_between_changes_and_then_shows_the_last_one(lab: Lab) -> None:
    alice = await lab.looks("UALICE", A)
    watch = lab.process()
    lab.requests.found = [OPEN]
    await watch.tick()
    lab.requests.found = [OPEN, replace(OPEN, id=ApprovalId("second"))]
    await watch.tick()
    assert lab.tabs.followed == [alice]
    assert 0 < await lab.store.ttl("cdm:homes:rest:T1/UALICE") <= 30
    await lab.store.delete("cdm:homes:rest:T1/UALICE")
    await watch.tick()
    assert lab.tabs.followed == [alice, alice]


async def test_of_two_processes_one_publishes(lab: Lab) -> None:
    await lab.looks("UALICE", A)
    one, other = lab.process(), lab.process()
    await one.tick()
    lab.requests.found = [OPEN]
    await other.tick()
    assert lab.tabs.followed == []
    await one.tick()
    assert len(lab.tabs.followed) == 1


async def test_all_of_them_together_stay_within_the_budget(lab: Lab) -> None:
    for number in range(100):
        await lab.looks(f"U{number:03}", A)
    lab.requests.found = [OPEN]
    watch = lab.process()
    for _ in range(3):
        await watch.tick()
    assert 12 <= len(lab.tabs.followed) <= 20


async def test_who_looked_long_ago_is_forgotten_and_of_very_many_the_last_are_kept(lab: Lab) -> None:
    long_ago = SlackUser("T1", "UOLD")
    await lab.homes.looked(long_ago, CLOCK.now())
    await lab.tabs.opened(long_ago, A)
    await lab.store.zadd("cdm:homes:looking", {str(long_ago): CLOCK.now().timestamp() - 3601})
    alice = await lab.looks("UALICE", A)
    assert list(await lab.homes.lately(CLOCK.now())) == [alice]
    assert await lab.store.hkeys("cdm:homes:shown") == [b"T1/UALICE"]
    for number in range(MAX_LOOKING):
        await lab.homes.looked(SlackUser("T1", f"U{number}"), CLOCK.now())
    assert await lab.store.zcard("cdm:homes:looking") == MAX_LOOKING
