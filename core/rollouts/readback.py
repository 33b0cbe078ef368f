"""What became of a promotion that was sent: told by reading hawkBit back, never by guessing."""

from __future__ import annotations

from core.rollouts.cause import started_index
from core.rollouts.facts import RolloutStatus, Snapshot
from core.rollouts.records import Attempt, AttemptState


def read_back(snapshot: Snapshot | None, attempt: Attempt, *, shown_by_now: bool) -> AttemptState:
    """The attempt's state after one read, made when its request could take no effect any more (it was answered, or its
    maximum life had passed). Still open where hawkBit may yet show it. `snapshot` None: the rollout is gone.

    `shown_by_now`  an earlier read lies some ticks back. A resume after a completion below the threshold starts the
                    group one tick later, and one reply may still show it `scheduled` (measured on hawkBit 1.1.0)
    """
    if snapshot is None:
        return AttemptState.NOT_STARTED
    started = started_index(snapshot)
    if started > attempt.group_index:
        on_its_own = any(not g.pauses for g in snapshot.groups[attempt.group_index - 1 : started - 1])
        return AttemptState.STARTED if on_its_own else AttemptState.UNEXPECTED
    if started == attempt.group_index:
        return AttemptState.STARTED
    rollout = snapshot.rollout
    untouched = (rollout.last_modified_at, rollout.last_modified_by) == (attempt.modified_at, attempt.modified_by)
    if rollout.status is RolloutStatus.PAUSED and untouched and attempt.state is AttemptState.SENT:
        return AttemptState.NOT_APPLIED
    return AttemptState.NOT_STARTED if shown_by_now else attempt.state
