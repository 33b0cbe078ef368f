"""The order to make a release: named by the draft that somebody was shown, bound to what it would reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from core.access import Action
from core.approvals import Order
from core.errors import NotFound
from core.evidence import Evidence
from core.messages.release import CREATE
from core.messages.text import plain
from core.rollouts.actors import Actor
from core.rollouts.wish import wish_of
from flows.release.making import ReleaseMaker, object_of
from flows.release.reading import ReleaseReader
from flows.rollouts.promote import StillAllowed
from flows.world import World
from integrations.store.releases import ReleaseStore


class ReleaseActs:
    """The order carries the whole wish: it outlives the draft it was made of."""

    needs: Mapping[str, Action] = {CREATE: Action.CREATE}

    def __init__(self, *, world: World, reader: ReleaseReader, maker: ReleaseMaker, releases: ReleaseStore) -> None:
        self._world = world
        self._reader = reader
        self._maker = maker
        self._releases = releases

    async def ordered(self, value: str) -> Order:
        """The order of a button's value, "create:<draft>"."""
        draft = value.partition(":")[2]
        wish = await self._releases.draft(draft)
        if wish is None:
            raise NotFound("This preview is over a day old. Nothing was made; ask for a new one: /cdm rollout create.")
        stack = self._world.stack(wish.stack)
        tenants, _ = await self._reader.tenants(wish)
        return Order(
            action=Action.CREATE,
            object=object_of(wish),
            title=f"Make rollout {plain(wish.name, 80)} on {plain(stack.name, 40)}",
            params={"verb": CREATE, "draft": draft, **wish.params()},
            stack=stack.name,
            tenants=tenants,
            channel=stack.channel,
        )

    async def settled(self, order: Order) -> Order:
        _, devices = await self._reader.tenants(wish_of(order.params))
        return replace(order, devices=devices)

    def value(self, order: Order) -> str:
        return f"{CREATE}:{order.params['draft']}"

    async def evidence(self, order: Order) -> Evidence:
        return (await self._reader.reach(wish_of(order.params))).evidence()

    async def carry_out(
        self,
        order: Order,
        by: Actor,
        reason: str = "",
        *,
        still_allowed: StillAllowed = None,
        agreed: Evidence | None = None,
    ) -> tuple[bool, str]:
        return await self._maker.make(wish_of(order.params), by, reason, still_allowed=still_allowed)
