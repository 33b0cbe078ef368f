"""What people do to incidents: acknowledge and clear, for every alarm in one, in ThingsBoard itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from core.access import Action
from core.alarms.fold import gone
from core.alarms.parse import Kind, Told
from core.errors import NotFound, OutcomeUnknown, OutsideError, Refused
from core.ids import DeviceName, IncidentId, SlackUser, Stack, Tenant
from core.incidents import Incident, Member
from core.ports import Alarms, Clock
from flows.gate import Gate, Person
from flows.world import World
from integrations.store.audit import AuditLog
from integrations.store.incidents import AlarmKey, Incidents
from integrations.store.intake import Intake

log = structlog.get_logger(__name__)

AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Acted:
    """What came of it, in alarms. `gone`: they no longer exist. `failed`: by reason. `problem`: the first failure, in
    a person's words."""

    incident: IncidentId
    wanted: int
    done: int
    gone: int
    failed: Mapping[str, int]
    problem: str = ""

    @property
    def complete(self) -> bool:
        return not self.failed


class IncidentActs:
    """Who may is decided before (`flows.gate`); here it is done, audited, and fed back into the fold."""

    def __init__(self, *, world: World, incidents: Incidents, intake: Intake, audit: AuditLog, clock: Clock) -> None:
        self._world = world
        self._incidents = incidents
        self._intake = intake
        self._audit = audit
        self._clock = clock

    async def acknowledge(self, incident_id: IncidentId, by: Person) -> Acted:
        """Acknowledge every active alarm of the incident. A repeat does nothing and is complete. Raises NotFound."""
        incident = await self.incident(incident_id)
        members = [member for member in incident.active if not member.acknowledged]
        return await self._act(Kind.ACKNOWLEDGED, incident, members, by)

    async def clear(self, incident_id: IncidentId, by: Person) -> Acted:
        """Clear every active alarm of the incident. A repeat does nothing and is complete. Raises NotFound."""
        incident = await self.incident(incident_id)
        return await self._act(Kind.CLEARED, incident, list(incident.active), by)

    async def incident(self, incident_id: IncidentId) -> Incident:
        """The incident, or the group it has become part of. Raises NotFound."""
        found = await self._incidents.find(incident_id)
        if found is None:
            raise NotFound("There is no such incident any more: it was over more than 30 days ago.")
        return found

    async def _act(self, kind: Kind, incident: Incident, members: list[Member], by: Person) -> Acted:
        if not members:
            return Acted(incident.id, 0, 0, 0, {})
        action, thing = _ACTIONS[kind], f"incident:{incident.id}"
        alarms = self._world.tenant(incident.stack, incident.tenant).alarms
        ref = await self._audit.intent(
            by.subject,
            action,
            thing,
            {"tenant": incident.tenant, "stack": incident.stack, "alarms": [member.alarm_id for member in members]},
        )
        gate = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            acts = [tasks.create_task(self._one(kind, alarms, incident, member, by, gate)) for member in members]
        acted = _summed(incident.id, [act.result() for act in acts])
        await self._audit.outcome(
            ref, by.subject, action, thing, {"done": acted.done, "gone": acted.gone, "failed": dict(acted.failed)}
        )
        return acted

    async def _one(
        self, kind: Kind, alarms: Alarms, incident: Incident, member: Member, by: Person, gate: asyncio.Semaphore
    ) -> OutsideError | None:
        """Act on one alarm, read what became of it, and tell the fold. The failure, if it did not come to stand."""
        problem: OutsideError | None = None
        async with gate:
            try:
                await (alarms.acknowledge if kind is Kind.ACKNOWLEDGED else alarms.clear)(member.alarm_id)
            except NotFound as error:
                problem = error
            except OutsideError as error:
                if not isinstance(error, OutcomeUnknown):
                    return error
                problem = error
            read_ms = self._now_ms()
            try:
                report = await alarms.alarm(member.alarm_id)
            except OutsideError as error:
                log.warning("alarm_read_failed", alarm=member.alarm_id, reason=error.reason)
                return problem
        key = AlarmKey(incident.stack, incident.tenant, member.alarm_id)
        if report is None:
            held = (await self._incidents.alarms([key])).get(key)
            if held is not None:
                told = Told(Kind.DELETED, gone(held.state))
                await self._intake.append_read(incident.stack, incident.tenant, told, read_ms)
            return NotFound("The alarm no longer exists in ThingsBoard.")
        stands = report.cleared if kind is Kind.CLEARED else report.acknowledged
        told = Told(kind, report, by.username) if stands else Told(Kind.UPDATED, report)
        await self._intake.append_read(incident.stack, incident.tenant, told, read_ms)
        return None if stands else problem or OutcomeUnknown("ThingsBoard said yes, but does not show it.")

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)


