"""May the next group start? Facts in, one three-valued decision out. Nothing is done here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeAlias

from core.ids import GroupId
from core.rollouts.actors import ActorKind
from core.rollouts.cause import PauseCause, focus, following, pause_cause, started_index
from core.rollouts.facts import RolloutStatus, Snapshot
from core.rollouts.gates import Gate, Inputs, Verdict, all_but_time, fingerprint, judge_gates
from core.rollouts.numbers import AlarmShares, numbers_of
from core.rollouts.policy import PromotionPolicy, reaches
from core.rollouts.records import Agreement, GroupEvidence, PauseEpisode, PauseIntent, PauseState, RolloutRecord


@dataclass(frozen=True, slots=True)
class Promote:
    """Start this one group. `group_index` counts from 1, as people see it."""

    group_index: int
    group: GroupId
    devices: int


@dataclass(frozen=True, slots=True)
class Pause:
    """Ask hawkBit to pause: a gate failed while the rollout runs."""

    reason: str


@dataclass(frozen=True, slots=True)
class SetHold:
    """The bot's own brake on a rollout that is paused already."""

    reason: str


Intent: TypeAlias = Promote | Pause | SetHold | None


@dataclass(frozen=True, slots=True)
class Decision:
    """`objections` are the gates that do not pass, failed ones first; `told` is equal where there is nothing new to
    tell: the verdict and the reasons, not the numbers."""

    verdict: Verdict
    gates: tuple[Gate, ...]
    cause: PauseCause
    intent: Intent
    group_index: int | None
    policy_hash: str

    @property
    def objections(self) -> tuple[Gate, ...]:
        bad = [g for g in self.gates if g.verdict is not Verdict.PASS]
        return tuple(sorted(bad, key=lambda g: (g.verdict is not Verdict.FAIL, g.name)))

    @property
    def told(self) -> str:
        names = " ".join(f"{g.name}={g.reason.value}" for g in self.objections)
        return f"{self.verdict.value} {self.group_index or '-'} {self.cause.value} {names}".strip()

    def audit(self) -> Mapping[str, object]:
        return {
            "verdict": self.verdict.value,
            "cause": self.cause.value,
            "next_group": self.group_index,
            "policy": self.policy_hash,
            "gates": {g.name: {"verdict": g.verdict.value, "reason": g.reason.value, **g.numbers} for g in self.gates},
        }


def decide_on(inputs: Inputs) -> Decision:
    """The decision as a function of what it is taken on: the same inputs give the same. A person's promotion passes the
    same gates as the scheduler's, except that it may also resume a pause that is no success pause."""
    snapshot, policy, record = inputs.snapshot, inputs.policy, inputs.record
    gates = judge_gates(inputs)
    verdicts = {g.verdict for g in gates}
    verdict = next(v for v in (Verdict.FAIL, Verdict.HOLD, Verdict.PASS) if v in verdicts)
    nexts = following(snapshot)
    index = started_index(snapshot) + 1 if nexts is not None else None
    intent: Intent = None
    if verdict is Verdict.PASS and nexts is not None and index is not None:
        intent = Promote(index, nexts.id, nexts.total)
    elif verdict is Verdict.FAIL and inputs.kind is ActorKind.SCHEDULER and policy.enabled:
        intent = _brake(snapshot, record, gates)
    return Decision(
        verdict=verdict,
        gates=gates,
        cause=pause_cause(snapshot, record, inputs.account),
        intent=intent,
        group_index=index,
        policy_hash=policy.policy_hash(),
    )


_PASSABLE = ("errors", "cause", "share", "sample", "confidence", "alarms", "soak", "freeze", "approval")
"""Gates that people may go past together. The others say that nothing can be started now, or that nobody knows."""


def frozen_only(decision: Decision) -> bool:
    """A freeze is all that stands in the way."""
    return [gate.name for gate in decision.objections] == ["freeze"] and decision.group_index is not None


def passable(decision: Decision, record: RolloutRecord) -> bool:
    """A person may ask to go on past what is objected: something failed, and nothing else stands in the way but the
    hold that the bot itself set for it."""
    gates = [g for g in decision.objections if not _own_hold(g, record)]
    failed = any(g.verdict is Verdict.FAIL for g in gates)
    return failed and all(g.name in _PASSABLE for g in gates) and decision.group_index is not None


def going_past(
    decision: Decision, snapshot: Snapshot, record: RolloutRecord, agreed: frozenset[str]
) -> tuple[Promote, RolloutRecord] | None:
    """The next group although gates object, where others agreed to exactly these objections (`objection_names`), and
    the record without the hold that the bot set for them. None where anything else is in the way."""
    nexts = following(snapshot)
    if nexts is None or decision.group_index is None or not (passable(decision, record) or frozen_only(decision)):
        return None
    if not frozenset(objection_names(decision, record)) <= agreed:
        return None
    return Promote(decision.group_index, nexts.id, nexts.total), replace(record, hold=None)


