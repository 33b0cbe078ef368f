"""Why a rollout is paused: the table measured on a real hawkBit, and what our own records say above it."""

from __future__ import annotations

from datetime import datetime

import pytest

from core.rollouts.actors import SCHEDULER, Actor
from core.rollouts.cause import PauseCause, following, pause_cause, started_index
from core.rollouts.facts import Counts, GroupStatus, RolloutStatus
from core.rollouts.records import PauseIntent, PauseState
from tests.unit.core.rollouts.cases import ADMIN, ANNA, BOT, Case, ago, group

RUNNING, FINISHED, ERROR, SCHEDULED = (
    GroupStatus.RUNNING,
    GroupStatus.FINISHED,
    GroupStatus.ERROR,
    GroupStatus.SCHEDULED,
)


def twenty(status: GroupStatus, by: str = "system", at: datetime | None = None, **counts: int) -> Case:
    one = group(1, status, 20, counts=Counts(**counts), last_modified_by=by, last_modified_at=at or ago(700))
    return Case(groups=(one, group(2, SCHEDULED, 20)))


@pytest.mark.parametrize(
    ("case", "cause"),
    [
        # The six rows measured on hawkBit 1.1.0, in their order: creator is the bot.
        (twenty(RUNNING, finished=19, running=1), PauseCause.SUCCESS),
        (twenty(RUNNING, finished=20), PauseCause.SUCCESS),
        (twenty(FINISHED, BOT, ago(600), finished=20), PauseCause.SUCCESS),
        (twenty(FINISHED, BOT, ago(600), finished=18, error=2), PauseCause.COMPLETED_BELOW),
        (twenty(FINISHED, BOT, ago(600), cancelled=20), PauseCause.COMPLETED_BELOW),
        (twenty(ERROR, BOT, ago(600), finished=10, error=5, running=5), PauseCause.ERROR_STOP),
        (twenty(RUNNING, finished=10, running=10), PauseCause.PERSON_IN_HAWKBIT),
        (twenty(RUNNING, finished=19, running=1).on_rollout(last_modified_by=ADMIN), PauseCause.PERSON_IN_HAWKBIT),
        (twenty(RUNNING, finished=3, running=17).on_rollout(last_modified_by=ADMIN), PauseCause.PERSON_IN_HAWKBIT),
        # Beyond them.
        (twenty(FINISHED, finished=20).on_rollout(last_modified_by=ADMIN), PauseCause.PERSON_IN_HAWKBIT),
        (twenty(ERROR, finished=1, error=9).on_rollout(last_modified_by=ADMIN), PauseCause.ERROR_STOP),
        (twenty(RUNNING, finished=20).on_rollout(created_by="ci", last_modified_by=BOT), PauseCause.OURS),
        (twenty(RUNNING, finished=20).on_rollout(created_by="ci", last_modified_by="ci"), PauseCause.SUCCESS),
        (Case(groups=(group(1, RUNNING, 0),)), PauseCause.UNKNOWN),
        (Case(groups=(group(1, SCHEDULED, 20),)), PauseCause.UNKNOWN),
        (Case(groups=()), PauseCause.UNKNOWN),
        (twenty(RUNNING, finished=20).on_rollout(status=RolloutStatus.RUNNING), PauseCause.NOT_PAUSED),
        (twenty(RUNNING, finished=20).on_rollout(status=RolloutStatus.FINISHED), PauseCause.NOT_PAUSED),
    ],
)
def test_cause_by_what_hawkbit_shows(case: Case, cause: PauseCause) -> None:
    assert pause_cause(case.snapshot, case.record, BOT) is cause


@pytest.mark.parametrize(("by", "cause"), [(ANNA, PauseCause.PERSON_IN_SLACK), (SCHEDULER, PauseCause.OURS)])
@pytest.mark.parametrize("state", [PauseState.SENT, PauseState.APPLIED])
def test_own_pause_outranks_what_looks_like_success(by: Actor, cause: PauseCause, state: PauseState) -> None:
    """The bot's own pause at 50 %, then 95 % while paused: the JSON is that of a success pause."""
    case = twenty(RUNNING, finished=19, running=1).on_record(pauses=(PauseIntent(ago(600), by, "", state),))
    assert pause_cause(case.snapshot, case.record, BOT) is cause


def test_own_pause_does_not_hide_an_error_stop() -> None:
    case = twenty(ERROR, error=9, finished=1).on_record(pauses=(PauseIntent(ago(600), ANNA, ""),))
    assert pause_cause(case.snapshot, case.record, BOT) is PauseCause.ERROR_STOP


def test_a_void_pause_is_no_pause() -> None:
    case = twenty(RUNNING, finished=19, running=1)
    case = case.on_record(pauses=(PauseIntent(ago(600), ANNA, "", PauseState.VOID),))
    assert pause_cause(case.snapshot, case.record, BOT) is PauseCause.SUCCESS


def test_a_hand_pause_below_the_threshold_stays_one_when_devices_finish_while_paused() -> None:
    seen = twenty(RUNNING, finished=10, running=10)
    later = twenty(RUNNING, finished=20).but(record=seen.observed())
    assert pause_cause(later.snapshot, later.observed(), BOT) is PauseCause.PERSON_IN_HAWKBIT
    next_pause = later.on_rollout(last_modified_at=ago(1))
    assert pause_cause(next_pause.snapshot, next_pause.observed(), BOT) is PauseCause.SUCCESS


def test_a_group_that_ended_below_stays_so_when_its_failed_devices_are_deleted() -> None:
    seen = twenty(FINISHED, finished=16, error=0, cancelled=4)
    one = group(1, FINISHED, 16, counts=Counts(finished=16))
    shrunk = Case(groups=(one, group(2, SCHEDULED, 20)), record=seen.observed())
    assert pause_cause(shrunk.snapshot, shrunk.observed(), BOT) is PauseCause.COMPLETED_BELOW


def test_one_odd_read_fixes_no_cause() -> None:
    """A reply can mix moments: a cause is kept only once two reads agreed on it."""
    mixed = twenty(RUNNING, finished=10, running=10).but(agreed_for_s=0.1)
    right = twenty(RUNNING, finished=19, running=1).but(record=mixed.observed())
    assert pause_cause(right.snapshot, right.observed(), BOT) is PauseCause.SUCCESS


def test_the_next_group_is_the_one_after_the_last_started() -> None:
    case = Case(groups=(group(1, FINISHED, 5), group(2, RUNNING, 5), group(3, SCHEDULED, 5), group(4, SCHEDULED, 5)))
    nexts = following(case.snapshot)
    assert started_index(case.snapshot) == 2
    assert nexts is not None
    assert nexts.name == "g3"
    assert following(Case(groups=(group(1, FINISHED, 5), group(2, RUNNING, 5))).snapshot) is None
    assert following(Case(groups=(group(1, SCHEDULED, 5),)).snapshot) is None
