"""Alarms -> incidents: what a person is shown and works on. One incident has one message.

An alarm of a device makes an incident of its own. When more than five devices of one tenant raise the same type within
two minutes, they share one: the first five become part of it, later ones join while it goes on. A device whose alarm
comes back within ten minutes (a new alarm id, since ThingsBoard never reopens one) is flapping and counts up its
incident instead of opening another. All instants are our clock's, in ms: the messages of a storm come at once, also
where ThingsBoard delivered them late.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from core.alarms.facts import Severity
from core.alarms.fold import AlarmState
from core.ids import AlarmId, DeviceName, IncidentId, Stack, Tenant
from core.ota import UpdateStory

GROUP_ABOVE = 5
"""So many devices of one (tenant, type) keep messages of their own; one more makes a group."""
WINDOW_MS = 120_000
GROUP_LIFE_MS = 30 * 60_000
"""A group takes no more devices after this time: an edited message calls nobody, a new one does."""
GROUP_LIMIT = 1_000
"""Alarms one group holds. The next one opens another."""
FLAP_MS = 10 * 60_000
NOTE_LIMIT = 400

_PATTERN = re.compile(r"\$\{([^{}]*)\}")


class Phase(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CLEARED = "cleared"


@dataclass(frozen=True, slots=True)
class Member:
    """One alarm in an incident. `heard_ms` and `over_ms`: when we first heard of it, and of its end (0 = goes on).

    `found_after_ms`: how old it was when reconciliation found it; 0 where its webhook arrived. `note` is what its
    details say, as foreign text.
    """

    alarm_id: AlarmId
    originator_id: str
    device: DeviceName | None
    label: str | None
    severity: Severity
    acknowledged: bool
    cleared: bool
    deleted: bool
    created_ms: int
    ack_ms: int
    clear_ms: int
    heard_ms: int
    over_ms: int = 0
    found_after_ms: int = 0
    acked_by: str | None = None
    cleared_by: str | None = None
    assignee: str | None = None
    note: str = ""

    @property
    def active(self) -> bool:
        return not (self.cleared or self.deleted)

    @property
    def shown_as(self) -> str:
        """The device's name, or what else names the originator."""
        return self.device or self.label or self.originator_id


@dataclass(frozen=True, slots=True)
class Incident:
    """`repeats` counts further alarms of devices already in it. `part_of`: a group took it over, this is a pointer now.

    `shown`: its message has been wanted, so it must go on telling the truth. `filed`: so many alarms stood in the list
    that was last uploaded. `update`: what hawkBit knows of the update that failed, where its alarm tells of one.
    """

    id: IncidentId
    stack: Stack
    tenant: Tenant
    type: str
    grouped: bool
    opened_ms: int
    joined_ms: int
    members: Mapping[AlarmId, Member]
    repeats: int = 0
    part_of: IncidentId | None = None
    shown: bool = False
    filed: int = 0
    update: UpdateStory | None = None

    @property
    def active(self) -> tuple[Member, ...]:
        return tuple(member for member in self.members.values() if member.active)

    @property
    def phase(self) -> Phase:
        active = self.active
        if not active:
            return Phase.CLEARED
        return Phase.ACKNOWLEDGED if all(member.acknowledged for member in active) else Phase.OPEN

    @property
    def severity(self) -> Severity:
        """The worst that goes on; of a cleared one, the worst it was."""
        return max(member.severity for member in self.active or self.members.values())

    @property
    def newest(self) -> Member:
        return max(self.members.values(), key=lambda m: (m.active, m.heard_ms, m.alarm_id))


@dataclass(frozen=True, slots=True)
class Window:
    """What opened lately for one (tenant, type): single incidents with the instant, and the group that goes on."""

    recent: tuple[tuple[IncidentId, int], ...] = ()
    group: IncidentId | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """Where an alarm went. `changed` are the incidents that are different now, its own one first."""

    home: IncidentId
    changed: tuple[Incident, ...]
    window: Window


def incident_id(stack: Stack, tenant: Tenant, alarm: AlarmId, *, grouped: bool = False) -> IncidentId:
    """Made from its meaning: the alarm that opened it. The same whoever computes it, and whenever."""
    meaning = "\x00".join((stack, tenant, alarm, "group" if grouped else "single"))
    return IncidentId("i" + hashlib.sha256(meaning.encode()).hexdigest()[:20])


def member_of(state: AlarmState, *, heard_ms: int, found: bool = False, before: Member | None = None) -> Member:
    """The alarm as its incident shows it. `before` is what it showed so far; `found`: a read told of it first."""
    over = not state.active
    return Member(
        alarm_id=state.alarm_id,
        originator_id=state.originator_id,
        device=state.device,
        label=state.label,
        severity=state.severity,
        acknowledged=state.acknowledged,
        cleared=state.cleared,
        deleted=state.deleted,
        created_ms=state.created_ms or state.start_ms or heard_ms,
        ack_ms=state.ack_ms,
        clear_ms=state.clear_ms,
        heard_ms=before.heard_ms if before else heard_ms,
        over_ms=((before.over_ms if before else 0) or heard_ms) if over else 0,
        found_after_ms=before.found_after_ms if before else max(0, heard_ms - state.created_ms) if found else 0,
        acked_by=state.acked_by,
        cleared_by=state.cleared_by,
        assignee=state.assignee,
        note=note(state.details),
    )


