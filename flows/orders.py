"""A person's order about a rollout: found, allowed, carried out by the one path, answered in words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum

from core.access import Action
from core.errors import NotFound, OutsideError
from core.ids import RolloutId, SlackUser, Stack, Tenant
from core.rollouts.actors import Actor, person
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
        """The rollout of that name that the person may see. Raises NotFound: what is not theirs does not exist."""
        for stack in self._world.stacks.values():
            facts = await stack.rollouts.find(name)
            if facts is not None and await self._world.tenants_of(stack, facts) & visible:
                return stack, facts
        raise NotFound(f"There is no rollout {name!r} in your tenants. `/cdm rollout list` shows those under way.")

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
        self, user: SlackUser, verb: Verb, stack_name: str, rollout: RolloutId, group_index: int | None
    ) -> str:
        """Carry out an order; what happened, in words. Raises Denied or OutsideError where nothing was begun.

        `group_index` is the group that the person was shown; None (a typed command) means the next one as recorded.
        """
        stack = self._world.stack(stack_name)
        facts = await stack.rollouts.rollout(rollout)
        if facts is None:
            raise NotFound("This rollout does not exist in hawkBit any more.")
        tenants = await self._world.tenants_of(stack, facts)
        object = f"rollout:{stack.name}/{rollout}"

        async def allowed() -> Person:
            return await self._gate.require(user, _NEEDS[verb], tenants, object)

        who = await allowed()
        actor = person(who.subject, who.username)
        if verb in (Verb.PROMOTE, Verb.RESUME):
            return await self._start_next(stack.name, facts, verb, group_index, actor, allowed)
        act = {
            Verb.PAUSE: self._brakes.pause,
            Verb.HOLD: self._brakes.hold,
            Verb.UNHOLD: self._brakes.unhold,
            Verb.STOP: self._brakes.stop,
        }[verb]
        result = await act(stack.name, rollout, actor)
        note = f" (on your rights of {who.read_at:%H:%M} UTC: Keycloak does not answer)" if who.remembered else ""
        return result.text + note

    async def _start_next(
        self,
        stack: Stack,
        facts: RolloutFacts,
        verb: Verb,
        group_index: int | None,
        actor: Actor,
        allowed: Callable[[], Awaitable[Person]],
    ) -> str:
        if group_index is None:
            record = await self._records.record(stack, facts.id)
            group_index = (record.progress.next_number if record.progress else None) or 0
        result = await self._promoter.promote(stack, facts.id, group_index, actor)
        return result.text
