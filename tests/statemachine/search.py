"""Schedules by the thousand, chosen by hypothesis; the first that breaks a promise is made small and told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

from hypothesis import HealthCheck, Phase, find, given, seed, settings
from hypothesis.errors import NoSuchExample

from core.rollouts.policy import PromotionPolicy
from tests.statemachine.judge import violations
from tests.statemachine.play import Played, play
from tests.statemachine.schedule import POLICY, SCHEDULES, Schedule

_TOLD = 60


def search(schedules: int, number: int, seen: Callable[[Played], None]) -> None:
    """Play so many; `number` chooses which. Raises AssertionError with the smallest one found that breaks a promise."""

    @seed(number)
    @settings(_settings(schedules), phases=(Phase.generate, Phase.shrink))
    @given(SCHEDULES)
    def keeps_its_promises(schedule: Schedule) -> None:
        played = play(schedule)
        seen(played)
        broken = violations(played)
        assert not broken, "\n".join([*broken, "", *played.trace[-_TOLD:]])

    keeps_its_promises()


def first_broken(
    judged: Callable[[Played], list[str]], schedules: int, number: int, policy: PromotionPolicy = POLICY
) -> list[str]:
    """What the first schedule breaks that breaks anything by `judged`, not made small; empty where none of so many
    does."""
    return _first(schedules, number, lambda schedule: judged(play(schedule, policy)))


def first_alarm(schedules: int, number: int) -> list[str]:
    """What the first schedule breaks in which the bot raised an alarm, and "alarm"; empty where none of so many did."""

    def found(schedule: Schedule) -> list[str]:
        played = play(schedule)
        return ["alarm", *violations(played)] if played.alarms else []

    return _first(schedules, number, found)


def count(totals: Counter[str], played: Played) -> None:
    totals["schedules"] += 1
    totals["promotions"] += len(played.hawkbit.starts) - 1
    totals["alarms"] += len(played.alarms)
    totals["virtual seconds"] += int(played.ended_at)
    totals.update(played.hits)


def _first(schedules: int, number: int, found: Callable[[Schedule], list[str]]) -> list[str]:
    told: list[str] = []

    def interesting(schedule: Schedule) -> bool:
        told[:] = found(schedule)
        return bool(told)

    try:
        find(
            SCHEDULES,
            interesting,
            settings=settings(_settings(schedules), phases=(Phase.generate,)),
            random=Random(number),
        )
    except NoSuchExample:
        return []
    return told


def _settings(schedules: int) -> settings:
    return settings(
        max_examples=schedules,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
