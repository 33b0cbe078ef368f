"""A fleet of simulated controllers: A/B slots, updates over hawkBit's DDI, telemetry, and boots that may fail.

Each device does what rauc-hawkbit-updater, RAUC and the telemetry agent do together: it polls, installs into the other
slot, reports success to hawkBit *before* it reboots, reboots, and only then says by telemetry what it really runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import aiohttp

from sandbox.relay.view import BootStatus, JournalLine, Slot, UpdaterState
from sandbox.tempo import Tempo

UPDATER = "rauc-hawkbit-updater"
Fate = Literal["good", "fails", "falls_back", "never_reboots", "silent"]
"""What becomes of the next update: good; fails (the install reports an error); falls_back (installs, reports success,
then the new slot does not boot and the old one comes back); never_reboots, until it is good again; silent (never takes
the action up)."""
POLLS_PER_S = 200
"""What a whole fleet may ask of hawkBit, however fast time goes: more, and this machine would be the bottleneck."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things take, in seconds of the sandbox. The defaults tell the story in minutes instead of days."""

    poll_s: float = 4.0
    telemetry_s: float = 10.0
    install_s: tuple[float, float] = (1.0, 4.0)
    before_reboot_s: tuple[float, float] = (0.5, 2.0)
    reboot_s: tuple[float, float] = (1.0, 4.0)


@dataclass(slots=True)
class SimulatedDevice:
    """One controller. Satisfies `sandbox.relay.view.DeviceView`. `cut_off`: no power, or no VPN."""

    name: str
    tenant: str
    ip: str
    access_token: str
    version: str
    slot: Slot = "A"
    slot_status: BootStatus = "good"
    installed_at: datetime | None = None
    other_version: str | None = None
    other_slot_status: BootStatus = "good"
    boot_primary: Slot = "A"
    boot_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    booted_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    journal: list[JournalLine] = field(default_factory=list)
    updater_state: UpdaterState = "idle"
    fate: Fate = "good"
    cut_off: bool = False
    rebooting: bool = False
    reboot_asked: bool = False
    ota_status: str = "idle"
    ota_error: str | None = None

    @property
    def online(self) -> bool:
        return not (self.cut_off or self.rebooting)

    @property
    def other_slot(self) -> Slot:
        return "B" if self.slot == "A" else "A"

    def reboot(self) -> None:
        self.reboot_asked = True

    def log(self, message: str, unit: str = UPDATER) -> None:
        self.journal.append(JournalLine(datetime.now(UTC), unit, message))
        del self.journal[:-500]

    def telemetry(self) -> dict[str, Any]:
        """The keys CDM's devices document. `ota_error` null is not stored by ThingsBoard: the old text stays there."""
        return {
            "sw_version": self.version,
            "rauc_slot": self.slot,
            "ota_status": self.ota_status,
            "ota_error": self.ota_error,
            "uptime_s": round((datetime.now(UTC) - self.booted_at).total_seconds(), 1),
        }


class CutOff(Exception):
    """The device cannot reach the server now."""


