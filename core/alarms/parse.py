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
_STATUSES = ("ACTIVE_UNACK", "ACTIVE_ACK", "CLEARED_UNACK", "CLEARED_ACK")
_TIMES = ("createdTime", "startTs", "endTs", "ackTs", "clearTs", "assignTs")
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


def check(body: bytes) -> Unfit | None:
    """What `parse` would say against the body, at half its price: for the receiver, which keeps it as it came."""
    try:
        outer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Unfit.NOT_JSON
    if type(outer) is not dict:
        return Unfit.NOT_AN_OBJECT
    return _unfit(outer.get("alarm", outer))


def parse(body: bytes) -> Told | Unfit:
    """Read a webhook's body. Never raises, whatever the bytes are."""
    unfit = check(body)
    if unfit is not None:
        return unfit
    outer = orjson.loads(body)
    found = outer.get("metadata")
    metadata: Mapping[str, Any] = found if isinstance(found, dict) else {}
    report = _report(outer.get("alarm", outer), Source.WEBHOOK, metadata)
    message = _text(outer.get("msgType")) or ""
    comment = _comment(metadata.get("comment"))
    kind = _kind(report, message, metadata, comment is not None)
    if kind is Kind.DELETED:
        report = replace(report, deleted=True)
    return Told(kind, report, _actor(metadata), comment)


def read_alarm(alarm: Any, source: Source) -> AlarmReport | Unfit:
    """One alarm in ThingsBoard's JSON, as its REST API gives it. Null and absent fields are the same."""
    unfit = _unfit(alarm)
    return _report(alarm, source, {}) if unfit is None else unfit


def _unfit(alarm: Any) -> Unfit | None:
    if type(alarm) is not dict:
        return Unfit.NO_ALARM
    get = alarm.get
    entity, originator, kind, severity = get("id"), get("originator"), get("type"), get("severity")
    if type(entity) is not dict or entity.get("entityType") != "ALARM":
        return Unfit.NO_ALARM
    if _uuid(entity.get("id")) is None:
        return Unfit.BAD_ID
    if _name(kind) is None:
        return Unfit.BAD_TYPE
    if type(originator) is not dict or _uuid(originator.get("id")) is None:
        return Unfit.BAD_ORIGINATOR
    if type(severity) is not str or severity not in _SEVERITIES:
        return Unfit.BAD_SEVERITY
    if (type(get("acknowledged")) is not bool or type(get("cleared")) is not bool) and get("status") not in _STATUSES:
        return Unfit.BAD_STATE
    for name in _TIMES:
        instant = get(name)
        if instant is not None and (type(instant) is not int or not 0 <= instant <= _LATEST_MS):
            return Unfit.BAD_TIME
    return None


def _report(alarm: Mapping[str, Any], source: Source, metadata: Mapping[str, Any]) -> AlarmReport:
    """The report of an alarm that is not unfit."""
    created, start, end, ack, clear, assign = times = [alarm.get(name) or 0 for name in _TIMES]
    originator = alarm["originator"]
    name = _name(alarm.get("originatorName")) or _name(metadata.get("deviceName"))
    is_device = originator.get("entityType") == "DEVICE"
    acknowledged, cleared = alarm.get("acknowledged"), alarm.get("cleared")
    if not isinstance(acknowledged, bool) or not isinstance(cleared, bool):
        acknowledged, cleared = alarm["status"].endswith("_ACK"), alarm["status"].startswith("CLEARED")
    return AlarmReport(
        alarm_id=AlarmId(alarm["id"]["id"]),
        type=alarm["type"],
        originator_id=originator["id"],
        device=DeviceName(name) if name and is_device else None,
        severity=_SEVERITIES[alarm["severity"]],
        acknowledged=acknowledged,
        cleared=cleared,
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