def place(
    stack: Stack,
    tenant: Tenant,
    kind: str,
    member: Member,
    *,
    window: Window,
    known: Mapping[IncidentId, Incident],
    previous: IncidentId | None,
) -> Placed:
    """The incident a new alarm belongs to. `kind` is the alarm's type, `previous` the incident in which its device was
    last seen with that type; `known` holds `previous`, the window's incidents and the groups they point to."""
    now = member.heard_ms
    last = resolve(previous, known)
    if last is not None and _flaps(last, member):
        return Placed(last.id, (_join(last, member),), window)
    group = known.get(window.group) if window.group else None
    if group is not None and _takes(group, now):
        return Placed(group.id, (_join(group, member),), window)
    recent = tuple((id, at) for id, at in window.recent if now - at <= WINDOW_MS and id in known)
    if len(recent) >= GROUP_ABOVE:
        return _form_group(stack, tenant, kind, member, [known[id] for id, _ in recent])
    id = incident_id(stack, tenant, member.alarm_id)
    single = Incident(id, stack, tenant, kind, False, now, now, {member.alarm_id: member})
    return Placed(id, (single,), replace(window, recent=(*recent, (id, now)), group=None))


def touch(incident: Incident, member: Member) -> Incident:
    """The incident with the alarm as it is now. An alarm that is over and has a successor of its device is let go."""
    if member.alarm_id not in incident.members:
        return incident
    if incident.members[member.alarm_id] == member:
        return incident
    members = {**incident.members, member.alarm_id: member}
    if not member.active and any(_succeeds(other, member) for other in members.values()):
        del members[member.alarm_id]
    return replace(incident, members=members)


def resolve(id: IncidentId | None, known: Mapping[IncidentId, Incident]) -> Incident | None:
    """The incident, or the group it has become part of."""
    found = known.get(id) if id else None
    if found is not None and found.part_of is not None:
        return known.get(found.part_of)
    return found


def superseded(incident: Incident, member: Member) -> tuple[AlarmId, ...]:
    """Alarms of the same device that we still hold active although ThingsBoard keeps one at a time: to be read."""
    return tuple(m.alarm_id for m in incident.members.values() if m.active and _succeeds(member, m))


def note(details: Any) -> str:
    """What an alarm's details say, in one text. Keys that ThingsBoard left unresolved are named as missing."""
    if isinstance(details, dict) and set(details) == {"data"}:
        details = details["data"]
    if isinstance(details, dict) and all(not isinstance(value, dict | list) for value in details.values()):
        text = ", ".join(f"{key}={value}" for key, value in details.items() if value not in (None, ""))
    elif isinstance(details, str):
        text = details
    else:
        text = "" if details in (None, []) else json.dumps(details, ensure_ascii=False)
    return _PATTERN.sub(r"(no \1)", text[: 4 * NOTE_LIMIT])[:NOTE_LIMIT]


def _flaps(incident: Incident, member: Member) -> bool:
    own = [m for m in incident.members.values() if m.originator_id == member.originator_id]
    return any(m.active or member.heard_ms - max(m.heard_ms, m.over_ms) <= FLAP_MS for m in own)


def _takes(group: Incident, now: int) -> bool:
    return (
        now - group.joined_ms <= WINDOW_MS
        and now - group.opened_ms <= GROUP_LIFE_MS
        and len(group.members) < GROUP_LIMIT
    )


def _join(incident: Incident, member: Member) -> Incident:
    members = dict(incident.members)
    repeats = incident.repeats
    if any(m.originator_id == member.originator_id for m in members.values()):
        repeats += 1
        members = {id: m for id, m in members.items() if m.active or m.originator_id != member.originator_id}
    if member.active or not any(_succeeds(other, member) for other in members.values()):
        members[member.alarm_id] = member
    return replace(incident, members=members, repeats=repeats, joined_ms=max(incident.joined_ms, member.heard_ms))


def _form_group(stack: Stack, tenant: Tenant, kind: str, member: Member, singles: list[Incident]) -> Placed:
    id = incident_id(stack, tenant, next(iter(singles[0].members)), grouped=True)
    members = {m.alarm_id: m for single in singles for m in single.members.values()}
    group = Incident(
        id,
        stack,
        tenant,
        kind,
        True,
        singles[0].opened_ms,
        member.heard_ms,
        {**members, member.alarm_id: member},
        sum(single.repeats for single in singles),
    )
    return Placed(id, (group, *(replace(single, part_of=id) for single in singles)), Window(group=id))


def _succeeds(newer: Member, older: Member) -> bool:
    return (
        newer.alarm_id != older.alarm_id
        and newer.originator_id == older.originator_id
        and (newer.created_ms, newer.alarm_id) > (older.created_ms, older.alarm_id)
    )
