"""What must hold before a group may start, one gate a concern. Each answers PASS, HOLD or FAIL, with its numbers.

Gates are independent of each other and of their order. Missing, stale or contradicting inputs HOLD (promise P7).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from core.rollouts.actors import ActorKind
from core.rollouts.cause import PauseCause, focus, following, pause_cause, started_index
from core.rollouts.facts import GroupFacts, GroupStatus, RolloutStatus, Snapshot
from core.rollouts.numbers import AlarmShares, GroupNumbers
from core.rollouts.policy import PromotedBy, PromotionPolicy, reaches, wilson_lower_pct
from core.rollouts.records import RolloutRecord
from core.rollouts.verify import Tally

_CLOCKS_APART = timedelta(seconds=5)  # what two replicas' clocks may differ by


class Verdict(StrEnum):
    PASS = "pass"  # noqa: S105
    HOLD = "hold"
    FAIL = "fail"


class Reason(StrEnum):
    """Why a gate answers as it does. Also the metric label."""

    OK = "ok"
    NOT_PAUSED = "not_paused"
    PAUSED_ON_0X = "paused_on_0x"
    ENDED = "ended"
    NOT_STARTED = "not_started"
    NO_NEXT_GROUP = "no_next_group"
    NEXT_UNSEEN = "next_unseen"
    NEXT_TAKEN = "next_taken"
    CAUSE = "cause"
    ERROR_STOP = "error_stop"
    NOT_OWNED = "not_owned"
    NOT_ENABLED = "not_enabled"
    GROUP_DOES_NOT_PAUSE = "group_does_not_pause"
    HOLD_SET = "hold_set"
    ATTEMPT_OPEN = "attempt_open"
    ALREADY_STARTED_BY_US = "already_started_by_us"
    SETTLING = "settling"
    READS_DISAGREE = "reads_disagree"
    HAWKBIT_STALE = "hawkbit_stale"
    CLAIMS_MISSING = "claims_missing"
    CLAIMS_STALE = "claims_stale"
    NO_DEVICES = "no_devices"
    MEMBERS_MISSING = "members_missing"
    MEMBERS_CHANGED = "members_changed"
    CONTRADICTION = "contradiction"
    SHARE_LOW = "share_low"
    SHARE_UNREACHABLE = "share_unreachable"
    SHARE_ENDED = "share_ended"
    SAMPLE_SMALL = "sample_small"
    ERRORS_OVER_BUDGET = "errors_over_budget"
    SOAKING = "soaking"
    CONFIDENCE_LOW = "confidence_low"
    ALARMS_MISSING = "alarms_missing"
    ALARMS_OVER_LIMIT = "alarms_over_limit"
    FROZEN = "frozen"
    PRODUCTION = "production"
    TENANTS_UNKNOWN = "tenants_unknown"
    PERSON_PROMOTES = "person_promotes"
    NEEDS_APPROVAL = "needs_approval"
    HOLD_WINDOW = "hold_window"


@dataclass(frozen=True, slots=True)
class Gate:
    """One answer. `numbers` are what it was decided on, for the audit and the words."""

    name: str
    verdict: Verdict
    reason: Reason
    numbers: Mapping[str, int | float | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Inputs:
    """All a gate may look at: plain data, so that a decision can be taken again from what was kept of it.

    `numbers` are those of the last started group, `account` the bot's own hawkBit user. `kind`: whose promotion is
    judged, the scheduler's by policy or a person's by right; `approved`: another one agreed to that person's.
    """

    snapshot: Snapshot
    policy: PromotionPolicy
    numbers: GroupNumbers | None
    record: RolloutRecord
    account: str
    now: datetime
    kind: ActorKind
    alarms: AlarmShares | None = None
    approved: bool = False

    @property
    def known(self) -> GroupNumbers | None:
        """The numbers, where they are those of the last started group."""
        group = focus(self.snapshot)
        if group is None or self.numbers is None or self.numbers.group != group.id:
            return None
        return self.numbers

    @property
    def tally(self) -> Tally | None:
        return self.known.tally if self.known is not None else None


def judge_gates(inputs: Inputs) -> tuple[Gate, ...]:
    """The gates in the order of their concerns. The scheduler's last one waits for all the others."""
    gates = (
        *(_state, _cause, _next, _fence, _hold, _agree, _fresh, _members, _share, _sample, _confidence, _errors),
        *(_alarms, _soak, _freeze),
    )
    found = [gate(inputs) for gate in gates]
    if inputs.kind is ActorKind.SCHEDULER:
        found += [_owner(inputs), _starter(inputs), _window(inputs)]
    else:
        found.append(_approval(inputs))
    return tuple(found)


