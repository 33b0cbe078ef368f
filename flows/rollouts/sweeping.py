"""Looking now and then over all devices of a rollout for those that do not get on: a few calls, whatever its size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import structlog

from core.errors import OutsideError
from core.ids import DeviceName, GroupId
from core.ports import Clock
from core.rollouts.facts import DistributionSet, GroupFacts, Snapshot
from core.rollouts.records import GroupEvidence, RolloutRecord
from core.rollouts.release import TargetSeen
from core.rollouts.stuck import Swept, sweep
from core.rollouts.work import Sweep
from flows.rollouts.device_plans import left_behind
from flows.rollouts.site import Site

log = structlog.get_logger(__name__)

GROUPS_READ = 3
"""Of the groups with something open, the last started ones: two calls each."""


class Sweeper:
    """Sweeps the rollouts of one stack, each at most every `every_s`."""

    def __init__(self, site: Site, clock: Clock, *, every_s: float) -> None:
        self._site = site
        self._clock = clock
        self._every = timedelta(seconds=every_s)

    def due(self, record: RolloutRecord) -> bool:
        last = record.sweep
        return last is None or last.outdated or self._clock.now() - last.at >= self._every

    async def sweep(
        self,
        snapshot: Snapshot,
        record: RolloutRecord,
        evidence: Mapping[GroupId, GroupEvidence],
        wanted: DistributionSet,
    ) -> Sweep | None:
        """None where it is not due, or hawkBit could not be read: then the last one stands."""
        if not self.due(record):
            return None
        started = [(n, g) for n, g in enumerate(snapshot.groups, 1) if g.status.started and g.id in evidence]
        read = [group.id for _, group in reversed(started) if group.counts.running][:GROUPS_READ]
        last = started[-1][1] if started else None
        try:
            excluded = await self._site.actions.targets(sorted(record.excluded)) if record.excluded else ()
            groups = [
                await self._one(
                    snapshot, record, (index, group), evidence[group.id], excluded, group.id in read, group is last
                )
                for index, group in started
            ]
        except OutsideError as error:
            log.info("rollout_not_swept", stack=self._site.stack, rollout=record.rollout, reason=error.reason)
            return None
        policy = self._site.policy_of(snapshot.rollout, record)
        return sweep(groups, record, wanted.version, policy, self._clock.now())

    async def _one(
        self,
        snapshot: Snapshot,
        record: RolloutRecord,
        of: tuple[int, GroupFacts],
        evidence: GroupEvidence,
        excluded: Sequence[TargetSeen],
        read: bool,
        last: bool,
    ) -> Swept:
        index, group = of
        actions = await self._site.actions.open(record.rollout, group.id) if read else ()
        seen = [*excluded, *(await self._site.actions.pending(record.rollout, group.id) if actions else ())]
        cancelled: frozenset[DeviceName] = frozenset()
        if last and (cancelled := await left_behind(self._site, snapshot, group, record)):
            seen += await self._site.actions.targets(sorted(cancelled))
        return Swept(index, group, actions, cancelled, seen, evidence)
