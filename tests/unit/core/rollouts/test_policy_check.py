"""Policies that can never pass are refused, and what may be meant so is only told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from core.ids import Tenant
from core.rollouts.policy import PromotedBy, PromotionPolicy, Verification
from core.rollouts.policy_check import PolicyFinding, check_policy, group_sizes
from core.windows import Interval, Schedule, Weekly

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAYS = tuple(range(7))
MORNING, REST = Schedule(weekly=(Weekly(DAYS, 0, 720),)), Schedule(weekly=(Weekly(DAYS, 720, 1440),))
GOOD = PromotionPolicy(enabled=True, owners=frozenset({"ci"}), freeze=MORNING)
A = Tenant("customer-a")


def found(policy: PromotionPolicy, *, devices: int | None = 500, relay: bool = True) -> list[PolicyFinding]:
    shares = (5.0, 25.0, 45.0, 25.0)
    return list(check_policy(policy, NOW, shares=shares, devices=devices, relay=relay))


def test_groups_share_all_devices() -> None:
    assert group_sizes(500, (5, 25, 70)) == (25, 125, 350)
    assert sum(group_sizes(333, (5, 25, 70))) == 333
    assert group_sizes(7, (5, 25, 70)) == (0, 2, 5)


def test_a_policy_that_can_pass_is_told_nothing() -> None:
    assert found(GOOD) == []
    assert found(replace(GOOD, production={A: Schedule(weekly=(Weekly((0,), 720, 1440),))})) == []


@pytest.mark.parametrize(
    ("policy", "field", "said"),
    [
        (replace(GOOD, confidence_pct=95), "confidence_pct", "25 of 25 verified devices give a lower bound of 86.7 %"),
        (replace(GOOD, minimum_sample=26), "minimum_sample", "can never be reached by a group of 25 devices"),
        (replace(GOOD, freeze=Schedule(weekly=(Weekly(DAYS, 0, 1440),))), "freeze", "never ends"),
        (replace(GOOD, production={A: REST}), "production", "customer-a and the freeze leave no time free"),
        (replace(GOOD, reboot_windows={A: Schedule(fixed=(Interval(0, 60),))}), "reboot_windows", "never open again"),
        (replace(GOOD, request_timeout_s=3.0), "request_timeout_s", "below hawkBit's tick"),
    ],
)
def test_what_can_never_pass_or_is_unsafe_is_refused(policy: PromotionPolicy, field: str, said: str) -> None:
    (finding,) = found(policy)
    assert (finding.field, finding.refused) == (field, True)
    assert said in finding.text


def test_proof_over_a_relay_that_is_not_there_is_refused() -> None:
    (finding,) = found(replace(GOOD, verify=(Verification.TELEMETRY, Verification.BOTH)), relay=False)
    assert finding.refused
    assert "no relay" in finding.text


def test_sizes_matter_only_where_they_are_known() -> None:
    tight = replace(GOOD, confidence_pct=95, minimum_sample=26)
    assert found(tight, devices=None) == []
    assert found(tight, devices=4_000) == []
    assert ["would be empty" in one.text for one in found(GOOD, devices=5)] == [True]


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (replace(GOOD, verify=(Verification.CLAIMED,)), "falls back is not noticed"),
        (replace(GOOD, promoted_by=(PromotedBy.PERSON,)), "every group waits for a person"),
    ],
)
def test_what_may_be_meant_so_is_a_warning(policy: PromotionPolicy, said: str) -> None:
    (finding,) = found(policy)
    assert not finding.refused
    assert said in finding.text


def test_a_large_last_group_is_a_warning() -> None:
    (finding,) = check_policy(GOOD, NOW, shares=(5, 25, 70), devices=None, relay=True)
    assert not finding.refused
    assert "the last group is 70 %" in finding.text
