"""What open alarms count for: in the shares of the alarm gate, in the error budget, and in nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from core.ids import DeviceName, GroupId, Tenant
from core.rollouts.alarmed import AlarmKinds, OpenAlarm, OpenAlarms, alarm_shares, begun_at, failing, note_alarms
from core.rollouts.facts import Counts
from core.rollouts.gates import Reason, Verdict
from core.rollouts.numbers import AlarmShares, numbers_of
from core.rollouts.progress import reason_in_words
from core.rollouts.records import Attempt, AttemptState, DeviceEvidence, DeviceState, GroupEvidence
from tests.unit.core.rollouts.cases import ANNA, BOT, Case, ago, claimed_devices

GOOD = Case()
A, B = Tenant("customer-a"), Tenant("customer-b")
KINDS = AlarmKinds()
LATELY = ago(60)
V, R, P = DeviceState.VERIFIED, DeviceState.REFUTED, DeviceState.PENDING


def alarm(device: str, type: str = "High Temperature", raised: datetime = LATELY) -> OpenAlarm:
    return OpenAlarm(DeviceName(device), A, type, raised)


def opened(*alarms: OpenAlarm) -> OpenAlarms:
    by_device: dict[DeviceName, tuple[OpenAlarm, ...]] = {}
    for one in alarms:
        by_device[one.device] = (*by_device.get(one.device, ()), one)
    return OpenAlarms(ago(30), by_device)


def waiting(*names: str) -> GroupEvidence:
    return GroupEvidence(GroupId(102), {DeviceName(n): DeviceEvidence(DeviceName(n)) for n in names})


def shares(*alarms: OpenAlarm, case: Case = GOOD, nexts: GroupEvidence | None = None) -> AlarmShares:
    first = case.evidence
    assert first is not None
    evidence = {first.group: first, GroupId(102): nexts or waiting("w1", "w2")}
    return alarm_shares(case.snapshot, evidence, case.record, case.policy, opened(*alarms), KINDS)


def test_updated_are_the_claimed_and_the_others_those_without_a_claim_of_started_and_next_groups() -> None:
    found = shares(alarm("d000"), alarm("d001"), alarm("d001", "Low Battery"), alarm("d024"), alarm("w1"))
    assert (found.updated, found.updated_with, found.others, found.others_with) == (24, 2, 3, 2)
    assert found.read_at == ago(30)


def test_devices_of_groups_further_on_are_no_comparison_since_their_names_are_not_known() -> None:
    far = replace(waiting("w1"), group=GroupId(103))
    evidence = {GroupId(103): far}
    found = alarm_shares(GOOD.snapshot, evidence, GOOD.record, GOOD.policy, opened(alarm("w1")), KINDS)
    assert (found.others, found.others_with) == (0, 0)


def test_only_the_types_of_the_policy_count() -> None:
    case = GOOD.on_policy(alarm_types=frozenset({"Low Battery"}))
    assert shares(alarm("d000"), alarm("d001", "Low Battery"), case=case).updated_with == 1


def test_an_ota_failure_of_a_device_not_updated_does_not_speak_for_the_update() -> None:
    assert shares(alarm("w1", "OTA Failure")).others_with == 0


def test_excluded_devices_and_those_that_left_are_not_compared() -> None:
    evidence = claimed_devices(V, V, P)
    devices = {n: replace(d, member=n != "d001") for n, d in evidence.devices.items()}
    case = GOOD.but(evidence=replace(evidence, devices=devices)).on_record(excluded=(DeviceName("d002"),))
    found = shares(alarm("d001"), alarm("d002"), case=case)
    assert (found.updated, found.updated_with, found.others, found.others_with) == (1, 0, 2, 0)


def test_an_alarm_of_another_tenant_under_the_same_name_counts_for_nothing() -> None:
    theirs = replace(alarm("d000", "OTA Failure"), tenant=B)
    evidence = claimed_devices(V)
    own = {n: replace(d, tenant=A) for n, d in evidence.devices.items()}
    assert failing(replace(evidence, devices=own), opened(theirs), KINDS, ago(600)) == frozenset()
    assert failing(replace(evidence, devices=own), opened(alarm("d000", "OTA Failure")), KINDS, ago(600)) == {"d000"}


def test_an_older_failure_tells_of_another_update() -> None:
    evidence = claimed_devices(P)
    assert failing(evidence, opened(alarm("d000", "OTA Failure", ago(601))), KINDS, ago(600)) == frozenset()


def test_a_group_began_when_we_started_it_or_else_not_before_its_rollout_was_made() -> None:
    first, second, _ = GOOD.groups
    assert begun_at(GOOD.snapshot, GOOD.record, first) == ago(9000)
    ours = Attempt(1, 2, second.id, ago(700), ANNA, "7", ago(1000), BOT, AttemptState.STARTED)
    void = Attempt(2, 2, second.id, ago(50), ANNA, "8", ago(1000), BOT, AttemptState.NOT_APPLIED)
    assert begun_at(GOOD.snapshot, GOOD.on_record(attempts=(ours, void)).record, second) == ago(700)


def noted(evidence: GroupEvidence, *bad: str, failed: frozenset[str] = frozenset()) -> GroupEvidence:
    names = frozenset(map(DeviceName, failed))
    return note_alarms(evidence, frozenset(map(DeviceName, bad)), names)


@pytest.mark.parametrize(
    ("failed", "errors", "counted"),
    [
        (frozenset(), 0, 2),  # hawkBit knows of neither
        (frozenset({"d023"}), 1, 2),  # of one
        (frozenset({"d023", "d024"}), 2, 2),  # of both
        (frozenset({"d000"}), 1, 3),  # of another one
        (frozenset({"d000", "d023"}), 1, 3),  # its names were read after its count
    ],
)
def test_a_device_counts_as_one_error_whoever_tells_of_it(failed: frozenset[str], errors: int, counted: int) -> None:
    evidence = noted(claimed_devices(*[V] * 23, P, P), "d023", "d024", failed=failed)
    case = GOOD.but(evidence=evidence).first(counts=Counts(finished=23, error=errors))
    gate = next(g for g in case.decide().gates if g.name == "errors")
    assert (gate.verdict, gate.reason, gate.numbers["errors"]) == (Verdict.FAIL, Reason.ERRORS_OVER_BUDGET, counted)


def test_a_refuted_device_is_no_second_error_by_its_alarm_and_an_excluded_one_is_none() -> None:
    evidence = noted(claimed_devices(V, R, P), "d001", "d002")
    numbers = numbers_of(evidence, (DeviceName("d002"),))
    assert numbers is not None
    assert numbers.alarmed == 0


def test_what_only_alarms_told_is_said() -> None:
    evidence = noted(claimed_devices(*[V] * 23, P, P), "d023", "d024")
    gate = GOOD.but(evidence=evidence).decide().objections[0]
    assert reason_in_words(gate) == "2 errors, 1 allowed (2 of them told by alarms alone)"
