"""/rest/v1/userinfo and /rest/v1/system/configs."""

from __future__ import annotations

from typing import Any

from sandbox.hawkbit import bodies, errors
from sandbox.hawkbit.repository import Setting
from sandbox.hawkbit.wire import NO_CONTENT, Call, Reply


def defaults(gateway_token: str) -> dict[str, Any]:
    """The keys of hawkBit 1.1.0. `multi.assignments.enabled` is gone there."""
    return {
        "user.confirmation.flow.enabled": False,
        "action.cleanup.onQuotaHit.percent": 0,
        "authentication.gatewaytoken.enabled": True,
        "authentication.header.authority": "",
        "authentication.gatewaytoken.key": gateway_token,
        "pollingTime": "00:05:00",
        "authentication.targettoken.enabled": False,
        "rollout.approval.enabled": False,
        "action.cleanup.auto.expiry": -1,
        "action.cleanup.auto.status": "CANCELED,ERROR",
        "maintenanceWindowPollCount": 3,
        "repository.actions.autoclose.enabled": False,
        "default.ds.type": 2,
        "authentication.header.enabled": False,
        "pollingOverdueTime": "00:05:00",
        "implicit.lock.enabled": True,
        "batch.assignments.enabled": False,
    }


def userinfo(call: Call) -> Reply:
    return Reply(
        200,
        {"permissions": call.account.authorities, "tenant": call.account.tenant, "username": call.user},
    )


def _link(call: Call, key: str) -> str:
    return f"{call.base}/rest/v1/system/configs/{key}"


def list_configs(call: Call) -> Reply:
    shown = {}
    for key, value in defaults(call.sandbox.gateway_token).items():
        own = call.tenant.repo.settings.get(key)
        shown[key] = {
            "global": own is None and key != "default.ds.type",
            "links": [{"rel": "self", "href": _link(call, key)}],
            "value": value if own is None else own.value,
            **({} if own is None else _audit(own)),
        }
    return Reply(200, shown)


def get_config(call: Call) -> Reply:
    key = _key(call)
    own = call.tenant.repo.settings.get(key)
    value = defaults(call.sandbox.gateway_token)[key] if own is None else own.value
    return Reply(
        200,
        {
            "_links": {"self": {"href": _link(call, key)}},
            **({} if own is None else _audit(own)),
            "global": own is None,
            "value": value,
        },
    )


def put_config(call: Call) -> Reply:
    key, repo = _key(call), call.tenant.repo
    body = bodies.parse(bodies.SettingBody, call.json)
    own = repo.settings.setdefault(key, Setting(**repo.row("setting", call.user)))
    own.value = body.value
    own.touch(repo.now(), call.user)
    return NO_CONTENT


def _key(call: Call) -> str:
    key = str(call.path["key"])
    if key not in defaults(call.sandbox.gateway_token):
        raise errors.config_key_invalid(key)
    return key


def _audit(own: Setting) -> dict[str, Any]:
    return {
        "createdAt": own.created_at,
        "createdBy": own.created_by,
        "lastModifiedAt": own.modified_at,
        "lastModifiedBy": own.modified_by,
    }
