"""Looking at devices: what their telemetry shows, within a budget a tick, whatever the fleet's size."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import structlog

from core.devices import DeviceFacts
from core.errors import OutsideError
from core.ids import DeviceName
from core.ports import Clock
from core.rollouts.records import GroupEvidence, Look
from core.rollouts.verify import next_looks, note_look
from flows.rollouts.site import Site

log = structlog.get_logger(__name__)


class Budget:
    """How many devices may still be looked at in this tick."""

    def __init__(self, looks: int) -> None:
        self.left = looks

    def take(self, evidence: GroupEvidence, *, first_only: bool = False) -> tuple[DeviceName, ...]:
        """The devices of a group to look at now. `first_only`: only those never looked at (their group has not
        started; one look before the claim lets a new boot be told later)."""
        chosen = next_looks(evidence, self.left)
        if first_only:
            chosen = tuple(n for n in chosen if evidence.devices[n].looked_at is None)
        self.left -= len(chosen)
        return chosen


class Looker:
    """Reads the latest telemetry of devices of one stack, at most `concurrency` at a time."""

    def __init__(self, site: Site, clock: Clock, *, concurrency: int = 8) -> None:
        self._site = site
        self._clock = clock
        self._slots = asyncio.Semaphore(concurrency)

    async def look(self, evidence: GroupEvidence, names: tuple[DeviceName, ...]) -> GroupEvidence:
        """The evidence with one more look at each of `names`. A device that cannot be read stays as it was."""
        async with asyncio.TaskGroup() as group:
            tasks = {name: group.create_task(self._one(name, evidence.devices[name].tenant)) for name in names}
        devices = dict(evidence.devices)
        for name, task in tasks.items():
            tenant, look = task.result()
            if look is not None:
                devices[name] = replace(note_look(devices[name], look), tenant=tenant)
        return replace(evidence, devices=devices)

    async def _one(self, name: DeviceName, known: str | None) -> tuple[str | None, Look | None]:
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
