"""The fence around a promotion (docs/decisions/0002-promotion-fence.md) under schedules that hypothesis chooses: two
processes of the bot run the real flows, on a model of hawkBit, beside people, trouble at any await and late requests.

No group is started twice by us, none on a failed or missing gate, none is forgotten, and what nobody meant to start is
held and alarmed (`judge.py`). And the same schedules find the bug when a part of the fence is taken out.
The long run, of 10,000: `python -m tests.statemachine`, which `make bench` calls.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from flows.rollouts.ledger import Held
from tests.statemachine.judge import doubled, violations
from tests.statemachine.play import Played, play
from tests.statemachine.schedule import POLICY, Act, Deed, Fate, Schedule, Stop, Trouble, Unit
from tests.statemachine.search import count, first_alarm, first_broken, search
from tests.statemachine.store import StoreModel

SCHEDULES = 40
SOUGHT = 150
"""So many schedules at most until a broken fence shows, or the rare thing that is looked for."""


def test_the_promises_hold_whatever_happens() -> None:
    totals: Counter[str] = Counter()

    def seen(played: Played) -> None:
        count(totals, played)

    search(SCHEDULES, 1, seen)
    assert totals["schedules"] >= SCHEDULES
    assert totals["promotions"] > SCHEDULES, totals
    for trouble in ("crashes", "stands_still", "suspended before sending", "request late"):
        assert totals[trouble] > 0, totals


def test_without_waiting_out_a_request_s_life_it_breaks() -> None:
    """What may still be applied is read too early, taken for nothing, and sent anew: both count."""
    assert first_broken(doubled, SOUGHT, 2, replace(POLICY, max_request_life_s=0.0))


def test_without_the_lease_check_it_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost lease is never noticed: neither by the process before it sends, nor by the store when it writes."""
    monkeypatch.setattr(Held, "valid", lambda self, margin_s: True)
    monkeypatch.setattr(StoreModel, "_holds", lambda self, lease, token: True)
    assert first_broken(violations, SOUGHT, 1)


def test_without_a_last_look_before_sending_it_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that stood still behind its attempt sends when it goes on, though another has promoted long since. The
    lease and the age of what was read stop that, each alone: both are taken out."""
    assert not POLICY.problems()
    monkeypatch.setattr(Held, "valid", lambda self, margin_s: True)
    assert first_broken(doubled, SOUGHT, 1, replace(POLICY, max_read_age_s=float("inf")))


def test_a_machine_that_slept_since_it_read_sends_nothing() -> None:
    """Somebody resumed in hawkBit meanwhile, and it is paused by success again; the sleeper's lease is still good."""
    quick = (Unit(Fate.GOOD, 0.0, 3.0),)
    for pace in range(10):
        asleep_s = POLICY.tick_s + pace / 5
        schedule = Schedule(
            groups=(quick,) * 4,
            success_pct=95.0,
            error_pct=50.0,
            skew_s=0.0,
            phase_s=0.0,
            mixed=False,
            deeds=(Deed(0.0, Act.ADMIN_RACES, 0),),
            mishaps=(),
            stops=(Stop(Trouble.SUSPENDED, asleep_s),),
            sendings=(),
            pace=pace,
        )
        assert asleep_s < POLICY.lease_s - POLICY.request_timeout_s
        played = play(schedule)
        assert played.hits["suspended before sending"] == 1
        assert not violations(played), "\n".join(played.trace)
        assert not played.alarms


def test_what_a_person_in_hawkbit_makes_of_our_late_request_is_alarmed() -> None:
    """They resume in hawkBit's own interface while ours is on its way: that cannot be fenced, but it is seen."""
    assert first_alarm(SOUGHT, 1) == ["alarm"]