class IncidentDesk:
    """What people ask of incidents: found, allowed by a live yes, done, answered in words."""

    def __init__(self, *, gate: Gate, world: World, incidents: Incidents, acts: IncidentActs) -> None:
        self._gate = gate
        self._world = world
        self._incidents = incidents
        self._acts = acts

    async def acknowledge(self, incident_id: IncidentId, user: SlackUser) -> str:
        """Raises Denied or OutsideError where nothing was begun."""
        by = await self._allowed(incident_id, user, Action.ACKNOWLEDGE)
        return _words("acknowledged", await self._acts.acknowledge(incident_id, by))

    async def clear(self, incident_id: IncidentId, user: SlackUser) -> str:
        """Raises Denied or OutsideError where nothing was begun."""
        by = await self._allowed(incident_id, user, Action.CLEAR)
        return _words("cleared", await self._acts.clear(incident_id, by))

    async def device_of(self, incident_id: IncidentId) -> DeviceName:
        """The one device the incident is about. Raises NotFound or Refused."""
        incident = await self._acts.incident(incident_id)
        if incident.grouped:
            raise Refused(
                f"This incident is about {len(incident.members)} devices. Nothing was done; name one device: "
                "/cdm run <runbook> <device>."
            )
        device = incident.newest.device
        if device is None:
            raise Refused("This incident is about no device. Nothing was done.")
        return device

    async def open_in(self, tenants: frozenset[Tenant]) -> list[Incident]:
        """The open incidents of these tenants, on every stack; at most 100 of each."""
        return [
            incident
            for stack in self._world.stacks.values()
            for tenant in sorted(tenants & stack.tenants.keys())
            for incident in await self._incidents.open(stack.name, tenant, limit=100)
        ]

    async def alarms_of(self, stack: Stack, tenant: Tenant, device: DeviceName) -> list[str]:
        """What goes on with a device, one plain line each."""
        found = await self._incidents.of_device(stack, tenant, device)
        mine = [(incident, [m for m in incident.active if m.device == device]) for incident in found]
        return [
            f"{max(m.severity for m in members).name} {incident.type} ({incident.phase})"
            for incident, members in mine
            if members
        ]

    async def _allowed(self, incident_id: IncidentId, user: SlackUser, action: Action) -> Person:
        incident = await self._acts.incident(incident_id)
        return await self._gate.require(user, action, frozenset({incident.tenant}), f"incident:{incident.id}")


def _words(done: str, acted: Acted) -> str:
    if not acted.wanted:
        return f"Nothing was left to do: it is {done} already."
    said = f"{acted.done} of {acted.wanted} alarms {done}" if acted.wanted > 1 else f"The alarm is {done}"
    if not acted.done and acted.wanted == 1:
        said = f"The alarm is not {done}"
    gone = f" {acted.gone} no longer exist in ThingsBoard." if acted.gone else ""
    failed = sum(acted.failed.values())
    problem = f" {failed} failed: {acted.problem}" if failed else ""
    return f"{said}.{gone}{problem}"


_ACTIONS = {Kind.ACKNOWLEDGED: "acknowledge", Kind.CLEARED: "clear"}


def _summed(id: IncidentId, results: list[OutsideError | None]) -> Acted:
    failures = [result for result in results if result is not None]
    failed = [failure for failure in failures if not isinstance(failure, NotFound)]
    return Acted(
        incident=id,
        wanted=len(results),
        done=len(results) - len(failures),
        gone=len(failures) - len(failed),
        failed=Counter(failure.reason for failure in failed),
        problem=failed[0].user_text if failed else "",
    )
