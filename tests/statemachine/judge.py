"""What a schedule must have kept: judged by hawkBit's own log and by what is true of the devices."""

from __future__ import annotations

from core.rollouts.facts import GroupStatus, RolloutStatus
from core.rollouts.policy import reaches
from core.rollouts.records import AttemptState
from tests.statemachine.model import ADMIN, Group, Request, Resumed
from tests.statemachine.play import Played
from tests.statemachine.schedule import POLICY, Act, Fate

_READ_S = POLICY.max_read_age_s + 0.01
"""What a request was decided on was read this long before it was sent, at most."""


def violations(played: Played) -> list[str]:
    """Everything that was not kept, in words; empty where all was."""
    return [
        *played.broken,
        *_sent_once(played),
        *doubled(played),
        *_past_gates(played),
        *_written_down(played),
        *_alarmed(played),
        *_forgotten(played),
    ]


def _sent_once(played: Played) -> list[str]:
    attempts = [r.attempt for r in _ours(played)]
    return [f"attempt {a} was sent {attempts.count(a)} times" for a in sorted(set(attempts)) if attempts.count(a) > 1]


def doubled(played: Played) -> list[str]:
    """The resumes of ours that counted for another group than the one they were decided for: two groups for one
    decision."""
    found = []
    starts = {id(s.request): s.index for s in played.hawkbit.starts if s.request is not None}
    for resumed in _counted(played):
        request = resumed.request
        started = starts.get(id(request))
        if resumed.last_started + 1 != request.meant or started not in (None, request.meant):
            found.append(f"attempt {request.attempt} meant group {request.meant}, and started {started}")
    return found


def _past_gates(played: Played) -> list[str]:
    """The resumes of ours that counted though gates had not passed, or that undid a person's pause by policy."""
    found = []
    for resumed in _counted(played):
        found += _gates(played, resumed)
        if resumed.request.scheduler and resumed.paused_by == ADMIN:
            found.append(f"attempt {resumed.request.attempt} of the scheduler undid a person's pause")
    return found


def _counted(played: Played) -> list[Resumed]:
    """The resumes of ours that hawkBit carried out. What people do in hawkBit's own interface within a request's life
    is not fenced: those they interfered with are left out."""
    ours = [r for r in played.hawkbit.resumes if r.request.sender != ADMIN]
    return [r for r in ours if not _interfered(played, r.request)]


def _gates(played: Played, resumed: Resumed) -> list[str]:
    request = resumed.request
    group = played.hawkbit.groups[resumed.last_started - 1]
    total = len(group.devices)
    proven = sum(d.seen_new_at is not None and d.seen_new_at <= request.sent_at for d in group.devices)
    found = []
    if not reaches(proven, total, POLICY.threshold_pct):
        found.append(f"attempt {request.attempt}: group {group.index} had {proven} of {total} verified")
    failed = sum(d.failed(request.sent_at - _READ_S) for d in group.devices)
    if failed > POLICY.errors_allowed(total) or resumed.in_error:
        found.append(f"attempt {request.attempt}: group {group.index} had {failed} errors of {total}")
    return found


def _bad(group: Group, at: float) -> int:
    return sum(d.failed(at) or d.fell_back(at) for d in group.devices)


def _written_down(played: Played) -> list[str]:
    """Every attempt is closed, and where people kept to Slack the record says exactly what began."""
    record = played.record
    found = [f"attempt {a.number} is still {a.state.value}" for a in record.attempts if a.state.open]
    if played.schedule.admin:
        return found
    told = [a.group_index for a in record.attempts if a.state is AttemptState.STARTED]
    began = [s.index for s in played.hawkbit.starts[1:]]
    if told != began:
        found.append(f"groups {began} began, the record says {told}")
    found += [f"false alarm: attempt {a.number}" for a in record.attempts if a.state is AttemptState.UNEXPECTED]
    return found


def _alarmed(played: Played) -> list[str]:
    """A group that began beyond the one meant has its alarm; the bot holds the rollout and does not let it run, unless
    a person lifted that, or resumed in hawkBit since."""
    found = []
    hawkbit, record = played.hawkbit, played.record
    lifted = any(deed.act is Act.UNHOLD for deed in played.schedule.deeds)
    for start in hawkbit.starts:
        request = start.request
        if request is None or request.sender == ADMIN or start.index <= request.meant:
            continue
        what = f"group {start.index} began by attempt {request.attempt} for {request.meant}"
        if request.attempt not in played.alarms:
            found.append(f"{what}: no alarm")
        if record.hold is None and not lifted:
            found.append(f"{what}: no hold")
        paused = any(r.does == "pause" and r.sender != ADMIN and r.sent_at >= start.at for r in hawkbit.requests)
        by_admin = any(r.request.sender == ADMIN and r.request.sent_at >= start.at for r in hawkbit.resumes)
        if hawkbit.status is RolloutStatus.RUNNING and not paused and not by_admin:
            found.append(f"{what}: it runs on")
    return found


def _forgotten(played: Played) -> list[str]:
    """In calm a rollout stands only where something is truly in its way."""
    hawkbit, record = played.hawkbit, played.record
    index = hawkbit.started
    if index == len(hawkbit.groups) or any(r.sender == ADMIN and not r.refused for r in hawkbit.requests):
        return []
    group, following = hawkbit.groups[index - 1], hawkbit.groups[index]
    end, total = played.ended_at, len(group.devices)
    fates = [d.unit.fate for d in group.devices]
    proven = sum(d.seen_new_at is not None for d in group.devices)
    readable = sum(d.unit.fate is not Fate.UNREAD for d in following.devices)
    stands = (
        _bad(group, end) > POLICY.errors_allowed(total)
        or group.status is GroupStatus.ERROR
        or not reaches(sum(f is Fate.GOOD for f in fates), total, POLICY.threshold_pct)
        or not reaches(readable, len(following.devices), POLICY.threshold_pct)
        or (hawkbit.status is RolloutStatus.RUNNING and Fate.SILENT in fates)
    )
    if stands:
        return []
    return [
        f"forgotten after group {index}: {hawkbit.status.value}, {proven} of {total} verified, "
        f"held {record.hold.reason if record.hold else 'by nobody'}, told {record.told!r}"
    ]


def _ours(played: Played) -> list[Request]:
    return [r for r in played.hawkbit.requests if r.sender != ADMIN and r.does == "resume"]


def _interfered(played: Played, request: Request) -> bool:
    """A person did something in hawkBit itself between what this request's sender read and the moment it counted."""
    until = request.applied_at if request.applied_at is not None else request.sent_at
    since = request.sent_at - _READ_S
    return any(
        r.sender == ADMIN and not r.refused and r.applied_at is not None and since <= r.applied_at <= until
        for r in played.hawkbit.requests
    )
