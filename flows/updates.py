"""What hawkBit knows of a failed update, read for the incident that its alarm opened.

hawkBit is asked apart from the fold, which waits for nobody: what it says goes through the store, and the fold writes
it into the incident. Where hawkBit does not answer, the incident says so, and is asked about again until it does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from core.errors import NotFound, OutsideError
from core.ids import DeviceName, IncidentId, RolloutId, Tenant
from core.incidents import Incident, Phase
from core.ota import ACTIONS, ERROR_LIMIT, WORD_LIMIT, PastAction, UpdateStory, last_error
from core.ports import Clock
from core.rollouts.facts import ActionFacts
from flows.world import StackWorld, World
from integrations.store.incidents import Incidents
from integrations.store.leases import Command, Lease
from integrations.store.rollouts import RolloutStore
from integrations.store.update_stories import UpdateStories
from runbooks.redact import Redactor

log = structlog.get_logger(__name__)

AT_ONCE = 4
WITHIN_S = 4.0
"""The lease is renewed between steps, so a step is over well before it ends."""
ASK_AGAIN_MS = 60_000
IDLE_S = 1.0


class UpdateReader:
    """One process at a time, by lease. At most four incidents a step, each with a handful of reads."""

    def __init__(
        self,
        *,
        world: World,
        incidents: Incidents,
        stories: UpdateStories,
        records: RolloutStore,
        clock: Clock,
        redact: Callable[[str], str] | None = None,
    ) -> None:
        self._world = world
        self._incidents = incidents
        self._stories = stories
        self._records = records
        self._clock = clock
        self._redact = redact or Redactor()

    async def run_step(self, lease: Lease) -> None:
        """A step, and a moment's rest where nothing is due."""
        if await self.step(lease) == 0:
            await self._clock.sleep(IDLE_S)

    async def step(self, lease: Lease) -> int:
        """Ask about what is due; how many there were. Raises LeaseLost, and what the store raises."""
        due = await self._stories.due(self._now_ms(), limit=AT_ONCE)
        known = await self._incidents.incidents(due)
        async with asyncio.TaskGroup() as tasks:
            reads = {id: tasks.create_task(self._story(known.get(id))) for id in due}
        commands: list[Command] = []
        for id, read in reads.items():
            commands += self._written(id, known.get(id), read.result())
        if commands:
            await lease.commit(commands)
        return len(due)

    def _written(self, id: IncidentId, incident: Incident | None, story: UpdateStory | None) -> list[Command]:
        if incident is None or story is None:
            return [self._stories.done(id)]
        told = [self._stories.tell(id, story)]
        if not story.problem:
            return [self._stories.done(id), *told]
        if incident.phase is Phase.CLEARED:
            return [self._stories.done(id)]
        known = incident.update is not None  # what was read before is better than that it cannot be read now
        return [self._stories.want(id, self._now_ms() + ASK_AGAIN_MS), *([] if known else told)]

    async def _story(self, incident: Incident | None) -> UpdateStory | None:
        """None where there is nobody to tell, or nothing to tell of."""
        if incident is None or incident.part_of is not None or incident.newest.device is None:
            return None
        try:
            stack = self._world.stack(incident.stack)
            async with asyncio.timeout(WITHIN_S):
                device = incident.newest.device
                return await self._read(stack, device) if await self._theirs(stack, incident.tenant, device) else None
        except NotFound as error:
            log.info("update_story_left_out", incident=incident.id, reason=error.reason)
            return None
        except (OutsideError, TimeoutError) as error:
            text = error.user_text if isinstance(error, OutsideError) else f"hawkBit did not answer in {WITHIN_S:g} s."
            log.warning("update_story_not_read", incident=incident.id, error=text)
            return UpdateStory(self._now_ms(), problem=text)

    async def _theirs(self, stack: StackWorld, tenant: Tenant, device: DeviceName) -> bool:
        """hawkBit knows devices by name alone: what it says of one is for a tenant only where no other one of the stack
        has a device of that name."""
        others = [one for one in stack.tenants.values() if one.id != tenant]
        found = await asyncio.gather(*(one.devices.device(device, ()) for one in others))
        return not any(found)

    async def _read(self, stack: StackWorld, device: DeviceName) -> UpdateStory | None:
        asked_ms = self._now_ms()
        actions = await stack.rollouts.actions(device)
        if not actions:
            return None
        newest = actions[0]
        words = await stack.actions.words(device, newest.id)
        name, group, groups, group_name = "", 0, 0, ""
        if newest.rollout is not None:
            name = await self._name(stack, newest.rollout)
            group, groups, group_name = await self._group(stack, newest.rollout, device)
        return UpdateStory(
            asked_ms=asked_ms,
            rollout=name,
            group=group,
            groups=groups,
            group_name=group_name,
            actions=tuple(map(_past, actions[:ACTIONS])),
            last_error=self._redact(last_error(words)[:WORD_LIMIT])[:ERROR_LIMIT],
        )

    async def _name(self, stack: StackWorld, rollout: RolloutId) -> str:
        record = await self._records.record(stack.name, rollout)
        if record.name:
            return record.name
        facts = await stack.rollouts.rollout(rollout)
        return facts.name if facts is not None else f"rollout {rollout}, deleted since"

    async def _group(self, stack: StackWorld, rollout: RolloutId, device: DeviceName) -> tuple[int, int, str]:
        """Number, how many there are, and name, by the evidence of the rollout's groups; 0 where it was not watched."""
        try:
            groups = await stack.rollouts.groups(rollout)
        except NotFound:
            return 0, 0, ""
        home = await self._records.group_of(stack.name, rollout, [one.id for one in groups], device)
        found = next(((n, len(groups), one.name) for n, one in enumerate(groups, 1) if one.id == home), None)
        return found or (0, len(groups), "")

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)


def _past(action: ActionFacts) -> PastAction:
    return PastAction(action.set_name, action.status, int(action.created_at.timestamp() * 1000))
