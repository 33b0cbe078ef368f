"""A webhook's body -> what it says about one alarm, or the reason why it says nothing.

Three bodies are understood: the envelope `{msgType, metadata, alarm}` as ThingsBoard 4.2 and 4.3 fill it, and the bare
alarm of a REST node without a transform in front. One parser for all: the kind is told by the alarm's own state and
the metadata's flags, and by `msgType` only where nothing else tells (measured on 4.2.1 and 4.3.1.1: a rule's clear is
`ALARM` in one and `ALARM_CLEAR` in the other, an old node in 4.3 still sends `ALARM`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import orjson

from core.alarms.facts import AlarmReport, Severity, Source
from core.ids import AlarmId, DeviceName

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_NAME_LIMIT = 255
"""ThingsBoard's columns for types and names are varchar(255): longer ones never come from it."""
_LATEST_MS = 9_999_999_999_999
_SEVERITIES = Severity.__members__
_STATUSES = frozenset({"ACTIVE_UNACK", "ACTIVE_ACK", "CLEARED_UNACK", "CLEARED_ACK"})
_TEXT_LIMIT = 10_000


class Kind(StrEnum):
    """What happened, as far as the message tells."""

    CREATED = "created"
    UPDATED = "updated"
    SEVERITY = "severity"
    CLEARED = "cleared"
    ACKNOWLEDGED = "acknowledged"
    ASSIGNED = "assigned"
    COMMENT = "comment"
    DELETED = "deleted"


class Unfit(StrEnum):
    """Why a body is not an alarm. Also the metric label."""

    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    NO_ALARM = "no_alarm"
    BAD_ID = "bad_id"
    BAD_TYPE = "bad_type"
    BAD_ORIGINATOR = "bad_originator"
    BAD_SEVERITY = "bad_severity"
    BAD_STATE = "bad_state"
    BAD_TIME = "bad_time"


EXPLAINED: Mapping[Unfit, str] = {
    Unfit.NOT_JSON: "the body is not JSON in UTF-8",
    Unfit.NOT_AN_OBJECT: "the body is JSON but not an object",
    Unfit.NO_ALARM: "there is no alarm in it: neither the body nor its `alarm` has an id of entityType ALARM",
    Unfit.BAD_ID: "the alarm's id is not a UUID",
    Unfit.BAD_TYPE: "the alarm's type is missing, an unresolved ${...}, or longer than 255 characters",
    Unfit.BAD_ORIGINATOR: "the alarm's originator is missing or its id is not a UUID",
    Unfit.BAD_SEVERITY: "the alarm's severity is none of " + ", ".join(_SEVERITIES),
    Unfit.BAD_STATE: "the alarm has neither `acknowledged` and `cleared` nor a known `status`",
    Unfit.BAD_TIME: "one of the alarm's times is not a number of milliseconds since 1970",
}
"""For the sender's log: what is wrong with the body."""


@dataclass(frozen=True, slots=True)
class Comment:
    """A remark on an alarm. `system`: ThingsBoard wrote it itself, to tell of a change. `text` is foreign."""

    id: str
    text: str
    system: bool
    by_user: str | None


@dataclass(frozen=True, slots=True)
class Told:
    """One message understood. `actor` is the name of the person whose act it was, as ThingsBoard writes it."""

    kind: Kind
    report: AlarmReport
    actor: str | None = None
    comment: Comment | None = None


def parse(body: bytes) -> Told | Unfit:
    """Read a webhook's body. Never raises, whatever the bytes are."""
    try:
        outer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Unfit.NOT_JSON
    if not isinstance(outer, dict):
        return Unfit.NOT_AN_OBJECT
    alarm = outer.get("alarm", outer)
    found = outer.get("metadata")
    metadata: Mapping[str, Any] = found if isinstance(found, dict) else {}
    report = read_alarm(alarm, Source.WEBHOOK, metadata)
    if isinstance(report, Unfit):
        return report
    message = _text(outer.get("msgType")) or ""
    comment = _comment(metadata.get("comment"))
    kind = _kind(report, message, metadata, comment is not None)
    if kind is Kind.DELETED:
        report = replace(report, deleted=True)
    return Told(kind, report, _actor(metadata), comment)


