"""A person's order about a rollout: found, allowed, carried out by the one path, answered in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from core.access import Action
from core.errors import NotFound, OutsideError, Refused
from core.ids import Caller, RolloutId, Stack, Tenant
from core.messages.text import plain
from core.rollouts.actors import person
from core.rollouts.facts import RolloutFacts
from core.rollouts.records import RolloutRecord
from flows.gate import Gate, Person
from flows.rollouts.brakes import Brakes
from flows.rollouts.promote import Promoter
from flows.world import StackWorld, World
from integrations.store.rollouts import RolloutStore


class Verb(StrEnum):
    PROMOTE = "promote"
    RESUME = "resume"
    PAUSE = "pause"
    HOLD = "hold"
    UNHOLD = "unhold"
    STOP = "stop"


_NEEDS: Mapping[Verb, Action] = {
    Verb.PROMOTE: Action.PROMOTE,
    Verb.RESUME: Action.RESUME,
    Verb.PAUSE: Action.PAUSE,
    Verb.HOLD: Action.HOLD,
    Verb.UNHOLD: Action.PROMOTE,
    Verb.STOP: Action.STOP,
}
"""Lifting a hold lets the scheduler promote, so it needs what promoting needs."""


class RolloutOrders:
    """What people may ask of rollouts, and what they may see of them."""

    def __init__(self, *, world: World, gate: Gate, promoter: Promoter, brakes: Brakes, records: RolloutStore) -> None:
        self._world = world
        self._gate = gate
        self._promoter = promoter
        self._brakes = brakes
        self._records = records

    async def named(self, name: str, visible: frozenset[Tenant]) -> tuple[StackWorld, RolloutFacts]:
        """The rollout of that name that the person may see. Raises NotFound: what is not theirs does not exist; or the
        failure of a stack that could not be asked, where no other has it."""
        failure: OutsideError | None = None
        for stack in self._world.stacks.values():
            try:
                facts = await stack.rollouts.find(name)
                if facts is not None and await self._world.tenants_of(stack, facts) & visible:
                    return stack, facts
            except OutsideError as error:
                failure = failure or error
        if failure is not None:
            raise failure
        raise NotFound(
            f"There is no rollout {plain(name, 100)!r} in your tenants. /cdm rollout list shows those under way."
        )

    async def under_way(
        self, visible: frozenset[Tenant]
    ) -> tuple[Sequence[tuple[StackWorld, RolloutFacts]], Sequence[str]]:
        """Rollouts under way that the person may see, and which stacks could not be asked."""
        found: list[tuple[StackWorld, RolloutFacts]] = []
        missing: list[str] = []
        for stack in self._world.stacks.values():
            try:
                for facts in await stack.rollouts.active():
                    if await self._world.tenants_of(stack, facts) & visible:
                        found.append((stack, facts))
            except OutsideError as error:
                missing.append(f"{stack.name}: {error.user_text}")
        return found, missing

    async def record(self, stack: Stack, rollout: RolloutId) -> RolloutRecord:
        return await self._records.record(stack, rollout)

    async def order(
        self, user: Caller, verb: Verb, stack_name: str, rollout: RolloutId, group_index: int | None
    ) -> str:
        """Carry out an order; what happened, in words. Raises Denied or OutsideError where nothing was begun.

        `group_index` is the group that the person was shown; None (a typed command) means the next one as hawkBit has
        it now.
        """
        stack = self._world.stack(stack_name)
        tenants = await self._tenants(stack, rollout, verb)

        async def allowed() -> Person:
            """Asked at the click, and again under the rollout's lease, right before anything is done."""
            return await self._gate.require(user, _NEEDS[verb], tenants, _object(stack.name, rollout))

        who = await allowed()
        actor = person(who.subject, who.username)
        match verb:
            case Verb.PROMOTE | Verb.RESUME:
                index = await self._next_group(stack, rollout) if group_index is None else group_index
                promoted = await self._promoter.promote(stack.name, rollout, index, actor, still_allowed=allowed)
                return promoted.text
            case Verb.HOLD if who.remembered:
                dark = f"Keycloak does not answer; their rights are of {who.read_at:%H:%M} UTC"
                result = await self._brakes.hold(stack.name, rollout, actor, f"held by hand ({dark})")
                return f"{result.text} Keycloak does not answer: done on your rights of {who.read_at:%H:%M} UTC."
            case Verb.HOLD:
                result = await self._brakes.hold(stack.name, rollout, actor, still_allowed=allowed)
            case Verb.UNHOLD:
                result = await self._brakes.unhold(stack.name, rollout, actor, still_allowed=allowed)
            case Verb.STOP:
                result = await self._brakes.stop(stack.name, rollout, actor, still_allowed=allowed)
            case _:
                result = await self._brakes.pause(stack.name, rollout, actor, still_allowed=allowed)
        return result.text

    async def remembered(self, visible: frozenset[Tenant]) -> Sequence[RolloutRecord]:
        """The rollouts followed, as last seen, of the stacks all of whose tenants the person may see: for when hawkBit
        does not answer, and nobody can say which tenants a rollout covers."""
        found = []
        for stack in self._world.stacks.values():
            if stack.tenants.keys() <= visible:
                for rollout in await self._records.tracked(stack.name):
                    found.append(await self._records.record(stack.name, rollout))
        return found

    async def _tenants(self, stack: StackWorld, rollout: RolloutId, verb: Verb) -> frozenset[Tenant]:
        """Where the right is needed. A hold is the bot's own and needs no hawkBit: without it, the right everywhere."""
        try:
            facts = await stack.rollouts.rollout(rollout)
            if facts is None:
                raise NotFound("This rollout does not exist in hawkBit any more.")
            return await self._world.tenants_of(stack, facts)
        except OutsideError as error:
            if verb is Verb.HOLD and not isinstance(error, NotFound):
                return frozenset(stack.tenants)
            raise

    async def _next_group(self, stack: StackWorld, rollout: RolloutId) -> int:
        groups = await stack.rollouts.groups(rollout)
        index = 1 + max((n for n, group in enumerate(groups, 1) if group.status.started), default=0)
        if index > len(groups):
            raise Refused("Every group of this rollout is started already. Nothing was done.")
        return index


def _object(stack: Stack, rollout: RolloutId) -> str:
    return f"rollout:{stack}/{rollout}"
