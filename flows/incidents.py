"""What people do to incidents: acknowledge and clear, for every alarm in one, in ThingsBoard itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from core.alarms.fold import gone
from core.alarms.parse import Kind, Told
from core.errors import NotFound, OutcomeUnknown, OutsideError
from core.ids import IncidentId
from core.incidents import Incident, Member
from core.ports import Alarms, Clock
from flows.gate import Denied, Person
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


StillAllowed: TypeAlias = Callable[[], Awaitable[Person]]


class IncidentActs:
    """Who may is decided before (`flows.gate`); here it is done, audited, and fed back into the fold."""

    def __init__(self, *, world: World, incidents: Incidents, intake: Intake, audit: AuditLog, clock: Clock) -> None:
        self._world = world
        self._incidents = incidents
        self._intake = intake
        self._audit = audit
        self._clock = clock

    async def acknowledge(self, incident_id: IncidentId, by: Person, still_allowed: StillAllowed) -> Acted:
        """Acknowledge every active alarm of the incident. A repeat does nothing and is complete. Raises NotFound, or
        the Denied of `still_allowed`, which reads the person's right once more before anything is done."""
        incident = await self.incident(incident_id)
        members = [member for member in incident.active if not member.acknowledged]
        return await self._act(Kind.ACKNOWLEDGED, incident, members, by, still_allowed)

    async def clear(self, incident_id: IncidentId, by: Person, still_allowed: StillAllowed) -> Acted:
        """Clear every active alarm of the incident. A repeat does nothing and is complete. Raises as `acknowledge`."""
        incident = await self.incident(incident_id)
        return await self._act(Kind.CLEARED, incident, list(incident.active), by, still_allowed)

    async def incident(self, incident_id: IncidentId) -> Incident:
        """The incident, or the group it has become part of. Raises NotFound."""
        found = await self._incidents.find(incident_id)
        if found is None:
            raise NotFound("There is no such incident any more: it was over more than 30 days ago.")
        return found

    async def _act(
        self, kind: Kind, incident: Incident, members: list[Member], by: Person, still_allowed: StillAllowed
    ) -> Acted:
        if not members:
            return Acted(incident.id, 0, 0, 0, {})
        action, thing = _ACTIONS[kind], f"incident:{incident.id}"
        alarms = self._world.tenant(incident.stack, incident.tenant).alarms
        ref = await self._audit.intent(
            by.subject,
            action,
            thing,
            {
                "name": by.username,
                "tenant": incident.tenant,
                "stack": incident.stack,
                "alarms": [member.alarm_id for member in members],
                "rights_read_at": by.read_at.isoformat(),
            },
        )
        try:
            await still_allowed()
        except Denied as denied:
            await self._audit.outcome(ref, by.subject, action, thing, {"refused": denied.reason})
            raise
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
