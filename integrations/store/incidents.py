"""Alarms and incidents as documents, with the indices by which they are found.

Reading needs nothing; writing is commands for a commit under the lease of the fold. An alarm's document is found by
stack, tenant and alarm id together: an id in a body says nothing about whose alarm it is.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from core.alarms.facts import Severity
from core.alarms.fold import AlarmState
from core.ids import AlarmId, DeviceName, IncidentId, Stack, Tenant
from core.incidents import Incident, Member, Phase, Window, resolve
from integrations.store.connection import Store
from integrations.store.families import DAY, HOUR, Family
from integrations.store.leases import Command
from integrations.store.update_stories import story_of

CLOSED_S = 30 * DAY
MAX_PER_TENANT = 10_000
MAX_PER_DEVICE = 50
DOUBTS = "cdm:alarms:doubtful"
FILES = "cdm:incidents:files"
_ENDS = "30 days after it is over (reconciliation ends what ThingsBoard no longer has)"

FAMILIES = (
    Family("alarms", "cdm:alarm:*", _ENDS, CLOSED_S, max_bytes=256 << 10),
    Family("alarms, active", "cdm:alarms:active:*", "with the alarms in it", None, max_bytes=32 << 20),
    Family("alarms to read again", DOUBTS, "when ThingsBoard was asked", None, max_bytes=32 << 20),
    Family("incidents", "cdm:incident:*", _ENDS, CLOSED_S, max_bytes=4 << 20),
    Family("incidents, open", "cdm:incidents:open:*", "when cleared", None, max_bytes=8 << 20),
    Family("incidents of a tenant", "cdm:incidents:all:*", _ENDS, CLOSED_S, MAX_PER_TENANT, 2 << 20),
    Family("incidents of a device", "cdm:incidents:device:*", _ENDS, CLOSED_S, MAX_PER_DEVICE, 16 << 10),
    Family("last incident of a device and type", "cdm:incidents:last:*", _ENDS, CLOSED_S, max_bytes=64),
    Family("lately opened", "cdm:incidents:window:*", "an hour after the last one", HOUR, max_bytes=1 << 10),
    Family("device lists to upload", FILES, "when uploaded", None, max_bytes=1 << 20),
)


@dataclass(frozen=True, slots=True, order=True)
class AlarmKey:
    """One alarm of one tenant."""

    stack: Stack
    tenant: Tenant
    alarm_id: AlarmId

    def __str__(self) -> str:
        return f"{self.stack}/{self.tenant}/{self.alarm_id}"


@dataclass(frozen=True, slots=True)
class Held:
    """An alarm as stored, and the incident it was put in (which may have become part of another), if any."""

    state: AlarmState
    incident: IncidentId | None = None


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """One type of alarm of one originator."""

    stack: Stack
    tenant: Tenant
    type: str
    originator_id: str

    @property
    def window(self) -> tuple[Stack, Tenant, str]:
        return self.stack, self.tenant, self.type


WindowKey = tuple[Stack, Tenant, str]
_K = TypeVar("_K")

PACKED_FROM = 16 << 10
PARSED = 64
"""So many incidents are kept parsed in a process."""


class Incidents:
    """The documents and their indices."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._parsed: dict[IncidentId, tuple[bytes, Incident]] = {}

    async def alarms(self, keys: Iterable[AlarmKey]) -> dict[AlarmKey, Held]:
        return {key: _held(raw) for key, raw in (await self._read(keys, _alarm_key)).items()}

    async def incidents(self, ids: Iterable[IncidentId]) -> dict[IncidentId, Incident]:
        """Those named, and the groups they have become part of."""
        found = {id: self._parse(id, raw) for id, raw in (await self._read(ids, _incident_key)).items()}
        groups = {one.part_of for one in found.values() if one.part_of} - found.keys()
        return found | {id: self._parse(id, raw) for id, raw in (await self._read(groups, _incident_key)).items()}

    async def windows(self, keys: Iterable[WindowKey]) -> dict[WindowKey, Window]:
        return {key: _window(raw) for key, raw in (await self._read(keys, _window_key)).items()}

    async def last(self, sources: Iterable[Source]) -> dict[Source, IncidentId]:
        """The incident in which each was last seen."""
        found = await self._read(sources, _last_key)
        return {source: IncidentId(raw.decode()) for source, raw in found.items()}

    async def find(self, id: IncidentId) -> Incident | None:
        """The incident of that id or, where it has become part of one, its group."""
        return resolve(id, await self.incidents([id]))

    async def open(self, stack: Stack, tenant: Tenant, *, limit: int = 50) -> list[Incident]:
        """The tenant's incidents that are not cleared, newest first."""
        return await self._listed(f"cdm:incidents:open:{stack}/{tenant}", limit)

    async def open_count(self, stack: Stack, tenant: Tenant) -> int:
        return int(await self._store.zcard(f"cdm:incidents:open:{stack}/{tenant}"))

    async def of_device(self, stack: Stack, tenant: Tenant, device: DeviceName, *, limit: int = 20) -> list[Incident]:
        """The device's incidents of the last 30 days, newest first; groups stand for what became part of them."""
        return await self._listed(_device_key(stack, tenant, device), limit)

    async def of_tenant(self, stack: Stack, tenant: Tenant, *, limit: int = 50) -> list[Incident]:
        """The tenant's incidents of the last 30 days, newest first."""
        return await self._listed(f"cdm:incidents:all:{stack}/{tenant}", limit)

    async def active(self, stack: Stack, tenant: Tenant) -> set[AlarmId]:
        """The alarms we hold active."""
        return {AlarmId(id.decode()) for id in await self._store.smembers(_active_key(stack, tenant))}

    async def doubtful(self, now_ms: int, *, limit: int) -> list[AlarmKey]:
        """Alarms that ThingsBoard has to be asked about, and may be asked again."""
        rows = await self._store.zrangebyscore(DOUBTS, "-inf", now_ms, start=0, num=limit)
        return [_alarm_key_of(row.decode()) for row in rows]

    async def files_due(self, now_ms: int, *, limit: int = 10) -> list[IncidentId]:
        """Groups whose list of devices is to be uploaded now."""
        rows = await self._store.zrangebyscore(FILES, "-inf", now_ms, start=0, num=limit)
        return [IncidentId(row.decode()) for row in rows]

    def put_alarm(self, key: AlarmKey, held: Held, before: Held | None, now_ms: int) -> list[Command]:
        state, doc = held.state, orjson.dumps(held)
        keep = () if state.active else ("EX", CLOSED_S)
        commands: list[Command] = [("SET", _alarm_key(key), doc, *keep)]
        if before is None or before.state.active != state.active:
            commands.append(("SADD" if state.active else "SREM", _active_key(key.stack, key.tenant), key.alarm_id))
        if state.needs_read:
            commands.append(("ZADD", DOUBTS, "NX", now_ms, str(key)))
        elif before is not None and before.state.needs_read:
            commands.append(("ZREM", DOUBTS, str(key)))
        return commands

    def put_incident(self, incident: Incident, before: Incident | None, now_ms: int) -> list[Command]:
        scope, id = f"{incident.stack}/{incident.tenant}", incident.id
        over = incident.part_of is not None or incident.phase is Phase.CLEARED
        doc = _packed(orjson.dumps({**_fields(incident), "members": list(incident.members.values())}))
        self._remember(id, doc, incident)
        commands: list[Command] = [("SET", _incident_key(id), doc, *(("EX", CLOSED_S) if over else ()))]
        opened = f"cdm:incidents:open:{scope}"
        commands.append(("ZREM", opened, id) if over else ("ZADD", opened, incident.opened_ms, id))
        if before is None:
            every = f"cdm:incidents:all:{scope}"
            commands += _index(every, incident.opened_ms, id, MAX_PER_TENANT, now_ms)
        old = before.members.keys() if before is not None else set[AlarmId]()
        devices = {m.device for alarm_id, m in incident.members.items() if m.device and alarm_id not in old}
        for device in sorted(devices):
            key = _device_key(incident.stack, incident.tenant, device)
            commands += _index(key, incident.joined_ms, id, MAX_PER_DEVICE, now_ms)
        return commands

    def put_window(self, key: WindowKey, window: Window) -> list[Command]:
        return [("SET", _window_key(key), orjson.dumps(window), "EX", HOUR)]

    def put_last(self, source: Source, id: IncidentId) -> list[Command]:
        return [("SET", _last_key(source), id, "EX", CLOSED_S)]

    def ask_later(self, key: AlarmKey, due_ms: int) -> Command:
        """Do not ask about this alarm before then."""
        return ("ZADD", DOUBTS, "XX", due_ms, str(key))

    def file_due(self, id: IncidentId, due_ms: int) -> Command:
        return ("ZADD", FILES, "NX", due_ms, id)

    def file_done(self, id: IncidentId) -> Command:
        return ("ZREM", FILES, id)

    def _parse(self, id: IncidentId, raw: bytes) -> Incident:
        """A group of a thousand takes 6 ms to parse, and a storm reads the same one again and again: what the store
        still holds byte for byte is known."""
        known = self._parsed.get(id)
        if known is not None and known[0] == raw:
            return known[1]
        incident = _incident(raw)
        self._remember(id, raw, incident)
        return incident

    def _remember(self, id: IncidentId, raw: bytes, incident: Incident) -> None:
        self._parsed.pop(id, None)
        self._parsed[id] = (raw, incident)
        if len(self._parsed) > PARSED:
            del self._parsed[next(iter(self._parsed))]

    async def _read(self, keys: Iterable[_K], name: Any) -> dict[_K, bytes]:
        wanted = list(dict.fromkeys(keys))
        found = await self._store.mget([name(key) for key in wanted]) if wanted else []
        return {key: raw for key, raw in zip(wanted, found, strict=True) if raw is not None}

    async def _listed(self, index: str, limit: int) -> list[Incident]:
        ids = [IncidentId(id.decode()) for id in await self._store.zrevrange(index, 0, limit - 1)]
        known = await self.incidents(ids)
        return list({one.id: one for id in ids if (one := resolve(id, known)) is not None}.values())


