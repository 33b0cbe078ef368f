"""What a wished release would reach, read from hawkBit, ThingsBoard and the store."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from core.errors import NotFound, OutsideError
from core.ids import DeviceName, Stack, Tenant
from core.messages.text import plain
from core.ports import Clock
from core.release_ports import Releases
from core.rollouts.facts import DistributionSet, RolloutFacts, RolloutStatus
from core.rollouts.policies import ROLLBACK
from core.rollouts.preview import Overlap, Place, Preview, Reach
from core.rollouts.release import TargetSeen
from core.rollouts.wish import ReleaseWish, obstacles
from flows.rollouts.site import Site
from flows.world import StackWorld, World
from integrations.store.incidents import Incidents

log = structlog.get_logger(__name__)

SILENT_AFTER = timedelta(hours=1)
ATTRIBUTES_S = 8.0
"""So long sites and links are read, device by device; then the preview says of how many they are not known."""
AT_ONCE = 8
SITE, METERED = "site", "metered"
"""The server-side attributes of a device in ThingsBoard that a preview shows."""
SETS_ASKED = 200
INCIDENTS_READ = 500
_UNSTARTED = (RolloutStatus.CREATING, RolloutStatus.READY, RolloutStatus.WAITING_FOR_APPROVAL)


class ReleaseReader:
    def __init__(self, *, world: World, sites: Mapping[Stack, Site], incidents: Incidents, clock: Clock) -> None:
        self._world = world
        self._sites = sites
        self._incidents = incidents
        self._clock = clock

    async def tenants(self, wish: ReleaseWish) -> tuple[frozenset[Tenant], int]:
        """Where the right is needed, and how many devices there are. With none, or one that nobody knows, the right is
        needed in every tenant of the stack. Raises NotFound; Refused with hawkBit's word where the filter is wrong."""
        stack = self._world.stack(wish.stack)
        devices = _names(await stack.releases.covered(wish.where))
        of_tenant = await self._world.shared_out(stack, devices)
        known = frozenset[DeviceName]().union(*of_tenant.values())
        whole = not devices or bool(devices - known)
        return frozenset(stack.tenants if whole else of_tenant), len(devices)

    def policies(self, stack: Stack) -> Sequence[str]:
        """The names by which a policy may be chosen there: not that of a way back, which asks for less."""
        return tuple(name for name in self._sites[stack].policies.names() if name != ROLLBACK)

    async def reach(self, wish: ReleaseWish) -> Reach:
        """Raises as `tenants`, and NotFound where hawkBit has no such set."""
        reach, _ = await self._reach(wish)
        return reach

    async def preview(self, wish: ReleaseWish) -> Preview:
        """As `reach`, with all that may surprise. What only ThingsBoard could tell and does not is left out."""
        stack = self._world.stack(wish.stack)
        reach, targets = await self._reach(wish)
        now = self._clock.now()
        places, metered, unread = await self._attributes(stack, reach.of_tenant)
        before = await self.previous(reach) if reach.devices else {}
        counted = Counter(before.values())
        counted[""] = len(reach.devices) - len(before)
        return Preview(
            reach=reach,
            places=places,
            silent=sum(_is_silent(target, now) for target in targets),
            never=sum(target.last_poll_at is None for target in targets),
            silent_h=SILENT_AFTER.total_seconds() / 3600,
            alarmed=await self._alarmed(stack, reach.of_tenant),
            metered=metered,
            unread=unread,
            before=counted,
        )

    async def previous(self, reach: Reach) -> Mapping[DeviceName, str]:
        """The set ("name:version") that each device has now, by hawkBit. Those without one are left out. A list of
        targets does not say the set (measured on hawkBit 1.1.0), so each set is asked who has it, newest first."""
        releases = self._world.stack(reach.wish.stack).releases
        found: dict[DeviceName, str] = {}
        for one in list(reversed(await releases.sets()))[:SETS_ASKED]:
            if len(found) >= len(reach.devices):
                break
            for device in await _having(releases, reach.wish.where, one):
                found.setdefault(device, str(one))
        return {device: found[device] for device in reach.devices & found.keys()}

    async def _reach(self, wish: ReleaseWish) -> tuple[Reach, Sequence[TargetSeen]]:
        stack, site = self._world.stack(wish.stack), self._sites[wish.stack]
        wanted = await stack.rollouts.set_by_version(wish.set_name, wish.version)
        if wanted is None:
            raise NotFound(
                f"hawkBit {stack.name} has no set {plain(wish.set, 100)}. cdm bundle upload makes one of a bundle."
            )
        targets = await stack.releases.covered(wish.where)
        devices = _names(targets)
        of_tenant = await self._world.shared_out(stack, devices)
        installed = await _having(stack.releases, wish.where, wanted)
        policy = site.policies.of(wish.name, wish.policy)
        against = obstacles(wish, wanted, len(devices), len(installed & devices), policy, self._clock.now())
        known = self.policies(site.stack)
        if wish.policy and wish.policy not in known:
            against = (f"There is no policy {plain(wish.policy, 60)!r}. There are: {', '.join(known)}.", *against)
        reach = Reach(
            wish=wish,
            set=wanted,
            devices=devices,
            of_tenant=of_tenant,
            strangers=devices.difference(*of_tenant.values()),
            installed=installed & devices,
            overlaps=await self._overlaps(stack, wish.name, devices),
            policy=policy.name,
            against=against,
        )
        return reach, targets

    async def _overlaps(self, stack: StackWorld, own_name: str, devices: frozenset[DeviceName]) -> tuple[Overlap, ...]:
        found = []
        for facts in await stack.rollouts.active():
            if facts.name != own_name:
                one = await self._overlap(stack, facts, devices)
                if one.devices:
                    found.append(one)
        return tuple(found)

    async def _overlap(self, stack: StackWorld, facts: RolloutFacts, devices: frozenset[DeviceName]) -> Overlap:
        if facts.status in _UNSTARTED:
            members: set[DeviceName] = set()
            for group in await stack.rollouts.groups(facts.id):
                members |= await stack.rollouts.members(facts.id, group.id)
            return Overlap(facts.id, facts.name, unstarted=len(devices & members))
        actions = [action for action in await stack.actions.open(facts.id) if action.device in devices]
        waiting = sum(action.status == "scheduled" for action in actions)
        return Overlap(facts.id, facts.name, waiting=waiting, running=len(actions) - waiting)

    async def _alarmed(
        self, stack: StackWorld, of_tenant: Mapping[Tenant, frozenset[DeviceName]]
    ) -> frozenset[DeviceName]:
        found: set[DeviceName] = set()
        for tenant, devices in of_tenant.items():
            for incident in await self._incidents.open(stack.name, tenant, limit=INCIDENTS_READ):
                found |= {m.device for m in incident.members.values() if m.active and m.device in devices and m.device}
        return frozenset(found)

    async def _attributes(
        self, stack: StackWorld, of_tenant: Mapping[Tenant, frozenset[DeviceName]]
    ) -> tuple[Sequence[Place], int, int]:
        """Where devices are, how many are on metered links, and how many could not be read."""
        room = asyncio.Semaphore(AT_ONCE)
        sites: dict[DeviceName, str] = {}
        metered: set[DeviceName] = set()

        async def read(tenant: Tenant, device: DeviceName) -> None:
            async with room:
                try:
                    facts = await stack.tenants[tenant].devices.device(device, ())
                except OutsideError as error:
                    log.info("release_device_not_read", device=device, reason=error.reason)
                    return
            sites[device] = facts.attributes.get(SITE, "") if facts is not None else ""
            if facts is not None and facts.attributes.get(METERED, "").lower() in ("true", "1", "yes"):
                metered.add(device)

        try:
            async with asyncio.timeout(ATTRIBUTES_S), asyncio.TaskGroup() as group:
                for tenant, devices in of_tenant.items():
                    for device in sorted(devices):
                        group.create_task(read(tenant, device))
        except TimeoutError:
            log.info("release_attributes_late", stack=stack.name, read=len(sites))
        places = [
            Place(tenant, site, number)
            for tenant, devices in of_tenant.items()
            for site, number in Counter(sites.get(device, "") for device in devices).items()
        ]
        return places, len(metered), sum(map(len, of_tenant.values())) - len(sites)


def _names(targets: Collection[TargetSeen]) -> frozenset[DeviceName]:
    return frozenset(target.device for target in targets)


def _is_silent(target: TargetSeen, now: datetime) -> bool:
    return target.last_poll_at is None or now - target.last_poll_at > SILENT_AFTER


async def _having(releases: Releases, query: str, wanted: DistributionSet) -> frozenset[DeviceName]:
    """hawkBit takes * in a name for any text, so who has such a set cannot be asked."""
    return frozenset() if "*" in str(wanted) else await releases.having(query, wanted)
