"""What people may order, of every kind, behind one face: named by a button's value, shown with its evidence, done.

Each kind (`Acts`) knows its own verbs. Who may order what, and whether a second person must agree, is decided by the
gate and the approvals alone; no kind asks for a right itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from core.access import Action
from core.approvals import Order
from core.errors import Refused
from core.evidence import Evidence
from core.rollouts.actors import Actor
from flows.rollouts.promote import StillAllowed


class Acts(Protocol):
    """One kind of acts. An order of it names its verb in `params["verb"]`, its value begins with "<verb>:"."""

    needs: Mapping[str, Action]
    """By verb, what a person must be allowed to do for it."""

    async def ordered(self, value: str) -> Order:
        """The order of a button's value. Reads what is needed to say whose right it takes, and no more. Raises Refused,
        NotFound or OutsideError."""
        ...

    async def settled(self, order: Order) -> Order:
        """The order with all that only somebody with the right may know. Raises as `ordered`."""
        ...

    def value(self, order: Order) -> str:
        """What a button says to name this order (`ordered`)."""
        ...

    async def evidence(self, order: Order) -> Evidence:
        """What whoever decides about it is shown, read now."""
        ...

    async def carry_out(
        self,
        order: Order,
        by: Actor,
        reason: str = "",
        *,
        still_allowed: StillAllowed = None,
        agreed: Evidence | None = None,
    ) -> tuple[bool, str]:
        """Whether it was done (or had been, or is under way), and what is true now, in words. May be called again after
        a crash: it reads before it sends. Raises what `still_allowed` raises, then nothing was done."""
        ...


class AllActs:
    """Every kind as one."""

    def __init__(self, kinds: Sequence[Acts]) -> None:
        self._kinds = {verb: kind for kind in kinds for verb in kind.needs}
        self.needs: Mapping[str, Action] = {verb: action for kind in kinds for verb, action in kind.needs.items()}

    async def ordered(self, value: str) -> Order:
        return await self._of(value.partition(":")[0]).ordered(value)

    async def settled(self, order: Order) -> Order:
        return await self._of(order.params["verb"]).settled(order)

    def value(self, order: Order) -> str:
        return self._of(order.params["verb"]).value(order)

    async def evidence(self, order: Order) -> Evidence:
        return await self._of(order.params["verb"]).evidence(order)

    async def carry_out(
        self,
        order: Order,
        by: Actor,
        reason: str = "",
        *,
        still_allowed: StillAllowed = None,
        agreed: Evidence | None = None,
    ) -> tuple[bool, str]:
        kind = self._of(order.params["verb"])
        return await kind.carry_out(order, by, reason, still_allowed=still_allowed, agreed=agreed)

    def _of(self, verb: str) -> Acts:
        kind = self._kinds.get(verb)
        if kind is None:
            raise Refused("This does not say what it wants done. Nothing was done; use the newest message.")
        return kind
