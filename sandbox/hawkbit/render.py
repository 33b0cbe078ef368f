"""hawkBit's JSON (recorded on hawkBit 1.1.0). `base` is the server's own URL up to and without `/rest/v1`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from sandbox.hawkbit.model import (
    Action,
    Artifact,
    DistributionSet,
    Group,
    Rollout,
    Row,
    SoftwareModule,
    StatusEntry,
    Target,
)

Json = dict[str, Any]
POLL_EVERY_MS = 300_000
OVERDUE_AFTER_MS = 300_000
TYPE_NAMES = {"os": "OS only", "os_app": "OS with app(s)", "app": "App(s) only"}
TYPE_IDS = {"app": 1, "os_app": 2, "os": 3}
MODULE_TYPE_NAMES = {"os": "OS", "application": "Application"}
_PAGE = "?offset=0&limit=50"


def _audit(row: Row) -> Json:
    return {
        "createdAt": row.created_at,
        "createdBy": row.created_by,
        "lastModifiedAt": row.modified_at,
        "lastModifiedBy": row.modified_by,
    }


def _optional(**found: Any) -> Json:
    return {key: value for key, value in found.items() if value is not None}


def _link(href: str, name: str | None = None) -> Json:
    return {"href": href} if name is None else {"href": href, "name": name}


def page(content: Sequence[Any], total: int) -> Json:
    return {"content": list(content), "total": total, "size": len(content)}


def rollout(row: Rollout, base: str, *, full: bool) -> Json:
    here = f"{base}/rest/v1/rollouts/{row.id}"
    links: Json = {}
    if full:
        for act in ("start", "pause", "resume", "triggerNextGroup", "approve", "deny"):
            links[act] = _link(f"{here}/{act}")
        links["groups"] = _link(f"{here}/deploygroups{_PAGE}")
        links["distributionset"] = _link(
            f"{base}/rest/v1/distributionsets/{row.set.id}", f"{row.set.name}:{row.set.version}"
        )
    links["self"] = _link(here)
    shown: Json = {
        "_links": links,
        **_audit(row),
        **_optional(
            description=row.description,
            startAt=row.start_at,
            approveDecidedBy=row.approval_by,
            approvalRemark=row.approval_remark,
        ),
        "deleted": row.deleted,
        "distributionSetId": row.set.id,
        "dynamic": False,
        "forcetime": row.force_time,
        "id": row.id,
        "name": row.name,
        "status": row.status,
        "targetFilterQuery": row.filter,
        "totalTargets": row.total,
        "type": row.type,
        "weight": row.weight,
    }
    if full:
        shown["totalGroups"] = len(row.groups)
        shown["totalTargetsPerStatus"] = row.counted()
    return shown


def group(row: Group, base: str, *, full: bool, status: str | None = None) -> Json:
    conditions = row.conditions
    shown: Json = {
        "_links": {"self": _link(f"{base}/rest/v1/rollouts/{row.rollout.id}/deploygroups/{row.id}")},
        **_audit(row),
        **_optional(description=row.description),
        "dynamic": False,
        "errorAction": {"action": conditions.error_action, "expression": ""},
        "errorCondition": {"condition": conditions.error_condition, "expression": conditions.error_threshold},
        "id": row.id,
        "name": row.name,
        "status": status or row.status,
        "successAction": {"action": conditions.success_action, "expression": ""},
        "successCondition": {
            "condition": conditions.success_condition,
            "expression": conditions.success_threshold,
        },
        "targetFilterQuery": row.filter,
        "targetPercentage": row.percentage,
        "totalTargets": row.total,
    }
    if full:
        shown["totalTargetsPerStatus"] = row.counted()
    return shown


def target(row: Target, base: str, now: int, *, full: bool) -> Json:
    """Lists carry the self link alone. Which set is assigned or installed is in neither form."""
    here = f"{base}/rest/v1/targets/{quote(row.controller_id, safe='')}"
    links: Json = {"self": _link(here)}
    if full:
        for name in ("assignedDS", "installedDS", "attributes"):
            links[name] = _link(f"{here}/{name}")
        links["actions"] = _link(f"{here}/actions{_PAGE}&sort=id%3ADESC")
        links["metadata"] = _link(f"{here}/metadata")
    shown = {
        "_links": links,
        "controllerId": row.controller_id,
        **_audit(row),
        **_optional(
            description=row.description,
            installedAt=row.installed_at,
            lastControllerRequestAt=row.polled_at,
            ipAddress=row.address,
            address=None if row.address is None else f"http://{row.address}",
        ),
        "name": row.name,
        "requestAttributes": row.wants_attributes,
        "securityToken": row.security_token,
        "updateStatus": row.update_status,
    }
    if row.polled_at is not None:
        due = row.polled_at + POLL_EVERY_MS
        shown["pollStatus"] = {
            "lastRequestAt": row.polled_at,
            "nextExpectedRequestAt": due,
            "overdue": now > due + OVERDUE_AFTER_MS,
        }
    return shown


def action(row: Action, base: str, *, full: bool) -> Json:
    api = f"{base}/rest/v1"
    device = f"{api}/targets/{quote(row.target.controller_id, safe='')}"
    here = f"{device}/actions/{row.id}"
    links: Json = {"self": _link(here)}
    if full:
        if row.cancelling:
            links["canceledaction"] = _link(here)
        links["target"] = _link(device, row.target.name)
        links["distributionset"] = _link(f"{api}/distributionsets/{row.set.id}", f"{row.set.name}:{row.set.version}")
        links["status"] = _link(f"{here}/status{_PAGE}&sort=id%3ADESC")
        if row.group is not None:
            links["rollout"] = _link(f"{api}/rollouts/{row.group.rollout.id}", row.group.rollout.name)
    return {
        "_links": links,
        "active": row.active,
        **_audit(row),
        "forceType": row.force_type,
        **_optional(
            forceTime=row.force_time,
            lastStatusCode=row.last_code,
            rollout=None if row.group is None else row.group.rollout.id,
            rolloutName=None if row.group is None else row.group.rollout.name,
        ),
        "id": row.id,
        "status": row.status,
        "type": "cancel" if row.cancelling else "update",
        "weight": row.weight,
    }


def status_entry(row: StatusEntry) -> Json:
    return {
        **_optional(code=row.code),
        "id": row.id,
        "messages": row.messages,
        "reportedAt": row.reported_at,
        "timestamp": row.timestamp,
        "type": row.type,
    }


def module(row: SoftwareModule, base: str) -> Json:
    return {
        "_links": {"self": _link(f"{base}/rest/v1/softwaremodules/{row.id}")},
        **_audit(row),
        **_optional(vendor=row.vendor),
        "complete": True,
        "deleted": False,
        "encrypted": False,
        "id": row.id,
        "locked": row.locked,
        "name": row.name,
        "type": row.type,
        "typeName": MODULE_TYPE_NAMES[row.type],
        "version": row.version,
    }


def artifact(row: Artifact, of: SoftwareModule | None, base: str) -> Json:
    """`of` None: as in a list, without links."""
    links: Json = {}
    if of is not None:
        here = f"{base}/rest/v1/softwaremodules/{of.id}/artifacts/{row.id}"
        links["_links"] = {"self": _link(here), "download": _link(f"{here}/download")}
    return {
        **links,
        **_audit(row),
        "hashes": row.hashes,
        "id": row.id,
        "providedFilename": row.filename,
        "size": row.size,
    }


def distribution_set(row: DistributionSet, base: str, *, full: bool) -> Json:
    here = f"{base}/rest/v1/distributionsets/{row.id}"
    links: Json = {"self": _link(here)}
    if full:
        links["modules"] = _link(f"{here}/assignedSM{_PAGE}")
        links["type"] = _link(f"{base}/rest/v1/distributionsettypes/{TYPE_IDS[row.type]}")
        links["metadata"] = _link(f"{here}/metadata")
    return {
        "_links": links,
        **_audit(row),
        **_optional(description=row.description),
        "complete": row.complete,
        "deleted": False,
        "id": row.id,
        "locked": row.locked,
        "modules": [module(one, base) for one in row.modules],
        "name": row.name,
        "requiredMigrationStep": False,
        "type": row.type,
        "typeName": TYPE_NAMES[row.type],
        "valid": row.valid,
        "version": row.version,
    }


def assignment(already: int, made: Sequence[Action], base: str) -> Json:
    return {
        "alreadyAssigned": already,
        "assigned": len(made),
        "assignedActions": [
            {
                "id": one.id,
                "_links": {
                    "self": _link(f"{base}/rest/v1/targets/{quote(one.target.controller_id, safe='')}/actions/{one.id}")
                },
            }
            for one in made
        ],
        "total": already + len(made),
    }
