"""Which policy decides about which rollout, and what a way back does not wait for."""

from __future__ import annotations

from dataclasses import replace

from core.ids import Tenant
from core.rollouts.policies import Applied, Policies, PolicyRule
from core.rollouts.policy import PromotedBy, PromotionPolicy
from core.windows import Interval, Schedule, Weekly

WEEKEND = Schedule("Europe/Berlin", (Weekly((5, 6), 0, 1440, "weekend"),))
DEFAULT = PromotionPolicy(
    enabled=True,
    owners=frozenset({"ci"}),
    threshold_pct=97,
    soak_s=600,
    hold_window_s=300,
    max_alarm_pct=5,
    promoted_by=(PromotedBy.PERSON,),
    freeze=WEEKEND,
    production={Tenant("a"): WEEKEND},
    reboot_windows={Tenant("a"): WEEKEND},
)
CAREFUL = replace(DEFAULT, name="careful", soak_s=7200)
BETA = replace(DEFAULT, name="beta", soak_s=0)
NAMED_ONLY = replace(DEFAULT, name="named-only", soak_s=1)
POLICIES = Policies(
    DEFAULT,
    [PolicyRule(CAREFUL, ("fw-*-lts", "kernel-?")), PolicyRule(BETA, ("fw-*", "Beta*")), PolicyRule(NAMED_ONLY)],
)


def test_the_first_pattern_that_fits_decides_else_the_default() -> None:
    assert POLICIES.applied("fw-2-lts") == Applied(CAREFUL, "fw-*-lts")
    assert POLICIES.applied("fw-2") == Applied(BETA, "fw-*")
    assert POLICIES.applied("kernel-6") == Applied(CAREFUL, "kernel-?")
    assert POLICIES.applied("kernel-61") == Applied(DEFAULT)
    assert POLICIES.applied("beta 1") == Applied(DEFAULT)
    assert POLICIES.of("anything else") is DEFAULT


def test_the_policy_chosen_at_creation_decides_whatever_the_name() -> None:
    assert POLICIES.applied("fw-2", "named-only") == Applied(NAMED_ONLY, chosen=True)
    assert POLICIES.applied("fw-2", "default") == Applied(DEFAULT, chosen=True)


def test_where_the_chosen_policy_is_gone_the_scheduler_promotes_nothing() -> None:
    applied = POLICIES.applied("fw-2", "removed")
    assert applied.missing == "removed"
    assert applied.policy == replace(BETA, enabled=False)


def test_a_rollback_waits_for_proof_but_for_no_time() -> None:
    applied = POLICIES.applied("rollback-fw-2-1")
    back = applied.policy
    assert (back.name, applied.pattern) == ("rollback", "rollback-*")
    assert (back.soak_s, back.hold_window_s, back.max_alarm_pct) == (0, 0, None)
    assert not back.freeze
    assert not back.production
    assert back.promoted_by == (PromotedBy.SCHEDULER,)
    assert (back.threshold_pct, back.enabled, back.owners) == (97, True, frozenset({"ci"}))


def test_a_policy_named_rollback_stands_in_its_place() -> None:
    own = replace(DEFAULT, name="rollback", soak_s=60)
    policies = Policies(DEFAULT, [PolicyRule(own, ("rollback-*",))])
    assert policies.of("rollback-1") is own
    assert policies.names() == ("default", "rollback")


def test_the_hashes_tell_every_change_but_not_another_year_of_a_calendar() -> None:
    before = POLICIES.hashes()
    assert set(before) == {"default", "rollback", "careful", "beta", "named-only"}
    stricter = Policies(DEFAULT, [PolicyRule(replace(CAREFUL, threshold_pct=99), ("fw-*-lts", "kernel-?"))]).hashes()
    assert stricter["careful"] != before["careful"]
    wider = Policies(DEFAULT, [PolicyRule(CAREFUL, ("*",))]).hashes()
    assert wider["careful"] != before["careful"]
    filled = replace(DEFAULT, freeze=replace(WEEKEND, calendar=(Interval(0, 60, "New Year"),)))
    assert Policies(filled).hashes()["default"] == before["default"]
    later = replace(DEFAULT, freeze=Schedule("Europe/Berlin", (Weekly((5, 6), 0, 1430, "weekend"),)))
    assert Policies(later).hashes()["default"] != before["default"]