class Fleet:
    """Runs every device against the two servers until cancelled.

    `tempo` scales polls, installs and reboots; the regular telemetry keeps real time, as a sign of life. `bad` is the
    fate of every good device that installs one of these versions.
    """

    def __init__(
        self,
        devices: Iterable[SimulatedDevice],
        *,
        hawkbit_url: str,
        gateway_token: str,
        thingsboard_url: str,
        pace: Pace | None = None,
        tempo: Tempo | None = None,
        seed: int = 1,
    ) -> None:
        self.bad: dict[str, Fate] = {}
        self.devices: Mapping[str, SimulatedDevice] = {d.name: d for d in devices}
        self._hawkbit = f"{hawkbit_url}/DEFAULT/controller/v1"
        self._headers = {"Authorization": f"GatewayToken {gateway_token}"}
        self._thingsboard = thingsboard_url
        self.pace = pace or Pace()
        self.tempo = tempo or Tempo()
        self._rng = random.Random(seed)
        self._http: aiohttp.ClientSession | None = None

    def lookup(self, name: str) -> SimulatedDevice | None:
        return self.devices.get(name)

    def at_address(self, ip: str) -> str | None:
        return next((d.name for d in self.devices.values() if d.ip == ip), None)

    def by_state(self) -> dict[str, int]:
        """Devices by what they run and whether they are online, for a summary line."""
        counts: dict[str, int] = {}
        for device in self.devices.values():
            key = device.version if device.online else "offline"
            counts[key] = counts.get(key, 0) + 1
        return counts

    async def run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=10)
        connector = aiohttp.TCPConnector(limit=64)
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=connector) as self._http,
            asyncio.TaskGroup() as group,
        ):
            for device in self.devices.values():
                group.create_task(self._keep_reporting(device))
                group.create_task(self._keep_polling(device))

    async def report(self, device: SimulatedDevice) -> None:
        """Send telemetry now."""
        with contextlib.suppress(CutOff):
            await self._post(device, f"{self._thingsboard}/api/v1/{device.access_token}/telemetry", device.telemetry())

    async def _keep_reporting(self, device: SimulatedDevice) -> None:
        wait_s = self._rng.uniform(0, self.pace.telemetry_s)
        while True:
            await asyncio.sleep(wait_s)
            wait_s = self.pace.telemetry_s * self._rng.uniform(0.8, 1.2)
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                await self.report(device)

    async def _keep_polling(self, device: SimulatedDevice) -> None:
        await self.tempo.sleep(self._rng.uniform(0, self.pace.poll_s))
        while True:
            if device.online and device.fate != "silent":
                with contextlib.suppress(aiohttp.ClientError, TimeoutError, CutOff):
                    waits = device.boot_primary != device.slot and self._pending_fate(device) != "never_reboots"
                    if waits or device.reboot_asked:
                        await self._reboot(device)
                    await self._poll(device)
            every_s = max(self.pace.poll_s, len(self.devices) * self.tempo.speed / POLLS_PER_S)
            await self.tempo.sleep(every_s * self._rng.uniform(0.8, 1.2))

    async def _poll(self, device: SimulatedDevice) -> None:
        base = await self._get(device, f"{self._hawkbit}/{device.name}")
        links = base.get("_links", {}) if base else {}
        if "cancelAction" in links:
            await self._cancel(device, links["cancelAction"]["href"])
        elif "deploymentBase" in links:
            await self._deploy(device, links["deploymentBase"]["href"])

    async def _cancel(self, device: SimulatedDevice, href: str) -> None:
        action = await self._get(device, href)
        if action:
            stop = action["cancelAction"]["stopId"]
            said = _feedback(stop, "closed", "success", ["cancelled"])
            await self._post(device, f"{href.split('?')[0]}/feedback", said)
            device.log(f"Action {stop} cancelled by the server.")

    async def _deploy(self, device: SimulatedDevice, href: str) -> None:
        action = await self._get(device, href)
        if not action:
            return
        number, wanted = action["id"], action["deployment"]["chunks"][0]["version"]
        feedback = f"{href.split('?')[0]}/feedback"
        device.log(f"Start downloading: action {number}, version {wanted}")
        device.updater_state = "installing"
        try:
            await self._post(device, feedback, _feedback(number, "proceeding", "none", [f"Installing {wanted}"]))
            await self.tempo.sleep(self._rng.uniform(*self.pace.install_s))
        finally:
            device.updater_state = "idle"
        if self._fate(device, wanted) == "fails":
            await self._fail(device, number, feedback)
            return
        installed = "Software bundle installed successfully."
        device.other_version = wanted
        device.other_slot_status = "good"
        device.boot_primary = device.other_slot
        device.log(installed)
        await self._conclude(device, feedback, _feedback(number, "closed", "success", [installed]))
        if self._fate(device, wanted) != "never_reboots":
            await self.tempo.sleep(self._rng.uniform(*self.pace.before_reboot_s))
            await self._reboot(device)

    def _fate(self, device: SimulatedDevice, version: str) -> Fate:
        return self.bad.get(version, "good") if device.fate == "good" else device.fate

    def _pending_fate(self, device: SimulatedDevice) -> Fate:
        """Of the version in the other slot."""
        return self._fate(device, device.other_version or "")

    async def _fail(self, device: SimulatedDevice, number: str, feedback: str) -> None:
        cause = "LastError: Installation error: Failed updating slot rootfs.1: bundle signature verification failed"
        device.log(cause)
        device.log("Failed to install software bundle.")
        device.ota_status, device.ota_error = "failure", "bundle signature verification failed"
        told = [cause, "Failed to install software bundle."]
        await self._conclude(device, feedback, _feedback(number, "closed", "failure", told))
        await self.report(device)

    async def _conclude(self, device: SimulatedDevice, feedback: str, result: Mapping[str, Any]) -> None:
        """Report how an install ended, as soon as hawkBit can be reached."""
        while True:
            try:
                await self._post(device, feedback, result)
                return
            except (aiohttp.ClientError, TimeoutError, CutOff):
                await self.tempo.sleep(self.pace.poll_s)

    async def _reboot(self, device: SimulatedDevice) -> None:
        device.rebooting = True
        await self.tempo.sleep(self._rng.uniform(*self.pace.reboot_s))
        device.boot_id = str(uuid.uuid4())
        device.booted_at = datetime.now(UTC)
        device.rebooting = device.reboot_asked = False
        if device.boot_primary == device.slot:
            device.log(f"Booted slot {device.slot} again", "rauc")
        elif self._pending_fate(device) == "falls_back":
            device.other_slot_status = "bad"
            device.boot_primary = device.slot
            device.ota_status = "failure"
            device.ota_error = f"slot {device.other_slot} did not boot, fell back to {device.slot}"
            device.log(f"Marked slot {device.other_slot} as bad; running {device.version} again", "rauc")
        else:
            old = device.version
            device.version, device.other_version = device.other_version or device.version, old
            device.slot = device.other_slot
            device.installed_at = device.booted_at
            device.slot_status, device.other_slot_status = "good", "good"
            device.ota_status, device.ota_error = "success", None
            device.log(f"Booted slot {device.slot}, version {device.version}; marked good", "rauc")
        await self.report(device)

    async def _get(self, device: SimulatedDevice, url: str) -> dict[str, Any] | None:
        _must_reach(device)
        assert self._http is not None
        async with self._http.get(url, headers=self._headers) as answer:
            return await answer.json(content_type=None) if answer.status == 200 else None

    async def _post(self, device: SimulatedDevice, url: str, body: Mapping[str, Any]) -> None:
        _must_reach(device)
        assert self._http is not None
        async with self._http.post(url, json=body, headers=self._headers) as answer:
            await answer.read()


def _must_reach(device: SimulatedDevice) -> None:
    if not device.online:
        raise CutOff(device.name)


def _feedback(action: str, execution: str, finished: str, details: list[str]) -> dict[str, Any]:
    return {
        "id": str(action),
        "status": {"execution": execution, "result": {"finished": finished}, "details": details},
    }
