"""A rollout read anew and decided on, for whoever is about to act on it or to agree to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from core.ports import Clock
from core.rollouts.actors import ActorKind
from core.rollouts.cause import focus
from core.rollouts.decide import Decision, decide_on
from core.rollouts.facts import Snapshot
from core.rollouts.gates import Inputs
from core.rollouts.numbers import numbers_of
from core.rollouts.records import GroupEvidence, RolloutRecord
from flows.rollouts.ledger import Ledger
from flows.rollouts.site import Site


@dataclass(frozen=True, slots=True)
class Fresh:
    """`record` is what it was decided with, `evidence` that of the last started group, `read_from` and `read_from_at`
    the monotonic and the wall clock before the rollout itself was read, `inputs` all that it was decided on."""

    snapshot: Snapshot
    decision: Decision
    record: RolloutRecord
    evidence: GroupEvidence | None
    read_from: float
    read_from_at: datetime
    inputs: Inputs

    def age_s(self, clock: Clock) -> float:
        """How old the read is, by the clock that says more: a machine that sleeps may stop its monotonic one."""
        passed = (clock.now() - self.read_from_at).total_seconds()
        return max(clock.monotonic() - self.read_from, passed)


async def read_and_decide(
    site: Site, ledger: Ledger, record: RolloutRecord, kind: ActorKind, *, approved: bool = False
) -> Fresh | None:
    """Claims, members, groups, and the rollout last. None where it is gone. `approved`: a second person agreed. Raises
    OutsideError."""
    clock = ledger.clock
    first = await site.snapshot(record.rollout, clock)
    if first is None:
        return None
    evidence, shares, policy = None, None, site.policy_of(first.rollout, record)
    group = focus(first)
    if group is not None:
        kept = await ledger.records.evidence(site.stack, record.rollout, group.id)
        evidence = await site.recount(first, group, kept, policy, clock)
        alarms = await ledger.alarms.open(site.stack, record.tenants)
        evidence = await ledger.alarms.noted(site, first, record, group, evidence, alarms)
        shares = await ledger.alarms.shares(first, record, policy, alarms, {group.id: evidence})
    read_from, read_from_at = clock.monotonic(), clock.now()
    snapshot = await site.snapshot(record.rollout, clock)
    if snapshot is None:
        return None
    numbers = numbers_of(evidence, record.excluded)
    inputs = Inputs(
        snapshot, policy, numbers, record, site.account, clock.now(), kind, alarms=shares, approved=approved
    )
    return Fresh(snapshot, decide_on(inputs), record, evidence, read_from, read_from_at, inputs)
