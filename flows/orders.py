"""A person's order about a rollout: found, allowed, carried out by the one path, answered in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from core.access import Action
from core.approvals import Order, Rule
from core.errors import NotFound, OutsideError
from core.ids import Caller, RolloutId, Stack, Tenant
from core.messages.text import literal, plain
from core.rollouts.actors import person
from core.rollouts.facts import RolloutFacts
from core.rollouts.records import RolloutRecord
from core.rollouts.views import Progress, nameless
from flows.acts import Acts
from flows.gate import Denied, Gate, Person, SecondPerson
from flows.world import StackWorld, World
from integrations.store.rollouts import RolloutStore


@dataclass(frozen=True, slots=True)
class Ordered:
    """What became of an order, in words. `done`: it was carried out (or had been), or is sent and being read back."""

    text: str
    done: bool


class RolloutOrders:
    """What people may ask of rollouts, and what they may see of them."""

    def __init__(
        self, *, world: World, gate: Gate, acts: Acts, records: RolloutStore, rules: Mapping[Action, Rule]
    ) -> None:
        self._world = world
        self._gate = gate
        self._acts = acts
        self._records = records
        self._rules = rules

    async def named(self, name: str, visible: frozenset[Tenant]) -> tuple[StackWorld, RolloutFacts]:
        """The rollout of that name that the person may see. Raises NotFound: what is not theirs does not exist; or the
        failure of a stack that could not be asked, where no other has it."""
        failure: OutsideError | None = None
        for stack in self._world.stacks.values():
            try:
                facts = await stack.rollouts.find(name)
                if facts is not None and await self._world.shows(stack, facts, visible):
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
                    if await self._world.shows(stack, facts, visible):
                        found.append((stack, facts))
            except OutsideError as error:
                missing.append(f"{stack.name}: {error.user_text}")
        return found, missing

    async def begun_with(self, text: str, visible: frozenset[Tenant]) -> tuple[StackWorld, RolloutFacts, str]:
        """The rollout under way, or ended and followed, whose name, which may hold spaces, the text begins with; and
        what follows it. Raises NotFound or OutsideError."""
        found, missing = await self.under_way(visible)
        named = [(s, f) for s, f in found if f"{text} ".startswith(f"{f.name} ")]
        named = named or await self._followed(text, visible)
        if not named:
            unread = f" Not read: {'; '.join(missing)}" if missing else ""
            raise NotFound(
                f"No rollout under way in your tenants is called {plain(text, 60)!r}. `/cdm rollout list` names them."
                f"{unread}"
            )
        stack, facts = max(named, key=lambda one: len(one[1].name))
        return stack, facts, text[len(facts.name) :].strip()

    async def _followed(self, text: str, visible: frozenset[Tenant]) -> list[tuple[StackWorld, RolloutFacts]]:
        """Those that have ended and are followed, whose name the text begins with. Raises OutsideError."""
        named = []
        for stack in self._world.stacks.values():
            for rollout in await self._records.tracked(stack.name):
                record = await self._records.record(stack.name, rollout)
                if record.name and f"{text} ".startswith(f"{record.name} "):
                    facts = await stack.rollouts.rollout(rollout)
                    if facts is not None and await self._world.shows(stack, facts, visible):
                        named.append((stack, facts))
        return named

    async def record(self, stack: Stack, rollout: RolloutId) -> RolloutRecord:
        return await self._records.record(stack, rollout)

    async def progress(self, stack: StackWorld, facts: RolloutFacts, visible: frozenset[Tenant]) -> Progress | None:
        """What the bot has judged of it, None where it does not follow it (yet). Names no device to somebody who may
        not see every tenant that has devices in it. Raises OutsideError."""
        view = (await self._records.record(stack.name, facts.id)).progress
        if view is None or await self._world.tenants_of(stack, facts) <= visible:
            return view
        return nameless(view)

    async def order(self, user: Caller, value: str) -> Ordered:
        """Carry out the order that `value` names; what happened. Raises Denied or OutsideError where nothing was begun;
        NeedsAnother or LoginWanted where it may be asked for, or done after a fresh login."""
        order = await self._acts.ordered(value)

        async def allowed() -> Person:
            """Asked at the click, and again under the rollout's lease, right before anything is done."""
            return await self._gate.require(user, order.action, order.tenants, order.object)

        async def still_allowed() -> datetime:
            return (await allowed()).read_at

        try:
            who = await allowed()
        except SecondPerson as second:
            raise NeedsAnother(await self._acts.settled(order), second.text, peer=second.peer) from second
        order = await self._acts.settled(order)
        actor = person(who.subject, who.username, who.read_at, order.tenants)
        self._by_policy(order, who)
        if who.remembered:
            dark = f"Keycloak does not answer; their rights are of {who.read_at:%H:%M} UTC"
            done, text = await self._acts.carry_out(order, actor, f"held by hand ({dark})")
            return Ordered(f"{text} Keycloak does not answer: done on your rights of {who.read_at:%H:%M} UTC.", done)
        done, text = await self._acts.carry_out(order, actor, still_allowed=still_allowed)
        return Ordered(text, done)

    def _by_policy(self, order: Order, who: Person) -> None:
        """What the policy asks for beyond the table."""
        rule = self._rules.get(order.action, Rule())
        if rule.always:
            text = f"*{literal(order.title, 200)}* needs a second person here, by the bot's policy."
            raise NeedsAnother(order, text, peer=True)
        if rule.fresh_login:
            raise LoginWanted(who, order)

    async def remembered(self, visible: frozenset[Tenant]) -> Sequence[RolloutRecord]:
        """The rollouts followed, as last seen, of the stacks all of whose tenants the person may see: for when hawkBit
        does not answer, and nobody can say which tenants a rollout covers."""
        found = []
        for stack in self._world.stacks.values():
            if stack.tenants.keys() <= visible:
                for rollout in await self._records.tracked(stack.name):
                    found.append(await self._records.record(stack.name, rollout))
        return found


class NeedsAnother(Denied):
    """Not alone: it may be asked for. `peer`: policy may let this person break the glass."""

    def __init__(self, order: Order, text: str, *, peer: bool) -> None:
        super().__init__("second_person", text)
        self.order = order
        self.peer = peer


class LoginWanted(Exception):
    """Allowed, by policy after a fresh login only. Nothing was done yet."""

    def __init__(self, who: Person, order: Order) -> None:
        super().__init__(order.title)
        self.who = who
        self.order = order
