"""Which devices of a rollout do not get on, shown to one person who may see it."""

from __future__ import annotations

from core.errors import NotFound, Refused
from core.ids import Caller, RolloutId
from core.messages.blocks import Message
from core.messages.stuck import stuck_message
from core.rollouts.facts import RolloutFacts
from flows.gate import Gate
from flows.orders import RolloutOrders
from flows.world import StackWorld, World


class StuckDesk:
    """What was found when the bot last looked over the devices. Methods raise Denied or OutsideError."""

    def __init__(self, *, gate: Gate, world: World, orders: RolloutOrders) -> None:
        self._gate = gate
        self._world = world
        self._orders = orders

    async def named(self, user: Caller, name: str) -> Message:
        _, visible = await self._gate.viewer(user)
        stack, facts = await self._orders.named(name, visible)
        return await self._message(stack, facts, named=await self._world.tenants_of(stack, facts) <= visible)

    async def shown(self, user: Caller, value: str) -> Message:
        """`value` is a button's, "<stack>/<rollout>"."""
        _, visible = await self._gate.viewer(user)
        stack_name, _, rollout = value.partition("/")
        if not rollout.isdecimal():
            raise Refused("This does not say which rollout it means. Use the newest message.")
        stack = self._world.stack(stack_name)
        facts = await stack.rollouts.rollout(RolloutId(int(rollout)))
        if facts is None or not await self._world.shows(stack, facts, visible):
            raise NotFound("There is no such rollout in your tenants.")
        return await self._message(stack, facts, named=await self._world.tenants_of(stack, facts) <= visible)

    async def _message(self, stack: StackWorld, facts: RolloutFacts, *, named: bool) -> Message:
        record = await self._orders.record(stack.name, facts.id)
        return stuck_message(facts.name, stack.name, facts.id, record.sweep, named=named)
