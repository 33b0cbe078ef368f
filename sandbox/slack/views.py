"""views.*: modals under the rules of trigger ids, and home tabs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sandbox.slack.blocks import Surface, check_view_blocks
from sandbox.slack.calls import Answer, Call, method
from sandbox.slack.content import with_ids
from sandbox.slack.errors import SlackError, invalid_arguments, missing_field
from sandbox.slack.limits import Limits
from sandbox.slack.records import View
from sandbox.slack.shapes import view_json
from sandbox.slack.workspace import Workspace

MODAL_FIELDS = {
    "type", "title", "blocks", "close", "submit", "private_metadata", "callback_id", "clear_on_close",
    "notify_on_close", "external_id", "submit_disabled",
}  # fmt: skip
HOME_FIELDS = {"type", "blocks", "private_metadata", "callback_id", "external_id"}


@dataclass(slots=True)
class Trigger:
    """A trigger_id: whose act it stands for, when, and in which view if any."""

    user: str
    at: float
    view_id: str | None
    used: bool = False


def problems_of_view(
    body: dict[str, Any], surface: Surface, limits: Limits, refused: frozenset[str] = frozenset()
) -> list[str]:
    """What the validator says of a view, each with its pointer; empty if it would be shown."""
    problems: list[str] = []

    def size(name: str, value: object, allowed: int) -> None:
        if len(str(value)) > allowed:
            problems.append(f"must be less than {allowed + 1} characters [json-pointer:/view/{name}]")

    if body.get("type") != surface:
        problems.append(f"must be a valid enum value: {surface} [json-pointer:/view/type]")
    for name in body.keys() - (MODAL_FIELDS if surface == "modal" else HOME_FIELDS):
        problems.append(f"invalid additional property: {name} [json-pointer:/view]")
    if surface == "modal":
        for name in ("title", "submit", "close"):
            part = body.get(name)
            if part is None:
                if name == "title":
                    problems.append("missing required field: title [json-pointer:/view]")
            elif not isinstance(part, dict) or part.get("type") != "plain_text" or not part.get("text"):
                problems.append(f"must provide a plain_text object [json-pointer:/view/{name}]")
            else:
                size(f"{name}/text", part["text"], limits.view_title)
    blocks = body.get("blocks")
    problems += check_view_blocks(blocks, surface, limits, refused)
    if surface == "modal" and isinstance(blocks, list) and "submit" not in body and any(
        isinstance(block, dict) and block.get("type") == "input" for block in blocks
    ):  # fmt: skip
        problems.append("`submit` is required when an input block is present [json-pointer:/view/submit]")
    size("private_metadata", body.get("private_metadata", ""), limits.private_metadata)
    size("callback_id", body.get("callback_id", ""), limits.identifier)
    size("external_id", body.get("external_id", ""), limits.identifier)
    return problems


def _checked(call: Call, surface: Surface) -> dict[str, Any]:
    body = call.structure("view", "invalid_arguments")
    if not isinstance(body, dict):
        raise missing_field("view")
    if len(json.dumps(body)) > call.sandbox.limits.view_bytes:
        raise SlackError("view_too_large")
    if problems := problems_of_view(body, surface, call.sandbox.limits, call.sandbox.refused_blocks):
        raise invalid_arguments(*problems)
    return body


def _trigger(call: Call) -> Trigger:
    """The trigger of this call, now used up."""
    trigger = call.sandbox.triggers.get(call.need("trigger_id"))
    if trigger is None:
        raise SlackError("invalid_trigger_id")
    if trigger.used:
        raise SlackError("exchanged_trigger_id")
    if call.sandbox.workspace.clock() - trigger.at > call.sandbox.limits.trigger_s:
        raise SlackError("expired_trigger_id")
    trigger.used = True
    return trigger


def new_view(workspace: Workspace, user: str, body: dict[str, Any], below: View | None = None) -> View:
    """A view of `user`'s with a fresh id and hash, on top of `below` if given."""
    id = workspace.new_id("V")
    stored = body | {"blocks": with_ids(body["blocks"], workspace)}
    return View(id, user, stored, _hash(workspace), below.root_id if below else id, below.id if below else None)


def replace_view(workspace: Workspace, view: View, body: dict[str, Any]) -> None:
    view.body = body | {"blocks": with_ids(body["blocks"], workspace)}
    view.hash = _hash(workspace)
    view.errors, view.trouble = {}, ""
    workspace.note("home" if body["type"] == "home" else "view", view.state(), user=view.user)


def push_view(workspace: Workspace, user: str, body: dict[str, Any]) -> View:
    stack = workspace.modals.setdefault(user, [])
    view = new_view(workspace, user, body, stack[-1] if stack else None)
    stack.append(view)
    workspace.note("view", view.state(), user=user)
    return view


def _hash(workspace: Workspace) -> str:
    return f"{int(workspace.clock())}.{workspace.new_id('')[:8]}"


@method("views.open")
async def open_view(call: Call) -> Answer:
    body = _checked(call, "modal")
    _external_id_is_free(call, body)
    trigger = _trigger(call)
    workspace = call.sandbox.workspace
    workspace.modals[trigger.user] = []
    return {"view": view_json(workspace, push_view(workspace, trigger.user, body))}


@method("views.push")
async def push(call: Call) -> Answer:
    body = _checked(call, "modal")
    _external_id_is_free(call, body)
    trigger = _trigger(call)
    workspace = call.sandbox.workspace
    stack = workspace.modals.get(trigger.user, [])
    if trigger.view_id is None or all(view.id != trigger.view_id for view in stack):
        raise SlackError("not_found")
    if len(stack) >= call.sandbox.limits.view_stack:
        raise SlackError("push_limit_reached")
    return {"view": view_json(workspace, push_view(workspace, trigger.user, body))}


def _external_id_is_free(call: Call, body: dict[str, Any]) -> None:
    wanted = body.get("external_id")
    stacks = call.sandbox.workspace.modals.values()
    if wanted and any(view.body.get("external_id") == wanted for stack in stacks for view in stack):
        raise SlackError("duplicate_external_id")


@method("views.update")
async def update(call: Call) -> Answer:
    body = _checked(call, "modal")
    workspace = call.sandbox.workspace
    id, external = call.text("view_id"), call.text("external_id")
    if not id and not external:
        raise missing_field("view_id")
    for stack in workspace.modals.values():
        for view in stack:
            if view.id == id or (external and view.body.get("external_id") == external):
                _hash_agrees(call, view)
                replace_view(workspace, view, body)
                return {"view": view_json(workspace, view)}
    raise SlackError("not_found")


@method("views.publish")
async def publish(call: Call) -> Answer:
    workspace = call.sandbox.workspace
    user = call.need("user_id")
    body = _checked(call, "home")
    if user not in workspace.users:
        raise invalid_arguments("invalid `user_id`")
    if view := workspace.homes.get(user):
        _hash_agrees(call, view)
        replace_view(workspace, view, body)
    else:
        view = workspace.homes[user] = new_view(workspace, user, body)
        workspace.note("home", view.state(), user=user)
    return {"view": view_json(workspace, view)}


def _hash_agrees(call: Call, view: View) -> None:
    if call.text("hash") and call.text("hash") != view.hash:
        raise SlackError("hash_conflict")
