"""Why is it paused? hawkBit keeps no reason, so: our own records first, then counts, never the status word alone.

Measured on hawkBit 1.1.0: the scheduler acts as the rollout's creator; a success pause and a hand pause by the creator
have the same JSON; `finished` and paused is also what 92 %, 90 % and 0 % look like.
"""

from __future__ import annotations

from enum import StrEnum

from core.rollouts.facts import GroupFacts, GroupStatus, RolloutStatus, Snapshot
from core.rollouts.policy import reaches
from core.rollouts.records import RolloutRecord


class PauseCause(StrEnum):
    NOT_PAUSED = "not_paused"
    SUCCESS = "success"
    COMPLETED_BELOW = "completed_below"
    ERROR_STOP = "error_stop"
    PERSON_IN_SLACK = "person_in_slack"
    PERSON_IN_HAWKBIT = "person_in_hawkbit"
    OURS = "ours"
    UNKNOWN = "unknown"


_STOPPED = (RolloutStatus.STOPPING, RolloutStatus.STOPPED, RolloutStatus.DELETING, RolloutStatus.DELETED)


def started_index(snapshot: Snapshot) -> int:
    """How many groups have started: the number, from 1, of the last started one; 0 where none has."""
    stopped = snapshot.rollout.status in _STOPPED
    return max((i for i, g in enumerate(snapshot.groups, 1) if _begun(g, stopped)), default=0)


def _begun(group: GroupFacts, stopped: bool) -> bool:
    """A stopped rollout's groups all say `finished`, though most devices never got anything: there the counts tell."""
    counts = group.counts
    if stopped:
        return counts.running + counts.finished + counts.error + counts.cancelled > 0
    return group.status.started


def focus(snapshot: Snapshot) -> GroupFacts | None:
    """The last started group: the one the next depends on."""
    index = started_index(snapshot)
    return snapshot.groups[index - 1] if index else None


def following(snapshot: Snapshot) -> GroupFacts | None:
    """The group a resume would start. None where there is none, or it does not wait."""
    index = started_index(snapshot)
    if not index or index >= len(snapshot.groups):
        return None
    group = snapshot.groups[index]
    return group if group.status is GroupStatus.SCHEDULED else None


def pause_cause(snapshot: Snapshot, record: RolloutRecord, account: str) -> PauseCause:
    """`account` is the bot's own hawkBit user. A cause once told for this pause stays: later counts may hide it."""
    rollout = snapshot.rollout
    if rollout.status is not RolloutStatus.PAUSED:
        return PauseCause.NOT_PAUSED
    group = focus(snapshot)
    if group is not None and group.status is GroupStatus.ERROR:
        return PauseCause.ERROR_STOP
    own = record.own_pause
    if own is not None:
        return PauseCause.PERSON_IN_SLACK if own.by.person else PauseCause.OURS
    episode = record.episode
    if episode and (episode.modified_at, episode.modified_by) == (rollout.last_modified_at, rollout.last_modified_by):
        return PauseCause(episode.cause)
    if rollout.last_modified_by != rollout.created_by:
        return PauseCause.OURS if rollout.last_modified_by == account else PauseCause.PERSON_IN_HAWKBIT
    if group is None or group.total == 0:
        return PauseCause.UNKNOWN
    if group.status is GroupStatus.FINISHED:
        # hawkBit counts the devices that the bot excluded as cancelled; without them the group may have done well.
        counted = group.total - min(record.excluded_of(group.id), group.counts.cancelled)
        met = reaches(group.counts.finished, counted, group.success_threshold_pct)
        return PauseCause.SUCCESS if met else PauseCause.COMPLETED_BELOW
    if group.status is GroupStatus.RUNNING:
        met = reaches(group.counts.finished, group.total, group.success_threshold_pct)
        return PauseCause.SUCCESS if met else PauseCause.PERSON_IN_HAWKBIT
    return PauseCause.UNKNOWN
