"""What a release is made of, and what devices are to do and did, as hawkBit shows them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from core.ids import DeviceName


@dataclass(frozen=True, slots=True)
class OpenAction:
    """One action that is not over: `scheduled` (its group has not begun), `running` and its like, or `canceling`.

    `set_name` is "name:version".
    """

    id: int
    device: DeviceName
    status: str
    forced: bool
    created_at: datetime
    set_name: str


@dataclass(frozen=True, slots=True)
class ActionWord:
    """One line of an action's history. `at` is hawkBit's clock; `kind` hawkBit's word (running, error, ...)."""

    at: datetime
    kind: str
    messages: tuple[str, ...]
    code: int | None


@dataclass(frozen=True, slots=True)
class TargetSeen:
    """One device as a list of targets shows it: which set it has is not in there."""

    device: DeviceName
    update_status: str
    last_poll_at: datetime | None
    address: str | None


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file of a software module. `sha256` is lower-case hex, `size` in bytes."""

    id: int
    filename: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class GroupWish:
    """`share_pct` is of all devices of the rollout; the shares of its groups add up to 100."""

    name: str
    share_pct: float


@dataclass(frozen=True, slots=True)
class RolloutWish:
    """A rollout to be made. Thresholds are whole percents: hawkBit takes no others.

    `start_at` None: somebody starts it. `weight` None leaves hawkBit's own (1000).
    """

    name: str
    description: str
    set_id: int
    query: str
    groups: tuple[GroupWish, ...]
    success_threshold_pct: int
    error_threshold_pct: int
    forced: bool
    start_at: datetime | None
    weight: int | None
