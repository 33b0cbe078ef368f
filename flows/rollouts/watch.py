"""Watching the rollouts of one stack. hawkBit has no push, and `lastModifiedAt` does not move on device feedback: poll.

A tick costs one list call, one `deploygroups` call per rollout that goes on, the claims of the group that matters, at
most `looks_per_tick` looks at telemetry, and what the relay's budget allows where policy asks for RAUC's word.
Everything is read first, without a lease; then, under the rollout's lease and only if nobody changed the record
meanwhile, the reading is folded in, decided on and told in one commit.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import structlog
from prometheus_client import Counter, Gauge

from core.errors import OutsideError
from core.ids import GroupId, RolloutId, Tenant
from core.rollouts.actors import SCHEDULER, ActorKind
from core.rollouts.cause import focus, following, started_index
from core.rollouts.decide import Decision, Pause, Promote, SetHold, decide_on, observe
from core.rollouts.facts import GroupFacts, GroupStatus, RolloutFacts, RolloutStatus, Snapshot
from core.rollouts.gates import Inputs
from core.rollouts.kept import is_due_for_sample, moment, sample
from core.rollouts.numbers import AlarmShares, numbers_of
from core.rollouts.policy import PromotionPolicy
from core.rollouts.progress import progress
from core.rollouts.records import GroupEvidence, Hold, RolloutRecord
from core.rollouts.verify import note_claims, note_members, seen_before
from core.rollouts.views import Mood, Progress
from core.rollouts.work import Sweep
from flows.rollouts.brakes import Brakes
from flows.rollouts.device_work import DeviceWorks
from flows.rollouts.ledger import Held, Ledger, object_of, with_view
from flows.rollouts.looking import NO_RELAY, Budget, Looker, RelayBudget
from flows.rollouts.promote import Promoter
from flows.rollouts.settle import Settler
from flows.rollouts.site import Site, judged, number_of
from flows.rollouts.sweeping import Sweeper
from integrations.store.connection import STORE_DOWN
from integrations.store.leases import Command, LeaseLost
from integrations.store.rollout_past import add_moment, add_sample
from integrations.store.rollouts import MAX_TRACKED

log = structlog.get_logger(__name__)

READ_AGE = Gauge("cdm_rollouts_read_age_seconds", "Age of the last good read of hawkBit's rollouts", ["stack"])
DECISIONS = Counter("cdm_rollout_decisions", "Changed decisions about rollouts, by verdict", ["stack", "verdict"])
FAILURES = Counter("cdm_rollout_watch_failures", "Rollouts that could not be read in a tick", ["stack", "reason"])

_STALE_AFTER = timedelta(seconds=30)  # a message is not turned over for every read that failed
_WITH_DEVICES = (
    RolloutStatus.READY,
    RolloutStatus.STARTING,
    RolloutStatus.RUNNING,
    RolloutStatus.PAUSED,
    RolloutStatus.FINISHED,
)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one tick read about one rollout. `tenants`: whose devices are in it, empty where nobody could say (yet);
    `old` is the evidence as stored, `new` with this reading folded in; `sweep` None where none was due, `alarms` where
    policy sets no limit for them."""

    snapshot: Snapshot
    revision: int
    set_name: str
    tenants: tuple[Tenant, ...]
    old: dict[GroupId, GroupEvidence]
    new: dict[GroupId, GroupEvidence]
    sweep: Sweep | None
    working: bool
    alarms: AlarmShares | None


