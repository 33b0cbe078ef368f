"""The view model of a rollout's message: numbers, one state word, and the reason for waiting in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from core.ids import DeviceName, GroupId
from core.rollouts.cause import PauseCause, focus, started_index
from core.rollouts.decide import Decision, frozen_only, passable
from core.rollouts.exclusion import most_excluded
from core.rollouts.facts import GroupFacts, GroupStatus, RolloutStatus, Snapshot
from core.rollouts.gates import Gate, Reason, Verdict, owned
from core.rollouts.policy import PromotionPolicy, Verification
from core.rollouts.records import DeviceState, GroupEvidence, RolloutRecord
from core.rollouts.stuck import in_words
from core.rollouts.verify import AWAITING, reboot_deadline, tally
from core.rollouts.views import NAMED, Bar, Mood, Progress
from core.rollouts.work import Trouble

_CAUSES: Mapping[PauseCause, str] = {
    PauseCause.COMPLETED_BELOW: "the group ended below hawkBit's threshold",
    PauseCause.ERROR_STOP: "hawkBit stopped it for errors",
    PauseCause.PERSON_IN_SLACK: "{by} paused it",
    PauseCause.PERSON_IN_HAWKBIT: "{by} paused it in hawkBit",
    PauseCause.OURS: "the bot paused it",
    PauseCause.UNKNOWN: "why it is paused cannot be told",
}

_WORDS: Mapping[Reason, str] = {
    Reason.NOT_PAUSED: "hawkBit is still installing the started group",
    Reason.ENDED: "it is {status}",
    Reason.PAUSED_ON_0X: "it is paused: resume it in hawkBit, the bot goes on from there",
    Reason.NOT_STARTED: "no group has started yet",
    Reason.NO_NEXT_GROUP: "no group is left to start",
    Reason.NEXT_UNSEEN: "{seen} of {devices} devices of group {group} looked at before it starts; the others follow",
    Reason.NEXT_TAKEN: "{taken} of {devices} devices of group {group} were given something else meanwhile",
    Reason.ERROR_STOP: "hawkBit stopped it for errors: a resume would start the next group whatever the errors",
    Reason.NOT_OWNED: "created by {creator}, so hawkBit or a person promotes it, not the bot",
    Reason.NOT_ENABLED: "automatic promotion is off: a person promotes",
    Reason.GROUP_DOES_NOT_PAUSE: "group {group} was created without success action PAUSE: hawkBit goes on by itself",
    Reason.HOLD_SET: "on hold by {by}: {why}",
    Reason.ATTEMPT_OPEN: "a promotion to group {group} was sent; its outcome is not known yet and is being read back",
    Reason.ALREADY_STARTED_BY_US: "the bot started group {group} before, yet hawkBit shows it waiting: check hawkBit",
    Reason.SETTLING: "the last promotion was a moment ago",
    Reason.READS_DISAGREE: "waiting for a second read that shows the same",
    Reason.HAWKBIT_STALE: "what is known of hawkBit is too old",
    Reason.CLAIMS_MISSING: "which devices claim the new version has not been read",
    Reason.CLAIMS_STALE: "which devices claim the new version was read too long ago",
    Reason.NO_DEVICES: "the group has no devices to judge by",
    Reason.MEMBERS_MISSING: "the group's devices have not been counted",
    Reason.MEMBERS_CHANGED: "{counted} devices counted in the group, hawkBit says {hawkbit}",
    Reason.CONTRADICTION: "{verified} devices verified, but hawkBit counts only {hawkbit} as ended",
    Reason.SHARE_LOW: "{verified} of {of} verified, {needed_pct:g} % needed"
    " ({awaiting} await a reboot, {unknown} unknown, {refuted} refuted)",
    Reason.SHARE_UNREACHABLE: "{needed_pct:g} % can no longer be reached: at best {at_best} of {of} ({best_pct:.4g} %)",
    Reason.SHARE_ENDED: "the group has ended and cannot pass: at best {at_best} of {of}, {needed_pct:g} % needed."
    " Devices that are redeployed and verified later count",
    Reason.SAMPLE_SMALL: "{verified} verified, at least {needed} needed",
    Reason.ERRORS_OVER_BUDGET: "{errors} errors, {allowed} allowed",
    Reason.SOAKING: "soaking: {needed_s:g} s after the share was reached",
    Reason.CONFIDENCE_LOW: "surely verified (at {confidence_pct:g} % confidence) are only {lower_pct:g} %,"
    " {needed_pct:g} % needed",
    Reason.ALARMS_MISSING: "which devices have open alarms has not been read",
    Reason.ALARMS_OVER_LIMIT: "{updated_with} of {updated} updated devices have an open alarm,"
    " {others_with} of {others} others: more than {limit_pct:g} points apart",
    Reason.FROZEN: "{window}: nothing starts {until}",
    Reason.PRODUCTION: "{tenant} is in production {until}",
    Reason.TENANTS_UNKNOWN: "whose devices are in it is not known, so nobody can say whether they are in production",
    Reason.PERSON_PROMOTES: "by policy a person starts group {group}",
    Reason.NEEDS_APPROVAL: "by policy group {group} starts only when a second person agrees",
}

# Told first: what a person may have to act on. The rest follows in this order too.
_URGENCY = (
    *("errors", "alarms", "cause", "share", "hold", "freeze", "fence", "members", "fresh"),
    *("owner", "starter", "approval", "sample", "confidence", "window", "soak", "agree", "state", "next"),
)


def reason_in_words(gate: Gate) -> str:
    """Plain text with names in it that others chose: escape it before it is shown."""
    if gate.reason is Reason.HOLD_WINDOW:
        at = datetime.fromisoformat(str(gate.numbers["at"])) if "at" in gate.numbers else None
        return f"starts at {at:%H:%M} UTC unless somebody holds it" if at else "about to be announced"
    if gate.reason is Reason.CAUSE:
        return _CAUSES[PauseCause(str(gate.numbers["cause"]))].format(**gate.numbers)
    numbers = dict(gate.numbers)
    if gate.reason is Reason.SHARE_UNREACHABLE:
        numbers["best_pct"] = 100 * int(numbers["at_best"]) / int(numbers["of"])
    said = _WORDS[gate.reason].format(**numbers)
    alarmed = numbers.get("alarmed", 0) if gate.reason is Reason.ERRORS_OVER_BUDGET else 0
    return f"{said} ({alarmed} of them told by alarms alone)" if alarmed else said


def progress(
    snapshot: Snapshot,
    policy: PromotionPolicy,
    record: RolloutRecord,
    evidence: Mapping[GroupId, GroupEvidence],
    by_policy: Decision,
    by_person: Decision,
    set_name: str,
) -> Progress:
    """`by_policy` judges for the scheduler, `by_person` for a person who would click Promote now."""
    status = snapshot.rollout.status
    bars = tuple(_bar(i, g, evidence.get(g.id), record, policy) for i, g in enumerate(snapshot.groups, 1))
    ours = owned(snapshot, policy)
    decision = by_policy if ours and policy.enabled else by_person
    nexts = by_person.group_index
    passes = by_person.verdict is Verdict.PASS
    live = not status.terminal and status not in (RolloutStatus.STOPPING, RolloutStatus.DELETING)
    paused = status is RolloutStatus.PAUSED
    success = by_person.cause is PauseCause.SUCCESS
    return Progress(
        stack=snapshot.stack,
        rollout=snapshot.rollout.id,
        name=snapshot.rollout.name,
        set_name=set_name,
        mood=_mood(snapshot, record, bars, decision),
        owned=ours,
        auto=ours and policy.enabled,
        pauses=all(group.pauses for group in snapshot.groups),
        bars=bars,
        reasons=() if not live else _reasons(decision),
        next_number=nexts,
        next_total=snapshot.groups[nexts - 1].total if nexts else 0,
        can_promote=passes and (success or policy.triggers),
        can_pause=status in (RolloutStatus.RUNNING, RolloutStatus.STARTING) and started_index(snapshot) > 0,
        can_resume=passes and not success and not policy.triggers,
        can_continue=paused and passable(by_person, record),
        can_override=paused and frozen_only(by_person),
        can_reboot=_to_reboot(bars),
        starts_at=_starts_at(by_policy) if ours and policy.enabled else None,
        can_start=status is RolloutStatus.READY and record.hold is None and bool(snapshot.groups),
        can_hold=live and record.hold is None,
        can_unhold=record.hold is not None and live,
        can_stop=status in (RolloutStatus.RUNNING, RolloutStatus.STARTING) or paused,
        running=sum(g.counts.running for g in snapshot.groups if g.status.started),
        read_at=snapshot.read_at,
        stuck=sum(number for _, number in record.sweep.counts) if record.sweep else 0,
        stuck_words=in_words(record.sweep.counts) if record.sweep else "",
        excludable=_excludable(snapshot, record, policy),
        cancelable=_cancelable(snapshot, record),
        catchable=_catchable(record) if live or status is RolloutStatus.FINISHED else 0,
    )


def _to_reboot(bars: Iterable[Bar]) -> int:
    """How many devices keep a group waiting that installed and did not boot; 0 while it still installs."""
    return sum(bar.awaiting + bar.unknown for bar in bars if bar.known and not bar.open and not bar.by_claims)


def _starts_at(decision: Decision) -> datetime | None:
    """When the scheduler starts the next group, where only its own wait is left."""
    left = decision.objections
    at = left[0].numbers.get("at") if [gate.name for gate in left] == ["window"] else None
    return datetime.fromisoformat(str(at)) if at is not None else None


def _excludable(snapshot: Snapshot, record: RolloutRecord, policy: PromotionPolicy) -> int:
    """The silent devices of the last started group, where the policy's cap lets all of them be excluded."""
    group, found = focus(snapshot), record.sweep
    if group is None or found is None or record.work or snapshot.rollout.status.terminal:
        return 0
    in_all = record.excluded_of(group.id) + found.silent
    return found.silent if in_all <= most_excluded(group.total, policy.exclude_cap_pct) else 0


