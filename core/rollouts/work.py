"""What was begun on single devices of a rollout, and which of them do not get on. Plain data, kept with the record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from core.ids import DeviceName, GroupId
from core.rollouts.actors import Actor

STUCK_KEPT = 100
CANCELING_KEPT = 500


class WorkKind(StrEnum):
    EXCLUDE = "exclude"
    """End what hawkBit waits for on silent devices, by force, so that their group completes without them."""
    CANCEL = "cancel"
    """Ask devices to give up an install that is still open."""
    QUIT = "quit"
    """End by force what was asked to be cancelled and is not confirmed."""
    FORCE = "force"
    """A soft install becomes a forced one."""
    CATCH_UP = "catch-up"
    """Bring the set to devices that were excluded and are heard of again."""


@dataclass(frozen=True, slots=True)
class Meant:
    """One device, and its action that is meant; None where there is none."""

    device: DeviceName
    action: int | None = None


@dataclass(frozen=True, slots=True)
class DeviceWork:
    """Something ordered about single devices, written down before the first call and gone on with by the next tick
    where a process was killed at it. No `devices` at all stand for every open install of the rollout.
    `total`: how many it was about. `ref`: the audit's intent; `reason`: why it was ordered, of an approval with its
    request's id."""

    kind: WorkKind
    at: datetime
    by: Actor
    ref: str
    reason: str
    total: int
    group: GroupId | None = None
    devices: tuple[Meant, ...] = ()


@dataclass(frozen=True, slots=True)
class FinishedWork:
    """How the last such work ended: whoever was killed before hearing of it, and asks again, is told that."""

    kind: WorkKind
    reason: str
    done: bool
    text: str


class Trouble(StrEnum):
    """Why a device does not get on by itself."""

    NEVER_POLLED = "never_polled"
    SILENT = "silent"
    SOFT = "soft"
    """Its install waits for somebody at the device."""
    OPEN_LONG = "open_long"
    NOT_BACK = "not_back"
    """hawkBit says installed, and nothing was seen of a new boot since."""
    CANCELING_LONG = "canceling_long"
    EXCLUDED_BACK = "excluded_back"
    """Excluded, and heard of again."""
    EXCLUDED_NEW = "excluded_new"
    """Excluded, and runs the new version by its own word: hawkBit does not know."""


@dataclass(frozen=True, slots=True)
class Stuck:
    """One device that needs a look. `since`: from when on, None where nobody knows. `group` counts from 1."""

    device: DeviceName
    group: int
    trouble: Trouble
    since: datetime | None
    action: int | None = None


@dataclass(frozen=True, slots=True)
class Sweep:
    """What one look over a rollout's devices found. `stuck` are the first of them; `counts` says how many there are.

    `silent`: of the last started group, so many may be excluded. `open` installs, of them `canceling` ones, whose
    actions are in `canceling_since` with the time at which they were first seen so. `outdated`: something was
    done since."""

    at: datetime
    stuck: tuple[Stuck, ...] = ()
    counts: tuple[tuple[Trouble, int], ...] = ()
    silent: int = 0
    open: int = 0
    canceling: int = 0
    canceling_since: tuple[tuple[int, datetime], ...] = ()
    outdated: bool = False

    def number(self, *troubles: Trouble) -> int:
        return sum(n for trouble, n in self.counts if trouble in troubles)
