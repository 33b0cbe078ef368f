"""What became of a promotion, told by one read after its request could take no effect any more."""

from __future__ import annotations

import pytest

from core.ids import GroupId
from core.rollouts.facts import Counts, GroupStatus, RolloutStatus
from core.rollouts.readback import read_back
from core.rollouts.records import Attempt, AttemptState
from tests.unit.core.rollouts.cases import ADMIN, ANNA, BOT, Case, ago, group

SENT, ANSWERED = AttemptState.SENT, AttemptState.ANSWERED
R, S, F = GroupStatus.RUNNING, GroupStatus.SCHEDULED, GroupStatus.FINISHED


def case(
    *groups: GroupStatus, status: RolloutStatus, modified: float = 600, by: str = BOT, pauses: bool = True
) -> Case:
    listed = tuple(group(n, s, 5, pauses=pauses) for n, s in enumerate(groups, 1))
    return Case(groups=listed).on_rollout(status=status, last_modified_at=ago(modified), last_modified_by=by)


def stopped(*begun: int) -> Case:
    """Each group with so many devices that got something."""
    listed = tuple(
        group(n, F, 5, counts=Counts(cancelled=count, notstarted=5 - count)) for n, count in enumerate(begun, 1)
    )
    return Case(groups=listed).on_rollout(status=RolloutStatus.STOPPED, last_modified_at=ago(1))


PAUSED, RUNNING = RolloutStatus.PAUSED, RolloutStatus.RUNNING


@pytest.mark.parametrize(
    ("seen", "state", "shown_by_now", "after"),
    [
        (case(R, R, S, status=RUNNING, modified=1), SENT, False, AttemptState.STARTED),
        (case(F, F, S, status=PAUSED, modified=1), SENT, False, AttemptState.STARTED),
        (case(R, R, S, status=RUNNING, modified=1), ANSWERED, False, AttemptState.STARTED),
        (case(R, R, R, status=RUNNING, modified=1), SENT, False, AttemptState.UNEXPECTED),
        (case(F, F, F, status=RolloutStatus.FINISHED), ANSWERED, False, AttemptState.UNEXPECTED),
        # hawkBit itself goes on where a group does not pause: nothing unexpected in that
        (case(R, R, R, status=RUNNING, pauses=False), ANSWERED, False, AttemptState.STARTED),
        # the very pause we read still stands: nothing resumed it
        (case(R, S, S, status=PAUSED), SENT, False, AttemptState.NOT_APPLIED),
        (case(F, S, S, status=PAUSED), SENT, True, AttemptState.NOT_APPLIED),
        # one reply may mix moments: it shows the group scheduled, though the rollout has ended with it
        (case(F, S, S, status=RolloutStatus.FINISHED, modified=1), ANSWERED, False, ANSWERED),
        # an answered resume, or a touched rollout, was resumed: it may show a tick later
        (case(F, S, S, status=RUNNING, modified=1), SENT, False, SENT),
        (case(F, S, S, status=RUNNING, modified=1), ANSWERED, False, ANSWERED),
        (case(F, S, S, status=RUNNING, modified=1), ANSWERED, True, AttemptState.NOT_STARTED),
        (case(R, S, S, status=PAUSED, modified=1), SENT, False, SENT),
        (case(R, S, S, status=PAUSED, by=ADMIN), SENT, True, AttemptState.NOT_STARTED),
        # a stopped rollout's groups all say `finished`: only their counts tell which began
        (stopped(5, 0, 0), ANSWERED, False, ANSWERED),
        (stopped(5, 0, 0), ANSWERED, True, AttemptState.NOT_STARTED),
        (stopped(5, 3, 0), ANSWERED, False, AttemptState.STARTED),
        (stopped(5, 3, 1), SENT, False, AttemptState.UNEXPECTED),
    ],
)
def test_read_back(seen: Case, state: AttemptState, shown_by_now: bool, after: AttemptState) -> None:
    attempt = Attempt(1, 2, GroupId(102), ago(30), ANNA, "7", ago(600), BOT, state)
    assert read_back(seen.snapshot, attempt, shown_by_now=shown_by_now) is after


def test_a_deleted_rollout_started_nothing() -> None:
    attempt = Attempt(1, 2, GroupId(102), ago(30), ANNA, "7", ago(600), BOT, SENT)
    assert read_back(None, attempt, shown_by_now=False) is AttemptState.NOT_STARTED
