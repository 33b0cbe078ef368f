"""What a rollout's message shows: plain numbers and words, kept with the record so that it can be shown when hawkBit
is away."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

NAMED = 200
"""So many devices of a kind are kept by name: the view is kept with the record, which is bounded."""


class Mood(StrEnum):
    """The state word over a rollout."""

    WAITING = "waiting to start"
    RUNNING = "running"
    READY = "ready to go on"
    HOLDING = "waiting"
    HELD = "on hold"
    PAUSED = "paused"
    FAILED = "failed"
    PROMOTING = "promoting"
    VERIFYING = "finished, verifying"
    DONE = "finished and verified"
    UNVERIFIED = "finished, not all verified"
    STOPPED = "stopped"
    GONE = "deleted"


@dataclass(frozen=True, slots=True)
class Bar:
    """One group. `known` is False where the bot keeps no evidence (not started, or never read). `awaiting_until`: by
    then those that await a reboot have proven themselves, or are unknown. `by_claims`: policy takes hawkBit's claims
    for proof here, so nothing proves the verified ones.

    `alarmed`: devices with an open OTA failure of this update.
    `*_names` are the first of those devices by name, at most `NAMED`; the counts say how many there are.
    """

    number: int
    name: str
    status: str
    total: int
    verified: int
    claimed: int
    awaiting: int
    refuted: int
    unknown: int
    errors: int
    open: int
    excluded: int
    known: bool
    refuted_names: tuple[str, ...] = ()
    unknown_names: tuple[str, ...] = ()
    excluded_names: tuple[str, ...] = ()
    awaiting_names: tuple[str, ...] = ()
    awaiting_until: datetime | None = None
    by_claims: bool = False
    alarmed: int = 0
    alarmed_names: tuple[str, ...] = ()

    def nameless(self) -> Bar:
        none: tuple[str, ...] = ()
        bare = replace(self, refuted_names=none, unknown_names=none, excluded_names=none)
        return replace(bare, awaiting_names=none, alarmed_names=none)


@dataclass(frozen=True, slots=True)
class Progress:
    """The view model of one rollout. `reasons` say in words what it waits for, most important first.

    `pauses`: every group carries success action PAUSE, so hawkBit starts none by itself.
    `starts_at`: when the scheduler starts the next group, unless somebody holds it.
    `next_number`, `next_total`: the group a promotion would start; None/0 where there is none. `can_*` say which
    buttons the state permits, `can_reboot` for how many devices; so do `excludable` (silent devices of the last started
    group), `cancelable` (open installs of a finished rollout) and `catchable` (excluded devices that are back), each
    with its number.
    """

    stack: str
    rollout: int
    name: str
    set_name: str
    mood: Mood
    owned: bool
    auto: bool
    bars: tuple[Bar, ...]
    reasons: tuple[str, ...]
    next_number: int | None
    next_total: int
    can_promote: bool
    can_pause: bool
    can_resume: bool
    can_hold: bool
    can_unhold: bool
    can_stop: bool
    running: int
    read_at: datetime
    stale_since: datetime | None = None
    pauses: bool = False
    can_continue: bool = False
    can_override: bool = False
    starts_at: datetime | None = None
    can_reboot: int = 0
    stuck: int = 0
    stuck_words: str = ""
    excludable: int = 0
    cancelable: int = 0
    catchable: int = 0
    can_start: bool = False


def nameless(view: Progress) -> Progress:
    """The same without any device's name: for who may not see all the tenants whose devices are in it."""
    return replace(view, bars=tuple(one.nameless() for one in view.bars))
