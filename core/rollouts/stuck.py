"""Which devices of a rollout do not get on by themselves, since when, and what to do about each. Facts in, answer out.

hawkBit has no deadline for a device: an action stays open until the device answers (measured on hawkBit 1.1.0).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.ids import DeviceName
from core.rollouts.exclusion import is_silent, silent_devices
from core.rollouts.facts import GroupFacts, GroupStatus
from core.rollouts.policy import PromotionPolicy
from core.rollouts.records import DeviceEvidence, DeviceState, GroupEvidence, RolloutRecord
from core.rollouts.release import OpenAction, TargetSeen
from core.rollouts.verify import reboot_deadline
from core.rollouts.work import CANCELING_KEPT, STUCK_KEPT, Stuck, Sweep, Trouble

CANCELING = "canceling"


@dataclass(frozen=True, slots=True)
class Swept:
    """What was read of one started group. `seen` are its devices with something open, and its excluded and cancelled
    ones; `cancelled` those that did not get the set and are counted."""

    index: int
    group: GroupFacts
    actions: Sequence[OpenAction]
    cancelled: Collection[DeviceName]
    seen: Sequence[TargetSeen]
    evidence: GroupEvidence


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next, in words, and the verb of the button that does it; "" where only a person at the device can."""

    words: str
    verb: str = ""
    label: str = ""


STEPS: Mapping[Trouble, Step] = {
    Trouble.NEVER_POLLED: Step("see that it is powered and enrolled", "cancel", "Cancel its install"),
    Trouble.SILENT: Step("see that it is powered and connected", "cancel", "Cancel its install"),
    Trouble.SOFT: Step("somebody at the device has to agree to the install; forced, it needs nobody", "force", "Force"),
    Trouble.OPEN_LONG: Step("read its journal, or cancel the install and redeploy", "cancel", "Cancel its install"),
    Trouble.NOT_BACK: Step("ask it for its slots with `/cdm run rauc-status`, or reboot it"),
    Trouble.CANCELING_LONG: Step("it confirms at its next poll; ended by force, nobody waits for it", "quit", "End it"),
    Trouble.EXCLUDED_BACK: Step("bring it the set that it missed", "catch-up", "Catch up"),
    Trouble.EXCLUDED_NEW: Step("tell hawkBit what it runs", "catch-up", "Catch up"),
}

WORDS: Mapping[Trouble, str] = {
    Trouble.NEVER_POLLED: "never heard of",
    Trouble.SILENT: "silent",
    Trouble.SOFT: "waiting for somebody to agree",
    Trouble.OPEN_LONG: "installing too long",
    Trouble.NOT_BACK: "not back from the install",
    Trouble.CANCELING_LONG: "canceling too long",
    Trouble.EXCLUDED_BACK: "excluded and back",
    Trouble.EXCLUDED_NEW: "excluded but on the new version",
}


def sweep(groups: Sequence[Swept], record: RolloutRecord, wanted: str, policy: PromotionPolicy, now: datetime) -> Sweep:
    """`groups` in any order; the one with the highest index is the last started one. `wanted` is the set's version."""
    canceling = _canceling_since(groups, record.sweep, now)
    found = [one for group in groups for one in _of_group(group, record, canceling, wanted, policy, now)]
    found.sort(key=lambda one: (one.group, list(Trouble).index(one.trouble), one.device))
    last = max(groups, key=lambda one: one.index, default=None)
    silent = 0
    if last is not None:
        cancelled = set(last.cancelled) - set(record.excluded)
        silent = len(silent_devices(last.actions, cancelled, last.seen, now=now, after_s=policy.poll_deadline_s))
    kept = sorted(canceling.items(), key=lambda item: item[1])[:CANCELING_KEPT]
    return Sweep(
        at=now,
        stuck=tuple(found[:STUCK_KEPT]),
        counts=tuple((t, n) for t in Trouble if (n := sum(one.trouble is t for one in found))),
        silent=silent,
        open=sum(len(group.actions) for group in groups),
        canceling=len(canceling),
        canceling_since=tuple(kept),
    )