def all_but_time(gates: Iterable[Gate]) -> bool:
    """Everything passes, but perhaps for the second look and the scheduler's own last wait."""
    return all(gate.verdict is Verdict.PASS for gate in gates if gate.name not in ("agree", "window"))


def owned(snapshot: Snapshot, policy: PromotionPolicy) -> bool:
    return snapshot.rollout.created_by in policy.owners


def fingerprint(snapshot: Snapshot) -> str:
    """What two reads must agree on: states, authors and sizes, and whether each group has met its own threshold. The
    counts beyond that may go on improving."""
    rollout = snapshot.rollout
    parts = [rollout.status.value, rollout.last_modified_by, rollout.last_modified_at.isoformat()]
    parts += [
        f"{g.id}:{g.status.value}:{g.total}:{g.counts.error}:"
        f"{reaches(g.counts.finished, g.total, g.success_threshold_pct)}"
        for g in snapshot.groups
    ]
    return "|".join(parts)


def _pass(name: str, **numbers: int | float | str) -> Gate:
    return Gate(name, Verdict.PASS, Reason.OK, numbers)


def _hold_on(name: str, reason: Reason, **numbers: int | float | str) -> Gate:
    return Gate(name, Verdict.HOLD, reason, numbers)


def _fail(name: str, reason: Reason, **numbers: int | float | str) -> Gate:
    return Gate(name, Verdict.FAIL, reason, numbers)


def _state(i: Inputs) -> Gate:
    status = i.snapshot.rollout.status
    if i.policy.triggers and status is RolloutStatus.PAUSED:
        return _hold_on("state", Reason.PAUSED_ON_0X)
    if status is (RolloutStatus.RUNNING if i.policy.triggers else RolloutStatus.PAUSED):
        return _pass("state")
    if status.terminal:
        return _hold_on("state", Reason.ENDED, status=status.value)
    if focus(i.snapshot) is None:
        return _hold_on("state", Reason.NOT_STARTED, status=status.value)
    return _hold_on("state", Reason.NOT_PAUSED, status=status.value)


_PERSON_MAY_RESUME = (
    PauseCause.SUCCESS,
    PauseCause.COMPLETED_BELOW,
    PauseCause.PERSON_IN_SLACK,
    PauseCause.PERSON_IN_HAWKBIT,
    PauseCause.OURS,
)


def _cause(i: Inputs) -> Gate:
    cause = pause_cause(i.snapshot, i.record, i.account)
    if cause is PauseCause.ERROR_STOP:
        return _fail("cause", Reason.ERROR_STOP, cause=cause.value)
    allowed = (PauseCause.SUCCESS,) if i.kind is ActorKind.SCHEDULER else _PERSON_MAY_RESUME
    # A rollout that is not paused is held by the state gate; here it is nothing to object to.
    if cause in allowed or cause is PauseCause.NOT_PAUSED:
        return _pass("cause", cause=cause.value)
    own = i.record.own_pause
    return _hold_on(
        "cause", Reason.CAUSE, cause=cause.value, by=own.by.name if own else i.snapshot.rollout.last_modified_by
    )


