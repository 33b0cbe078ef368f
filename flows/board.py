"""What a batch of alarm messages touches: loaded at once, changed in memory, written by one commit."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from core.alarms.fold import fold
from core.alarms.parse import Comment, Kind, Told
from core.ids import IncidentId, Stack, Tenant
from core.incidents import Incident, Window, member_of, place, resolve, superseded, touch
from integrations.store.incidents import AlarmKey, Held, Incidents, Source, WindowKey
from integrations.store.intake import Entry, Origin
from integrations.store.leases import Command

_NEWS = frozenset({Kind.CREATED, Kind.CLEARED})
"""What is worth an incident even if the alarm is over by now; an act on an old, cleared alarm is not."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One entry understood. `own`: it echoes an act of the bot's own account."""

    entry: Entry
    told: Told
    own: bool

    @property
    def key(self) -> AlarmKey:
        return AlarmKey(self.entry.stack, self.entry.tenant, self.told.report.alarm_id)

    @property
    def source(self) -> Source:
        report = self.told.report
        return Source(self.entry.stack, self.entry.tenant, report.type, report.originator_id)


@dataclass(frozen=True, slots=True)
class Remark:
    """A person's comment in ThingsBoard, for the thread of an incident."""

    stack: Stack
    tenant: Tenant
    incident: IncidentId
    comment: Comment
    actor: str | None


@dataclass(slots=True)
class Board:
    """`take` each entry in turn, then read what changed. The same entries on the same documents change the same."""

    alarms: dict[AlarmKey, Held]
    incidents: dict[IncidentId, Incident]
    windows: dict[WindowKey, Window]
    last: dict[Source, IncidentId]
    remarks: list[Remark] = field(default_factory=list)
    _alarms: dict[AlarmKey, Held] = field(default_factory=dict)
    _incidents: dict[IncidentId, Incident] = field(default_factory=dict)
    _windows: dict[WindowKey, Window] = field(default_factory=dict)
    _last: dict[Source, IncidentId] = field(default_factory=dict)

    @staticmethod
    async def load(store: Incidents, heard: Sequence[Heard]) -> Board:
        alarms = await store.alarms(h.key for h in heard)
        last = await store.last(h.source for h in heard)
        windows = await store.windows(h.source.window for h in heard)
        ids = {held.incident for held in alarms.values() if held.incident} | set(last.values())
        for window in windows.values():
            ids |= {id for id, _ in window.recent} | ({window.group} if window.group else set())
        board = Board(alarms, await store.incidents(ids), windows, last)
        # A new alarm of a device whose older one is still held active: that one's document is needed too.
        older = {
            AlarmKey(one.stack, one.tenant, m.alarm_id)
            for source, id in last.items()
            if (one := resolve(id, board.incidents)) is not None
            for m in one.active
            if m.originator_id == source.originator_id
        }
        board.alarms |= await store.alarms(older - alarms.keys())
        return board

    def take(self, heard: Heard) -> None:
        """Fold one entry."""
        told, entry, key = heard.told, heard.entry, heard.key
        held = self._held(key)
        actor = None if heard.own else told.actor
        before = held.state if held else None
        state = fold(before, told.report, kind=told.kind, actor=actor, heard_ms=entry.heard_ms)
        incident = held.incident if held else None
        if incident is not None:
            self._touch(incident, Held(state, incident), entry.heard_ms)
        elif not state.deleted and (state.active or told.kind in _NEWS):
            found = before is None and entry.origin is Origin.READ
            incident = self._place(heard, Held(state), found=found)
        if held is None or held.state != state or held.incident != incident:
            self._alarms[key] = Held(state, incident)
        if told.comment is not None and not told.comment.system and not heard.own and incident is not None:
            home = self._resolve(incident)
            if home is not None:
                self.remarks.append(Remark(entry.stack, entry.tenant, home.id, told.comment, told.actor))

    def changed(self) -> Sequence[tuple[Incident, Incident | None]]:
        """The incidents that are different now, each with what is stored of it."""
        return [(one, self.incidents.get(id)) for id, one in self._incidents.items()]

    def mark(self, incident: Incident) -> None:
        """Replace one of the changed incidents (its message was wanted)."""
        self._incidents[incident.id] = incident

    def writes(self, store: Incidents, now_ms: int) -> Iterator[list[Command]]:
        """Everything that changed besides the incidents (`changed`), as writes, a document at a time."""
        for key, held in self._alarms.items():
            yield store.put_alarm(key, held, self.alarms.get(key), now_ms)
        for window_key, window in self._windows.items():
            yield store.put_window(window_key, window)
        for source, id in self._last.items():
            yield store.put_last(source, id)

    def _held(self, key: AlarmKey) -> Held | None:
        return self._alarms.get(key) or self.alarms.get(key)

    @property
    def _known(self) -> Mapping[IncidentId, Incident]:
        return ChainMap(self._incidents, self.incidents)

    def _resolve(self, id: IncidentId) -> Incident | None:
        return resolve(id, self._known)

    def _touch(self, id: IncidentId, held: Held, heard_ms: int) -> None:
        incident = self._resolve(id)
        if incident is None:
            return  # it was over for 30 days: nobody is shown it any more
        member = member_of(held.state, heard_ms=heard_ms, before=incident.members.get(held.state.alarm_id))
        after = touch(incident, member)
        if after is not incident:
            self._incidents[after.id] = after

    def _place(self, heard: Heard, held: Held, *, found: bool) -> IncidentId:
        source, entry = heard.source, heard.entry
        member = member_of(held.state, heard_ms=entry.heard_ms, found=found)
        window = self._windows.get(source.window) or self.windows.get(source.window) or Window()
        placed = place(
            entry.stack,
            entry.tenant,
            held.state.type,
            member,
            window=window,
            known=self._known,
            previous=self._last.get(source) or self.last.get(source),
        )
        for incident in placed.changed:
            self._incidents[incident.id] = incident
        if placed.window != window:
            self._windows[source.window] = placed.window
        self._last[source] = placed.home
        for alarm_id in superseded(placed.changed[0], member):
            older = AlarmKey(entry.stack, entry.tenant, alarm_id)
            was = self._held(older)
            if was is not None:
                self._alarms[older] = replace(was, state=replace(was.state, unsure=True))
        return placed.home
