"""What a person asks of releases before one is made: which sets and tenants there are for them, and a preview."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.access import Action
from core.errors import Refused
from core.ids import Caller, Stack, Tenant
from core.rollouts.preview import Preview
from core.rollouts.wish import ReleaseWish, narrowed
from flows.gate import Gate
from flows.release.making import object_of
from flows.release.reading import ReleaseReader
from flows.world import World
from integrations.store.releases import ReleaseStore

SETS_OFFERED = 100


@dataclass(frozen=True, slots=True)
class Offer:
    """What one person may choose from on one stack. `tenants`: those with a filter of their own in the settings.
    `everywhere`: they may also write a filter over the whole stack. `sets`: "name:version", newest first."""

    stack: Stack
    tenants: Sequence[Tenant]
    everywhere: bool
    sets: Sequence[str]
    policies: Sequence[str]


class ReleaseDesk:
    def __init__(self, *, world: World, gate: Gate, reader: ReleaseReader, releases: ReleaseStore) -> None:
        self._world = world
        self._gate = gate
        self._reader = reader
        self._releases = releases

    async def offers(self, user: Caller) -> Sequence[Offer]:
        """By a live answer of Keycloak; making one asks again. Raises Denied, or OutsideError."""
        able = (await self._gate.where(user, (Action.CREATE,)))[Action.CREATE]
        found = []
        for stack in self._world.stacks.values():
            own = [t.id for t in stack.tenants.values() if t.id in able and t.target_filter]
            everywhere = stack.tenants.keys() <= able
            if own or everywhere:
                sets = [str(one) for one in reversed(await stack.releases.sets()) if one.valid]
                policies = self._reader.policies(stack.name)
                found.append(Offer(stack.name, own, everywhere, sets[:SETS_OFFERED], policies))
        if not found:
            raise Refused(
                "Your tenants have no target_filter in the bot's settings, so nobody can say which devices of hawkBit "
                "are theirs. An admin of the bot sets it; or somebody with the right in every tenant makes the release."
            )
        return found

    async def preview(self, user: Caller, wish: ReleaseWish) -> tuple[Preview, str]:
        """What the wish would reach, and the draft by which a button names it. `wish.where` is what the person wrote:
        with a tenant it only narrows that one's devices; without, the right is needed in every tenant of the stack
        before hawkBit is asked about anything. Raises Denied or OutsideError."""
        stack = self._world.stack(wish.stack)
        if wish.tenant:
            tenant = Tenant(wish.tenant)
            await self._gate.require(user, Action.CREATE, frozenset({tenant}), f"stack:{stack.name}")
            own = self._world.tenant(stack.name, tenant).target_filter
            if not own:
                raise Refused(
                    f"{tenant} has no target_filter in the bot's settings, so nobody can say which devices of hawkBit "
                    "are its own. Nothing was made; write a filter over the whole stack, or have it set."
                )
            wish = replace(wish, where=narrowed(own, wish.where))
        else:
            await self._gate.require(user, Action.CREATE, frozenset(stack.tenants), f"stack:{stack.name}")
        tenants, _ = await self._reader.tenants(wish)
        await self._gate.require(user, Action.CREATE, tenants, object_of(wish))
        view = await self._reader.preview(wish)
        return view, await self._releases.keep(wish)
