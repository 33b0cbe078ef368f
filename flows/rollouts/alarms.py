"""What the store's alarms say about a rollout's devices, for its gates and its message.

ThingsBoard is not asked: its webhooks and the reconciler fill the store. How far that can be trusted is told with it:
nothing is newer than the oldest good read among the rollout's tenants, nor than what still waits in the inbox.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from core.ids import AlarmId, DeviceName, GroupId, Stack, Tenant
from core.ports import Clock
from core.rollouts.alarmed import AlarmKinds, OpenAlarm, OpenAlarms, alarm_shares, begun_at, failing, note_alarms
from core.rollouts.cause import focus, started_index
from core.rollouts.facts import GroupFacts, Snapshot
from core.rollouts.numbers import AlarmShares
from core.rollouts.policy import PromotionPolicy
from core.rollouts.records import GroupEvidence, RolloutRecord
from flows.reconcile import reading_of
from flows.rollouts.site import Site
from integrations.store.connection import Store
from integrations.store.incidents import AlarmKey, Held, Incidents
from integrations.store.intake import Intake
from integrations.store.rollouts import RolloutStore

FRESH_S = 2.0
"""So long one read of a tenant's alarms serves all its rollouts."""
READ_AT_ONCE = 500


class RolloutAlarms:
    """Reads the store only; for a device that hawkBit may count as failed already, hawkBit is asked for names."""

    def __init__(self, store: Store, clock: Clock, kinds: AlarmKinds) -> None:
        self._store = store
        self._incidents = Incidents(store)
        self._intake = Intake(store)
        self._records = RolloutStore(store)
        self._clock = clock
        self._kinds = kinds
        self._known: dict[tuple[Stack, Tenant], tuple[float, Sequence[OpenAlarm]]] = {}

    async def open(self, stack: Stack, tenants: Sequence[Tenant]) -> OpenAlarms | None:
        """The active alarms of these tenants. None where nobody knows whose devices they are, or where a tenant's were
        never read."""
        good = [(await reading_of(self._store, stack, tenant)).good_ms for tenant in tenants]
        if not good or not all(good):
            return None
        waiting_ms = await self._intake.oldest_ms()
        read_ms = min(good) if waiting_ms is None else min(*good, waiting_ms)
        found: dict[DeviceName, list[OpenAlarm]] = {}
        for tenant in tenants:
            for one in await self._of_tenant(stack, tenant):
                found.setdefault(one.device, []).append(one)
        by_device = {device: tuple(alarms) for device, alarms in found.items()}
        return OpenAlarms(_instant(read_ms), by_device)

    async def noted(
        self,
        site: Site,
        snapshot: Snapshot,
        record: RolloutRecord,
        group: GroupFacts,
        evidence: GroupEvidence,
        alarms: OpenAlarms | None,
    ) -> GroupEvidence:
        """The group with what its devices' alarms say; as it was where they are not known. Raises OutsideError."""
        if alarms is None:
            return evidence
        bad = failing(evidence, alarms, self._kinds, begun_at(snapshot, record, group))
        last = focus(snapshot)
        failed: frozenset[DeviceName] = frozenset()
        if bad and group.counts.error and last is not None and last.id == group.id:
            failed = await site.rollouts.failed(snapshot.rollout.id, group.id)
        return note_alarms(evidence, bad, failed)

    async def shares(
        self,
        snapshot: Snapshot,
        record: RolloutRecord,
        policy: PromotionPolicy,
        alarms: OpenAlarms | None,
        evidence: Mapping[GroupId, GroupEvidence],
    ) -> AlarmShares | None:
        """What the alarm gate is judged by, where the policy has a limit. Groups that `evidence` lacks are as kept."""
        if alarms is None or policy.max_alarm_pct is None:
            return None
        every = dict(evidence)
        for group in snapshot.groups[: started_index(snapshot) + 1]:
            if group.id not in every:
                every[group.id] = await self._records.evidence(snapshot.stack, snapshot.rollout.id, group.id)
        return alarm_shares(snapshot, every, record, policy, alarms, self._kinds)

    async def _of_tenant(self, stack: Stack, tenant: Tenant) -> Sequence[OpenAlarm]:
        known_at, known = self._known.get((stack, tenant), (float("-inf"), ()))
        if self._clock.monotonic() - known_at < FRESH_S:
            return known
        asked_at = self._clock.monotonic()
        ids = sorted(await self._incidents.active(stack, tenant))
        found: list[OpenAlarm] = []
        for at in range(0, len(ids), READ_AT_ONCE):
            keys = [AlarmKey(stack, tenant, AlarmId(id)) for id in ids[at : at + READ_AT_ONCE]]
            held = (await self._incidents.alarms(keys)).values()
            found += [one for alarm in held if (one := _open(tenant, alarm)) is not None]
            await asyncio.sleep(0)
        self._known[stack, tenant] = (asked_at, found)
        return found


def _open(tenant: Tenant, alarm: Held) -> OpenAlarm | None:
    state = alarm.state
    if state.device is None or not state.active:
        return None
    return OpenAlarm(state.device, tenant, state.type, _instant(state.created_ms or state.start_ms))


def _instant(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
