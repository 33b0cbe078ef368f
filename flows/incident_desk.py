"""What people ask of incidents: allowed first, done by `flows.incidents`, answered in words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from core.access import Action
from core.errors import NotFound, Refused
from core.ids import DeviceName, IncidentId, SlackUser, Stack, Tenant
from core.incidents import Incident
from flows.gate import Gate, Person
from flows.incidents import Acted, IncidentActs
from flows.world import World
from integrations.store.incidents import Incidents


class IncidentDesk:
    def __init__(self, *, world: World, gate: Gate, acts: IncidentActs, incidents: Incidents) -> None:
        self._world = world
        self._gate = gate
        self._acts = acts
        self._incidents = incidents

    async def open_in(self, tenants: frozenset[Tenant]) -> Sequence[Incident]:
        """Open incidents of these tenants, newest first."""
        found: list[Incident] = []
        for stack in self._world.stacks.values():
            for tenant in sorted(tenants & stack.tenants.keys()):
                found += await self._incidents.open(stack.name, tenant)
        return sorted(found, key=lambda incident: -incident.opened_ms)

    async def alarms_of(self, stack: Stack, tenant: Tenant, device: DeviceName) -> Sequence[str]:
        """The device's active alarms, in words."""
        return [
            f"{incident.type} ({member.severity.name.lower()}{', acknowledged' if member.acknowledged else ''})"
            for incident in await self._incidents.of_device(stack, tenant, device)
            for member in incident.active
            if member.device == device
        ]

    async def device_of(self, id: IncidentId, user: SlackUser) -> DeviceName:
        """The one device that a run started from this incident is for. Raises Denied, NotFound or Refused."""
        incident = await self._seen(id, user)
        if incident.grouped:
            raise Refused(
                f"This incident is about {_devices(incident)}. Nothing was done; name one: /cdm run <runbook> <device>."
            )
        if incident.newest.device is None:
            raise NotFound("This alarm names no device, so nothing can be run on one.")
        return incident.newest.device

    async def devices_of(self, id: IncidentId, user: SlackUser) -> tuple[Tenant, frozenset[DeviceName]]:
        """Whose incident it is, and the devices it is about. Raises Denied, NotFound or Refused."""
        incident = await self._seen(id, user)
        return incident.tenant, frozenset(m.device for m in incident.members.values() if m.device is not None)

    async def acknowledge(self, id: IncidentId, user: SlackUser) -> str:
        by, again = await self._allowed(id, user, Action.ACKNOWLEDGE)
        return _in_words("acknowledged", await self._acts.acknowledge(id, by, again))

    async def clear(self, id: IncidentId, user: SlackUser) -> str:
        by, again = await self._allowed(id, user, Action.CLEAR)
        return _in_words("cleared", await self._acts.clear(id, by, again))

    async def _seen(self, id: IncidentId, user: SlackUser) -> Incident:
        """The incident, for somebody who may see it: a button's value can name any."""
        incident = await self._acts.incident(id)
        await self._gate.require(user, Action.VIEW, frozenset({incident.tenant}), f"incident:{id}")
        return _as_shown(incident, id)

    async def _allowed(
        self, id: IncidentId, user: SlackUser, action: Action
    ) -> tuple[Person, Callable[[], Awaitable[Person]]]:
        """Who may at the click, before anything of the incident is told; and what asks it again at execution."""
        incident = await self._acts.incident(id)

        async def allowed() -> Person:
            return await self._gate.require(user, action, frozenset({incident.tenant}), f"incident:{id}")

        by = await allowed()
        _as_shown(incident, id)
        return by, allowed


def _as_shown(incident: Incident, id: IncidentId) -> Incident:
    """The incident whose message was pressed. Raises Refused where it has meanwhile become part of a larger one, so
    that nothing is done to devices the person was not shown."""
    if incident.id != id:
        raise Refused(
            f"This alarm has become part of incident {incident.id}, about {_devices(incident)}. Nothing was done; "
            "use that incident's message."
        )
    return incident


def _devices(incident: Incident) -> str:
    count = len({member.originator_id for member in incident.members.values()})
    return "1 device" if count == 1 else f"{count} devices"


def _in_words(what: str, acted: Acted) -> str:
    if acted.wanted == 0:
        return f"Nothing was left to do: every alarm of this incident is already {what}, or over."
    alarms = "1 alarm" if acted.wanted == 1 else f"{acted.wanted} alarms"
    gone = f" {acted.gone} no longer exist in ThingsBoard." if acted.gone else ""
    if acted.complete:
        return f"{acted.done} of {alarms} {what} in ThingsBoard.{gone}"
    failed = sum(acted.failed.values())
    return f"{acted.done} of {alarms} {what}, {failed} not: {acted.problem}{gone} Press again to do the rest."