def _next(i: Inputs) -> Gate:
    """There is a group to start, and enough of its devices were seen before it: the new boot of one that was not cannot
    be told if it comes before the first look, and it would wait for its proof for ever. Where something else was
    assigned to its devices (hawkBit cancels them here) it could never succeed: the scheduler leaves that to people."""
    group = following(i.snapshot)
    if group is None or group.total <= 0:
        return _hold_on("next", Reason.NO_NEXT_GROUP)
    numbers = {"group": started_index(i.snapshot) + 1, "devices": group.total}
    known, seen = i.record.seen_before or (None, 0)
    if known != group.id or not reaches(seen, group.total, i.policy.threshold_pct):
        return _hold_on("next", Reason.NEXT_UNSEEN, **numbers, seen=seen if known == group.id else 0)
    going = group.total - group.counts.cancelled
    if i.kind is ActorKind.SCHEDULER and not reaches(going, group.total, i.policy.threshold_pct):
        return _hold_on("next", Reason.NEXT_TAKEN, **numbers, taken=group.counts.cancelled)
    return _pass("next", **numbers)


def _fence(i: Inputs) -> Gate:
    """No attempt open, none that already started the next group, and time enough since the last one."""
    open_attempt = i.record.open_attempt
    if open_attempt is not None:
        return _hold_on("fence", Reason.ATTEMPT_OPEN, group=open_attempt.group_index, attempt=open_attempt.number)
    group = following(i.snapshot)
    if group is not None and i.record.started(group.id):
        return _hold_on("fence", Reason.ALREADY_STARTED_BY_US, group=started_index(i.snapshot) + 1)
    last = i.record.last_promoted_at
    if last is not None and i.now - last < timedelta(seconds=i.policy.settle_s):
        left = i.policy.settle_s - (i.now - last).total_seconds()
        return _hold_on("fence", Reason.SETTLING, seconds=round(left, 1))
    return _pass("fence")


def _hold(i: Inputs) -> Gate:
    hold = i.record.hold
    return _hold_on("hold", Reason.HOLD_SET, by=hold.by.name, why=hold.reason) if hold else _pass("hold")


def _agree(i: Inputs) -> Gate:
    agreed = i.record.agreement
    if agreed is None or agreed.fingerprint != fingerprint(i.snapshot):
        return _hold_on("agree", Reason.READS_DISAGREE, needed_s=i.policy.agree_s)
    age = (i.now - agreed.since).total_seconds()
    if age < i.policy.agree_s:
        return _hold_on("agree", Reason.READS_DISAGREE, needed_s=i.policy.agree_s, seconds=round(age, 1))
    return _pass("agree")


def _fresh(i: Inputs) -> Gate:
    if not _within(i.snapshot.read_at, i):
        return _hold_on("fresh", Reason.HAWKBIT_STALE, read_at=i.snapshot.read_at.isoformat())
    if i.known is None or i.known.claims_read_at is None:
        return _hold_on("fresh", Reason.CLAIMS_MISSING)
    if not _within(i.known.claims_read_at, i):
        return _hold_on("fresh", Reason.CLAIMS_STALE, read_at=i.known.claims_read_at.isoformat())
    return _pass("fresh")


def _within(read_at: datetime, i: Inputs) -> bool:
    """Not too old, and not from the future either: then one of two clocks is wrong."""
    return -_CLOCKS_APART <= i.now - read_at <= timedelta(seconds=i.policy.evidence_fresh_s)


def _members(i: Inputs) -> Gate:
    group, known = focus(i.snapshot), i.known
    if group is None or known is None or known.members_read_at is None:
        return _hold_on("members", Reason.MEMBERS_MISSING)
    if not _within(known.members_read_at, i):
        return _hold_on("members", Reason.MEMBERS_MISSING, read_at=known.members_read_at.isoformat())
    numbers, present = known.tally, known.present
    if present != group.total:
        return _hold_on("members", Reason.MEMBERS_CHANGED, counted=present, hawkbit=group.total)
    # A device whose action failed or was cancelled may have got the set on its own since, by a redeploy.
    ended = group.counts.finished + group.counts.error + group.counts.cancelled
    if numbers.verified > ended:
        return _hold_on("members", Reason.CONTRADICTION, verified=numbers.verified, hawkbit=ended)
    return _pass("members", devices=present, gone=numbers.gone)


