"""The stacks and tenants the bot serves, and whose a device or a rollout is."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address

from core.devices import DeviceAddress, DeviceFacts
from core.errors import NotFound, OutsideError, Refused
from core.ids import Channel, DeviceName, RolloutId, Stack, Tenant
from core.messages.text import plain
from core.ports import Alarms, Clock, Devices, Relay, Rollouts
from core.release_ports import FleetActions, Releases
from core.rollouts.facts import RolloutFacts

NAMES_LIMIT = 20_000
NAMES_FRESH_S = 60.0


@dataclass(frozen=True, slots=True)
class TenantWorld:
    """One tenant of a stack: its alarms and devices, its address range and its channel. `target_filter` says in
    hawkBit's language which devices are its own, for releases to them; "" where nobody said."""

    id: Tenant
    alarms: Alarms
    devices: Devices
    wireguard: IPv4Network | IPv6Network
    channel: Channel
    target_filter: str = ""


@dataclass(frozen=True, slots=True)
class StackWorld:
    """One installation: hawkBit, the relay if there is one, and the tenants it serves."""

    name: Stack
    rollouts: Rollouts
    actions: FleetActions
    releases: Releases
    relay: Relay | None
    tenants: Mapping[Tenant, TenantWorld]
    channel: Channel
    address_attribute: str
    device_user: str = "cdm"
    device_port: int = 22


@dataclass(frozen=True, slots=True)
class Found:
    """A device, and the stack and tenant it is in."""

    stack: StackWorld
    tenant: TenantWorld
    facts: DeviceFacts

    def address(self) -> DeviceAddress:
        """Where the relay reaches it: from a server-side attribute, and inside the tenant's range. Raises Refused."""
        given = self.facts.attributes.get(self.stack.address_attribute)
        name = self.facts.name
        if not given:
            raise Refused(
                f"{name} has no VPN address: ThingsBoard's server attribute {self.stack.address_attribute} is not "
                "set. Set it (enrolment does), then try again."
            )
        try:
            ip = ip_address(given.split("/")[0].strip())
        except ValueError:
            raise Refused(f"The VPN address of {name} is no IP address. Correct the server attribute.") from None
        if ip not in self.tenant.wireguard:
            raise Refused(
                f"The VPN address of {name} lies outside the WireGuard range of {self.tenant.id} "
                f"({self.tenant.wireguard}). No connection was made; check the attribute and the enrolment."
            )
        return DeviceAddress(name, str(ip), self.stack.device_port, self.stack.device_user)


@dataclass(slots=True)
class _Names:
    names: frozenset[DeviceName] = frozenset()
    until: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class World:
    """Looks things up across stacks. Device names are ThingsBoard's, told by each tenant's own account."""

    def __init__(self, stacks: Sequence[StackWorld], clock: Clock) -> None:
        self.stacks: Mapping[Stack, StackWorld] = {s.name: s for s in stacks}
        self._clock = clock
        self._names: dict[tuple[Stack, Tenant], _Names] = {}
        self._spans: dict[tuple[Stack, RolloutId, int, int], frozenset[Tenant]] = {}

    def stack(self, name: str) -> StackWorld:
        found = self.stacks.get(Stack(name))
        if found is None:
            raise NotFound(f"There is no stack {plain(name, 60)!r} any more. Nothing was done.")
        return found

    def tenant(self, stack: Stack, tenant: Tenant) -> TenantWorld:
        found = self.stack(stack).tenants.get(tenant)
        if found is None:
            raise NotFound(f"There is no tenant {tenant!r} on stack {stack!r} any more.")
        return found

    async def device(self, name: DeviceName, among: frozenset[Tenant], keys: Sequence[str]) -> Found:
        """The device of that name in one of these tenants. Raises NotFound, or Refused where two tenants claim it."""
        places = [(s, t) for s in self.stacks.values() for t in s.tenants.values() if t.id in among]
        answers = await asyncio.gather(*(t.devices.device(name, keys) for _, t in places), return_exceptions=True)
        found = [Found(s, t, a) for (s, t), a in zip(places, answers, strict=True) if isinstance(a, DeviceFacts)]
        if len(found) == 1:
            return found[0]
        if len(found) > 1:
            where = ", ".join(f"{f.tenant.id} on {f.stack.name}" for f in found)
            raise Refused(
                f"More than one tenant has a device {plain(name, 80)} ({where}). Nothing was done; names must be "
                "unique."
            )
        failed = next((a for a in answers if isinstance(a, OutsideError)), None)
        if failed is not None:
            raise failed
        broken = next((a for a in answers if isinstance(a, BaseException)), None)
        if broken is not None:
            raise broken
        raise NotFound(
            f"There is no device {plain(name, 80)} in your tenants. Names are exact; they are the certificate's CN."
        )

    async def tenants_of(self, stack: StackWorld, rollout: RolloutFacts) -> frozenset[Tenant]:
        """The tenants whose devices the rollout covers. A device nobody knows makes it every tenant of the stack: then
        the right is needed in all of them."""
        spanned, surely = await self._spanned(stack, rollout)
        return spanned if surely else frozenset(stack.tenants)

    async def shows(self, stack: StackWorld, rollout: RolloutFacts, tenants: frozenset[Tenant]) -> bool:
        """Whether people of these tenants may see that rollout: one with a device of theirs. As long as nobody can say
        whose it is (hawkBit is still making it), those of every tenant of the stack alone."""
        spanned, _ = await self._spanned(stack, rollout)
        return bool(spanned & tenants) or stack.tenants.keys() <= tenants

    async def _spanned(self, stack: StackWorld, rollout: RolloutFacts) -> tuple[frozenset[Tenant], bool]:
        """The tenants with a device in it, and whether that is all of them: every device of it is known."""
        key = (stack.name, rollout.id, rollout.total, rollout.total_groups)
        if key in self._spans:
            return self._spans[key], True
        if len(stack.tenants) == 1:
            return frozenset(stack.tenants), True
        members: set[DeviceName] = set()
        for group in await stack.rollouts.groups(rollout.id):
            members |= await stack.rollouts.members(rollout.id, group.id)
        of_tenant = await self.shared_out(stack, members)
        spanned = frozenset(of_tenant)
        if not members or members.difference(*of_tenant.values()):
            return spanned, False
        self._spans[key] = spanned
        return spanned, True

    async def shared_out(
        self, stack: StackWorld, devices: Collection[DeviceName]
    ) -> Mapping[Tenant, frozenset[DeviceName]]:
        """Whose these devices are, by tenant; those that no tenant's ThingsBoard knows are in none."""
        found = {}
        for tenant in stack.tenants.values():
            if own := (await self._names_of(stack, tenant)).intersection(devices):
                found[tenant.id] = own
        return found

    async def _names_of(self, stack: StackWorld, tenant: TenantWorld) -> frozenset[DeviceName]:
        held = self._names.setdefault((stack.name, tenant.id), _Names())
        async with held.lock:
            if self._clock.monotonic() >= held.until:
                held.names = frozenset(await tenant.devices.names(limit=NAMES_LIMIT))
                held.until = self._clock.monotonic() + NAMES_FRESH_S
        return held.names
