"""What people may order about single devices of a rollout: exclude, cancel, end, force, catch up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from core.access import Action
from core.approvals import Order
from core.errors import NotFound, Refused
from core.evidence import Evidence, Fact
from core.ids import RolloutId
from core.messages.text import count, plain
from core.rollouts.actors import Actor
from core.rollouts.work import WorkKind
from flows.rollouts.device_plans import Plan
from flows.rollouts.device_work import DeviceWorks, WorkOutcome
from flows.rollouts.ledger import object_of
from flows.rollouts.promote import StillAllowed
from flows.world import World

NEEDS: Mapping[str, Action] = {
    WorkKind.EXCLUDE: Action.EXCLUDE,
    WorkKind.CANCEL: Action.CANCEL_ACTION,
    WorkKind.QUIT: Action.CANCEL_ACTION,
    WorkKind.FORCE: Action.RUN_CHANGE_ONE,
    WorkKind.CATCH_UP: Action.PROMOTE,
}
"""Catching up brings a release that was decided on to devices it was meant for: it needs what promoting needs."""

_TITLES: Mapping[WorkKind, str] = {
    WorkKind.EXCLUDE: "Exclude {what} of {name} on {stack}, which cannot be reached",
    WorkKind.CANCEL: "Cancel {what} of {name} on {stack}",
    WorkKind.QUIT: "End by force {what} of {name} on {stack}",
    WorkKind.FORCE: "Force {what} of {name} on {stack}",
    WorkKind.CATCH_UP: "Bring {what} of {name} on {stack} the set that they missed",
}
_ALL: Mapping[WorkKind, str] = {
    WorkKind.EXCLUDE: "the silent devices",
    WorkKind.CANCEL: "every open install",
    WorkKind.QUIT: "the cancels that no device confirms",
    WorkKind.FORCE: "the install",
    WorkKind.CATCH_UP: "the excluded devices",
}


class DeviceActs:
    """Values are "<verb>:<stack>/<rollout>[/<which>]": an exclusion's group, else one device."""

    needs: Mapping[str, Action] = NEEDS

    def __init__(self, *, world: World, works: DeviceWorks) -> None:
        self._world = world
        self._works = works

    async def ordered(self, value: str) -> Order:
        verb, _, thing = value.partition(":")
        stack_name, _, rest = thing.partition("/")
        rollout, _, which = rest.partition("/")
        if verb not in set(WorkKind) or not stack_name or not rollout.isdecimal():
            raise Refused("This does not say which rollout it means. Nothing was done.")
        kind = WorkKind(verb)
        if kind is WorkKind.FORCE and not which:
            raise Refused("This does not say which device it means. Nothing was done.")
        stack = self._world.stack(stack_name)
        facts = await stack.rollouts.rollout(RolloutId(int(rollout)))
        if facts is None:
            raise NotFound("This rollout does not exist in hawkBit any more.")
        params = {"verb": verb, "stack": stack.name, "rollout": rollout, "name": facts.name}
        order = Order(
            action=NEEDS[kind],
            object=object_of(stack.name, facts.id),
            title="",
            params={**params, "which": which} if which else params,
            stack=stack.name,
            tenants=await self._world.tenants_of(stack, facts),
            channel=stack.channel,
        )
        return _titled(order, _ALL[kind] if not which or kind is WorkKind.EXCLUDE else plain(which, 60))

    async def settled(self, order: Order) -> Order:
        """With how many devices it concerns. Raises Refused where it must not be done now."""
        plan = await self._plan(order)
        number = count(plan.total, "device")
        kind = WorkKind(order.params["verb"])
        what = f"{number} ({', '.join(plan.names[:3])})" if 0 < len(plan.names) <= 3 else number
        if kind is WorkKind.CANCEL and not plan.devices:
            what = count(plan.total, "open install")
        return replace(_titled(order, plain(what, 90)), devices=plan.total)

    def value(self, order: Order) -> str:
        params = order.params
        which = f"/{params['which']}" if "which" in params else ""
        return f"{params['verb']}:{params['stack']}/{params['rollout']}{which}"

    async def evidence(self, order: Order) -> Evidence:
        """Which devices exactly; of cancelling all that is open only that, since it gets fewer by the minute."""
        plan = await self._plan(order)
        facts: dict[str, Fact] = {
            "rollout": f"{order.params['name']} ({order.stack}/{order.params['rollout']})",
            "devices": plan.names if plan.devices else "every one whose install is open then",
        }
        return Evidence(facts)

    async def carry_out(
        self,
        order: Order,
        by: Actor,
        reason: str = "",
        *,
        still_allowed: StillAllowed = None,
        agreed: Evidence | None = None,
    ) -> tuple[bool, str]:
        params = order.params
        result = await self._works.order(
            WorkKind(params["verb"]),
            order.stack,
            RolloutId(int(params["rollout"])),
            by,
            reason,
            which=params.get("which", ""),
            still_allowed=still_allowed,
        )
        return result.outcome in (WorkOutcome.DONE, WorkOutcome.UNDER_WAY), result.text

    async def _plan(self, order: Order) -> Plan:
        kind, rollout = WorkKind(order.params["verb"]), RolloutId(int(order.params["rollout"]))
        return await self._works.plan(kind, order.stack, rollout, order.params.get("which", ""))


def _titled(order: Order, what: str) -> Order:
    said = {"what": what, "name": plain(order.params["name"], 80), "stack": plain(order.stack, 40)}
    return replace(order, title=_TITLES[WorkKind(order.params["verb"])].format(**said))
