"""The fields each list of the Management API can be filtered and sorted by (measured on hawkBit 1.1.0)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.hawkbit.rsql import Fields, Getter

_BASE: dict[str, Getter] = {
    "createdat": lambda row: row.created_at,
    "createdby": lambda row: row.created_by,
    "lastmodifiedat": lambda row: row.modified_at,
    "lastmodifiedby": lambda row: row.modified_by,
}
_ROLLOUT_WORDS = frozenset(
    {
        "creating",
        "waiting_for_approval",
        "approval_denied",
        "ready",
        "starting",
        "running",
        "paused",
        "finished",
        "stopping",
        "stopped",
        "deleting",
        "deleted",
    }
)
_ACTION_WORDS = frozenset(
    {
        "scheduled",
        "running",
        "retrieved",
        "download",
        "downloaded",
        "canceling",
        "canceled",
        "finished",
        "error",
        "warning",
        "cancel_rejected",
        "wait_for_confirmation",
    }
)
_UPDATE_WORDS = frozenset({"unknown", "in_sync", "pending", "error", "registered"})


def _of(parent: str, column: str) -> Getter:
    def get(row: Any) -> Any:
        found = getattr(row, parent)
        return None if found is None else getattr(found, column)

    return get


def _set_fields(prefix: str, parent: str, *columns: str) -> dict[str, Getter]:
    return {f"{prefix}.{column}": _of(parent, column) for column in columns}


def _attribute(name: str) -> Getter:
    return lambda target: target.attributes.get(name)


def _of_group(get: Callable[[Any], Any]) -> Getter:
    return lambda action: None if action.group is None else get(action.group)


ROLLOUT = Fields(
    getters={
        **_BASE,
        "id": lambda row: row.id,
        "name": lambda row: row.name,
        "description": lambda row: row.description,
        "status": lambda row: row.status,
        **_set_fields("distributionset", "set", "id", "name", "version"),
    },
    words={"status": _ROLLOUT_WORDS},
    prefix={},
)
GROUP = Fields(
    getters={
        "id": lambda row: row.id,
        "name": lambda row: row.name,
        "description": lambda row: row.description,
        "createdat": lambda row: row.created_at,
        "lastmodifiedat": lambda row: row.modified_at,
    },
    words={},
    prefix={},
)
TARGET = Fields(
    getters={
        **_BASE,
        "controllerid": lambda row: row.controller_id,
        "name": lambda row: row.name,
        "description": lambda row: row.description,
        "updatestatus": lambda row: row.update_status,
        "ipaddress": lambda row: row.address,
        "lastcontrollerrequestat": lambda row: row.polled_at,
        **_set_fields("installedds", "installed", "name", "version"),
        **_set_fields("assignedds", "assigned", "name", "version"),
    },
    words={"updatestatus": _UPDATE_WORDS},
    prefix={"attribute.": _attribute},
)
ACTION = Fields(
    getters={
        "id": lambda row: row.id,
        "status": lambda row: row.status,
        "active": lambda row: row.active,
        "weight": lambda row: row.weight,
        "createdat": lambda row: row.created_at,
        "lastmodifiedat": lambda row: row.modified_at,
        "laststatuscode": lambda row: row.last_code,
        "rollout.id": _of_group(lambda group: group.rollout.id),
        "rollout.name": _of_group(lambda group: group.rollout.name),
        "rolloutgroup.id": _of_group(lambda group: group.id),
        "rolloutgroup.name": _of_group(lambda group: group.name),
        "target.controllerid": lambda row: row.target.controller_id,
        "target.name": lambda row: row.target.name,
        **_set_fields("distributionset", "set", "id", "name", "version"),
    },
    words={"status": _ACTION_WORDS, "active": frozenset({"true", "false"})},
    prefix={},
)
SET = Fields(
    getters={
        "id": lambda row: row.id,
        "name": lambda row: row.name,
        "version": lambda row: row.version,
        "description": lambda row: row.description,
        "createdat": lambda row: row.created_at,
        "lastmodifiedat": lambda row: row.modified_at,
        "valid": lambda row: row.valid,
        "complete": lambda row: row.complete,
        "type": lambda row: row.type,
    },
    words={},
    prefix={},
)
STATUS = Fields(getters={"id": lambda row: row.id, "reportedat": lambda row: row.reported_at}, words={}, prefix={})
MODULE = Fields(
    getters={
        "id": lambda row: row.id,
        "name": lambda row: row.name,
        "version": lambda row: row.version,
        "type": lambda row: row.type,
    },
    words={},
    prefix={},
)