def _share(i: Inputs) -> Gate:
    numbers, group = i.tally, focus(i.snapshot)
    if numbers is None or group is None or numbers.total == 0:
        return _hold_on("share", Reason.NO_DEVICES)
    said = {"verified": numbers.verified, "of": numbers.total, "needed_pct": i.policy.threshold_pct}
    if reaches(numbers.verified, numbers.total, i.policy.threshold_pct):
        return _pass("share", **said)
    best = numbers.total - min(numbers.total, numbers.refuted + group.counts.error)
    if not reaches(best, numbers.total, i.policy.threshold_pct):
        return _fail("share", Reason.SHARE_UNREACHABLE, **said, at_best=best)
    rest = {"awaiting": numbers.awaiting, "refuted": numbers.refuted, "unknown": numbers.unknown}
    best = max(numbers.claimed, group.counts.finished) - numbers.refuted
    if _complete(group) and not reaches(best, numbers.total, i.policy.threshold_pct):
        return _fail("share", Reason.SHARE_ENDED, **said, at_best=best)
    return _hold_on("share", Reason.SHARE_LOW, **said, **rest)


def _complete(group: GroupFacts) -> bool:
    """Nothing is open any more: by itself no further device of it comes to a claim."""
    counts = group.counts
    return group.status is GroupStatus.FINISHED and counts.running + counts.scheduled + counts.notstarted == 0


def _sample(i: Inputs) -> Gate:
    numbers = i.tally
    verified = numbers.verified if numbers else 0
    if verified < max(i.policy.minimum_sample, 1):
        return _hold_on("sample", Reason.SAMPLE_SMALL, verified=verified, needed=max(i.policy.minimum_sample, 1))
    return _pass("sample", verified=verified)


def _confidence(i: Inputs) -> Gate:
    """The share may be high by chance in a small group."""
    sure_pct, numbers = i.policy.confidence_pct, i.tally
    if sure_pct is None:
        return _pass("confidence")
    if numbers is None or numbers.total == 0:
        return _hold_on("confidence", Reason.NO_DEVICES)
    lower = wilson_lower_pct(numbers.verified, numbers.total, sure_pct)
    said = {"lower_pct": round(lower, 1), "needed_pct": i.policy.threshold_pct, "confidence_pct": sure_pct}
    if lower < i.policy.threshold_pct:
        return _hold_on("confidence", Reason.CONFIDENCE_LOW, **said)
    return _pass("confidence", **said)


def _errors(i: Inputs) -> Gate:
    """Watched while paused too, since hawkBit does not. A group in `error` stays so for good. A failed device counts
    once, however many sources tell of it; of two counts of hawkBit's the higher one holds."""
    group = focus(i.snapshot)
    if group is None:
        return _hold_on("errors", Reason.NO_DEVICES)
    numbers, known = i.tally, i.known
    alarmed = known.alarmed if known else 0
    bad = max(group.counts.error, known.failed if known else 0) + (numbers.refuted if numbers else 0) + alarmed
    total = numbers.total if numbers else group.total
    allowed = i.policy.errors_allowed(total)
    if bad > allowed or group.status is GroupStatus.ERROR:
        return _fail("errors", Reason.ERRORS_OVER_BUDGET, errors=bad, allowed=allowed, of=total, alarmed=alarmed)
    return _pass("errors", errors=bad, allowed=allowed, alarmed=alarmed)


def _soak(i: Inputs) -> Gate:
    if i.policy.soak_s <= 0:
        return _pass("soak")
    group, reached = focus(i.snapshot), i.record.reached
    if group is None or reached is None or reached[0] != group.id:
        return _hold_on("soak", Reason.SOAKING, needed_s=i.policy.soak_s)
    soaked = (i.now - reached[1]).total_seconds()
    if soaked < i.policy.soak_s:
        return _hold_on("soak", Reason.SOAKING, needed_s=i.policy.soak_s, seconds=round(soaked, 1))
    return _pass("soak", seconds=round(soaked, 1))