def in_words(counts: Iterable[tuple[Trouble, int]]) -> str:
    return ", ".join(f"{number} {WORDS[trouble]}" for trouble, number in counts)


def runs_new(device: DeviceEvidence, wanted: str, policy: PromotionPolicy) -> bool:
    """Whether the device says that it runs the new version, although hawkBit does not claim it."""
    looks = [look for look in (device.latest, device.mark, device.before) if look is not None]
    newest = max(looks, key=lambda look: look.read_at, default=None)
    said = newest.readings.get(policy.keys.version) if newest is not None else None
    return device.first_claimed_at is None and said is not None and policy.same_version(said.value, wanted)


def _canceling_since(groups: Sequence[Swept], before: Sweep | None, now: datetime) -> dict[int, datetime]:
    known = dict(before.canceling_since) if before is not None else {}
    return {a.id: known.get(a.id, now) for group in groups for a in group.actions if a.status == CANCELING}


def _of_group(
    swept: Swept,
    record: RolloutRecord,
    canceling: Mapping[int, datetime],
    wanted: str,
    policy: PromotionPolicy,
    now: datetime,
) -> Iterable[Stuck]:
    seen = {one.device: one for one in swept.seen}
    for action in swept.actions:
        trouble, since = _of_action(action, swept.group, seen.get(action.device), canceling, policy, now)
        if trouble is not None:
            yield Stuck(action.device, swept.index, trouble, since, action.id)
    for name, device in swept.evidence.devices.items():
        if name in record.excluded:
            yield from _of_excluded(device, swept.index, seen.get(name), wanted, policy, now)
        elif device.member and device.state is DeviceState.UNKNOWN and _overdue(device, policy, now):
            yield Stuck(name, swept.index, Trouble.NOT_BACK, device.first_claimed_at)


def _of_action(
    action: OpenAction,
    group: GroupFacts,
    seen: TargetSeen | None,
    canceling: Mapping[int, datetime],
    policy: PromotionPolicy,
    now: datetime,
) -> tuple[Trouble | None, datetime]:
    if action.status == CANCELING:
        since = canceling[action.id]
        return (Trouble.CANCELING_LONG if _longer(since, policy.cancel_deadline_s, now) else None), since
    # Actions are made when the rollout starts, and wait until their group begins: then the group was last modified.
    since = max(action.created_at, group.last_modified_at) if group.status is GroupStatus.RUNNING else action.created_at
    if seen is None:
        return None, since
    if seen.last_poll_at is None:
        return (Trouble.NEVER_POLLED if _longer(since, policy.poll_deadline_s, now) else None), since
    if is_silent(seen.last_poll_at, now, policy.poll_deadline_s):
        return Trouble.SILENT, seen.last_poll_at
    if _longer(since, policy.download_deadline_s, now):
        return (Trouble.OPEN_LONG if action.forced else Trouble.SOFT), since
    return None, since


def _of_excluded(
    device: DeviceEvidence,
    index: int,
    seen: TargetSeen | None,
    wanted: str,
    policy: PromotionPolicy,
    now: datetime,
) -> Iterable[Stuck]:
    """Nothing is left to do for one that hawkBit claims, or that was given the set again."""
    if device.first_claimed_at is not None or seen is None or seen.update_status == "pending":
        return
    if runs_new(device, wanted, policy):
        yield Stuck(device.device, index, Trouble.EXCLUDED_NEW, None)
    elif not is_silent(seen.last_poll_at, now, policy.poll_deadline_s):
        yield Stuck(device.device, index, Trouble.EXCLUDED_BACK, seen.last_poll_at)


def _overdue(device: DeviceEvidence, policy: PromotionPolicy, now: datetime) -> bool:
    deadline = reboot_deadline(device, policy)
    return deadline is not None and now > deadline


def _longer(since: datetime, seconds: float, now: datetime) -> bool:
    return now - since > timedelta(seconds=seconds)
