"""What one message or one read says about one ThingsBoard alarm."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

from core.ids import AlarmId, DeviceName


class Severity(IntEnum):
    """ThingsBoard's words, ordered so that a larger value is worse."""

    INDETERMINATE = 0
    WARNING = 1
    MINOR = 2
    MAJOR = 3
    CRITICAL = 4


class Source(StrEnum):
    """How a report reached us. Only a read may lower a severity or say that an alarm is gone."""

    WEBHOOK = "webhook"
    READ = "read"


@dataclass(frozen=True, slots=True)
class AlarmReport:
    """One alarm as one message or read told it. Instants are ThingsBoard's, in ms since 1970; 0 means never.

    `at_ms` is the newest instant the report itself carries (created, start, end, ack, clear, assign), never our clock.
    `deleted` is true for ALARM_DELETE. `details` is the alarm's own JSON, any shape.
    `by_user` is the ThingsBoard user id that caused the message, if a person or a bot's account did.
    """

    alarm_id: AlarmId
    type: str
    originator_id: str
    device: DeviceName | None
    severity: Severity
    acknowledged: bool
    cleared: bool
    created_ms: int
    start_ms: int
    end_ms: int
    ack_ms: int
    clear_ms: int
    assign_ms: int
    source: Source
    at_ms: int
    label: str | None = None
    assignee: str | None = None
    by_user: str | None = None
    deleted: bool = False
    details: Any = field(default=None, hash=False)
