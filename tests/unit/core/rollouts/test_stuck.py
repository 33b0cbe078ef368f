"""Which devices do not get on by themselves, each with its age and what helps."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from core.ids import DeviceName
from core.rollouts.facts import GroupStatus
from core.rollouts.policy import PromotionPolicy
from core.rollouts.records import DeviceEvidence, DeviceState, GroupEvidence
from core.rollouts.release import OpenAction, TargetSeen
from core.rollouts.stuck import STEPS, WORDS, Swept, sweep
from core.rollouts.work import STUCK_KEPT, Stuck, Sweep, Trouble
from tests.unit.core.rollouts.cases import NOW, Case, ago, group, look

POLICY = PromotionPolicy()
HOUR, DAY = 3600.0, 86_400.0
NAME = DeviceName("d000")


def action(id: int = 7, device: DeviceName = NAME, **more: Any) -> OpenAction:
    given = {"status": "running", "forced": True, "created_at": ago(5 * HOUR), "set_name": "FW:2.0.0"} | more
    return OpenAction(id, device, **given)


def seen(at: datetime | None, device: DeviceName = NAME, status: str = "pending") -> TargetSeen:
    return TargetSeen(device, status, at, None)


def evidence(**more: Any) -> GroupEvidence:
    return GroupEvidence(group(1, GroupStatus.RUNNING, 1).id, {NAME: DeviceEvidence(NAME, **more)})


def swept(*actions: OpenAction, heard: TargetSeen | None = None, **more: Any) -> Swept:
    started = group(1, GroupStatus.RUNNING, 25, last_modified_at=more.pop("started_at", ago(5 * HOUR)))
    known = more.pop("evidence", evidence())
    return Swept(1, started, actions, more.pop("cancelled", ()), [heard] if heard else [], known)


def look_over(*groups: Swept, before: Sweep | None = None, excluded: tuple[DeviceName, ...] = ()) -> Sweep:
    record = replace(Case().record, sweep=before, excluded=excluded)
    return sweep(groups, record, "2.0.0", POLICY, NOW)


@pytest.mark.parametrize(
    ("of", "trouble", "since"),
    [
        (
            swept(action(created_at=ago(2 * DAY)), heard=seen(None), started_at=ago(1.5 * DAY)),
            "never_polled",
            1.5 * DAY,
        ),
        (swept(action(), heard=seen(None)), None, 0),
        (swept(action(), heard=seen(ago(DAY + 60))), "silent", DAY + 60),
        (swept(action(), heard=seen(ago(60))), "open_long", 5 * HOUR),
        (swept(action(), heard=seen(ago(60)), started_at=ago(HOUR)), None, 0),
        (swept(action(forced=False), heard=seen(ago(60))), "soft", 5 * HOUR),
        (swept(action()), None, 0),
    ],
    ids=["never polled", "just begun", "silent", "too long", "its group just began", "soft", "not read"],
)
def test_an_open_install_is_stuck_by_its_age_and_when_its_device_was_last_heard_of(
    of: Swept, trouble: str | None, since: float
) -> None:
    found = look_over(of)
    expected = () if trouble is None else (Stuck(NAME, 1, Trouble(trouble), ago(since), 7),)
    assert found.stuck == expected
    assert found.open == 1


def test_a_cancel_is_stuck_once_it_was_seen_for_too_long_whatever_happens_meanwhile() -> None:
    going = swept(action(status="canceling"), heard=seen(ago(5)))
    first = look_over(going)
    assert (first.stuck, first.canceling, first.canceling_since) == ((), 1, ((7, NOW),))
    later = look_over(going, before=replace(first, canceling_since=((7, ago(HOUR + 1)),)))
    assert later.stuck == (Stuck(NAME, 1, Trouble.CANCELING_LONG, ago(HOUR + 1), 7),)
    assert look_over(swept(), before=later).canceling_since == ()


def test_a_device_that_nothing_was_seen_of_since_its_install_is_stuck_after_the_reboot_deadline() -> None:
    late = evidence(state=DeviceState.UNKNOWN, first_claimed_at=ago(HOUR + 1))
    assert look_over(swept(evidence=late)).stuck == (Stuck(NAME, 1, Trouble.NOT_BACK, ago(HOUR + 1)),)
    contradicting = evidence(state=DeviceState.UNKNOWN, first_claimed_at=ago(60))
    assert look_over(swept(evidence=contradicting)).stuck == ()


def test_an_excluded_device_is_told_when_it_is_back_or_runs_the_new_version_and_not_once_it_was_caught_up() -> None:
    out = (NAME,)
    back = look_over(swept(heard=seen(ago(60), status="in_sync")), excluded=out)
    assert back.stuck == (Stuck(NAME, 1, Trouble.EXCLUDED_BACK, ago(60)),)
    new = evidence(before=look(30, sw_version="2.0.0"))
    found = look_over(swept(heard=seen(ago(60), status="in_sync"), evidence=new), excluded=out)
    assert [one.trouble for one in found.stuck] == [Trouble.EXCLUDED_NEW]
    assert look_over(swept(heard=seen(ago(60))), excluded=out).stuck == ()  # the set is assigned to it again
    assert look_over(swept(heard=seen(None, status="in_sync")), excluded=out).stuck == ()
    claimed = evidence(first_claimed_at=ago(9), state=DeviceState.CLAIMED)
    assert look_over(swept(heard=seen(ago(60), status="in_sync"), evidence=claimed), excluded=out).stuck == ()


def test_only_the_last_started_group_s_silent_devices_can_be_excluded() -> None:
    first = swept(action(1, DeviceName("a")), heard=seen(None, DeviceName("a")))
    second = replace(swept(heard=seen(None, DeviceName("b")), cancelled=[DeviceName("b")]), index=2)
    assert look_over(second, first).silent == 1
    assert look_over(second, first, excluded=(DeviceName("b"),)).silent == 0


def test_of_many_all_are_counted_and_the_first_are_kept() -> None:
    names = [DeviceName(f"d{i:04}") for i in range(STUCK_KEPT + 5)]
    many = Swept(
        1,
        group(1, GroupStatus.RUNNING, 500, last_modified_at=ago(5 * HOUR)),
        [action(i, name) for i, name in enumerate(names)],
        (),
        [seen(ago(2 * DAY), name) for name in names],
        evidence(),
    )
    found = look_over(many)
    assert (len(found.stuck), found.counts) == (STUCK_KEPT, ((Trouble.SILENT, STUCK_KEPT + 5),))


def test_every_trouble_has_words_and_a_next_step() -> None:
    assert WORDS.keys() == STEPS.keys() == set(Trouble)
