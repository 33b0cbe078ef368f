"""Devices that people had rebooted into what they installed: what was ordered, and what became of each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from core.ids import DeviceName, Tenant
from core.rollouts.actors import Actor


class StepState(StrEnum):
    WAITING = "waiting"
    SENT = "sent"
    """Written down, then sent once: its boot id tells whether it took effect."""
    BACK = "back"
    """It has booted since."""
    NOT_DONE = "not_done"
    """Surely not sent, or refused by the device, or it did not boot."""
    UNKNOWN = "unknown"

    @property
    def over(self) -> bool:
        return self not in (StepState.WAITING, StepState.SENT)


@dataclass(frozen=True, slots=True)
class Step:
    """One device. `boot_id` is the one before its reboot, `at` when that was sent."""

    device: DeviceName
    tenant: Tenant
    state: StepState = StepState.WAITING
    boot_id: str = ""
    at: datetime | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Reboot:
    """One order. `id` is the same for the same agreement, `until` the last moment at which anything is sent for it;
    `ref` is the audit's intent."""

    id: str
    by: Actor
    reason: str
    at: datetime
    until: datetime
    steps: tuple[Step, ...]
    ref: str = ""

    @property
    def over(self) -> bool:
        return all(step.state.over for step in self.steps)

    def count(self, *states: StepState) -> int:
        return sum(step.state in states for step in self.steps)

    def having(self, state: StepState) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.state is state)

    def with_steps(self, *changed: Step) -> Reboot:
        by_name = {step.device: step for step in changed}
        return replace(self, steps=tuple(by_name.get(step.device, step) for step in self.steps))
