"""What people may order about a rollout: named, shown with its evidence, and carried out by the one path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum

from core.access import Action
from core.approvals import Order
from core.errors import NotFound, OutsideError, Refused
from core.evidence import Evidence
from core.ids import RolloutId, Stack, Tenant
from core.messages.text import plain
from core.rollouts.actors import Actor, ActorKind
from core.rollouts.asked import OBJECTIONS, rollout_evidence, start_evidence
from core.rollouts.cause import following
from core.rollouts.decide import objection_names
from core.rollouts.gates import Verdict
from core.rollouts.records import DeviceState
from flows.rollouts.brakes import BrakeOutcome, Brakes
from flows.rollouts.ledger import Ledger, object_of
from flows.rollouts.promote import Promoter, PromotionOutcome, StillAllowed
from flows.rollouts.reading import read_and_decide
from flows.rollouts.site import Site
from flows.rollouts.start import Starter
from flows.world import StackWorld, World


class Verb(StrEnum):
    PROMOTE = "promote"
    RESUME = "resume"
    PAUSE = "pause"
    HOLD = "hold"
    UNHOLD = "unhold"
    STOP = "stop"
    CONTINUE = "continue"
    START = "start"


NEEDS: Mapping[str, Action] = {
    Verb.PROMOTE: Action.PROMOTE,
    Verb.RESUME: Action.RESUME,
    Verb.PAUSE: Action.PAUSE,
    Verb.HOLD: Action.HOLD,
    Verb.UNHOLD: Action.PROMOTE,
    Verb.STOP: Action.STOP,
    Verb.CONTINUE: Action.CONTINUE_FAILED,
    Verb.START: Action.START,
}
"""Lifting a hold lets the scheduler promote, so it needs what promoting needs."""

_TITLES: Mapping[Verb, str] = {
    Verb.PROMOTE: "Promote {group} of {name} on {stack}",
    Verb.RESUME: "Resume {name} on {stack}, which may start {group}",
    Verb.PAUSE: "Pause {name} on {stack}",
    Verb.HOLD: "Hold {name} on {stack}",
    Verb.UNHOLD: "Lift the hold of {name} on {stack}",
    Verb.STOP: "Stop {name} on {stack} for good",
    Verb.CONTINUE: "Start {group} of {name} on {stack} past its failed gates",
    Verb.START: "Start group 1 of {name} on {stack}",
}
_GROUP_VERBS = (Verb.PROMOTE, Verb.RESUME, Verb.CONTINUE)


class RolloutActs:
    """Carries out what `core.approvals.Order` names. Asks nobody for a right: `still_allowed` does."""

    def __init__(
        self,
        *,
        world: World,
        sites: Mapping[Stack, Site],
        ledger: Ledger,
        promoter: Promoter,
        brakes: Brakes,
        starter: Starter,
    ) -> None:
        self._world = world
        self._sites = sites
        self._ledger = ledger
        self._promoter = promoter
        self._brakes = brakes
        self._starter = starter

    needs: Mapping[str, Action] = NEEDS

    async def order(self, verb: Verb, stack_name: str, rollout: RolloutId, group: int | None) -> Order:
        """The order as it stands now. `group` is the one that the person was shown; None for the next one, which
        `settled` names. Raises NotFound or OutsideError; but a hold is the bot's own, and needs no hawkBit."""
        stack = self._world.stack(stack_name)
        tenants, name = await self._whose(stack, rollout, verb)
        which = "the next group" if group is None else f"group {group}"
        said = {"group": which, "name": plain(name, 80), "stack": plain(stack.name, 40)}
        params = {"verb": verb.value, "stack": stack.name, "rollout": f"{rollout}"}
        return Order(
            action=NEEDS[verb],
            object=object_of(stack.name, rollout),
            title=_TITLES[verb].format(**said),
            params={**params, "group": f"{group}"} if verb in _GROUP_VERBS and group is not None else params,
            stack=stack.name,
            tenants=tenants,
            channel=stack.channel,
        )

    async def settled(self, order: Order) -> Order:
        """The order with its group, where it is about the next one, and how many devices it concerns: read only once
        the right is known, since it tells how far the rollout is. Raises Refused where none is left, NotFound or
        OutsideError."""
        verb, rollout = Verb(order.params["verb"]), RolloutId(int(order.params["rollout"]))
        if verb not in (*_GROUP_VERBS, Verb.STOP, Verb.START):
            return order
        groups = await self._world.stack(order.stack).rollouts.groups(rollout)
        if verb is Verb.START:
            return replace(order, devices=groups[0].total if groups else None)
        if verb is Verb.STOP:
            return replace(order, devices=sum(one.total for one in groups if not one.status.started))
        if "group" not in order.params:
            index = 1 + max((n for n, one in enumerate(groups, 1) if one.status.started), default=0)
            if index > len(groups):
                raise Refused("Every group of this rollout is started already. Nothing was done.")
            order = await self.order(verb, order.stack, rollout, index)
        index = int(order.params["group"])
        return replace(order, devices=groups[index - 1].total if index <= len(groups) else None)

    async def ordered(self, value: str) -> Order:
        """The order of a button's value, "<verb>:<stack>/<rollout>[/<group>]". Raises Refused, and as `order`."""
        verb, _, thing = value.partition(":")
        stack, _, rest = thing.partition("/")
        rollout, _, group = rest.partition("/")
        if verb not in set(Verb) or not stack or not rollout.isdecimal() or (group and not group.isdecimal()):
            raise Refused("This does not say which rollout it means. Nothing was done.")
        return await self.order(Verb(verb), stack, RolloutId(int(rollout)), int(group) if group else None)

    def value(self, order: Order) -> str:
        """What a button says to name this order (`ordered`)."""
        params = order.params
        group = f"/{params['group']}" if "group" in params else ""
        return f"{params['verb']}:{params['stack']}/{params['rollout']}{group}"

    async def evidence(self, order: Order) -> Evidence:
        """What whoever decides about it is shown, read now. Raises NotFound or OutsideError."""
        rollout, site = RolloutId(int(order.params["rollout"])), self._sites[order.stack]
        record = await self._ledger.records.record(site.stack, rollout)
        if Verb(order.params["verb"]) is Verb.START:
            return await self._before_it(site, rollout)
        fresh = await read_and_decide(site, self._ledger, record, ActorKind.PERSON)
        if fresh is None:
            raise NotFound("This rollout does not exist in hawkBit any more.", system=f"hawkBit {site.stack}")
        snapshot, decision = fresh.snapshot, fresh.decision
        nexts = following(snapshot)
        targets = await site.rollouts.members(rollout, nexts.id) if nexts is not None else frozenset()
        failed: set[str] = set()
        for group in snapshot.groups:
            if group.status.started and group.counts.error:
                failed |= await site.rollouts.failed(rollout, group.id)
        known = fresh.evidence.devices.values() if fresh.evidence is not None else ()
        going_on = Verb(order.params["verb"]) is Verb.CONTINUE
        return rollout_evidence(
            snapshot,
            await site.wanted(snapshot.rollout.set_id),
            objection_names(decision, record)
            if going_on
            else [f"{g.name}: {g.reason.value}" for g in decision.gates if g.verdict is Verdict.FAIL],
            targets=targets,
            refuted=(d.device for d in known if d.state is DeviceState.REFUTED and d.member),
            failed=failed,
        )

    async def _before_it(self, site: Site, rollout: RolloutId) -> Evidence:
        """For a rollout that has not started: its first group."""
        snapshot = await site.snapshot(rollout, self._ledger.clock)
        if snapshot is None or not snapshot.groups:
            raise NotFound("This rollout does not exist in hawkBit any more.", system=f"hawkBit {site.stack}")
        targets = await site.rollouts.members(rollout, snapshot.groups[0].id)
        return start_evidence(snapshot, await site.wanted(snapshot.rollout.set_id), targets)

    async def carry_out(
        self,
        order: Order,
        by: Actor,
        reason: str = "",
        *,
        still_allowed: StillAllowed = None,
        agreed: Evidence | None = None,
    ) -> tuple[bool, str]:
        """Whether it was done (or had been), and what is true now, in words. May be called again after a crash: each
        act reads before it sends. Raises what `still_allowed` raises, then nothing was done."""
        stack, rollout = order.stack, RolloutId(int(order.params["rollout"]))
        verb, group = Verb(order.params["verb"]), int(order.params.get("group", "0"))
        if verb in _GROUP_VERBS:
            past = frozenset(map(str, _names(agreed))) if verb is Verb.CONTINUE else frozenset[str]()
            promoted = await self._promoter.promote(
                stack, rollout, group, by, still_allowed=still_allowed, past=past, because=reason
            )
            done = (PromotionOutcome.STARTED, PromotionOutcome.ALREADY_STARTED, PromotionOutcome.UNSETTLED)
            return promoted.outcome in done, promoted.text
        if verb is Verb.START:
            return await self._starter.start(stack, rollout, by, reason, still_allowed=still_allowed)
        act = {
            Verb.PAUSE: self._brakes.pause,
            Verb.HOLD: self._brakes.hold,
            Verb.STOP: self._brakes.stop,
        }
        if verb is Verb.UNHOLD:
            result = await self._brakes.unhold(stack, rollout, by, still_allowed=still_allowed)
        else:
            result = await act[verb](stack, rollout, by, reason, still_allowed=still_allowed)
        return result.outcome not in (BrakeOutcome.REFUSED, BrakeOutcome.BUSY, BrakeOutcome.UNKNOWN), result.text

    async def _whose(self, stack: StackWorld, rollout: RolloutId, verb: Verb) -> tuple[frozenset[Tenant], str]:
        """Where the right is needed, and its name. A hold needs no hawkBit: without it, the right everywhere."""
        try:
            facts = await stack.rollouts.rollout(rollout)
            if facts is None:
                raise NotFound("This rollout does not exist in hawkBit any more.")
            return await self._world.tenants_of(stack, facts), facts.name
        except OutsideError as error:
            if verb is Verb.HOLD and not isinstance(error, NotFound):
                return frozenset(stack.tenants), f"rollout {rollout}"
            raise


def _names(agreed: Evidence | None) -> tuple[str, ...]:
    found = agreed.facts.get(OBJECTIONS, ()) if agreed is not None else ()
    return () if isinstance(found, (str, int)) else tuple(found)