class RolloutWatch:
    """Ticks of any number of processes may overlap: one lease keeps most of them out, and every write is fenced."""

    def __init__(
        self,
        site: Site,
        ledger: Ledger,
        promoter: Promoter,
        brakes: Brakes,
        settler: Settler,
        works: DeviceWorks,
        tenants_of: Callable[[RolloutFacts], Awaitable[frozenset[Tenant]]],
        *,
        looks_per_tick: int = 40,
        relay: RelayBudget = NO_RELAY,
        sweep_every_s: float = 60.0,
        concurrency: int = 4,
    ) -> None:
        self._site = site
        self._ledger = ledger
        self._promoter = promoter
        self._brakes = brakes
        self._settler = settler
        self._works = works
        self._tenants_of = tenants_of
        self._sweeper = Sweeper(site, ledger.clock, every_s=sweep_every_s)
        self._looker = Looker(site, ledger.clock)
        self._looks_per_tick = looks_per_tick
        self._relay = relay
        self._slots = asyncio.Semaphore(concurrency)
        self._turn = 0
        self._away = False
        self._failing: set[RolloutId] = set()
        self._read_at = ledger.clock.monotonic()
        READ_AGE.labels(site.stack).set_function(lambda: ledger.clock.monotonic() - self._read_at)

    async def tick(self) -> None:
        """One round. Raises what the store raises while it is away; hawkBit's failures are shown, not raised."""
        async with self._ledger.leases.hold(f"watch:{self._site.stack}", self._site.policy.lease_s) as lease:
            if lease is None:
                return
            try:
                known, gone = await self._list()
            except OutsideError as error:
                await self._went_away(error)
                return
            self._came_back()
            budget = Budget(self._looks_per_tick, self._relay, self._ledger.clock)
            # Another rollout is first each time, so that none starves where the budget is short.
            self._turn = (self._turn + 1) % max(len(known), 1)
            async with asyncio.TaskGroup() as group:
                for facts in [*known[self._turn :], *known[: self._turn]]:
                    group.create_task(self._guarded(facts.id, partial(self._one, facts, budget)))
                for rollout in gone:
                    group.create_task(self._guarded(rollout, partial(self._end, rollout)))

    async def _list(self) -> tuple[list[RolloutFacts], list[RolloutId]]:
        """Every rollout that goes on, then the tracked ones that ended; and those that do not exist any more."""
        rollouts = self._site.rollouts
        known = {facts.id: facts for facts in await rollouts.active()}
        gone = []
        for rollout in await self._ledger.records.tracked(self._site.stack):
            if rollout not in known:
                try:
                    facts = await rollouts.rollout(rollout)
                except OutsideError as error:  # an ended one that cannot be read keeps nobody else from being watched
                    self._not_read(rollout, error)
                    continue
                if facts is None:
                    gone.append(rollout)
                else:
                    known[rollout] = facts
        if len(known) > MAX_TRACKED:
            log.warning("rollouts_left_out", stack=self._site.stack, count=len(known) - MAX_TRACKED)
        return sorted(known.values(), key=lambda f: f.id)[:MAX_TRACKED], gone

    def _not_read(self, rollout: RolloutId, error: OutsideError) -> None:
        FAILURES.labels(self._site.stack, error.reason).inc()
        log.warning("rollout_not_read", stack=self._site.stack, rollout=rollout, reason=error.reason)

    async def _guarded(self, rollout: RolloutId, work: Callable[[], Awaitable[None]]) -> None:
        """One rollout's trouble never keeps the others from being watched. Warns once, and again when it is over."""
        stack = self._site.stack
        reason = ""
        async with self._slots:
            try:
                reason = await self._or_stale(rollout, work)
            except LeaseLost:
                log.info("rollout_left_to_another", stack=stack, rollout=rollout)
            except STORE_DOWN:
                reason = "store"
            except Exception:
                reason = "unexpected"
                log.exception("rollout_watch_failed", stack=stack, rollout=rollout)
        if reason:
            FAILURES.labels(stack, reason).inc()
            if rollout not in self._failing:
                log.warning("rollout_not_read", stack=stack, rollout=rollout, reason=reason)
            self._failing.add(rollout)
        elif rollout in self._failing:
            self._failing.discard(rollout)
            log.info("rollout_read_again", stack=stack, rollout=rollout)

    async def _or_stale(self, rollout: RolloutId, work: Callable[[], Awaitable[None]]) -> str:
        """Why hawkBit or a device system could not be read, once the message says so; "" where all could."""
        try:
            await work()
        except OutsideError as error:
            await self._mark_stale(rollout)
            return error.reason
        return ""

    async def _one(self, facts: RolloutFacts, budget: Budget) -> None:
        reading = await self._read(facts, budget)
        if reading.working:
            await self._works.go_on(self._site.stack, facts.id)
        decision = await self._fold(reading)
        if decision is None:
            return
        match decision.intent:
            case Promote(group_index=index):
                result = await self._promoter.promote(self._site.stack, facts.id, index, SCHEDULER, wait_s=0.0)
                log.info("rollout_promoted", rollout=facts.id, group=index, outcome=result.outcome.value)
            case Pause(reason=reason):
                await self._brakes.pause(self._site.stack, facts.id, SCHEDULER, f"a gate failed: {reason}")

    async def _read(self, facts: RolloutFacts, budget: Budget) -> _Reading:
        site, clock, records = self._site, self._ledger.clock, self._ledger.records
        record = await records.record(site.stack, facts.id)
        groups = await site.rollouts.groups(facts.id)
        snapshot = Snapshot(site.stack, facts, groups, clock.now())
        wanted, policy = await site.wanted(facts.set_id), site.policy_of(facts, record)
        tenants = record.tenants or await self._tenants(facts)
        alarms = await self._ledger.alarms.open(site.stack, tenants)
        old: dict[GroupId, GroupEvidence] = {}
        new: dict[GroupId, GroupEvidence] = {}
        for group in _worth_reading(snapshot):
            kept = await records.evidence(site.stack, facts.id, group.id)
            old[group.id] = kept
            number, started = number_of(snapshot, group), group.status.started
            if started:
                evidence = await self._recount(snapshot, group, kept, record, policy)
                evidence = await self._ledger.alarms.noted(site, snapshot, record, group, evidence, alarms)
            else:
                evidence = await self._prepare(snapshot, group, kept)
            chosen = budget.take(evidence, number, policy.verified_by(number), unseen_only=not started)
            evidence = await self._looker.look(evidence, chosen)
            new[group.id] = judged(evidence, number, wanted, policy, clock)
        shares = await self._ledger.alarms.shares(snapshot, record, policy, alarms, new)
        swept = await self._sweeper.sweep(snapshot, record, new, wanted)
        working = record.work is not None
        return _Reading(snapshot, record.revision, str(wanted), tenants, old, new, swept, working, shares)

    async def _tenants(self, facts: RolloutFacts) -> tuple[Tenant, ...]:
        if facts.status not in _WITH_DEVICES:
            return ()
        try:
            return tuple(sorted(await self._tenants_of(facts)))
        except OutsideError as error:
            log.info("rollout_tenants_not_read", stack=self._site.stack, rollout=facts.id, reason=error.reason)
            return ()

    async def _recount(
        self,
        snapshot: Snapshot,
        group: GroupFacts,
        kept: GroupEvidence,
        record: RolloutRecord,
        policy: PromotionPolicy,
    ) -> GroupEvidence:
        """The last started group is read each tick. An earlier one only while hawkBit counts more than we know; and now
        and then while devices of it are excluded: they may be caught up later."""
        clock = self._ledger.clock
        present = sum(d.member for d in kept.devices.values())
        counted_at = kept.members_read_at
        stale = counted_at is None or clock.now() - counted_at > timedelta(seconds=policy.evidence_fresh_s / 3)
        last = focus(snapshot)
        if last is not None and group.id == last.id:
            members = stale or present != group.total
            return await self._site.recount(snapshot, group, kept, policy, clock, members=members)
        claimed = sum(d.first_claimed_at is not None for d in kept.devices.values())
        owed = record.excluded_of(group.id) > 0 and self._sweeper.due(record)
        if counted_at is None or claimed < group.counts.finished or owed:
            return await self._site.recount(snapshot, group, kept, policy, clock, members=counted_at is None)
        return kept

    async def _prepare(self, snapshot: Snapshot, group: GroupFacts, kept: GroupEvidence) -> GroupEvidence:
        """The next group, before it starts."""
        now = snapshot.read_at
        evidence = kept
        if any(d.latest or d.slots.latest for d in kept.devices.values()):
            evidence = note_claims(kept, (), now)  # not started as of now: earlier looks came before any claim
        if sum(d.member for d in kept.devices.values()) != group.total:
            evidence = note_members(evidence, await self._site.rollouts.members(snapshot.rollout.id, group.id), now)
        return evidence

    async def _fold(self, reading: _Reading) -> Decision | None:
        """Fold the reading in, decide, tell. None where somebody acts on the rollout, or acted since it was read."""
        site, ledger, snapshot = self._site, self._ledger, reading.snapshot
        async with ledger.held(site, snapshot.rollout.id, wait_s=0.0) as held:
            if held is None:
                return None
            record = await ledger.records.record(site.stack, snapshot.rollout.id)
            if record.open_attempt is not None:
                settled = await self._settler.settle(held, site, record)
                if settled.open_attempt is None:
                    return None
            if record.revision != reading.revision:
                return None
            return await self._decide(held, reading, record)

    async def _decide(self, held: Held, reading: _Reading, record: RolloutRecord) -> Decision:
        site, ledger, snapshot = self._site, self._ledger, reading.snapshot
        now, group = ledger.clock.now(), focus(snapshot)
        policy = site.policy_of(snapshot.rollout, record)
        evidence = reading.new.get(group.id) if group is not None else None
        new_here = record.revision == 0
        record = replace(record, name=snapshot.rollout.name, stale=False, seen_before=_seen_before(reading, policy))
        record = replace(record, tenants=reading.tenants, sweep=reading.sweep or record.sweep)
        record = observe(snapshot, policy, evidence, record, now, account=site.account, alarms=reading.alarms)
        numbers = numbers_of(evidence, record.excluded)
        inputs = Inputs(snapshot, policy, numbers, record, site.account, now, ActorKind.SCHEDULER, reading.alarms)
        by_policy = decide_on(inputs)
        if isinstance(by_policy.intent, SetHold):
            record = replace(record, hold=Hold(now, SCHEDULER, f"a gate failed: {by_policy.intent.reason}"))
        by_person = decide_on(replace(inputs, record=record, kind=ActorKind.PERSON, approved=True))
        view = progress(snapshot, policy, record, reading.new, by_policy, by_person, reading.set_name)
        if site.slots is None:
            view = replace(view, can_reboot=0)
        acted_on = record.open_attempt is not None or record.work is not None
        over = not acted_on and _over(snapshot, view, policy.follow_ended_s, now)
        commands: list[Command] = []
        if by_policy.told != record.told:
            commands += add_moment(site.stack, snapshot.rollout.id, moment(inputs, by_policy))
            action = "rollout_seen" if new_here else "decided"
            said = {**record.concerned(), **by_policy.audit()}
            await ledger.audit.note("bot", action, object_of(site.stack, snapshot.rollout.id), said)
            DECISIONS.labels(site.stack, by_policy.verdict.value).inc()
            log.info("rollout_decided", stack=site.stack, rollout=snapshot.rollout.id, told=by_policy.told)
        record = replace(record, told=by_policy.told, progress=view, ended_at=now if over else None)
        if is_due_for_sample(record, snapshot.rollout.created_at, now):
            commands += add_sample(site.stack, snapshot.rollout.id, sample(view, snapshot.rollout.status, now))
            record = replace(record, sampled_at=now)
        for id, found in reading.new.items():
            commands += ledger.records.save_evidence(site.stack, snapshot.rollout.id, found, reading.old[id])
        await ledger.write(held, site, record, commands)
        return by_policy

    async def _end(self, rollout: RolloutId) -> None:
        """It was deleted in hawkBit: say so, and follow it no longer."""
        async with self._ledger.held(self._site, rollout, wait_s=0.0) as held:
            if held is None:
                return
            record = await self._ledger.records.record(self._site.stack, rollout)
            record = await self._settler.settle(held, self._site, record)
            if record.open_attempt is not None:
                return
            gone = with_view(replace(record, ended_at=self._ledger.clock.now()), Mood.GONE, "")
            await self._ledger.audit.note(
                "bot", "rollout_gone", object_of(self._site.stack, rollout), record.concerned()
            )
            await self._ledger.write(held, self._site, gone)

    async def _went_away(self, error: OutsideError) -> None:
        FAILURES.labels(self._site.stack, error.reason).inc()
        if not self._away:
            self._away = True
            log.warning("hawkbit_went_away", stack=self._site.stack, reason=error.reason, text=error.user_text)
        for rollout in await self._ledger.records.tracked(self._site.stack):
            await self._mark_stale(rollout)

    async def _mark_stale(self, rollout: RolloutId) -> None:
        """The message says since when it is old. Once: the record remembers. Not for a read that failed just now."""
        async with self._ledger.held(self._site, rollout, wait_s=0.0) as held:
            if held is None:
                return
            record = await self._ledger.records.record(self._site.stack, rollout)
            read_at, view = record.last_read_at, record.progress
            if record.stale or read_at is None or view is None or self._ledger.clock.now() - read_at < _STALE_AFTER:
                return
            stale = replace(record, stale=True, progress=replace(view, stale_since=read_at))
            with contextlib.suppress(LeaseLost):
                await self._ledger.write(held, self._site, stale)

    def _came_back(self) -> None:
        self._read_at = self._ledger.clock.monotonic()
        if self._away:
            self._away = False
            log.info("hawkbit_came_back", stack=self._site.stack)


