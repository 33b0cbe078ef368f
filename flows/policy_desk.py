"""`/cdm policy`: which policy decides about a rollout, told to whoever may see it. Read-only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from core.ids import Caller, Stack
from core.messages.blocks import Message
from core.messages.policy import policy_message
from core.ports import Clock
from flows.gate import Gate
from flows.orders import RolloutOrders
from flows.rollouts.site import Site


class PolicyDesk:
    """Windows of tenants that the person may not see are left out."""

    def __init__(self, *, gate: Gate, orders: RolloutOrders, sites: Mapping[Stack, Site], clock: Clock) -> None:
        self._gate = gate
        self._orders = orders
        self._sites = sites
        self._clock = clock

    async def explained(self, user: Caller, name: str) -> Message:
        """Raises Denied, NotFound or OutsideError."""
        _, visible = await self._gate.viewer(user)
        stack, facts = await self._orders.named(name, visible)
        record = await self._orders.record(stack.name, facts.id)
        applied = self._sites[stack.name].policies.applied(facts.name, record.policy)
        shown = replace(
            applied.policy,
            production={tenant: one for tenant, one in applied.policy.production.items() if tenant in visible},
            reboot_windows={tenant: one for tenant, one in applied.policy.reboot_windows.items() if tenant in visible},
        )
        return policy_message(stack.name, facts.name, replace(applied, policy=shown), self._clock.now())
