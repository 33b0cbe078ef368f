"""The device side (DDI): `/{tenant}/controller/v1/{id}`. A device polls, follows the links it is given, and reports."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson
from starlette.requests import Request
from starlette.responses import Response

from sandbox.hawkbit import bodies, errors
from sandbox.hawkbit.errors import ApiError
from sandbox.hawkbit.model import Action, Target
from sandbox.hawkbit.repository import SERVER, Repository
from sandbox.hawkbit.wire import HAL, Endpoint, Reply, answer, failure, servlet_error

if TYPE_CHECKING:
    from sandbox.hawkbit.server import HawkbitSandbox

PLUG_AND_PLAY = "CONTROLLER_PLUG_AND_PLAY"
_STATUS_OF = {"download": "download", "downloaded": "downloaded", "rejected": "warning"}
"""How an intermediate report is filed; every other word is `running`."""


class Visit:
    """One authenticated device request."""

    def __init__(self, sandbox: HawkbitSandbox, request: Request, body: Any) -> None:
        tenant = str(request.path_params["tenant"]).upper()
        header = request.headers.get("authorization", "")
        if tenant not in sandbox.tenant_names or header != f"GatewayToken {sandbox.gateway_token}":
            raise servlet_error(401, "Unauthorized")
        self.repo: Repository = sandbox.tenant(tenant).repo
        self.device = str(request.path_params["device"])
        self.action_id: int | None = request.path_params.get("action")
        self.body = body
        self.ip = request.client.host if request.client is not None else "127.0.0.1"
        host = request.headers.get("host", "127.0.0.1")
        self.here = f"http://{host}/{tenant}/controller/v1/{quote(self.device, safe='')}"

    def target(self) -> Target:
        return self.repo.target(self.device)

    def action(self) -> Action:
        assert self.action_id is not None
        return self.repo.action(self.target(), self.action_id)


def endpoint(sandbox: HawkbitSandbox, handler: Callable[[Visit], Reply]) -> Endpoint:
    async def serve(request: Request) -> Response:
        raw = await request.body() if request.method != "GET" else b""
        try:
            visit = Visit(sandbox, request, orjson.loads(raw) if raw else None)
            reply = handler(visit)
        except orjson.JSONDecodeError:
            return failure(errors.not_readable())
        except ApiError as error:
            return failure(error)
        return answer(reply.status, reply.body, HAL)

    return serve


def poll(visit: Visit) -> Reply:
    """Unknown ids register themselves. Of several open actions the heaviest, then the oldest comes first."""
    repo = visit.repo
    target = repo.targets.get(visit.device)
    if target is None:
        target = repo.add_target(visit.device, PLUG_AND_PLAY, description=f"Plug and Play target: {visit.device}")
    if target.update_status == "unknown":
        target.update_status = "registered"
    target.polled_at, target.address = repo.now(), visit.ip
    links: dict[str, Any] = {}
    open_actions = sorted(target.active_actions(), key=lambda one: (-one.weight, one.id))
    if open_actions:
        first = open_actions[0]
        kind = "cancelAction" if first.cancelling else "deploymentBase"
        links[kind] = {"href": f"{visit.here}/{kind}/{first.id}"}
    if target.wants_attributes:
        links["configData"] = {"href": f"{visit.here}/configData"}
    return Reply(200, {"config": {"polling": {"sleep": "00:05:00"}}, "_links": links})


def put_config(visit: Visit) -> Reply:
    target, body = visit.target(), bodies.parse(bodies.ConfigData, visit.body)
    if body.mode == "replace":
        target.attributes = dict(body.data)
    elif body.mode == "remove":
        for key in body.data:
            target.attributes.pop(key, None)
    else:
        target.attributes.update(body.data)
    target.wants_attributes = False
    return Reply(200)


def get_deployment(visit: Visit) -> Reply:
    action = visit.action()
    if action.cancelling:
        raise ApiError(404)
    if not action.history or action.history[-1].type != "retrieved":
        words = SERVER + "Target retrieved update action and should start now the download."
        visit.repo.note(action, "retrieved", [words])
        if action.active:
            visit.repo.turn(action, "retrieved")
    handling = "forced" if action.force_type == "forced" else "attempt"
    chunks = [
        {
            "part": module.type,
            "version": module.version,
            "name": module.name,
            "artifacts": [
                {
                    "filename": artifact.filename,
                    "hashes": artifact.hashes,
                    "size": artifact.size,
                    "_links": {
                        "download-http": {
                            "href": f"{visit.here}/softwaremodules/{module.id}/artifacts/{artifact.filename}"
                        }
                    },
                }
                for artifact in module.artifacts
            ],
        }
        for module in action.set.modules
    ]
    deployment = {
        "download": handling,
        "update": "skip" if action.force_type == "downloadonly" else handling,
        "chunks": chunks,
    }
    return Reply(200, {"id": str(action.id), "deployment": deployment})


def get_cancel(visit: Visit) -> Reply:
    action = visit.action()
    if not action.cancelling:
        raise ApiError(404)
    words = SERVER + "Target retrieved cancel action and should start now the cancellation."
    visit.repo.note(action, "retrieved", [words])
    return Reply(200, {"id": str(action.id), "cancelAction": {"stopId": str(action.id)}})


def post_deployment_feedback(visit: Visit) -> Reply:
    body = bodies.parse(bodies.Feedback, visit.body)
    report(visit.repo, visit.action(), body)
    return Reply(200)


def post_cancel_feedback(visit: Visit) -> Reply:
    body = bodies.parse(bodies.Feedback, visit.body)
    repo, action = visit.repo, visit.action()
    if not action.active:
        raise ApiError(410)
    status = body.status
    refused = status.execution == "rejected" or status.result.finished == "failure"
    if status.execution not in ("closed", "canceled", "rejected"):
        repo.note(action, "running", status.details, timestamp=body.timestamp, code=status.code)
    elif refused:
        repo.note(action, "cancel_rejected", status.details, timestamp=body.timestamp, code=status.code)
        repo.turn(action, "running")
    else:
        words = [
            SERVER + "Cancellation confirmed.",
            *status.details,
            SERVER + "Cancellation completion is finished successfully.",
        ]
        repo.note(action, "canceled", words, timestamp=body.timestamp, code=status.code)
        repo.end_cancelled(action)
    return Reply(200)


def report(repo: Repository, action: Action, body: bodies.Feedback) -> None:
    """A device's word on its update. On a closed action: 410, and nothing is stored (measured).

    Success counts even while the action is being cancelled. Nothing here moves lastModifiedAt.
    """
    if not action.active:
        raise ApiError(410)
    limit = repo.quotas.statuses_per_action
    if len(action.history) >= limit:
        raise errors.quota_of(1, "ActionStatus", f"Action '{action.id}'", limit)
    status, target = body.status, action.target
    words = list(status.details)
    if status.code is not None:
        words.append(f"Device reported status code: {status.code}")
        action.last_code = status.code
    if status.execution == "closed" and status.result.finished == "failure":
        repo.note(action, "error", words, timestamp=body.timestamp, code=status.code)
        repo.turn(action, "error")
        target.update_status, target.assigned = "error", None
    elif status.execution == "closed":
        entry = repo.note(action, "finished", words, timestamp=body.timestamp, code=status.code)
        repo.turn(action, "finished")
        target.installed, target.installed_at = action.set, entry.timestamp
        if target.assigned is action.set:
            target.update_status = "in_sync"
    elif status.execution == "canceled":
        repo.note(action, "canceled", words, timestamp=body.timestamp, code=status.code)
        repo.end_cancelled(action)
    else:
        kind = _STATUS_OF.get(status.execution, "running")
        repo.note(action, kind, words, timestamp=body.timestamp, code=status.code)
        if status.execution == "downloaded" and action.force_type == "downloadonly":
            repo.turn(action, "downloaded")
            target.update_status = "in_sync"