def _alarms(i: Inputs) -> Gate:
    """Watched while paused too: an update may break what it does not report."""
    limit, alarms = i.policy.max_alarm_pct, i.alarms
    if limit is None:
        return _pass("alarms")
    if alarms is None or not _within(alarms.read_at, i):
        return _hold_on("alarms", Reason.ALARMS_MISSING)
    said = {
        "updated_with": alarms.updated_with,
        "updated": alarms.updated,
        "others_with": alarms.others_with,
        "others": alarms.others,
        "limit_pct": limit,
    }
    if alarms.excess_pct > limit:
        return _fail("alarms", Reason.ALARMS_OVER_LIMIT, **said)
    return _pass("alarms", **said)


def _freeze(i: Inputs) -> Gate:
    """Whose devices are in it must be known where a tenant's production counts."""
    frozen = i.policy.freeze.covers(i.now)
    if frozen is not None:
        return _hold_on("freeze", Reason.FROZEN, window=frozen.name or "a freeze", until=_until(frozen.until))
    busy = {tenant: schedule for tenant, schedule in i.policy.production.items() if schedule}
    if busy and not i.record.tenants:
        return _hold_on("freeze", Reason.TENANTS_UNKNOWN)
    for tenant in i.record.tenants:
        at_work = busy[tenant].covers(i.now) if tenant in busy else None
        if at_work is not None:
            return _hold_on("freeze", Reason.PRODUCTION, tenant=tenant, until=_until(at_work.until))
    return _pass("freeze")


def _until(end: datetime | None) -> str:
    return f"until {end:%Y-%m-%d %H:%M} UTC" if end is not None else "without an end"


def _starter(i: Inputs) -> Gate:
    """Only for the scheduler: which groups policy leaves to people."""
    index = started_index(i.snapshot) + 1
    if following(i.snapshot) is not None and i.policy.starter_of(index) is not PromotedBy.SCHEDULER:
        return _hold_on("starter", Reason.PERSON_PROMOTES, group=index)
    return _pass("starter")


def _approval(i: Inputs) -> Gate:
    """Only for people: which groups policy lets them start with another one's agreement alone."""
    index = started_index(i.snapshot) + 1
    needs = following(i.snapshot) is not None and i.policy.starter_of(index) is PromotedBy.APPROVAL
    if needs and not i.approved:
        return _hold_on("approval", Reason.NEEDS_APPROVAL, group=index)
    return _pass("approval")


def _window(i: Inputs) -> Gate:
    """Only for the scheduler: once all the others pass it waits, so that somebody may hold it."""
    wait_s = i.policy.hold_window_s
    if wait_s <= 0:
        return _pass("window")
    group, ready = following(i.snapshot), i.record.ready
    if group is None or ready is None or ready[0] != group.id:
        return _hold_on("window", Reason.HOLD_WINDOW, needed_s=wait_s)
    starts_at = ready[1] + timedelta(seconds=wait_s)
    if i.now < starts_at:
        return _hold_on("window", Reason.HOLD_WINDOW, needed_s=wait_s, at=starts_at.isoformat())
    return _pass("window")


def _owner(i: Inputs) -> Gate:
    """Only for the scheduler: it promotes by policy, and only what pauses after every group."""
    if not i.policy.enabled:
        return _hold_on("owner", Reason.NOT_ENABLED)
    if not owned(i.snapshot, i.policy):
        return _hold_on("owner", Reason.NOT_OWNED, creator=i.snapshot.rollout.created_by)
    if i.policy.triggers:
        return _pass("owner")
    running_on = [n for n, g in enumerate(i.snapshot.groups[:-1], 1) if not g.pauses]
    if running_on:
        return _hold_on("owner", Reason.GROUP_DOES_NOT_PAUSE, group=running_on[0])
    return _pass("owner")
