"""ThingsBoard, one tenant: the bot's account, and whether its devices tell what verification and runbooks need."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from ipaddress import ip_address

import httpx
from pydantic import BaseModel

from bot.adapters import thingsboard_credentials
from bot.probe.finding import Finding, fail, ok, warn
from bot.settings import Settings, StackSection, TenantSection
from core.devices import DeviceFacts
from core.ids import DeviceName, Tenant
from integrations.thingsboard.models import Me
from integrations.thingsboard.session import Session
from integrations.thingsboard.tenant import ThingsboardTenant

SAMPLE = 20
NAMES_READ = 1000
READS_AT_ONCE = 4
NAMED = 3
"""So many devices are named in a message."""


class _Count(BaseModel):
    totalElements: int


def name_of(section: StackSection, tenant: TenantSection) -> str:
    return f"ThingsBoard {section.name}/{tenant.id}"


async def look(settings: Settings, section: StackSection, tenant: TenantSection) -> AsyncIterator[Finding]:
    system = name_of(section, tenant)
    async with httpx.AsyncClient(follow_redirects=False) as http:
        timeout_s = section.thingsboard_timeout_s
        session = Session(
            section.thingsboard_url, thingsboard_credentials(tenant), system=system, timeout_s=timeout_s, http=http
        )
        me = Me.model_validate(await session.get("/api/auth/user"))
        if me.authority not in ("TENANT_ADMIN", "CUSTOMER_USER"):
            yield fail(
                system,
                f"The bot's account is a {me.authority}, which sees no device and no alarm of any tenant.",
                "Give the bot a user of this tenant (tenant administrator), or of one customer of it.",
            )
            return
        customer = me.authority == "CUSTOMER_USER"
        path = f"/api/customer/{me.customerId.id}/devices" if customer else "/api/tenant/devices"
        count = _Count.model_validate(await session.get(path, {"pageSize": 1, "page": 0})).totalElements
        what = "a user of one customer" if customer else "a tenant administrator"
        yield ok(system, f"Logged in as {what} (user {me.id.id}); {count} devices.", devices=count)
        if count == 0:
            yield warn(
                system,
                "The account sees no device, so no alarm and no verification will come from here.",
                "Check that the account belongs to the right tenant, and that devices are provisioned.",
            )
            return
        client = ThingsboardTenant(
            section.thingsboard_url,
            Tenant(tenant.id),
            thingsboard_credentials(tenant),
            system=system,
            timeout_s=timeout_s,
            http=http,
        )
        key = settings.promotion.keys.version
        devices = await _sample(client, key)
    yield _versions(system, devices, key)
    if section.relay is not None:
        for finding in _addresses(system, devices, section, tenant):
            yield finding


async def _sample(client: ThingsboardTenant, key: str) -> list[DeviceFacts]:
    """Up to twenty devices, spread over the first thousand names."""
    names = await client.names(limit=NAMES_READ)
    chosen = names[:: max(1, -(-len(names) // SAMPLE))]
    at_once = asyncio.Semaphore(READS_AT_ONCE)

    async def read(name: DeviceName) -> DeviceFacts | None:
        async with at_once:
            return await client.device(name, [key])

    found = await asyncio.gather(*(read(name) for name in chosen))
    return [device for device in found if device is not None]


def _versions(system: str, devices: Sequence[DeviceFacts], key: str) -> Finding:
    silent = [device.name for device in devices if not (device.readings.get(key) and device.readings[key].value)]
    if not silent:
        return ok(system, f"Each of {len(devices)} sampled devices reports its version ({key}).")
    if len(silent) == len(devices):
        return warn(
            system,
            f"None of {len(devices)} sampled devices reports a version (telemetry key {key}). hawkBit hears of success "
            "before the reboot, so without it no device is ever verified and the gate would hold for ever.",
            f"Let the devices send {key} as telemetry, after each boot at least.",
        )
    return warn(
        system,
        f"{len(silent)} of {len(devices)} sampled devices report no version (telemetry key {key}), among them "
        f"{_named(silent)}: they are never verified, so their groups may be held.",
        f"Let every device send {key} as telemetry, after each boot at least.",
    )


def _addresses(
    system: str, devices: Sequence[DeviceFacts], section: StackSection, tenant: TenantSection
) -> list[Finding]:
    attribute, inside = section.address_attribute, tenant.wireguard_range
    given = {device.name: device.attributes.get(attribute, "").strip() for device in devices}
    without = [name for name, address in given.items() if not address]
    outside = [name for name, address in given.items() if address and not _lies_in(address, tenant)]
    found = []
    if without:
        found.append(
            warn(
                system,
                f"{len(without)} of {len(devices)} sampled devices have no server attribute {attribute}, among them "
                f"{_named(without)}: no runbook can reach them.",
                f"Write each device's VPN address into the SERVER_SCOPE attribute {attribute}, or set "
                "address_attribute of the stack to the one that holds it.",
            )
        )
    if outside:
        found.append(
            fail(
                system,
                f"{len(outside)} of {len(devices)} sampled devices have an address outside {inside}, the WireGuard "
                f"range of {tenant.id}, among them {_named(outside)}: the bot refuses to connect to them.",
                f"Correct wireguard_range of {tenant.id} in cdm.yaml, or the attribute {attribute} of these devices.",
            )
        )
    return found or [ok(system, f"Each of {len(devices)} sampled devices has its address inside {inside}.")]


def _lies_in(address: str, tenant: TenantSection) -> bool:
    try:
        return ip_address(address) in tenant.wireguard_range
    except ValueError:
        return False


def _named(names: Sequence[DeviceName]) -> str:
    return ", ".join(names[:NAMED])