def read_alarm(alarm: Any, source: Source, metadata: Mapping[str, Any] | None = None) -> AlarmReport | Unfit:
    """One alarm in ThingsBoard's JSON, from a webhook or from its REST API. Null and absent fields are the same."""
    if not isinstance(alarm, dict):
        return Unfit.NO_ALARM
    entity = alarm.get("id")
    if not isinstance(entity, dict) or entity.get("entityType") != "ALARM":
        return Unfit.NO_ALARM
    alarm_id = _uuid(entity.get("id"))
    if alarm_id is None:
        return Unfit.BAD_ID
    kind = _text(alarm.get("type"))
    if kind is None or len(kind) > _NAME_LIMIT:
        return Unfit.BAD_TYPE
    originator = alarm.get("originator")
    if not isinstance(originator, dict):
        return Unfit.BAD_ORIGINATOR
    origin = _uuid(originator.get("id"))
    if origin is None:
        return Unfit.BAD_ORIGINATOR
    word = alarm.get("severity")
    severity = _SEVERITIES.get(word) if isinstance(word, str) else None
    if severity is None:
        return Unfit.BAD_SEVERITY
    state = _state(alarm)
    if state is None:
        return Unfit.BAD_STATE
    times = _times(alarm)
    if times is None:
        return Unfit.BAD_TIME
    created, start, end, ack, clear, assign = times
    metadata = metadata or {}
    name = _name(alarm.get("originatorName")) or _name(metadata.get("deviceName"))
    is_device = originator.get("entityType") == "DEVICE"
    return AlarmReport(
        alarm_id=AlarmId(alarm_id),
        type=kind,
        originator_id=origin,
        device=DeviceName(name) if name and is_device else None,
        severity=severity,
        acknowledged=state[0],
        cleared=state[1],
        created_ms=created,
        start_ms=start,
        end_ms=end,
        ack_ms=ack,
        clear_ms=clear,
        assign_ms=assign,
        source=source,
        at_ms=max(times),
        label=_name(alarm.get("originatorLabel")) or (None if is_device else name),
        assignee=_assignee(alarm),
        by_user=_uuid(metadata.get("userId")),
        details=alarm.get("details"),
    )


def _kind(report: AlarmReport, message: str, metadata: Mapping[str, Any], has_comment: bool) -> Kind:
    if has_comment or message.startswith("COMMENT_"):
        return Kind.COMMENT
    if message == "ALARM_DELETE":
        return Kind.DELETED
    if metadata.get("isNewAlarm") == "true" or message in ("ALARM_CREATED", "ENTITY_CREATED"):
        return Kind.CREATED
    # An act on an alarm that is cleared already (an ack afterwards) is no clear.
    if report.cleared and (
        metadata.get("isClearedAlarm") == "true" or message == "ALARM_CLEAR" or report.clear_ms == report.at_ms
    ):
        return Kind.CLEARED
    if metadata.get("isSeverityUpdated") == "true" or message == "ALARM_SEVERITY_UPDATED":
        return Kind.SEVERITY
    if report.acknowledged and (message == "ALARM_ACK" or (not message and report.ack_ms == report.at_ms)):
        return Kind.ACKNOWLEDGED
    if message in ("ALARM_ASSIGNED", "ALARM_UNASSIGNED") or (not message and 0 < report.assign_ms == report.at_ms):
        return Kind.ASSIGNED
    if not message and report.start_ms == report.end_ms and not report.acknowledged and not report.cleared:
        return Kind.CREATED
    return Kind.UPDATED


def _state(alarm: Mapping[str, Any]) -> tuple[bool, bool] | None:
    acknowledged, cleared = alarm.get("acknowledged"), alarm.get("cleared")
    if isinstance(acknowledged, bool) and isinstance(cleared, bool):
        return acknowledged, cleared
    status = alarm.get("status")
    if not isinstance(status, str) or status not in _STATUSES:
        return None
    return status.endswith("_ACK"), status.startswith("CLEARED")


def _times(alarm: Mapping[str, Any]) -> tuple[int, int, int, int, int, int] | None:
    get = alarm.get
    read = (
        get("createdTime") or 0,
        get("startTs") or 0,
        get("endTs") or 0,
        get("ackTs") or 0,
        get("clearTs") or 0,
        get("assignTs") or 0,
    )
    for instant in read:
        if type(instant) is not int or not 0 <= instant <= _LATEST_MS:
            return None
    return read


def _text(value: Any) -> str | None:
    """A text that says something: patterns ThingsBoard could not fill are sent literally (measured on 4.2.1)."""
    if not isinstance(value, str) or not value or (value.startswith("${") and value.endswith("}")):
        return None
    return value


def _name(value: Any) -> str | None:
    text = _text(value)
    return text if text is not None and len(text) <= _NAME_LIMIT else None


def _uuid(value: Any) -> str | None:
    return value if isinstance(value, str) and len(value) == 36 and _ID.fullmatch(value) else None


def _person(person: Mapping[str, Any], first: str, last: str, other: str) -> str | None:
    names = [name for name in (_name(person.get(first)), _name(person.get(last))) if name]
    return " ".join(names) or _name(person.get(other))


def _assignee(alarm: Mapping[str, Any]) -> str | None:
    person = alarm.get("assignee")
    if isinstance(person, dict):
        return _person(person, "firstName", "lastName", "email")
    entity = alarm.get("assigneeId")
    return _uuid(entity.get("id")) if isinstance(entity, dict) else None


def _actor(metadata: Mapping[str, Any]) -> str | None:
    return _person(metadata, "userFirstName", "userLastName", "userEmail") if metadata else None


def _comment(raw: Any) -> Comment | None:
    """`metadata.comment` is JSON in a string."""
    if not isinstance(raw, str):
        return None
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    said, entity = (found.get("comment"), found.get("id")) if isinstance(found, dict) else (None, None)
    comment_id = _uuid(entity.get("id")) if isinstance(entity, dict) else None
    text = said.get("text") if isinstance(said, dict) else None
    if comment_id is None or not isinstance(text, str):
        return None
    user = found.get("userId")
    return Comment(
        id=comment_id,
        text=text[:_TEXT_LIMIT],
        system=found.get("type") != "OTHER",
        by_user=_uuid(user.get("id")) if isinstance(user, dict) else None,
    )
