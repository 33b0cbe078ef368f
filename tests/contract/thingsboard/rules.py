"""Alarm rules as device profiles of 4.2 hold them: those of the recorded runs, and how they are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.contract.thingsboard.site import Json

Filter = tuple[str, str, str, Any]
"""(TIME_SERIES or ATTRIBUTE, key, operation, value)"""


def rule_42(
    alarm_type: str,
    creates: Mapping[str, Filter],
    clear: Filter | None,
    *,
    details: str | None = None,
    repeats: int = 1,
    propagate: bool = False,
) -> Json:
    spec = {"type": "SIMPLE"} if repeats == 1 else _repeating(repeats)
    return {
        "id": alarm_type,
        "alarmType": alarm_type,
        "createRules": {s: _condition_42(f, spec, details) for s, f in creates.items()},
        "clearRule": _condition_42(clear, {"type": "SIMPLE"}, None) if clear else None,
        "propagate": propagate,
        "propagateToOwner": propagate,
    }


def _repeating(repeats: int) -> Json:
    return {
        "type": "REPEATING",
        "predicate": {"defaultValue": repeats, "userValue": None, "dynamicValue": None},
    }


def _condition_42(wanted: Filter, spec: Json, details: str | None) -> Json:
    kind, key, operation, value = wanted
    value_type = "BOOLEAN" if isinstance(value, bool) else "STRING" if isinstance(value, str) else "NUMERIC"
    predicate = {
        "type": value_type,
        "operation": operation,
        "value": {"defaultValue": value, "userValue": None, "dynamicValue": None},
        "ignoreCase": False,
    }
    filters = [{"key": {"type": kind, "key": key}, "valueType": value_type, "predicate": predicate}]
    return {
        "condition": {"condition": filters, "spec": spec},
        "schedule": None,
        "alarmDetails": details,
        "dashboardId": None,
    }


OTA_42 = rule_42(
    "OTA Failure",
    {"CRITICAL": ("TIME_SERIES", "ota_status", "EQUAL", "failure")},
    ("TIME_SERIES", "ota_status", "EQUAL", "success"),
    details="OTA failed: ${ota_status}",
)
TEMPERATURE_42 = rule_42(
    "High Temperature",
    {
        "WARNING": ("TIME_SERIES", "temperature_c", "GREATER", 70.0),
        "MAJOR": ("TIME_SERIES", "temperature_c", "GREATER", 80.0),
        "CRITICAL": ("TIME_SERIES", "temperature_c", "GREATER", 90.0),
    },
    ("TIME_SERIES", "temperature_c", "LESS", 60.0),
    propagate=True,
)
OFFLINE_42 = rule_42(
    "Device Offline",
    {"MAJOR": ("ATTRIBUTE", "active", "EQUAL", False)},
    ("ATTRIBUTE", "active", "EQUAL", True),
)
CPU_42 = rule_42(
    "CPU High",
    {"MINOR": ("TIME_SERIES", "cpu_percent", "GREATER", 95.0)},
    None,
    details="cpu=${cpu_percent} err=${ota_error}",
    repeats=3,
)
