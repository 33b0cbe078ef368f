"""Many alarms at once, from devices of one customer that do nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import httpx

from sandbox.cast import Tenant
from sandbox.world import SandboxWorld

AT_A_TIME = 20
"""Connections the devices share."""


class Storm:
    """The devices are made in ThingsBoard when they are first needed, with the profile that holds the alarm rule."""

    def __init__(self, world: SandboxWorld) -> None:
        self._world = world
        self._raging: dict[str, Tenant] = {}

    @property
    def rages(self) -> bool:
        return bool(self._raging)

    async def begin(self, tenant: Tenant, number: int) -> None:
        """Each of the devices reports a failed update. HTTPError where ThingsBoard cannot be reached."""
        names = [device_name(tenant, n) for n in range(1, number + 1)]
        self._make(tenant, names)
        self._raging |= dict.fromkeys(names, tenant)
        await self._report(names, {"ota_status": "failure"})

    async def end(self) -> int:
        """All of them report success, which clears their alarms; how many there were."""
        names = list(self._raging)
        await self._report(names, {"ota_status": "success"})
        self._raging.clear()
        return len(names)

    def _make(self, tenant: Tenant, names: list[str]) -> None:
        things = self._world.thingsboard.world
        like = next(d for d in things.devices.values() if d.name == tenant.device(1))
        owner, profile = things.tenants[like.tenant], things.profiles[like.profile]
        known = {d.name for d in things.devices.values() if d.tenant == owner.id}
        for name in names:
            if name not in known:
                self._world.thingsboard.add_device(owner, name, profile=profile, token=f"token-{name}")

    async def _report(self, names: list[str], telemetry: Mapping[str, str]) -> None:
        turns = asyncio.Semaphore(AT_A_TIME)
        async with httpx.AsyncClient(base_url=self._world.url("thingsboard"), trust_env=False, timeout=15) as http:

            async def one(name: str) -> None:
                async with turns:
                    answer = await http.post(f"/api/v1/token-{name}/telemetry", json=telemetry)
                    answer.raise_for_status()

            await asyncio.gather(*(one(name) for name in names))


def device_name(tenant: Tenant, number: int) -> str:
    """Of a device that takes part in a storm; none of the fleet is called so."""
    return f"{tenant.letter}-st-{number:03}"
