"""What flows ask of hawkBit beyond watching rollouts: single actions, and making releases. Each method raises
`core.errors.OutsideError` and its kinds; each write is sent once and repeated by nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from core.ids import DeviceName, GroupId, RolloutId
from core.rollouts.facts import DistributionSet
from core.rollouts.release import ActionWord, Artifact, OpenAction, RolloutWish, TargetSeen


class FleetActions(Protocol):
    """What devices are to do and did, by the actions of one stack (hawkBit). Writes by the brake account: NotAllowed
    where none is configured."""

    async def open(self, rollout: RolloutId, group: GroupId | None = None) -> Sequence[OpenAction]:
        """Actions that are not over (scheduled, running, canceling), oldest first."""
        ...

    async def cancelled(self, rollout: RolloutId, group: GroupId) -> frozenset[DeviceName]:
        """The devices of the group whose install was cancelled, by whomever."""
        ...

    async def pending(self, rollout: RolloutId, group: GroupId) -> Sequence[TargetSeen]:
        """The devices of the group that have something open, and when they were last heard of (one call per 500)."""
        ...

    async def targets(self, devices: Sequence[DeviceName]) -> Sequence[TargetSeen]:
        """These devices, as far as hawkBit knows them (one call per 50)."""
        ...

    async def words(self, device: DeviceName, action: int, *, limit: int = 50) -> Sequence[ActionWord]:
        """What was said about it, newest first: the device's own words among them."""
        ...

    async def cancel(self, device: DeviceName, action: int) -> None:
        """Ask for it; the device confirms at its next poll. Being cancelled already, or over, is success.
        Conflict: it is only scheduled, which nobody can cancel alone."""
        ...

    async def quit(self, device: DeviceName, action: int) -> None:
        """Force it to end. Conflict where nobody asked for its cancel before. Over already is success."""
        ...

    async def force(self, device: DeviceName, action: int) -> None:
        """Soft becomes forced. A repeat is success."""
        ...

    async def assign_many(
        self, set_id: int, devices: Sequence[DeviceName], *, forced: bool = True, offline: bool = False
    ) -> int:
        """How many got it; the others have it assigned, or are unknown. In parts: raised by a later one, the earlier
        ones stand. `offline` records what they run already; where an action is open, nothing happens."""
        ...


class Releases(Protocol):
    """What a release is made of, and making it (hawkBit). Rollouts are made by the everyday account; modules, uploads,
    sets, locking and invalidating by the release account (NotAllowed where none is configured)."""

    async def covered(self, query: str) -> Sequence[TargetSeen]:
        """Every target that passes the filter. Refused with hawkBit's word where the filter is wrong."""
        ...

    async def having(self, query: str, wanted: DistributionSet) -> frozenset[DeviceName]:
        """Those of them whose installed set is `wanted`."""
        ...

    async def assigned(self, query: str, wanted: DistributionSet) -> frozenset[DeviceName]:
        """Those of them whose assigned set is `wanted`."""
        ...

    async def sets(self) -> Sequence[DistributionSet]:
        """Every set, oldest first."""
        ...

    async def finished_before(self, devices: Iterable[DeviceName], not_after: RolloutId) -> Mapping[DeviceName, str]:
        """For rollouts made elsewhere: "name:version" of each device's newest finished action older than that rollout's
        own action. Devices without one, or without an action of that rollout, are left out."""
        ...

    async def module(self, name: str, version: str, type: str = "os") -> int:
        """The software module's id: made, or found where it is there already."""
        ...

    async def artifacts(self, module: int) -> Sequence[Artifact]: ...

    async def upload(self, module: int, file: Path, *, sha256: str, sent: Callable[[int], None]) -> Artifact:
        """Streamed; `sent` is told the bytes so far. The same file there already is success, of that name with another
        checksum Conflict. Refused where the module is locked, or the bytes do not have the checksum."""
        ...

    async def make_set(self, name: str, version: str, module: int, type: str = "os") -> DistributionSet:
        """Made and locked, or found. Conflict where it is there with other modules."""
        ...

    async def lock(self, set_id: int) -> None:
        """A set must be locked before the everyday account can make a rollout of it. A repeat is success."""
        ...

    async def create(self, wish: RolloutWish) -> RolloutId:
        """Each group with success action PAUSE. Conflict where the name is taken: read it, it may be a repeat."""
        ...

    async def invalidate(self, set_id: int) -> None:
        """For ever. Touches neither rollouts nor actions of it. A repeat is success."""
        ...
