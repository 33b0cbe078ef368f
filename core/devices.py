"""A device as ThingsBoard knows it, and what its telemetry can prove."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from core.ids import DeviceName, Tenant


@dataclass(frozen=True, slots=True)
class Reading:
    """One latest value and the instant it was sent for. `null` telemetry is not stored, so a value may be stale."""

    value: str
    at: datetime


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """`attributes` are SERVER_SCOPE ones only: a device cannot write them (the VPN address is one)."""

    name: DeviceName
    id: str
    tenant: Tenant
    label: str | None
    active: bool | None
    last_activity_at: datetime | None
    readings: Mapping[str, Reading]
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DeviceAddress:
    """Where the relay reaches a device: looked up server-side, never from anything the device sends as telemetry."""

    device: DeviceName
    ip: str
    port: int = 22
    user: str = "cdm"
