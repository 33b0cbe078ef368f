"""What must hold before a group may start, gate by gate; and what follows from a failed one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.ids import DeviceName, GroupId, Tenant
from core.rollouts.actors import SCHEDULER, ActorKind
from core.rollouts.decide import Pause, Promote, SetHold, frozen_only, going_past, objection_names
from core.rollouts.facts import Counts, GroupStatus, RolloutStatus
from core.rollouts.gates import Reason, Verdict
from core.rollouts.numbers import AlarmShares
from core.rollouts.policy import PromotedBy, PromotionPolicy, reaches
from core.rollouts.records import Attempt, AttemptState, DeviceState, GroupEvidence, Hold, PauseIntent, PauseState
from core.windows import Interval, Schedule
from tests.unit.core.rollouts.cases import ADMIN, ANNA, BOT, NOW, Case, ago, claimed_devices, group, verified

GOOD = Case()
V, R, A, P = DeviceState.VERIFIED, DeviceState.REFUTED, DeviceState.AWAITING_REBOOT, DeviceState.PENDING

ACME = Tenant("acme")
TODAY = Schedule(fixed=(Interval(int(ago(3600).timestamp()), int(ago(-3600).timestamp()), "the fair"),))
LATER = Schedule(fixed=(Interval(int(ago(-3600).timestamp()), int(ago(-7200).timestamp())),))


def attempt(state: AttemptState, index: int = 2) -> Attempt:
    return Attempt(1, index, GroupId(100 + index), ago(900), ANNA, "7", ago(1000), BOT, state, settled_at=ago(800))


def bent(**on_evidence: Any) -> Case:
    return GOOD.but(evidence=replace(verified(24, 25), **on_evidence))


def test_the_good_case_passes_and_names_the_group_it_starts() -> None:
    decision = GOOD.decide()
    assert decision.verdict is Verdict.PASS, decision.objections
    assert decision.intent == Promote(2, GroupId(102), 125)


ALL_HOLD = [
    ("not paused", GOOD.on_rollout(status=RolloutStatus.RUNNING), Reason.NOT_PAUSED),
    ("ended", GOOD.on_rollout(status=RolloutStatus.FINISHED), Reason.ENDED),
    ("stopped", GOOD.on_rollout(status=RolloutStatus.STOPPED), Reason.ENDED),
    ("unknown status", GOOD.on_rollout(status=RolloutStatus.UNKNOWN), Reason.NOT_PAUSED),
    ("no group", GOOD.but(groups=()), Reason.NO_NEXT_GROUP),
    ("next group never looked at", GOOD.on_record(seen_before=None), Reason.NEXT_UNSEEN),
    ("next group looked at by too few", GOOD.on_record(seen_before=(GroupId(102), 118)), Reason.NEXT_UNSEEN),
    ("another group looked at", GOOD.on_record(seen_before=(GroupId(103), 350)), Reason.NEXT_UNSEEN),
    ("no next group", GOOD.but(groups=GOOD.groups[:1]), Reason.NO_NEXT_GROUP),
    ("next group is empty", GOOD.but(groups=(GOOD.groups[0], replace(GOOD.groups[1], total=0))), Reason.NO_NEXT_GROUP),
    ("next group does not wait", GOOD.but(groups=(GOOD.groups[0], replace(GOOD.groups[1],
     status=GroupStatus.UNKNOWN))), Reason.NO_NEXT_GROUP),
    ("held", GOOD.on_record(hold=Hold(ago(5), ANNA, "lunch")), Reason.HOLD_SET),
    ("attempt sent", GOOD.on_record(attempts=(attempt(AttemptState.SENT),)), Reason.ATTEMPT_OPEN),
    ("attempt answered", GOOD.on_record(attempts=(attempt(AttemptState.ANSWERED),)), Reason.ATTEMPT_OPEN),
    ("started by us before", GOOD.on_record(attempts=(attempt(AttemptState.STARTED),)), Reason.ALREADY_STARTED_BY_US),
    ("settling", GOOD.on_record(last_promoted_at=ago(9)), Reason.SETTLING),
    ("one read only", GOOD.but(agreed_for_s=1.9), Reason.READS_DISAGREE),
    ("hawkBit read too old", GOOD.but(read_at=ago(901)), Reason.HAWKBIT_STALE),
    ("hawkBit read in the future", GOOD.but(read_at=ago(-60)), Reason.HAWKBIT_STALE),
    ("no evidence", GOOD.but(evidence=None), Reason.CLAIMS_MISSING),
    ("evidence of another group", bent(group=GroupId(102)), Reason.CLAIMS_MISSING),
    ("claims never read", bent(claims_read_at=None), Reason.CLAIMS_MISSING),
    ("claims too old", bent(claims_read_at=ago(901)), Reason.CLAIMS_STALE),
    ("claims from the future", bent(claims_read_at=ago(-60)), Reason.CLAIMS_STALE),
    ("members never counted", bent(members_read_at=None), Reason.MEMBERS_MISSING),
    ("members counted long ago", bent(members_read_at=ago(901)), Reason.MEMBERS_MISSING),
    ("hawkBit has one device less", GOOD.first(total=24), Reason.MEMBERS_CHANGED),
    ("hawkBit has one device more", GOOD.first(total=26), Reason.MEMBERS_CHANGED),
    ("more verified than hawkBit ended", GOOD.first(counts=Counts(finished=23, running=2)), Reason.CONTRADICTION),
    ("23 of 25 verified", GOOD.but(evidence=verified(23, 25)), Reason.SHARE_LOW),
    ("claimed, none verified", GOOD.but(evidence=claimed_devices(*[A] * 25)), Reason.SHARE_LOW),
    ("nobody there", bent(devices={}), Reason.NO_DEVICES),
    ("sample too small", GOOD.on_policy(minimum_sample=25), Reason.SAMPLE_SMALL),
    ("soaking", GOOD.on_policy(soak_s=61), Reason.SOAKING),
    ("paused by a person in hawkBit", GOOD.on_rollout(last_modified_by=ADMIN), Reason.CAUSE),
    ("paused by a person in Slack", GOOD.on_record(pauses=(PauseIntent(ago(9), ANNA, ""),)), Reason.CAUSE),
    ("paused by the bot", GOOD.on_record(pauses=(PauseIntent(ago(9), SCHEDULER, ""),)), Reason.CAUSE),
    ("completed below", GOOD.first(status=GroupStatus.FINISHED, counts=Counts(finished=23, cancelled=2)), Reason.CAUSE),
    ("not ours", GOOD.on_rollout(created_by="someone", last_modified_by="someone"), Reason.NOT_OWNED),
    ("promotion is off", GOOD.on_policy(enabled=False), Reason.NOT_ENABLED),
    ("a group does not pause", GOOD.first(pauses=False), Reason.GROUP_DOES_NOT_PAUSE),
    ("24 of 25 by chance", GOOD.on_policy(confidence_pct=95), Reason.CONFIDENCE_LOW),
    ("alarms never read", GOOD.on_policy(max_alarm_pct=5), Reason.ALARMS_MISSING),
    ("alarms read long ago", GOOD.on_policy(max_alarm_pct=5).but(alarms=AlarmShares(ago(901), 24, 0, 476, 0)),
     Reason.ALARMS_MISSING),
    ("a freeze", GOOD.on_policy(freeze=TODAY), Reason.FROZEN),
    ("a tenant at work", GOOD.on_policy(production={ACME: TODAY}).on_record(tenants=(ACME,)), Reason.PRODUCTION),
    ("whose they are is unknown", GOOD.on_policy(production={ACME: TODAY}), Reason.TENANTS_UNKNOWN),
    ("a person starts group 2", GOOD.on_policy(promoted_by=(PromotedBy.PERSON,)), Reason.PERSON_PROMOTES),
    ("group 2 needs approval", GOOD.on_policy(promoted_by=(PromotedBy.APPROVAL,)), Reason.PERSON_PROMOTES),
    ("somebody may still hold it", GOOD.on_policy(hold_window_s=61), Reason.HOLD_WINDOW),
]  # fmt: skip


@pytest.mark.parametrize(("name", "case", "reason"), ALL_HOLD, ids=[row[0] for row in ALL_HOLD])
def test_holds(name: str, case: Case, reason: Reason) -> None:
    decision = case.decide()
    assert decision.verdict is Verdict.HOLD, decision.gates
    assert reason in {g.reason for g in decision.objections}
    assert decision.intent is None


ALL_FAIL = [
    ("two errors of 25", GOOD.first(counts=Counts(finished=23, error=2)), Reason.ERRORS_OVER_BUDGET),
    ("two refuted of 25", GOOD.but(evidence=claimed_devices(*[V] * 23, R, R)), Reason.ERRORS_OVER_BUDGET),
    ("one error, one refuted", GOOD.on_policy(max_errors=1).but(evidence=claimed_devices(*[V] * 24, R))
     .first(counts=Counts(finished=24, error=1)), Reason.ERRORS_OVER_BUDGET),
    ("no error allowed", GOOD.on_policy(max_errors=0).first(counts=Counts(finished=24, error=1)),
     Reason.ERRORS_OVER_BUDGET),
    ("error stop", GOOD.first(status=GroupStatus.ERROR), Reason.ERROR_STOP),
    ("95 % out of reach", GOOD.on_policy(max_errors_pct=50).but(evidence=claimed_devices(*[V] * 10, R, R,
     *[P] * 13)), Reason.SHARE_UNREACHABLE),
    ("more alarms on updated devices", GOOD.on_policy(max_alarm_pct=5).but(alarms=AlarmShares(ago(1), 24, 3, 476, 10)),
     Reason.ALARMS_OVER_LIMIT),
]  # fmt: skip


@pytest.mark.parametrize(("name", "case", "reason"), ALL_FAIL, ids=[row[0] for row in ALL_FAIL])
def test_fails_and_brakes(name: str, case: Case, reason: Reason) -> None:
    paused = case.decide()
    assert paused.verdict is Verdict.FAIL
    assert reason in {g.reason for g in paused.objections}
    assert isinstance(paused.intent, SetHold)
    running = case.on_rollout(status=RolloutStatus.RUNNING).decide()
    assert running.verdict is Verdict.FAIL
    assert isinstance(running.intent, Pause)


def test_a_brake_is_used_once() -> None:
    failed = GOOD.first(counts=Counts(finished=20, error=5))
    assert failed.on_record(hold=Hold(ago(5), SCHEDULER, "")).decide().intent is None
    running = failed.on_rollout(status=RolloutStatus.RUNNING)
    assert running.on_record(pauses=(PauseIntent(NOW, SCHEDULER, ""),)).decide().intent is None
    here, before = GroupId(101), GroupId(100)
    for state, at_group, again in (
        (PauseState.OVER, here, False),  # somebody resumed it in hawkBit: that is not fought
        (PauseState.OVER, before, True),
        (PauseState.VOID, here, True),  # it never took hold
    ):
        old = PauseIntent(ago(900), SCHEDULER, "", state, at_group)
        assert isinstance(running.on_record(pauses=(old,)).decide().intent, Pause) is again
    assert failed.on_policy(enabled=False).decide().intent is None


def test_a_failed_gate_brakes_rollouts_of_others_too() -> None:
    foreign = GOOD.on_rollout(created_by="ci", last_modified_by="ci", status=RolloutStatus.RUNNING)
    assert isinstance(foreign.first(counts=Counts(finished=20, error=5)).decide().intent, Pause)


@pytest.mark.parametrize(
    ("case", "verdict"),
    [
        (GOOD, Verdict.PASS),
        (GOOD.on_policy(enabled=False), Verdict.PASS),
        (GOOD.on_rollout(created_by="ci", last_modified_by="ci"), Verdict.PASS),
        (GOOD.on_rollout(last_modified_by=ADMIN), Verdict.PASS),
        (GOOD.on_record(pauses=(PauseIntent(ago(9), ANNA, ""),)), Verdict.PASS),
        (GOOD.first(status=GroupStatus.ERROR), Verdict.FAIL),
        (GOOD.first(counts=Counts(finished=20, error=5)), Verdict.FAIL),
        (GOOD.but(evidence=verified(23, 25)), Verdict.HOLD),
        (GOOD.on_record(hold=Hold(ago(5), ANNA, "lunch")), Verdict.HOLD),
        (GOOD.on_record(last_promoted_at=ago(9)), Verdict.HOLD),
        (GOOD.but(agreed_for_s=0), Verdict.HOLD),
    ],
)
def test_a_person_passes_the_same_gates_but_may_resume_what_is_no_success_pause(case: Case, verdict: Verdict) -> None:
    assert case.decide(ActorKind.PERSON).verdict is verdict


def test_excluded_devices_leave_the_denominator_and_the_share_is_of_the_rest() -> None:
    case = GOOD.but(evidence=verified(20, 25)).first(counts=Counts(finished=20, cancelled=5))
    assert case.decide(ActorKind.PERSON).verdict is Verdict.HOLD
    out = case.on_record(excluded=tuple(DeviceName(f"d{i:03}") for i in range(21, 25)))
    assert out.decide(ActorKind.PERSON).verdict is Verdict.PASS  # 20 of 21


def test_a_redeployed_device_that_failed_first_is_no_contradiction() -> None:
    case = GOOD.but(evidence=verified(25, 25)).first(counts=Counts(finished=24, error=1))
    assert case.decide().verdict is Verdict.PASS


def test_deleting_the_unfinished_devices_does_not_better_the_share() -> None:
    evidence = verified(8, 10)
    gone = {n: replace(d, member=d.state is V) for n, d in evidence.devices.items()}
    case = GOOD.but(evidence=replace(evidence, devices=gone)).first(total=8, counts=Counts(finished=8))
    share = next(g for g in case.decide().gates if g.name == "share")
    assert (share.verdict, share.numbers["verified"], share.numbers["of"]) == (Verdict.HOLD, 8, 10)


def test_soak_runs_from_when_the_share_was_first_reached_and_starts_anew_when_it_is_lost() -> None:
    soaking = GOOD.on_policy(soak_s=50)
    assert soaking.decide().verdict is Verdict.PASS  # reached for 60 s
    lost = soaking.but(evidence=verified(23, 25)).observed()
    assert lost.reached is None
    again = soaking.but(record=lost, agreed_for_s=49)
    assert again.decide().verdict is Verdict.HOLD


def test_two_reads_that_differ_start_the_agreement_anew() -> None:
    other = GOOD.on_rollout(last_modified_at=ago(599))
    assert other.but(record=GOOD.observed(), agreed_for_s=0).decide().verdict is Verdict.HOLD


def test_counts_that_merely_improve_do_not_start_the_agreement_anew() -> None:
    better = GOOD.first(counts=Counts(finished=25))
    assert better.but(record=GOOD.observed(), agreed_for_s=0).decide().verdict is Verdict.PASS


def test_what_is_told_changes_with_reasons_not_with_numbers() -> None:
    low, lower = GOOD.but(evidence=verified(22, 25)), GOOD.but(evidence=verified(21, 25))
    assert low.decide().told == lower.decide().told != GOOD.decide().told


@pytest.mark.parametrize(
    ("status", "state", "seconds", "after"),
    [
        (RolloutStatus.RUNNING, PauseState.SENT, 10, PauseState.SENT),  # may still take hold
        (RolloutStatus.RUNNING, PauseState.SENT, 16, PauseState.VOID),
        (RolloutStatus.RUNNING, PauseState.APPLIED, 16, PauseState.OVER),
        (RolloutStatus.PAUSED, PauseState.SENT, 9999, PauseState.APPLIED),
        (RolloutStatus.PAUSED, PauseState.OVER, 9999, PauseState.OVER),
    ],
)
def test_what_became_of_an_own_pause(
    status: RolloutStatus, state: PauseState, seconds: float, after: PauseState
) -> None:
    case = GOOD.on_rollout(status=status).on_record(pauses=(PauseIntent(ago(seconds), ANNA, "", state),))
    assert case.but(agreed_for_s=0).observed().pauses[0].state is after


@pytest.mark.parametrize(
    ("part", "whole", "pct", "reached"),
    [(19, 20, 95, True), (23, 25, 95, False), (24, 25, 95, True), (0, 0, 95, False), (0, 0, 0, False),
     (999, 1000, 99.9, True), (9990, 10000, 99.9, True), (9989, 10000, 99.9, False), (1, 3, 33.33, True)],
)  # fmt: skip
def test_shares_are_compared_exactly(part: int, whole: int, pct: float, reached: bool) -> None:
    assert reaches(part, whole, pct) is reached


@pytest.mark.parametrize(
    ("policy", "sizes", "words"),
    [
        (PromotionPolicy(), [], []),
        (PromotionPolicy(enabled=True), [], ["owners is empty"]),
        (PromotionPolicy(request_timeout_s=2), [], ["hawkBit's tick"]),
        (PromotionPolicy(lease_s=1), [], ["lease_s"]),
        (PromotionPolicy(max_request_life_s=0.5), [], ["max_request_life_s"]),
        (PromotionPolicy(threshold_pct=101), [], ["threshold_pct"]),
        (PromotionPolicy(minimum_sample=30), [25, 125], ["minimum_sample 30"]),
    ],
)
def test_a_policy_that_is_unsafe_or_could_never_pass_says_so(
    policy: PromotionPolicy, sizes: list[int], words: list[str]
) -> None:
    problems = policy.problems(sizes)
    assert len(problems) == len(words)
    assert all(word in problem for word, problem in zip(words, problems, strict=True))


def test_the_policy_hash_changes_with_every_number() -> None:
    one = PromotionPolicy(owners=frozenset({"a", "b"}))
    assert one.policy_hash() == PromotionPolicy(owners=frozenset({"b", "a"})).policy_hash()
    others = (replace(one, soak_s=1), replace(one, owners=frozenset()), replace(one, max_errors=3))
    assert len({p.policy_hash() for p in (one, *others)}) == 4


def test_every_group_is_empty_evidence_safe() -> None:
    empty = GroupEvidence(GroupId(101))
    assert GOOD.but(evidence=empty, groups=(group(1, GroupStatus.RUNNING, 0), GOOD.groups[1])).decide().intent is None


@pytest.mark.parametrize(
    "case",
    [
        GOOD.on_policy(max_alarm_pct=5).but(alarms=AlarmShares(ago(1), 24, 1, 476, 1)),
        GOOD.on_policy(freeze=LATER),
        GOOD.on_policy(production={ACME: TODAY}).on_record(tenants=(Tenant("other"),)),
        GOOD.on_policy(promoted_by=(PromotedBy.SCHEDULER, PromotedBy.PERSON)),
        GOOD.on_policy(hold_window_s=60).on_record(ready=(GroupId(102), ago(60))).but(agreed_for_s=3),
        GOOD.on_policy(confidence_pct=10),
    ],
)
def test_passes_where_policy_has_its_way(case: Case) -> None:
    decision = case.decide()
    assert isinstance(decision.intent, Promote), decision.objections


def test_a_person_needs_no_window_but_the_second_person_whom_policy_wants() -> None:
    assert GOOD.on_policy(hold_window_s=600).decide(ActorKind.PERSON).verdict is Verdict.PASS
    assert GOOD.on_policy(promoted_by=(PromotedBy.PERSON,)).decide(ActorKind.PERSON).verdict is Verdict.PASS
    asks = GOOD.on_policy(promoted_by=(PromotedBy.APPROVAL,))
    assert {g.reason for g in asks.decide(ActorKind.PERSON).objections} == {Reason.NEEDS_APPROVAL}
    assert asks.but(approved=True).decide(ActorKind.PERSON).verdict is Verdict.PASS


def test_the_wait_begins_anew_after_a_hold() -> None:
    """It runs from when everything else passes, and is told with its end."""
    waiting = GOOD.on_policy(hold_window_s=300).but(agreed_for_s=3)
    (gate,) = waiting.decide().objections
    assert gate.numbers["at"] == ago(3 - 300).isoformat()
    held = waiting.on_record(hold=Hold(ago(5), ANNA, ""), ready=(GroupId(102), ago(290)))
    assert held.observed().ready is None


def test_people_may_go_past_a_freeze_together() -> None:
    frozen = GOOD.on_policy(freeze=TODAY)
    decision = frozen.decide(ActorKind.PERSON)
    assert frozen_only(decision)
    agreed = frozenset(objection_names(decision, frozen.record))
    gone_past = going_past(decision, frozen.snapshot, frozen.observed(), agreed)
    assert gone_past is not None
    assert gone_past[0].group_index == 2
    assert going_past(decision, frozen.snapshot, frozen.observed(), frozenset({"soak: soaking"})) is None


def test_on_hawkbit_0x_a_paused_rollout_waits_for_people_and_a_running_one_goes_on() -> None:
    old = GOOD.on_policy(triggers=True)
    assert {g.reason for g in old.decide().objections} == {Reason.PAUSED_ON_0X}
    assert isinstance(old.on_rollout(status=RolloutStatus.RUNNING).decide().intent, Promote)
