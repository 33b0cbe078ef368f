"""Looking at devices, within budgets a tick, whatever the fleet's size: at their telemetry, and by RAUC over the relay
where policy asks for it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from core.devices import DeviceFacts
from core.errors import OutsideError
from core.ids import DeviceName, Tenant
from core.ports import Clock
from core.rollouts.policy import Verification
from core.rollouts.records import DeviceEvidence, GroupEvidence, Look
from core.rollouts.verify import BY_RELAY, BY_TELEMETRY, next_looks, note_look, note_slots
from flows.rollouts.site import Site

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RelayBudget:
    """How many devices of a stack are asked over its relay in a tick; one that was asked is left alone for `again_s`,
    unless it has claimed the new version since."""

    devices: int
    again_s: float


NO_RELAY = RelayBudget(0, 0.0)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The devices of a group to look at now."""

    telemetry: tuple[DeviceName, ...] = ()
    relay: tuple[DeviceName, ...] = ()


class Budget:
    """What is left for this tick. Half of the relay's is kept for first groups: their proof is waited for most."""

    def __init__(self, looks: int, relay: RelayBudget, clock: Clock) -> None:
        self._left = looks
        self._relay_left = relay.devices
        self._relay_for_later = (relay.devices + 1) // 2
        self._not_since = clock.now() - timedelta(seconds=relay.again_s)

    def take(self, evidence: GroupEvidence, number: int, by: Verification, *, unseen_only: bool = False) -> Chosen:
        """The devices of the group of that number (from 1). `unseen_only`: those never looked at (their group has not
        started; one look before the claim lets a new boot be told later)."""
        telemetry = relay = tuple[DeviceName, ...]()
        if by in BY_TELEMETRY:
            telemetry = next_looks(evidence, self._left, unseen_only=unseen_only)
            self._left -= len(telemetry)
        if by in BY_RELAY:
            left = self._relay_left if number == 1 else min(self._relay_left, self._relay_for_later)
            relay = next_looks(evidence, left, relay=True, not_since=self._not_since, unseen_only=unseen_only)
            self._relay_left -= len(relay)
            self._relay_for_later -= len(relay) if number > 1 else 0
        return Chosen(telemetry, relay)


class Looker:
    """Looks at devices of one stack, at most `concurrency` at their telemetry at a time."""

    def __init__(self, site: Site, clock: Clock, *, concurrency: int = 8) -> None:
        self._site = site
        self._clock = clock
        self._slots = asyncio.Semaphore(concurrency)

    async def look(self, evidence: GroupEvidence, chosen: Chosen) -> GroupEvidence:
        """The evidence with one more look at each device chosen. One whose telemetry cannot be read stays as it was;
        of one that the relay does not reach it is kept when it was tried."""
        devices = dict(evidence.devices)
        async with asyncio.TaskGroup() as group:
            told = [group.create_task(self._telemetry(name, devices[name].tenant)) for name in chosen.telemetry]
            asked = [group.create_task(self._rauc(devices[name])) for name in chosen.relay]
        for name, task in zip(chosen.relay, asked, strict=True):
            devices[name] = task.result()
        for name, read in zip(chosen.telemetry, told, strict=True):
            tenant, look = read.result()
            if look is not None:
                devices[name] = replace(note_look(devices[name], look), tenant=tenant or devices[name].tenant)
        return replace(evidence, devices=devices)

    async def _telemetry(self, name: DeviceName, known: str | None) -> tuple[str | None, Look | None]:
        """The tenant that has the device, and what it shows. A name that two tenants have proves nothing."""
        tenants = [t for t in self._site.devices if t == known] or list(self._site.devices)
        found: list[DeviceFacts] = []
        async with self._slots:
            try:
                for tenant in tenants:
                    facts = await self._site.devices[tenant].device(name, self._site.policy.keys.all())
                    if facts is not None:
                        found.append(facts)
            except OutsideError as error:
                log.info("device_not_read", device=name, reason=error.reason)
                return known, None
        if len(found) != 1:
            # Looked at, and nothing usable there: an empty look, so that others have their turn too.
            return known, Look(self._clock.now(), {})
        return found[0].tenant, Look(self._clock.now(), found[0].readings)

    async def _rauc(self, device: DeviceEvidence) -> DeviceEvidence:
        asked_at = self._clock.now()
        if self._site.slots is None:
            return note_slots(device, None, asked_at)
        try:
            tenant, look = await self._site.slots.look(device.device, Tenant(device.tenant) if device.tenant else None)
        except OutsideError as error:
            log.info("device_not_reached", device=device.device, reason=error.reason)
            return note_slots(device, None, asked_at)
        return replace(note_slots(device, look, asked_at), tenant=tenant)
