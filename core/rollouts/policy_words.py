"""A policy in words: which one applies and why, what it says, and what each gate will ask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from core.rollouts.policies import Applied
from core.rollouts.policy import PromotedBy, PromotionPolicy, Verification
from core.windows import Schedule, Window

Choice = TypeVar("Choice", bound=StrEnum)

FIELDS = (
    "enabled",
    "owners",
    "threshold_pct",
    "confidence_pct",
    "minimum_sample",
    "max_errors",
    "max_errors_pct",
    "soak_s",
    "hold_window_s",
    "verify",
    "promoted_by",
    "max_alarm_pct",
    "alarm_types",
    "freeze",
    "production",
    "reboot_windows",
    "exclude_cap_pct",
    "poll_deadline_s",
    "download_deadline_s",
    "reboot_deadline_s",
    "cancel_deadline_s",
    "offline_hold_s",
)
"""What a policy may say of its own, in the order in which it is shown."""

_PROOF = {
    Verification.TELEMETRY: "telemetry after a new boot",
    Verification.RAUC: "rauc status after a new boot",
    Verification.BOTH: "telemetry and rauc status, which must agree",
    Verification.CLAIMED: "hawkBit's word alone, which comes before the reboot",
}
_STARTER = {
    PromotedBy.SCHEDULER: "the scheduler",
    PromotedBy.PERSON: "a person",
    PromotedBy.APPROVAL: "a person, with another one's agreement",
}


def why_it_applies(applied: Applied) -> str:
    name = applied.policy.name
    if applied.missing:
        return (
            f"policy {applied.missing} was named when it was made, but the settings have it no more. Policy {name} "
            "decides, and the scheduler promotes nothing."
        )
    if applied.chosen:
        return f"policy {name}, named when it was made."
    if applied.pattern:
        return f"policy {name}, since its pattern {applied.pattern} fits the name."
    return f"policy {name}, since no other one's pattern fits the name."


def values(policy: PromotionPolicy) -> Iterator[tuple[str, str]]:
    """Each field and its value, short."""
    for name in FIELDS:
        yield name, _shown(getattr(policy, name))


def gates_in_words(policy: PromotionPolicy) -> Iterator[str]:
    """What must hold before a group is started, gate by gate."""
    least = f", and {policy.minimum_sample} at least" if policy.minimum_sample > 1 else ""
    yield f"{policy.threshold_pct:g} % of the group verified, less excluded devices{least}"
    if policy.confidence_pct is not None:
        yield f"the same with {policy.confidence_pct:g} % confidence (lower Wilson bound)"
    yield f"verified by {_by_group(policy.verify, _PROOF, 1)}"
    count = "" if policy.max_errors is None else f", and {policy.max_errors} at most"
    yield f"errors and refuted devices at most {policy.max_errors_pct:g} % of the group{count}; one more fails it"
    if policy.soak_s > 0:
        yield f"so for {_long(policy.soak_s)} without a break (soak)"
    if policy.max_alarm_pct is not None:
        which = ", ".join(sorted(policy.alarm_types)) or "any type"
        yield f"open alarms ({which}) at most {policy.max_alarm_pct:g} points more among updated devices than others"
    starter = _by_group(policy.promoted_by, _STARTER, 2) if policy.enabled else "a person, since enabled is false"
    yield f"started by {starter}"
    if policy.hold_window_s > 0:
        yield f"told {_long(policy.hold_window_s)} before, so that somebody may hold it"


def windows_in_words(policy: PromotionPolicy, now: datetime) -> Iterator[str]:
    """Freeze, production and reboot windows: the one open now, or the next to open."""
    if policy.freeze:
        yield _window("freeze (no group starts)", policy.freeze, now)
    for tenant, schedule in policy.production.items():
        if schedule:
            yield _window(f"production of {tenant} (no group with its devices starts)", schedule, now)
    for tenant, schedule in policy.reboot_windows.items():
        if schedule:
            yield _window(f"reboot window of {tenant}", schedule, now)


def _window(what: str, schedule: Schedule, now: datetime) -> str:
    current = schedule.covers(now)
    if current is not None:
        return f"{what}: open now{_named(current)}, until {_at(current.until)}"
    ahead = schedule.next_opening(now)
    if ahead is None:
        return f"{what}: none any more"
    return f"{what}: next from {_at(ahead.opens_at)} to {_at(ahead.until)}{_named(ahead)}"


def _named(window: Window) -> str:
    return f" ({window.name})" if window.name else ""


def _at(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment is not None else "for ever"


def _by_group(given: Sequence[Choice], words: Mapping[Choice, str], first: int) -> str:
    """ "group 2: a person, from 3 on: the scheduler"; just the words where all are alike."""
    if len(set(given)) == 1:
        return words[given[0]]
    *early, last = given
    said = [f"group {n}: {words[one]}" for n, one in enumerate(early, first)]
    return f"{'; '.join(said)}; from group {first + len(early)} on: {words[last]}"


def _shown(value: object) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case Schedule():
            return _counted(value)
        case Mapping():
            return ", ".join(f"{tenant}: {_counted(one)}" for tenant, one in value.items()) or "none"
        case frozenset() | tuple():
            return ", ".join(sorted(value) if isinstance(value, frozenset) else map(str, value)) or "none"
    return str(value)


def _counted(schedule: Schedule) -> str:
    counts = [(len(schedule.weekly), "weekly"), (len(schedule.fixed), "fixed"), (len(schedule.calendar), "holidays")]
    return ", ".join(f"{number} {what}" for number, what in counts if number) or "none"


def _long(seconds: float) -> str:
    return f"{seconds / 3600:g} h" if seconds >= 3600 else f"{seconds / 60:g} min"
