"""Which policy decides about a rollout: the one named at its creation, else the first whose pattern fits its name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from core.rollouts.policy import PromotedBy, PromotionPolicy
from core.windows import Schedule

ROLLBACK = "rollback"
ROLLBACK_PATTERN = "rollback-*"
ROLLBACK_VALUES: Mapping[str, Any] = {
    "soak_s": 0.0,
    "hold_window_s": 0.0,
    "max_alarm_pct": None,
    "promoted_by": (PromotedBy.SCHEDULER,),
    "freeze": Schedule(),
    "production": {},
}
"""What the built-in policy for rollbacks says otherwise than the default."""


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """A policy and the names of rollouts it is for (`*`, `?`, `[…]`; case counts). Without any it must be named."""

    policy: PromotionPolicy
    patterns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Applied:
    """A policy and why it applies: `pattern` fitted the name; or it was `chosen`; or neither, it is the default.
    `missing` was chosen, but there is none of that name any more."""

    policy: PromotionPolicy
    pattern: str = ""
    chosen: bool = False
    missing: str = ""


class Policies:
    """One stack's. Its fence timings are those of the default in every policy."""

    def __init__(self, default: PromotionPolicy, rules: Sequence[PolicyRule] = ()) -> None:
        self.default = default
        named = any(rule.policy.name == ROLLBACK for rule in rules)
        self.rules = tuple(rules) if named else (PolicyRule(rollback_policy(default), (ROLLBACK_PATTERN,)), *rules)

    def of(self, rollout_name: str, chosen: str = "") -> PromotionPolicy:
        """The policy that decides about the rollout of this name."""
        return self.applied(rollout_name, chosen).policy

    def applied(self, rollout_name: str, chosen: str = "") -> Applied:
        """The same, with why. Where the chosen one is gone from the settings, the scheduler promotes nothing by it: the
        one that would apply by name decides, and a person promotes."""
        if chosen == self.default.name:
            return Applied(self.default, chosen=True)
        if chosen:
            for rule in self.rules:
                if rule.policy.name == chosen:
                    return Applied(rule.policy, chosen=True)
            by_name = self.applied(rollout_name)
            return replace(by_name, policy=replace(by_name.policy, enabled=False), missing=chosen)
        for rule in self.rules:
            for pattern in rule.patterns:
                if fnmatchcase(rollout_name, pattern):
                    return Applied(rule.policy, pattern)
        return Applied(self.default)

    def names(self) -> tuple[str, ...]:
        return (self.default.name, *(rule.policy.name for rule in self.rules))

    def hashes(self) -> Mapping[str, str]:
        """By name of the policy: equal where everything that people set is, its patterns and their order too. What was
        read from calendars is left out, since it grows with each year."""
        found = {self.default.name: _without_calendars(self.default).policy_hash()}
        for place, rule in enumerate(self.rules):
            said = f"{place} {rule.patterns!r} {_without_calendars(rule.policy).policy_hash()}"
            found[rule.policy.name] = hashlib.sha256(said.encode()).hexdigest()[:16]
        return found


def rollback_policy(default: PromotionPolicy) -> PromotionPolicy:
    """A way back waits for nothing but proof: no soak, no window, no alarm gate. Its thresholds are the default's."""
    return replace(default, name=ROLLBACK, **ROLLBACK_VALUES)


def _without_calendars(policy: PromotionPolicy) -> PromotionPolicy:
    return replace(
        policy,
        freeze=replace(policy.freeze, calendar=()),
        production={tenant: replace(one, calendar=()) for tenant, one in policy.production.items()},
        reboot_windows={tenant: replace(one, calendar=()) for tenant, one in policy.reboot_windows.items()},
    )
