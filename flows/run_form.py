"""What the form for a run may offer a person, and whether a run sent from it may still go where it was meant to."""

from __future__ import annotations

from dataclasses import dataclass

from core.access import Action
from core.errors import NotFound, Refused
from core.ids import DeviceName, IncidentId, SlackUser
from core.messages.text import plain
from flows.gate import Gate
from flows.incident_desk import IncidentDesk


@dataclass(frozen=True, slots=True)
class Offer:
    """`reads` and `changes`: whether the person may run such runbooks, somewhere or on the incident's devices.

    `device` is the only one there is to choose; `devices` how many the incident is about, 0 where there is none.
    """

    reads: bool
    changes: bool
    device: DeviceName | None = None
    devices: int = 0


class RunOffers:
    def __init__(self, *, gate: Gate, incidents: IncidentDesk) -> None:
        self._gate = gate
        self._incidents = incidents

    async def offer(self, user: SlackUser, incident: IncidentId | None) -> Offer:
        """By a live answer of Keycloak; the run itself asks again. Raises Denied or OutsideError."""
        actions = (Action.RUN_READ_ONE, Action.RUN_CHANGE_ONE)
        if incident is None:
            able = await self._gate.where(user, actions)
            return Offer(bool(able[Action.RUN_READ_ONE]), bool(able[Action.RUN_CHANGE_ONE]))
        tenant, devices = await self._incidents.devices_of(incident, user)
        able = await self._gate.where(user, actions, frozenset({tenant}))
        if not devices:
            raise NotFound("This alarm names no device, so nothing can be run on one.")
        only = next(iter(devices)) if len(devices) == 1 else None
        return Offer(bool(able[Action.RUN_READ_ONE]), bool(able[Action.RUN_CHANGE_ONE]), only, len(devices))

    async def check(self, user: SlackUser, incident: IncidentId, device: DeviceName) -> None:
        """Is the incident about this device? Its thread takes no results of others. Raises Denied or Refused."""
        _, devices = await self._incidents.devices_of(incident, user)
        if device not in devices:
            raise Refused(
                f"This incident is not about {plain(device, 80)}, so nothing was run. For another device type "
                "/cdm run <runbook> <device>."
            )