def _cancelable(snapshot: Snapshot, record: RolloutRecord) -> int:
    """A finished rollout has no brake left for what is still open, but this."""
    if snapshot.rollout.status is not RolloutStatus.FINISHED or record.work:
        return 0
    canceling = record.sweep.canceling if record.sweep else 0
    return max(sum(g.counts.running for g in snapshot.groups) - canceling, 0)


def _catchable(record: RolloutRecord) -> int:
    if record.sweep is None or record.work or record.hold is not None:
        return 0
    return record.sweep.number(Trouble.EXCLUDED_BACK, Trouble.EXCLUDED_NEW)


def verified_to_the_end(bars: tuple[Bar, ...]) -> bool:
    """True where every device of every started group is verified or excluded, and not by claims alone."""
    return all(bar.known and not bar.by_claims and bar.verified >= bar.total for bar in bars if bar.total)


def _bar(
    number: int, group: GroupFacts, evidence: GroupEvidence | None, record: RolloutRecord, policy: PromotionPolicy
) -> Bar:
    numbers = tally(evidence, record.excluded) if evidence is not None and group.status.started else None
    counts = group.counts
    devices = evidence.devices if evidence is not None and numbers is not None else {}
    out = {n for n in record.excluded if n in devices and devices[n].state is not DeviceState.VERIFIED}
    left = {name: device for name, device in devices.items() if device.member and name not in out}
    awaiting = {name: device for name, device in left.items() if device.state in AWAITING}
    deadlines = (reboot_deadline(device, policy) for device in awaiting.values())
    return Bar(
        number=number,
        name=group.name,
        status=group.status.value,
        total=numbers.total if numbers and numbers.total else group.total,
        verified=numbers.verified if numbers else 0,
        claimed=numbers.claimed if numbers else counts.finished,
        awaiting=numbers.awaiting if numbers else 0,
        refuted=numbers.refuted if numbers else 0,
        unknown=numbers.unknown if numbers else 0,
        errors=counts.error,
        open=counts.running,
        excluded=numbers.excluded if numbers else 0,
        known=numbers is not None,
        refuted_names=_named(n for n, device in left.items() if device.state is DeviceState.REFUTED),
        unknown_names=_named(n for n, device in left.items() if device.state is DeviceState.UNKNOWN),
        excluded_names=_named(out),
        awaiting_names=_named(awaiting),
        awaiting_until=max(filter(None, deadlines), default=None),
        by_claims=numbers is not None and policy.verified_by(number) is Verification.CLAIMED,
        alarmed=sum(device.alarmed for device in left.values()),
        alarmed_names=_named(name for name, device in left.items() if device.alarmed),
    )


