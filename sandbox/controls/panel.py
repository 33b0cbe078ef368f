"""The world as a panel shows it: JSON, made anew for each look, and cheap enough for two looks a second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sandbox.cast import TENANTS
from sandbox.fleet import SimulatedDevice
from sandbox.world import SandboxWorld

SHOWN_ROLLOUTS = 10
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ask:
    """What must be filled in for `{name}` in a control's words. `options` None: any text."""

    name: str
    label: str
    default: str
    options: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Control:
    """One button. `words` is the command it gives; `undo` takes it back, while `active`. `hint`: what will be seen."""

    group: Literal["Devices", "Systems", "Time", "Load", "Release"]
    label: str
    words: str
    hint: str
    undo: str = ""
    active: bool = False
    asks: tuple[Ask, ...] = ()

    def json(self) -> Json:
        undo = self.undo.split() if self.undo else None
        asks = [asdict(ask) for ask in self.asks]
        return asdict(self) | {"words": self.words.split(), "undo": undo, "asks": asks}


def fleet_json(world: SandboxWorld) -> Json:
    """A device is online, offline or rebooting; `installing` and `failed` ones are counted there too."""
    devices = world.fleet.devices.values()
    tenants = [_tenant_json(tenant.id, [d for d in devices if d.tenant == tenant.id]) for tenant in TENANTS]
    return {"total": len(devices), "tenants": tenants}


def _tenant_json(tenant: str, devices: Sequence[SimulatedDevice]) -> Json:
    return {
        "id": tenant,
        "online": sum(d.online for d in devices),
        "offline": sum(d.cut_off for d in devices),
        "rebooting": sum(d.rebooting and not d.cut_off for d in devices),
        "installing": sum(d.updater_state == "installing" for d in devices),
        "failed": sum(d.ota_status == "failure" for d in devices),
        "versions": dict(sorted(Counter(d.version for d in devices).items())),
    }


def rollouts_json(world: SandboxWorld) -> list[Json]:
    """As hawkBit has them, the newest first."""
    rollouts = sorted(world.hawkbit.tenant().repo.rollouts.values(), key=lambda r: -r.id)
    return [
        {
            "id": rollout.id,
            "name": rollout.name,
            "status": rollout.status,
            "groups": [
                {"number": group.index + 1, "name": group.name, "status": group.status, "total": group.total}
                | {name: group.counts[name] for name in ("finished", "error", "running", "scheduled")}
                for group in rollout.groups
            ],
        }
        for rollout in rollouts[:SHOWN_ROLLOUTS]
    ]
