"""Every path of the stand-in, its handler, and the rights it takes (measured on hawkBit 1.1.0 where people differ)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import BaseRoute, Route

from sandbox.hawkbit import api_rollouts as rollouts
from sandbox.hawkbit import api_sets as sets
from sandbox.hawkbit import api_system as system
from sandbox.hawkbit import api_targets as targets
from sandbox.hawkbit import control, ddi
from sandbox.hawkbit.wire import Handler, endpoint

if TYPE_CHECKING:
    from sandbox.hawkbit.server import HawkbitSandbox

_R, _T, _D, _M = "READ_ROLLOUT", "READ_TARGET", "READ_DISTRIBUTION_SET", "READ_SOFTWARE_MODULE"
_ROLLOUT = "/rollouts/{rollout:int}"
_GROUP = _ROLLOUT + "/deploygroups/{group:int}"
_TARGET = "/targets/{target}"
_ACTION = _TARGET + "/actions/{action:int}"
_ARTIFACTS = "/softwaremodules/{module:int}/artifacts"
_SET = "/distributionsets/{set:int}"

# method, path, handler, rights, takes a body
MANAGEMENT: tuple[tuple[str, str, Handler, tuple[str, ...], bool], ...] = (
    ("GET", "/rollouts", rollouts.list_rollouts, (_R,), False),
    ("POST", "/rollouts", rollouts.create, ("CREATE_ROLLOUT",), True),
    ("GET", _ROLLOUT, rollouts.get_rollout, (_R,), False),
    ("GET", _ROLLOUT + "/deploygroups", rollouts.list_groups, (_R,), False),
    ("GET", _GROUP, rollouts.get_group, (_R,), False),
    ("GET", _GROUP + "/targets", rollouts.list_group_targets, (_R, _T), False),
    ("PUT", _ROLLOUT, rollouts.update, ("UPDATE_ROLLOUT",), True),
    ("DELETE", _ROLLOUT, rollouts.delete, ("DELETE_ROLLOUT",), False),
    ("POST", _ROLLOUT + "/start", rollouts.start, ("HANDLE_ROLLOUT",), False),
    ("POST", _ROLLOUT + "/pause", rollouts.pause, ("HANDLE_ROLLOUT",), False),
    ("POST", _ROLLOUT + "/resume", rollouts.resume, ("HANDLE_ROLLOUT",), False),
    ("POST", _ROLLOUT + "/stop", rollouts.stop, ("UPDATE_ROLLOUT",), False),
    ("POST", _ROLLOUT + "/triggerNextGroup", rollouts.trigger_next_group, ("UPDATE_ROLLOUT",), False),
    ("POST", _ROLLOUT + "/approve", rollouts.approve, ("APPROVE_ROLLOUT",), False),
    ("POST", _ROLLOUT + "/deny", rollouts.deny, ("APPROVE_ROLLOUT",), False),
    ("POST", _ROLLOUT + "/retry", rollouts.retry, ("CREATE_ROLLOUT",), False),
    ("GET", "/targets", targets.list_targets, (_T,), False),
    ("POST", "/targets", targets.create, ("CREATE_TARGET",), True),
    ("GET", _TARGET, targets.get_target, (_T,), False),
    ("PUT", _TARGET, targets.update, ("UPDATE_TARGET",), True),
    ("DELETE", _TARGET, targets.delete, ("DELETE_TARGET",), False),
    ("GET", _TARGET + "/attributes", targets.attributes, (_T,), False),
    ("GET", _TARGET + "/assignedDS", targets.assigned_set, (_T, _D), False),
    ("POST", _TARGET + "/assignedDS", targets.assign, ("UPDATE_TARGET", _D), True),
    ("GET", _TARGET + "/installedDS", targets.installed_set, (_T, _D), False),
    ("GET", _TARGET + "/actions", targets.target_actions, (_T,), False),
    ("DELETE", _TARGET + "/actions", targets.delete_target_actions, ("UPDATE_TARGET",), True),
    ("GET", _ACTION, targets.get_action, (_T,), False),
    ("PUT", _ACTION, targets.update_action, ("UPDATE_TARGET",), True),
    ("DELETE", _ACTION, targets.cancel_action, ("UPDATE_TARGET",), False),
    ("GET", _ACTION + "/status", targets.action_history, (_T,), False),
    ("GET", "/actions", targets.list_actions, (_T,), False),
    ("GET", "/actions/{action:int}", targets.get_one_action, (_T,), False),
    ("DELETE", "/actions/{action:int}", targets.delete_one_action, ("UPDATE_TARGET",), False),
    ("GET", "/distributionsets", sets.list_sets, (_D,), False),
    ("POST", "/distributionsets", sets.create, ("CREATE_DISTRIBUTION_SET",), True),
    ("GET", _SET, sets.get_set, (_D,), False),
    ("PUT", _SET, sets.update, ("UPDATE_DISTRIBUTION_SET",), True),
    ("POST", _SET + "/assignedTargets", sets.assign_targets, ("UPDATE_TARGET", _D), True),
    ("POST", _SET + "/invalidate", sets.invalidate, ("UPDATE_DISTRIBUTION_SET",), True),
    ("GET", "/softwaremodules", sets.list_modules, (_M,), False),
    ("POST", "/softwaremodules", sets.create_modules, ("CREATE_SOFTWARE_MODULE",), True),
    ("GET", "/softwaremodules/{module:int}", sets.get_module, (_M,), False),
    ("GET", _ARTIFACTS, sets.artifacts, (_M,), False),
    ("POST", _ARTIFACTS, sets.upload, ("CREATE_SOFTWARE_MODULE",), False),
    ("GET", "/userinfo", system.userinfo, (), False),
    ("GET", "/system/configs", system.list_configs, ("READ_TENANT_CONFIGURATION",), False),
    ("GET", "/system/configs/{key}", system.get_config, ("READ_TENANT_CONFIGURATION",), False),
    ("PUT", "/system/configs/{key}", system.put_config, ("TENANT_CONFIGURATION",), True),
)

_DEVICE = "/{tenant}/controller/v1/{device}"
DEVICE = (
    ("GET", _DEVICE, ddi.poll),
    ("PUT", _DEVICE + "/configData", ddi.put_config),
    ("GET", _DEVICE + "/deploymentBase/{action:int}", ddi.get_deployment),
    ("POST", _DEVICE + "/deploymentBase/{action:int}/feedback", ddi.post_deployment_feedback),
    ("GET", _DEVICE + "/cancelAction/{action:int}", ddi.get_cancel),
    ("POST", _DEVICE + "/cancelAction/{action:int}/feedback", ddi.post_cancel_feedback),
)


def routes(sandbox: HawkbitSandbox) -> list[BaseRoute]:
    management = [
        Route("/rest/v1" + path, endpoint(sandbox, handler, rights, body=body), methods=[method])
        for method, path, handler, rights, body in MANAGEMENT
    ]
    devices = [Route(path, ddi.endpoint(sandbox, visit), methods=[method]) for method, path, visit in DEVICE]
    return [*management, *devices, Route("/_sandbox/hawkbit", control.endpoint(sandbox), methods=["GET", "POST"])]