def _seen_before(reading: _Reading, policy: PromotionPolicy) -> tuple[GroupId, int] | None:
    nexts = following(reading.snapshot)
    evidence = reading.new.get(nexts.id) if nexts is not None else None
    by = policy.verified_by(started_index(reading.snapshot) + 1)
    return None if evidence is None else (evidence.group, seen_before(evidence, by))


def _worth_reading(snapshot: Snapshot) -> Sequence[GroupFacts]:
    """The last started group first, then the one after it, then earlier ones."""
    if snapshot.rollout.status not in _WITH_DEVICES:
        return ()
    index = started_index(snapshot)
    groups = snapshot.groups
    nexts = [g for g in groups[index : index + 1] if g.status in (GroupStatus.SCHEDULED, GroupStatus.READY)]
    return [*groups[max(index - 1, 0) : index], *nexts, *reversed(groups[: max(index - 1, 0)])]


def _over(snapshot: Snapshot, view: Progress, follow_s: float, now: datetime) -> bool:
    """True where there is nothing left to follow: ended, and verified with nobody left out, or followed for long
    enough."""
    if not snapshot.rollout.status.terminal:
        return False
    waited = now - snapshot.rollout.last_modified_at
    left_out = view.mood is Mood.DONE and any(bar.excluded for bar in view.bars)
    open_ended = view.mood in (Mood.VERIFYING, Mood.UNVERIFIED) or left_out
    return not open_ended or waited > timedelta(seconds=follow_s)
