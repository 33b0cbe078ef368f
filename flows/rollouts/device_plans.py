"""What an order about single devices of a rollout comes to, read now: which devices, or why it must not be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from core.errors import Conflict, NotFound, Refused
from core.ids import DeviceName, GroupId
from core.messages.text import plain
from core.ports import Clock
from core.rollouts.cause import focus, started_index
from core.rollouts.exclusion import Exclusion, is_silent, most_excluded, silent_devices
from core.rollouts.facts import GroupFacts, RolloutStatus, Snapshot
from core.rollouts.policy import PromotionPolicy
from core.rollouts.records import RolloutRecord
from core.rollouts.release import OpenAction, TargetSeen
from core.rollouts.stuck import CANCELING
from core.rollouts.work import Meant, WorkKind
from flows.rollouts.site import Site

_STOPPED = (RolloutStatus.STOPPING, RolloutStatus.STOPPED, RolloutStatus.DELETING, RolloutStatus.DELETED)


@dataclass(frozen=True, slots=True)
class Plan:
    """`devices` with the action meant; none at all: every open install, of which there are `total` now."""

    total: int
    devices: tuple[Meant, ...] = ()
    group: GroupId | None = None

    @property
    def names(self) -> tuple[DeviceName, ...]:
        return tuple(one.device for one in self.devices)


async def plan_for(kind: WorkKind, site: Site, record: RolloutRecord, clock: Clock, *, which: str = "") -> Plan:
    """`which`: for an exclusion the group's number that the person was shown, else one device's name; "" for all that
    there is. Raises Refused with the reason where it must not be done, NotFound or OutsideError."""
    snapshot = await site.snapshot(record.rollout, clock)
    if snapshot is None:
        raise NotFound("This rollout does not exist in hawkBit any more.", system=f"hawkBit {site.stack}")
    match kind:
        case WorkKind.EXCLUDE:
            return await _exclude(site, snapshot, record, clock, which)
        case WorkKind.CATCH_UP:
            return await _catch_up(site, snapshot, record, clock, which)
    actions = await site.actions.open(record.rollout)
    match kind:
        case WorkKind.CANCEL:
            return _cancel(snapshot, actions, which)
        case WorkKind.QUIT:
            return _quit(site.policy_of(snapshot.rollout, record), record, actions, clock, which)
        case WorkKind.FORCE:
            soft = [a for a in _of(actions, which) if not a.forced and a.status != CANCELING]
            return _plan(soft, "No install of it waits for somebody to agree: there is nothing to force.")


async def exclusion(site: Site, snapshot: Snapshot, record: RolloutRecord, clock: Clock) -> Exclusion:
    """The silent devices of the last started group. Raises Refused where none has started, or OutsideError."""
    group = focus(snapshot)
    if group is None:
        raise Refused("No group has started yet, so there is nobody to exclude. Nothing was done.")
    actions = await site.actions.open(record.rollout, group.id)
    cancelled = await left_behind(site, snapshot, group, record)
    seen: list[TargetSeen] = [*await site.actions.pending(record.rollout, group.id)] if actions else []
    if cancelled:
        seen += await site.actions.targets(sorted(cancelled))
    policy = site.policy_of(snapshot.rollout, record)
    return Exclusion(
        group=group.id,
        index=started_index(snapshot),
        of=group.total,
        before=record.excluded_of(group.id),
        most=most_excluded(group.total, policy.exclude_cap_pct),
        cap_pct=policy.exclude_cap_pct,
        devices=silent_devices(actions, cancelled, seen, now=clock.now(), after_s=policy.poll_deadline_s),
    )


async def left_behind(
    site: Site, snapshot: Snapshot, group: GroupFacts, record: RolloutRecord
) -> frozenset[DeviceName]:
    """The devices of a group whose install was cancelled, that did not get the set on another way, and are counted."""
    if group.counts.cancelled <= record.excluded_of(group.id):
        return frozenset()
    cancelled = await site.actions.cancelled(record.rollout, group.id) - frozenset(record.excluded)
    if not cancelled:
        return frozenset()
    wanted = await site.wanted(snapshot.rollout.set_id)
    return cancelled - (await site.rollouts.claims(record.rollout, group.id, wanted)).keys()


async def _exclude(site: Site, snapshot: Snapshot, record: RolloutRecord, clock: Clock, which: str) -> Plan:
    if snapshot.rollout.status.terminal or snapshot.rollout.status in _STOPPED:
        raise Refused(f"It is {snapshot.rollout.status.value}: no group waits for a device any more. Nothing was done.")
    if which and which != f"{started_index(snapshot)}":
        raise Conflict(f"The group under way is {started_index(snapshot)}, not {plain(which, 20)}. Look again.")
    found = await exclusion(site, snapshot, record, clock)
    if found.refused:
        raise Refused(f"{found.refused} Nothing was done.")
    return Plan(len(found.devices), found.devices, found.group)


def _cancel(snapshot: Snapshot, actions: Sequence[OpenAction], which: str) -> Plan:
    status = snapshot.rollout.status
    if not which and status is not RolloutStatus.FINISHED:
        raise Refused(
            f"It is {status.value}. Open installs are cancelled together once it has finished; before, Stop ends "
            "it and cancels them. Nothing was done."
        )
    going_on = [a for a in _of(actions, which) if a.status != CANCELING]
    plan = _plan(going_on, "No install of it is open that was not cancelled already. Nothing was done.")
    return plan if which else Plan(plan.total)


def _quit(
    policy: PromotionPolicy, record: RolloutRecord, actions: Sequence[OpenAction], clock: Clock, which: str
) -> Plan:
    since = dict(record.sweep.canceling_since) if record.sweep is not None else {}
    bound = timedelta(seconds=policy.cancel_deadline_s)
    long = [a for a in _of(actions, which) if a.id in since and clock.now() - since[a.id] > bound]
    return _plan(
        long,
        f"None is being cancelled for longer than {policy.cancel_deadline_s / 60:g} minutes: give the devices "
        "time to confirm. Nothing was done.",
    )


async def _catch_up(site: Site, snapshot: Snapshot, record: RolloutRecord, clock: Clock, which: str) -> Plan:
    if snapshot.rollout.status in _STOPPED:
        raise Refused("This rollout was stopped, so its set is brought to nobody any more. Nothing was done.")
    if record.hold is not None:
        raise Refused(f"It is on hold by {plain(record.hold.by.name, 60)}: lift the hold first. Nothing was done.")
    names = [name for name in record.excluded if not which or name == which]
    seen = await site.actions.targets(names) if names else ()
    policy, now = site.policy_of(snapshot.rollout, record), clock.now()
    back = [
        one.device
        for one in seen
        if one.update_status != "pending" and not is_silent(one.last_poll_at, now, policy.poll_deadline_s)
    ]
    wanted = await site.wanted(snapshot.rollout.set_id)
    for group in snapshot.groups:
        if back and record.excluded_of(group.id):
            back = [n for n in back if n not in await site.rollouts.claims(record.rollout, group.id, wanted)]
    if not back:
        raise Refused("No excluded device was heard of again that has not got the set. Nothing was done.")
    return Plan(len(back), tuple(map(Meant, sorted(back))))


def _of(actions: Sequence[OpenAction], which: str) -> Sequence[OpenAction]:
    return [a for a in actions if not which or a.device == which]


def _plan(actions: Sequence[OpenAction], none: str) -> Plan:
    if not actions:
        raise Refused(none)
    return Plan(len(actions), tuple(Meant(a.device, a.id) for a in actions))
