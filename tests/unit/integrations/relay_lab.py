"""A relay and a few devices for the tests: real SSH on loopback."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import asyncssh

from core.devices import DeviceAddress
from core.ids import DeviceName
from core.runs import CommandOutput
from integrations.relay import RelaySettings, SshRelay
from sandbox.relay import DeviceHost, JournalLine, RelaySandbox, derived_key
from sandbox.relay.view import BootStatus, Slot, UpdaterState

NOW = datetime(2026, 11, 24, 6, 5, 40, tzinfo=UTC)
RANGE = ip_network("10.66.0.0/16")
BOT_KEY = derived_key("test", "bot")
UPDATER = "rauc-hawkbit-updater"


@dataclass
class Controller:
    """A device as the fleet simulation would supply it."""

    name: str
    version: str = "1.4.2"
    slot: Slot = "A"
    slot_status: BootStatus = "good"
    installed_at: datetime | None = None
    other_version: str | None = None
    other_slot_status: BootStatus = "good"
    boot_primary: Slot = "A"
    boot_id: str = "5f8e2b7e-0c1d-4c43-8a5d-1f6b1f0a2c11"
    booted_at: datetime = NOW - timedelta(days=3, hours=2, minutes=11)
    journal: Sequence[JournalLine] = field(
        default_factory=lambda: [JournalLine(NOW, UPDATER, f"message {n}") for n in range(60)]
    )
    updater_state: UpdaterState = "idle"
    reboots: int = 0

    def reboot(self) -> None:
        self.reboots += 1


@dataclass
class Lab:
    """One relay, its devices, and the client under test."""

    sandbox: RelaySandbox
    devices: DeviceHost
    controllers: dict[str, Controller]
    addresses: dict[str, str]
    settings: RelaySettings
    relay: SshRelay

    def address(self, name: str) -> DeviceAddress:
        ip = next(ip for ip, there in self.addresses.items() if there == name)
        return DeviceAddress(DeviceName(name), ip)

    async def run(self, name: str, *argv: str, timeout_s: float = 5.0, max_bytes: int = 65536) -> CommandOutput:
        return await self.relay.run(
            self.address(name), argv or ("uptime",), inside=RANGE, timeout_s=timeout_s, max_bytes=max_bytes
        )

    async def reconfigure(self, **changes: Any) -> None:
        """Another client with other settings."""
        await self.relay.aclose()
        self.settings = replace(self.settings, **changes)
        self.relay = SshRelay(self.settings)


@asynccontextmanager
async def lab_of(
    tmp_path: Path, count: int = 3, host_ca: asyncssh.SSHKey | None = None, *, called: str = "ctl-{:04}"
) -> AsyncIterator[Lab]:
    controllers = {name: Controller(name) for name in (called.format(n) for n in range(count))}
    addresses = {f"10.66.{n // 250}.{n % 250 + 1}": name for n, name in enumerate(controllers)}
    devices = DeviceHost(controllers.get, BOT_KEY, host_ca=host_ca, now=lambda: NOW)
    key_file = write_key(tmp_path / "bot_key", BOT_KEY)
    async with RelaySandbox(devices, addresses.get, BOT_KEY) as sandbox:
        known_hosts = tmp_path / "known_hosts"
        known_hosts.write_text(sandbox.known_hosts() + devices.known_hosts(controllers))
        settings = RelaySettings(
            "relay", "127.0.0.1", sandbox.port, "cdm-bot", key_file, known_hosts, device_timeout_s=2, retry_s=0
        )
        lab = Lab(sandbox, devices, controllers, addresses, settings, SshRelay(settings))
        try:
            yield lab
        finally:
            await lab.relay.aclose()


def write_key(path: Path, key: asyncssh.SSHKey) -> Path:
    path.write_bytes(key.export_private_key("openssh"))
    path.chmod(0o600)
    return path


async def until(condition: Callable[[], bool], deadline_s: float = 5.0) -> None:
    """Wait for something that happens on the other side of the wire."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        await asyncio.sleep(0.01)