def _index(key: str, score_ms: int, id: IncidentId, cap: int, now_ms: int) -> list[Command]:
    return [
        ("ZADD", key, score_ms, id),
        ("ZREMRANGEBYSCORE", key, "-inf", now_ms - CLOSED_S * 1000),
        ("ZREMRANGEBYRANK", key, 0, -cap - 1),
        ("EXPIRE", key, CLOSED_S),
    ]


def _digest(*parts: str) -> str:
    """Types and device names are foreign text of any length: not for keys."""
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:24]


def _alarm_key(key: AlarmKey) -> str:
    return f"cdm:alarm:{key}"


def _alarm_key_of(text: str) -> AlarmKey:
    stack, tenant, alarm_id = text.split("/")
    return AlarmKey(Stack(stack), Tenant(tenant), AlarmId(alarm_id))


def _active_key(stack: Stack, tenant: Tenant) -> str:
    return f"cdm:alarms:active:{stack}/{tenant}"


def _incident_key(id: IncidentId) -> str:
    return f"cdm:incident:{id}"


def _device_key(stack: Stack, tenant: Tenant, device: DeviceName) -> str:
    return f"cdm:incidents:device:{stack}/{tenant}/{_digest(device)}"


def _window_key(key: WindowKey) -> str:
    stack, tenant, kind = key
    return f"cdm:incidents:window:{stack}/{tenant}/{_digest(kind)}"


