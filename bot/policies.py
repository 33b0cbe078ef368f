"""Settings to policies: the default, those for some rollouts, and the windows of each tenant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bot.policy_settings import ReleaseFields, WindowsSection
from bot.settings import Settings, StackSection
from core.ids import Tenant
from core.rollouts.policies import ROLLBACK, ROLLBACK_PATTERN, Policies, PolicyRule, rollback_policy
from core.rollouts.policy import PromotionPolicy, ReadingKeys
from core.windows import Interval, Schedule

Calendars = Mapping[tuple[Path, str], tuple[Interval, ...]]
"""What was read from each calendar file, by path and zone."""


def policies_of(settings: Settings, section: StackSection, calendars: Calendars | None = None) -> Policies:
    """One stack's policies. Without `calendars` as the settings alone have them."""
    known = calendars or {}
    default = _default(settings, section, known)
    rules = []
    for given in settings.policies:
        if given.stacks and section.name not in given.stacks:
            continue
        base = rollback_policy(default) if given.name == ROLLBACK else default
        patterns = given.rollouts or ([ROLLBACK_PATTERN] if given.name == ROLLBACK else [])
        policy = replace(base, name=given.name, **_given(given, known, given.model_fields_set))
        rules.append(PolicyRule(policy, tuple(patterns)))
    return Policies(default, sorted(rules, key=lambda rule: rule.policy.name != ROLLBACK))


def calendar_files(settings: Settings) -> Mapping[tuple[Path, str], tuple[str | int, ...]]:
    """Every calendar file with the zone it is read in, and where in the settings it is first named."""
    found: dict[tuple[Path, str], tuple[str | int, ...]] = {}
    named: list[tuple[tuple[str | int, ...], WindowsSection]] = [(("promotion", "freeze"), settings.promotion.freeze)]
    named += [(("policies", n, "freeze"), policy.freeze) for n, policy in enumerate(settings.policies)]
    for s, stack in enumerate(settings.stacks):
        for t, tenant in enumerate(stack.tenants):
            where = ("stacks", s, "tenants", t)
            named += [((*where, "production"), tenant.production)]
            named += [((*where, "reboot_windows"), tenant.reboot_windows)]
    for loc, windows in named:
        if windows.holidays is not None:
            found.setdefault((windows.holidays, windows.zone), (*loc, "holidays"))
    return found


def _default(settings: Settings, section: StackSection, calendars: Calendars) -> PromotionPolicy:
    promotion = settings.promotion
    return PromotionPolicy(
        owners=frozenset({*promotion.owners, section.hawkbit.username}),
        keys=ReadingKeys(**promotion.keys.model_dump()),
        evidence_fresh_s=promotion.freshness_s,
        settle_s=promotion.settle_s,
        agree_s=promotion.agree_s,
        tick_s=section.hawkbit.tick_s,
        triggers=section.hawkbit.generation == 0,
        request_timeout_s=promotion.request_timeout_s,
        max_read_age_s=promotion.max_read_age_s,
        max_request_life_s=promotion.max_request_life_s,
        lease_s=settings.timing.lease_s,
        production={Tenant(t.id): one for t in section.tenants if (one := _schedule(t.production, calendars))},
        reboot_windows={Tenant(t.id): one for t in section.tenants if (one := _schedule(t.reboot_windows, calendars))},
        **_given(promotion, calendars, set(ReleaseFields.model_fields)),
    )


def _given(section: ReleaseFields, calendars: Calendars, names: set[str]) -> dict[str, Any]:
    """Those fields of a policy that the section says, as core knows them."""
    found: dict[str, Any] = {}
    for name in names & set(ReleaseFields.model_fields):
        value = getattr(section, name)
        match value:
            case WindowsSection():
                found[name] = _schedule(value, calendars)
            case list():
                found[name] = frozenset(value) if name == "alarm_types" else tuple(value)
            case _:
                found[name] = value
    return found


def _schedule(windows: WindowsSection, calendars: Calendars) -> Schedule:
    holidays = windows.holidays
    return windows.schedule(calendars.get((holidays, windows.zone), ()) if holidays is not None else ())
