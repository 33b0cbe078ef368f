"""Decisions as they were taken, with all they were taken on, so that each can be shown, and taken again, later.

A `Moment` is kept whenever verdict or reasons change and whenever a group is started; a `Sample` is one point of the
rollout's curve. Both are bounded by the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from core.rollouts.decide import Decision, decide_on
from core.rollouts.facts import RolloutStatus
from core.rollouts.gates import Gate, Inputs, Verdict
from core.rollouts.policy import PromotionPolicy
from core.rollouts.records import RolloutRecord
from core.rollouts.views import Bar, Progress

SAMPLE_S = 30.0
SAMPLES = 2_000
"""So many points are kept of one curve: the longer a rollout lasts, the further they lie apart."""


@dataclass(frozen=True, slots=True)
class Moment:
    """`what`: "decided" or "promote". `said`: what came of it, in words, "" for a mere decision. `policy_hash` as
    it was audited: one that is reckoned anew may differ, where policies have learnt to say more since."""

    at: datetime
    what: str
    inputs: Inputs
    verdict: Verdict
    gates: tuple[Gate, ...]
    group_index: int | None
    told: str
    said: str = ""
    policy_hash: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    at: datetime
    status: str
    bars: tuple[Bar, ...]


def moment(inputs: Inputs, decision: Decision, what: str = "decided", said: str = "") -> Moment:
    lean = replace(inputs, record=_lean(inputs.record))
    return Moment(
        at=inputs.now,
        what=what,
        inputs=lean,
        verdict=decision.verdict,
        gates=decision.gates,
        group_index=decision.group_index,
        told=decision.told,
        said=said,
        policy_hash=decision.policy_hash,
    )


def replay(kept: Moment, policy: PromotionPolicy | None = None) -> Decision:
    """The decision taken anew on what was kept, by the policy of then or by another one. How devices are proven is not
    judged again: only their numbers were kept."""
    return decide_on(kept.inputs if policy is None else replace(kept.inputs, policy=policy))


def differences(moments: Sequence[Moment], policy: PromotionPolicy) -> list[tuple[Moment, Decision]]:
    """Where another policy would have told something else."""
    again = [(one, replay(one, policy)) for one in moments]
    return [(one, decision) for one, decision in again if decision.told != one.told]


def sample(view: Progress, status: RolloutStatus, now: datetime) -> Sample:
    """A point of the curve, without anybody's name."""
    return Sample(now, status.value, tuple(one.nameless() for one in view.bars))


def is_due_for_sample(record: RolloutRecord, began_at: datetime, now: datetime) -> bool:
    last = record.sampled_at
    apart = max(SAMPLE_S, (now - began_at).total_seconds() / SAMPLES)
    return last is None or now - last >= timedelta(seconds=apart)


def _lean(record: RolloutRecord) -> RolloutRecord:
    """Only what a decision looks at."""
    return replace(record, progress=None, told="", shown="", excluded=(), work=None, last_work=None, sweep=None)