def _last_key(source: Source) -> str:
    return f"cdm:incidents:last:{source.stack}/{source.tenant}/{_digest(source.type, source.originator_id)}"


def _fields(incident: Incident) -> dict[str, Any]:
    return {name: getattr(incident, name) for name in Incident.__slots__}


def _packed(doc: bytes) -> bytes:
    """A group of a thousand has 400 kB and is written each second of a storm: a tenth of that when packed, and what the
    store's fsync writes is what alarms wait for."""
    return zlib.compress(doc, 1) if len(doc) > PACKED_FROM else doc


def _held(raw: bytes) -> Held:
    found = orjson.loads(raw)
    state = found["state"]
    severity, lowest = Severity(state["severity"]), Severity(state["lowest"])
    return Held(AlarmState(**{**state, "severity": severity, "lowest": lowest}), found["incident"])


def _incident(raw: bytes) -> Incident:
    found = orjson.loads(raw if raw[:1] == b"{" else zlib.decompress(raw))
    members: Sequence[Mapping[str, Any]] = found["members"]
    read = [Member(**{**member, "severity": Severity(member["severity"])}) for member in members]
    update = story_of(found["update"]) if found.get("update") else None
    return Incident(**{**found, "members": {member.alarm_id: member for member in read}, "update": update})


def _window(raw: bytes) -> Window:
    found = orjson.loads(raw)
    return Window(tuple((IncidentId(id), at) for id, at in found["recent"]), found["group"])