def objection_names(decision: Decision, record: RolloutRecord) -> tuple[str, ...]:
    """What a person goes past, by name: verdict and reason of each gate, not its numbers."""
    return tuple(f"{g.name}: {g.reason.value}" for g in decision.objections if not _own_hold(g, record))


def _own_hold(gate: Gate, record: RolloutRecord) -> bool:
    return gate.name == "hold" and record.hold is not None and not record.hold.by.person


def observe(
    snapshot: Snapshot,
    policy: PromotionPolicy,
    evidence: GroupEvidence | None,
    record: RolloutRecord,
    now: datetime,
    *,
    account: str,
    alarms: AlarmShares | None = None,
) -> RolloutRecord:
    """The record after one more read: since when reads agree, why it is paused while that can still be told, since when
    the share has been reached, and since when nothing but time is in the way. Called for every read, before `decide`.
    """
    seen = fingerprint(snapshot)
    agreement = record.agreement
    if agreement is None or agreement.fingerprint != seen:
        agreement = Agreement(seen, now)
    pauses = tuple(_seen_since(p, snapshot, policy) for p in record.pauses)
    record = replace(record, agreement=agreement, last_read_at=snapshot.read_at, pauses=pauses)
    agreed = (now - agreement.since).total_seconds() >= policy.agree_s
    numbers = numbers_of(evidence, record.excluded)
    record = replace(record, episode=_episode(snapshot, record, account, agreed))
    inputs = Inputs(snapshot, policy, numbers, record, account, now, ActorKind.SCHEDULER, alarms)
    inputs = replace(inputs, record=replace(record, reached=_reached(inputs)))
    return replace(inputs.record, ready=_ready(inputs))


def _ready(inputs: Inputs) -> tuple[GroupId, datetime] | None:
    """The time runs only while every gate but the last wait passes; a hold or a doubt begins it anew."""
    nexts, kept = following(inputs.snapshot), inputs.record.ready
    if nexts is None or not all_but_time(judge_gates(inputs)):
        return None
    return kept if kept is not None and kept[0] == nexts.id else (nexts.id, inputs.now)


def _seen_since(pause: PauseIntent, snapshot: Snapshot, policy: PromotionPolicy) -> PauseIntent:
    """A pause of ours is over, or never took hold, once the rollout is seen running after its request has lived."""
    if not pause.state.stands:
        return pause
    status = snapshot.rollout.status
    if status is RolloutStatus.PAUSED:
        return replace(pause, state=PauseState.APPLIED)
    if status is RolloutStatus.RUNNING and snapshot.read_at > pause.at + timedelta(seconds=policy.max_request_life_s):
        return replace(pause, state=PauseState.OVER if pause.state is PauseState.APPLIED else PauseState.VOID)
    return pause


def _episode(snapshot: Snapshot, record: RolloutRecord, account: str, agreed: bool) -> PauseEpisode | None:
    """A cause other than success, once two reads agreed on it, stays for this pause: devices that finish while it is
    paused make a hand pause look like a success pause, and deleted ones make a low share look high."""
    rollout = snapshot.rollout
    if rollout.status is not RolloutStatus.PAUSED:
        return None
    this = (rollout.last_modified_at, rollout.last_modified_by)
    kept = record.episode
    if kept is not None and (kept.modified_at, kept.modified_by) == this:
        return kept
    cause = pause_cause(snapshot, replace(record, pauses=()), account)
    if agreed and cause not in (PauseCause.SUCCESS, PauseCause.UNKNOWN):
        return PauseEpisode(*this, cause.value)
    return None


def _reached(inputs: Inputs) -> tuple[GroupId, datetime] | None:
    group, numbers, record = focus(inputs.snapshot), inputs.tally, inputs.record
    if group is None or numbers is None:
        return record.reached
    if not reaches(numbers.verified, numbers.total, inputs.policy.threshold_pct):
        return None
    kept = record.reached
    return kept if kept is not None and kept[0] == group.id else (group.id, inputs.now)


def _brake(snapshot: Snapshot, record: RolloutRecord, gates: tuple[Gate, ...]) -> Intent:
    """Once a group: who resumes it in hawkBit after the bot has paused it there is not fought."""
    reason = ", ".join(sorted({g.reason.value for g in gates if g.verdict is Verdict.FAIL}))
    status, group = snapshot.rollout.status, focus(snapshot)
    if status is RolloutStatus.PAUSED:
        return SetHold(reason) if record.hold is None else None
    braked = any(
        not p.by.person and group is not None and p.group == group.id and p.state is not PauseState.VOID
        for p in record.pauses
    )
    return Pause(reason) if status is RolloutStatus.RUNNING and record.own_pause is None and not braked else None
