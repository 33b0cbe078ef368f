"""What a release would reach, before it is made: facts for whoever decides about it. Plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.evidence import Evidence, Fact
from core.ids import DeviceName, RolloutId, Tenant
from core.rollouts.asked import device_names
from core.rollouts.facts import DistributionSet
from core.rollouts.wish import ReleaseWish, group_sizes


@dataclass(frozen=True, slots=True)
class Overlap:
    """A rollout under way with devices of this release. hawkBit cancels its `waiting` actions on them when this one
    starts, and its `running` ones when the device's group here starts (measured on hawkBit 1.1.0). `unstarted` devices
    belong to a rollout that has not begun: it would take them away from this one."""

    rollout: RolloutId
    name: str
    waiting: int = 0
    running: int = 0
    unstarted: int = 0

    @property
    def devices(self) -> int:
        return self.waiting + self.running + self.unstarted


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Which devices a wish means now. `strangers` are those that no tenant's ThingsBoard knows. `against`: why it must
    not be made."""

    wish: ReleaseWish
    set: DistributionSet
    devices: frozenset[DeviceName]
    of_tenant: Mapping[Tenant, frozenset[DeviceName]]
    strangers: frozenset[DeviceName]
    installed: frozenset[DeviceName]
    overlaps: tuple[Overlap, ...]
    policy: str
    against: tuple[str, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        return group_sizes(len(self.devices), self.wish.shares)

    def evidence(self) -> Evidence:
        """What an agreement to this release is bound to. How far overlapping rollouts are is not in it."""
        wish = self.wish
        facts: dict[str, Fact] = {
            "rollout": wish.name,
            "set": f"{self.set} ({self.set.id}{'' if self.set.valid else ', invalidated'})",
            "filter": wish.where,
            "devices": len(self.devices),
            "by tenant": tuple(f"{tenant}: {len(names)}" for tenant, names in self.of_tenant.items()),
            "of no tenant": device_names(self.strangers),
            "targets": device_names(self.devices),
            "groups": f"{wish.groups} % ({'/'.join(map(str, self.sizes))} devices)",
            "type": wish.kind,
            "start": wish.start,
            "policy": self.policy,
            "takes devices from": tuple(one.name for one in self.overlaps),
        }
        return Evidence(facts)


@dataclass(frozen=True, slots=True)
class Place:
    """Where devices are. `site` is ThingsBoard's attribute of that name, "" where it is not set."""

    tenant: str
    site: str
    devices: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """`silent`: polled last longer than `silent_h` hours ago, or never (`never` of them). `metered` are on metered
    links; of `unread` devices neither link nor site could be read. `before`: by set, how many devices have it now; ""
    where hawkBit knows none."""

    reach: Reach
    places: Sequence[Place]
    silent: int
    never: int
    silent_h: float
    alarmed: frozenset[DeviceName]
    metered: int
    unread: int
    before: Mapping[str, int]
