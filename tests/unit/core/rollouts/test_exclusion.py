"""Who may be left out of a group's count: silent ones alone, and not more than the policy allows."""

from __future__ import annotations

from datetime import datetime

import pytest

from core.ids import DeviceName, GroupId
from core.rollouts.exclusion import Exclusion, most_excluded, silent_devices, with_excluded, without_excluded
from core.rollouts.facts import Counts, GroupStatus
from core.rollouts.gates import Reason, Verdict
from core.rollouts.records import DeviceState
from core.rollouts.release import OpenAction, TargetSeen
from core.rollouts.work import Meant
from tests.unit.core.rollouts.cases import NOW, Case, ago, claimed_devices, verified

DAY_S = 86_400.0
A, B, C, D = (DeviceName(f"d{i}") for i in range(4))
ONE = GroupId(101)


def waits(device: DeviceName, id: int) -> OpenAction:
    return OpenAction(id, device, "running", forced=True, created_at=ago(DAY_S), set_name="FW:2.0.0")


def heard(device: DeviceName, at: datetime | None) -> TargetSeen:
    return TargetSeen(device, "pending", at, None)


def test_silent_is_who_was_never_heard_of_or_not_within_the_bound_and_no_data_is_no_silence() -> None:
    actions = [waits(A, 1), waits(B, 2), waits(C, 3), waits(D, 4)]
    seen = [heard(A, None), heard(B, ago(DAY_S + 1)), heard(C, ago(DAY_S - 1))]
    found = silent_devices(actions, (), seen, now=NOW, after_s=DAY_S)
    assert found == (Meant(A, 1), Meant(B, 2))


def test_who_was_cancelled_in_hawkbit_already_needs_no_action_ended() -> None:
    found = silent_devices([], [A, B], [heard(A, None), heard(B, ago(5))], now=NOW, after_s=DAY_S)
    assert found == (Meant(A),)


@pytest.mark.parametrize(("of", "most"), [(25, 2), (10, 1), (9, 0), (20_000, 2_000)])
def test_the_cap_is_a_share_of_the_group_rounded_down(of: int, most: int) -> None:
    assert most_excluded(of, 10.0) == most


@pytest.mark.parametrize(
    ("before", "devices", "said"),
    [
        (0, 2, ""),
        (0, 0, "there is none to exclude"),
        (0, 3, "that makes 3 of 25, and the policy allows 2 (10 %)"),
        (2, 1, "with 2 excluded before: that makes 3 of 25"),
    ],
)
def test_what_is_over_the_cap_is_refused_with_its_numbers(before: int, devices: int, said: str) -> None:
    found = Exclusion(ONE, 1, 25, before, 2, 10.0, tuple(Meant(DeviceName(f"d{i}"), i) for i in range(devices)))
    assert said in found.refused
    assert bool(found.refused) == bool(said)


def test_who_is_counted_again_leaves_the_number_of_its_group() -> None:
    record = with_excluded(with_excluded(Case().record, ONE, [A, B]), GroupId(102), [C])
    assert (record.excluded, record.excluded_of(ONE), record.excluded_of(GroupId(102))) == ((A, B, C), 2, 1)
    again = without_excluded(with_excluded(record, ONE, [A]), ONE, [A, D])
    assert (again.excluded, again.excluded_of(ONE)) == ((B, C), 1)


def test_a_group_that_did_well_but_for_excluded_devices_is_a_success_and_one_that_did_not_is_none() -> None:
    verified_23 = verified(23, 25)
    below = Case().but(evidence=verified_23).first(status=GroupStatus.FINISHED, counts=Counts(finished=23, cancelled=2))
    assert below.decide().cause.value == "completed_below"
    assert below.on_record(excluded_in=((ONE, 2),)).decide().cause.value == "success"
    assert below.on_record(excluded_in=((GroupId(102), 2),)).decide().cause.value == "completed_below"
    by_hand = Case().first(status=GroupStatus.FINISHED, counts=Counts(finished=21, cancelled=1, error=3))
    assert by_hand.on_record(excluded_in=((ONE, 4),)).decide().cause.value == "completed_below"


def test_a_group_that_ended_too_low_has_failed_until_redeployed_devices_prove_themselves() -> None:
    """23 of 25: nobody else is on the way, so waiting would be for ever."""
    ended = (
        Case()
        .but(evidence=verified(23, 25))
        .first(status=GroupStatus.FINISHED, counts=Counts(finished=23, cancelled=2))
    )
    assert share_of(ended) == (Verdict.FAIL, Reason.SHARE_ENDED)
    redeployed = ended.but(evidence=claimed_devices(*[DeviceState.VERIFIED] * 23, *[DeviceState.AWAITING_REBOOT] * 2))
    assert share_of(redeployed) == (Verdict.HOLD, Reason.SHARE_LOW)
    assert share_of(ended.but(evidence=verified(25, 25))) == (Verdict.PASS, Reason.OK)
    going = ended.first(status=GroupStatus.RUNNING, counts=Counts(finished=23, running=2))
    assert share_of(going) == (Verdict.HOLD, Reason.SHARE_LOW)
    late = ended.first(counts=Counts(finished=25))  # hawkBit counts two whose claims were not read yet
    assert share_of(late) == (Verdict.HOLD, Reason.SHARE_LOW)


def share_of(case: Case) -> tuple[Verdict, Reason]:
    gate = next(gate for gate in case.decide().gates if gate.name == "share")
    return gate.verdict, gate.reason
