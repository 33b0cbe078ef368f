"""Reports about one alarm, in any order and any number -> one state.

Every report is a whole snapshot of its alarm, so the fold is a join: what only ever moves one way (acknowledged,
cleared, deleted, the times of that) is joined as such; the rest follows the newest snapshot by the alarm's own times.
Two things change without moving any time (a severity lowered by hand, an assignee taken off on some versions): there
webhooks can only raise the severity, and the state says `needs_read`; a read settles it, if it was sent after
everything else was heard, or if it knows something newer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from core.alarms.facts import AlarmReport, Severity, Source
from core.alarms.parse import Kind
from core.ids import AlarmId, DeviceName


@dataclass(frozen=True, slots=True)
class AlarmState:
    """What is known of one alarm. Times as in `AlarmReport` (ThingsBoard's, ms; 0 = never).

    `severity` is the highest told since the last read, `lowest` the lowest among the newest snapshots: where they
    differ, only a read can tell. `unsure`: the newest snapshots contradict each other on the assignee.
    `heard_ms` is when the last webhook came in and `read_ms` when the last read was sent (both our clock; 0 = never);
    `read_at_ms` is the newest time in that read's answer.
    """

    alarm_id: AlarmId
    type: str
    originator_id: str
    device: DeviceName | None
    label: str | None
    severity: Severity
    lowest: Severity
    acknowledged: bool
    cleared: bool
    deleted: bool
    created_ms: int
    start_ms: int
    end_ms: int
    ack_ms: int
    clear_ms: int
    assign_ms: int
    at_ms: int
    assignee: str | None = None
    unsure: bool = False
    heard_ms: int = 0
    read_ms: int = 0
    read_at_ms: int = 0
    acked_by: str | None = None
    cleared_by: str | None = None
    details: Any = field(default=None, hash=False)

    @property
    def active(self) -> bool:
        return not (self.cleared or self.deleted)

    @property
    def needs_read(self) -> bool:
        """ThingsBoard has to be asked: what was told does not add up. Of no interest once the alarm is over."""
        return self.active and (self.unsure or self.lowest < self.severity)


def fold(
    state: AlarmState | None,
    report: AlarmReport,
    *,
    kind: Kind = Kind.UPDATED,
    actor: str | None = None,
    heard_ms: int = 0,
) -> AlarmState:
    """Join `report` into `state`. `actor` did what `kind` names; `heard_ms` is when the webhook came in, or when the
    read was sent, by our clock."""
    acked_by = actor if kind is Kind.ACKNOWLEDGED else None
    cleared_by = actor if kind is Kind.CLEARED else None
    is_read = report.source is Source.READ
    settles = is_read and (
        state is None or (heard_ms >= state.read_ms and (heard_ms > state.heard_ms or report.at_ms > state.at_ms))
    )
    if state is None:
        state = _first(report)
    elif settles:
        state = _facts(state, report)
    elif report.at_ms >= state.read_at_ms and not (is_read and heard_ms < state.read_ms):
        state = _told(state, report)
    # else it is older than a read we have: only what moves one way counts
    return replace(
        state,
        heard_ms=state.heard_ms if is_read else max(state.heard_ms, heard_ms),
        read_ms=heard_ms if settles else state.read_ms,
        read_at_ms=report.at_ms if settles else state.read_at_ms,
        device=state.device or report.device,
        label=state.label or report.label,
        acknowledged=state.acknowledged or report.acknowledged,
        cleared=state.cleared or report.cleared,
        deleted=state.deleted or report.deleted,
        created_ms=max(state.created_ms, report.created_ms),
        ack_ms=max(state.ack_ms, report.ack_ms),
        clear_ms=max(state.clear_ms, report.clear_ms),
        assign_ms=max(state.assign_ms, report.assign_ms),
        acked_by=_one_of(state.acked_by, acked_by),
        cleared_by=_one_of(state.cleared_by, cleared_by),
    )


def gone(state: AlarmState) -> AlarmReport:
    """What a read that found nothing says: the alarm was deleted."""
    return AlarmReport(
        alarm_id=state.alarm_id,
        type=state.type,
        originator_id=state.originator_id,
        device=state.device,
        severity=state.severity,
        acknowledged=state.acknowledged,
        cleared=state.cleared,
        created_ms=state.created_ms,
        start_ms=state.start_ms,
        end_ms=state.end_ms,
        ack_ms=state.ack_ms,
        clear_ms=state.clear_ms,
        assign_ms=state.assign_ms,
        source=Source.READ,
        at_ms=state.at_ms,
        label=state.label,
        assignee=state.assignee,
        deleted=True,
        details=state.details,
    )


def _first(report: AlarmReport) -> AlarmState:
    return AlarmState(
        alarm_id=report.alarm_id,
        type=report.type,
        originator_id=report.originator_id,
        device=report.device,
        label=report.label,
        severity=report.severity,
        lowest=report.severity,
        acknowledged=report.acknowledged,
        cleared=report.cleared,
        deleted=report.deleted,
        created_ms=report.created_ms,
        start_ms=report.start_ms,
        end_ms=report.end_ms,
        ack_ms=report.ack_ms,
        clear_ms=report.clear_ms,
        assign_ms=report.assign_ms,
        at_ms=report.at_ms,
        assignee=report.assignee,
        details=report.details,
    )


def _facts(state: AlarmState, report: AlarmReport) -> AlarmState:
    """The snapshot's own facts as they are: it is the newest there is."""
    return replace(
        state,
        severity=report.severity,
        lowest=report.severity,
        assignee=report.assignee,
        unsure=False,
        start_ms=report.start_ms,
        end_ms=report.end_ms,
        details=report.details,
        at_ms=report.at_ms,
    )


def _told(state: AlarmState, report: AlarmReport) -> AlarmState:
    highest = max(state.severity, report.severity)
    if report.at_ms > state.at_ms:
        return replace(_facts(state, report), severity=highest)
    if report.at_ms < state.at_ms:
        return replace(state, severity=highest)
    # The same instant: nobody can say which was later, so the order of arrival must not decide.
    return replace(
        state,
        severity=highest,
        lowest=min(state.lowest, report.severity),
        assignee=_one_of(state.assignee, report.assignee),
        unsure=state.unsure or state.assignee != report.assignee,
        start_ms=max(state.start_ms, report.start_ms),
        end_ms=max(state.end_ms, report.end_ms),
        details=state.details if state.details == report.details else max(state.details, report.details, key=_weight),
    )


def _one_of(one: str | None, other: str | None) -> str | None:
    """Either, chosen without regard to order."""
    return max(one, other) if one and other else one or other


def _weight(details: Any) -> str:
    return json.dumps(details, sort_keys=True, default=str)