def _named(names: Iterable[DeviceName]) -> tuple[str, ...]:
    return tuple(sorted(names)[:NAMED])


def _reasons(decision: Decision) -> tuple[str, ...]:
    first = sorted(decision.objections, key=lambda g: (g.verdict is not Verdict.FAIL, _URGENCY.index(g.name)))
    return tuple(dict.fromkeys(reason_in_words(g) for g in first))


def _mood(snapshot: Snapshot, record: RolloutRecord, bars: tuple[Bar, ...], decision: Decision) -> Mood:
    status = snapshot.rollout.status
    match status:
        case RolloutStatus.DELETED | RolloutStatus.DELETING:
            return Mood.GONE
        case RolloutStatus.STOPPED | RolloutStatus.STOPPING | RolloutStatus.APPROVAL_DENIED:
            return Mood.STOPPED
        case RolloutStatus.FINISHED:
            if verified_to_the_end(bars):
                return Mood.DONE
            return Mood.VERIFYING if any(bar.awaiting or bar.open for bar in bars) else Mood.UNVERIFIED
        case RolloutStatus.RUNNING | RolloutStatus.PAUSED:
            if record.open_attempt is not None:
                return Mood.PROMOTING
            if decision.verdict is Verdict.FAIL or any(bar.status == GroupStatus.ERROR for bar in bars):
                return Mood.FAILED
            if record.hold is not None:
                return Mood.HELD
            if status is RolloutStatus.RUNNING:
                return Mood.RUNNING
            if decision.verdict is Verdict.PASS:
                return Mood.READY
            return Mood.HOLDING if decision.cause is PauseCause.SUCCESS else Mood.PAUSED
        case _:
            return Mood.WAITING
