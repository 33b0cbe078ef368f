"""One schedule: a release, what people do to it, and what goes wrong at which await. All of it chosen by hypothesis.

Every schedule has an end of what goes wrong, so it ends in calm; a shorter list is a simpler schedule.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hypothesis import strategies as st

from core.rollouts.policy import PromotionPolicy

POLICY = PromotionPolicy(
    enabled=True,
    owners=frozenset({"bot"}),
    threshold_pct=60.0,
    max_errors_pct=30.0,
    settle_s=3.0,
    agree_s=1.0,
    tick_s=2.0,
    request_timeout_s=1.0,
    max_read_age_s=0.9,
    max_request_life_s=15.0,
    lease_s=6.0,
    evidence_fresh_s=30.0,
    reboot_deadline_s=20.0,
)
"""A share and an error budget that groups of three and four can meet, miss, and meet one without the other."""

LONG_S = POLICY.lease_s + POLICY.max_request_life_s + 16.0


class Fate(StrEnum):
    """What becomes of a device once its group runs. `unread`: as good, but ThingsBoard does not answer for it."""

    GOOD = "good"
    BROKEN = "broken"
    FALLS_BACK = "falls_back"
    STAYS = "stays"
    SILENT = "silent"
    UNREAD = "unread"


class Act(StrEnum):
    """By people: in Slack, and the last three in hawkBit's own interface. One races: they resume as soon as a
    promotion of the bot is about to be sent, or on its way."""

    PROMOTE = "promote"
    PROMOTE_TWICE = "promote_twice"
    PROMOTE_OTHER = "promote_other"
    PAUSE = "pause"
    HOLD = "hold"
    UNHOLD = "unhold"
    ADMIN_PAUSE = "admin_pause"
    ADMIN_RESUME = "admin_resume"
    ADMIN_RACES = "admin_races"


ADMINS = (Act.ADMIN_PAUSE, Act.ADMIN_RESUME, Act.ADMIN_RACES)


@dataclass(frozen=True, slots=True)
class Unit:
    """A device: its fate, how long it installs, and how long after its claim it boots."""

    fate: Fate
    installs_s: float
    boots_s: float


@dataclass(frozen=True, slots=True)
class Deed:
    """A person's act, so many seconds after the start, through the process of that number."""

    at_s: float
    act: Act
    process: int


class Trouble(StrEnum):
    """What may befall a process at an await."""

    NONE = "none"
    FAILS = "fails"
    """The call is not carried out."""
    ANSWER_LOST = "answer_lost"
    """It is carried out, and looks as if it had failed."""
    STANDS_STILL = "stands_still"
    """The process is stopped, as by SIGSTOP."""
    SUSPENDED = "suspended"
    """The machine sleeps: its monotonic clock stands too."""
    CRASHES = "crashes"


class Delivery(StrEnum):
    """What becomes of a request that changes something."""

    ANSWERED = "answered"
    LATE = "late"
    """Applied after its sender gave up, within the bound."""
    ANSWER_LOST = "answer_lost"
    NEVER = "never"
    SERVER_ERROR = "server_error"
    """Applied, and answered 503."""


@dataclass(frozen=True, slots=True)
class Mishap:
    """At the await that comes `after` as many others. `before`: the call it belongs to is not carried out yet."""

    after: int
    trouble: Trouble
    lasts_s: float
    before: bool


@dataclass(frozen=True, slots=True)
class Sending:
    """One promotion or pause on its way: when, after it was sent, it is applied."""

    delivery: Delivery
    after_s: float


@dataclass(frozen=True, slots=True)
class Stop:
    """What befalls a process right behind an attempt it wrote down, before it sends."""

    trouble: Trouble
    lasts_s: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """`success_pct` and `error_pct` are hawkBit's own thresholds; `skew_s` is how far the second process's clock is
    ahead; `phase_s` when hawkBit's scheduler runs; `mixed`: its replies mix moments. `pace` is the seed of how
    long each await takes. The n-th of `stops` and `sendings` are for the n-th attempt written and request sent."""

    groups: tuple[tuple[Unit, ...], ...]
    success_pct: float
    error_pct: float
    skew_s: float
    phase_s: float
    mixed: bool
    deeds: tuple[Deed, ...]
    mishaps: tuple[Mishap, ...]
    stops: tuple[Stop, ...]
    sendings: tuple[Sending, ...]
    pace: int

    @property
    def admin(self) -> bool:
        return any(deed.act in ADMINS for deed in self.deeds)


def _units(fates: st.SearchStrategy[Fate]) -> st.SearchStrategy[tuple[Unit, ...]]:
    tenths = st.integers(0, 25).map(lambda n: n / 10)
    return st.lists(st.builds(Unit, fates, tenths, tenths), min_size=1, max_size=4).map(tuple)


_FATES = st.sampled_from([*[Fate.GOOD] * 10, *list(Fate)[1:]])
_SLACK = [act for act in Act if act not in ADMINS]
_TIMES = st.integers(0, 600).map(lambda n: n / 10)


def _deeds(acts: list[Act]) -> st.SearchStrategy[tuple[Deed, ...]]:
    return st.lists(st.builds(Deed, _TIMES, st.sampled_from(acts), st.integers(0, 1)), max_size=6).map(tuple)


_TROUBLES = st.sampled_from(
    [
        *[Trouble.FAILS] * 4,
        *[Trouble.ANSWER_LOST] * 2,
        *[Trouble.STANDS_STILL] * 3,
        *[Trouble.SUSPENDED] * 2,
        *[Trouble.CRASHES] * 3,
    ]
)
_STOPS = st.sampled_from([*[Trouble.NONE] * 6, *[Trouble.SUSPENDED] * 2, *list(Trouble)[2:]])
_DELIVERIES = st.sampled_from([*[Delivery.ANSWERED] * 4, *[Delivery.LATE] * 4, *list(Delivery)[2:]])
_LASTS = st.integers(0, int(LONG_S * 10)).map(lambda n: n / 10)
_LATE = st.integers(1, int(POLICY.max_request_life_s * 10) - 1).map(lambda n: n / 10)
_MISHAP = st.builds(Mishap, st.integers(0, 200), _TROUBLES, _LASTS, st.booleans())

SCHEDULES: st.SearchStrategy[Schedule] = st.builds(
    Schedule,
    groups=st.one_of(
        st.lists(_units(st.just(Fate.GOOD)), min_size=3, max_size=4).map(tuple),
        st.lists(_units(_FATES), min_size=2, max_size=4).map(tuple),
    ),
    success_pct=st.sampled_from([95.0, 50.0]),
    error_pct=st.sampled_from([50.0, 20.0]),
    skew_s=st.sampled_from([0.0, 2.0, -2.0]),
    phase_s=st.integers(0, 19).map(lambda n: n / 10),
    mixed=st.booleans(),
    deeds=st.one_of(_deeds(_SLACK), _deeds(_SLACK), _deeds(list(Act)), _deeds(list(ADMINS))),
    mishaps=st.lists(_MISHAP, min_size=2, max_size=16).map(tuple),
    stops=st.lists(st.builds(Stop, _STOPS, _LASTS), min_size=2, max_size=6).map(tuple),
    sendings=st.lists(st.builds(Sending, _DELIVERIES, _LATE), min_size=2, max_size=6).map(tuple),
    pace=st.integers(0, 1 << 16),
)
