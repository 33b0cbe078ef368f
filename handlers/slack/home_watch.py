"""The Home tab of those who looked at it lately follows the requests that concern them, within a budget."""

from __future__ import annotations

from core.approvals import digest_for
from core.budgets import Budget, Priority
from core.ports import Clock
from flows.approvals.book import ApprovalBook
from handlers.slack.home import HomeDesk
from integrations.store.budgets import Buckets
from integrations.store.homes import Homes
from integrations.store.leases import Leases

LEASE, LEASE_S = "homes", 30.0
LEAST_S = 15.0
"""Longer than one tab takes: Keycloak, hawkBit and Slack are asked for it."""
BUDGET = Budget(0.8, 12.0)
"""At most 60 in any minute for the whole workspace; Slack allows more than 100, and people open tabs themselves."""


class HomeWatch:
    """Of all processes only the holder of the lease publishes. A change that finds no room waits for a later tick."""

    def __init__(
        self, *, desk: HomeDesk, book: ApprovalBook, homes: Homes, leases: Leases, buckets: Buckets, clock: Clock
    ) -> None:
        self._desk = desk
        self._book = book
        self._homes = homes
        self._leases = leases
        self._buckets = buckets
        self._clock = clock

    async def tick(self) -> None:
        lease = await self._leases.acquire(LEASE, LEASE_S)
        if lease is None:
            return
        looking = await self._homes.lately(self._clock.now())
        if not looking:
            return
        live = await self._book.live()
        for user, shown in looking.items():
            if digest_for(live, shown.tenants, user) == shown.digest or await self._homes.rests(user):
                continue
            if not lease.valid(LEAST_S) and not await lease.renew():
                return
            if await self._buckets.take([("homes", BUDGET)], Priority.NOTE, self._clock.now().timestamp()) > 0:
                return
            await self._homes.rest(user)
            await self._desk.follow(user)
