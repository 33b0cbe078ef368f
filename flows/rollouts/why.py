"""Why a rollout goes on or waits: a decision as it was taken, for people who may see the rollout."""

from __future__ import annotations

import re
from collections.abc import Iterator

from core.errors import NotFound, OutsideError, Refused
from core.ids import Caller, RolloutId, Tenant
from core.messages.blocks import Message, compose, section
from core.messages.text import plain
from core.messages.why import LISTED, Past, WhyView, nothing_decided, why_message
from core.rollouts.records import RolloutRecord
from flows.gate import Gate
from flows.world import StackWorld, World
from integrations.store.rollout_past import RolloutPast
from integrations.store.rollouts import RolloutStore

_VALUE = re.compile(r"([^/]+)/(\d{1,18})(?:/(\d{1,20}-\d{1,20}))?")
_BACK = re.compile(r"(.+) (\d{1,4})")


class WhyDesk:
    """What is not a person's to see does not exist for them. Where hawkBit does not say whose a rollout is, what the
    bot knows of it counts, and the right is needed in all its tenants."""

    def __init__(self, *, world: World, gate: Gate, records: RolloutStore, past: RolloutPast) -> None:
        self._world = world
        self._gate = gate
        self._records = records
        self._past = past

    async def named(self, user: Caller, text: str) -> Message:
        """Of the rollout of that name; a number behind it says how many decisions before the newest. Raises Denied or
        OutsideError."""
        _, visible = await self._gate.viewer(user)
        failure: OutsideError | None = None
        for name, back in _readings(text):
            for stack in self._world.stacks.values():
                try:
                    rollout = await self._called(stack, name)
                    if rollout is not None:
                        return await self._told(stack, rollout, visible, back=back)
                except NotFound:
                    continue
                except OutsideError as error:
                    failure = failure or error
        if failure is not None:
            raise failure
        raise NotFound(
            f"There is no rollout {plain(text, 100)!r} in your tenants. /cdm rollout list shows those under way."
        )

    async def pressed(self, user: Caller, value: str) -> Message:
        """Of what a button names. Raises Denied or OutsideError."""
        understood = _VALUE.fullmatch(value)
        if understood is None:
            raise Refused("This does not say which decision it means. Nothing was done.")
        stack, rollout, id = understood.groups()
        _, visible = await self._gate.viewer(user)
        return await self._told(self._world.stack(stack), RolloutId(int(rollout)), visible, id=id or "")

    async def _called(self, stack: StackWorld, name: str) -> RolloutId | None:
        try:
            facts = await stack.rollouts.find(name)
        except OutsideError:
            followed = await self._records.followed_as(stack.name, name)
            if followed is None:
                raise
            return followed
        return facts.id if facts is not None else await self._records.followed_as(stack.name, name)

    async def _told(
        self, stack: StackWorld, rollout: RolloutId, visible: frozenset[Tenant], *, back: int = 0, id: str = ""
    ) -> Message:
        record = await self._records.record(stack.name, rollout)
        if not await self._shown(stack, record, visible):
            raise NotFound(
                "There is no rollout of that number in your tenants. /cdm rollout list shows those under way."
            )
        whole = bool(record.tenants) and visible.issuperset(record.tenants)
        return await told(self._past, record, back=back, id=id, visible=None if whole else visible)

    async def _shown(self, stack: StackWorld, record: RolloutRecord, visible: frozenset[Tenant]) -> bool:
        """Raises OutsideError where neither hawkBit nor the bot says whose it is."""
        try:
            facts = await stack.rollouts.rollout(record.rollout)
            if facts is not None:
                return await self._world.shows(stack, facts, visible)
        except OutsideError:
            if not record.tenants:
                raise
        return bool(record.tenants) and visible.issuperset(record.tenants)


async def told(
    past: RolloutPast,
    record: RolloutRecord,
    *,
    back: int = 0,
    id: str = "",
    visible: frozenset[Tenant] | None = None,
) -> Message:
    """The decision so many before the newest, or with that id. `visible`: tenants that may be named, None for all."""
    stack, rollout = record.stack, record.rollout
    page = await past.page(stack, rollout, back=back, id=id, count=1 + LISTED)
    if not page.rows:
        text = nothing_decided(record.name or f"rollout {rollout}", stack)
        return compose(text, section(text))
    (_, moment), *earlier = page.rows
    return why_message(
        WhyView(
            stack=stack,
            rollout=rollout,
            name=record.name or moment.inputs.snapshot.rollout.name,
            moment=moment,
            earlier=[Past(page.back + n, one) for n, (_, one) in enumerate(earlier, 1)],
            before=earlier[0][0] if earlier else "",
            newest=page.back == 0,
            visible=visible,
        )
    )


def _readings(text: str) -> Iterator[tuple[str, int]]:
    """A name may end in a number itself: as a whole it goes first."""
    yield text, 0
    if (split := _BACK.fullmatch(text)) is not None:
        yield split[1], int(split[2])
