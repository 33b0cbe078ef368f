"""What a person can do with an element: find it on the screen, press it, fill it in; and how Slack words that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

SELECTED = {
    "users_select": "selected_user",
    "conversations_select": "selected_conversation",
    "channels_select": "selected_channel",
    "multi_users_select": "selected_users",
    "multi_conversations_select": "selected_conversations",
    "multi_channels_select": "selected_channels",
    "datepicker": "selected_date",
    "timepicker": "selected_time",
    "datetimepicker": "selected_date_time",
}
ONE_OPTION = {"static_select", "external_select", "radio_buttons", "overflow"}
OPTIONS = {"multi_static_select", "multi_external_select", "checkboxes"}
TYPED = {"plain_text_input", "email_text_input", "url_text_input", "number_input"}
PRESSED = {"button", "workflow_button", "overflow", "feedback_buttons", "icon_button"}


class NotOnScreen(LookupError):
    """The person tried to press or fill in something they cannot see."""


def elements(blocks: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each (block, element) with an action_id, in reading order."""
    for block in blocks:
        for child in [*block.get("child_blocks", []), *_cards(block)]:
            yield from elements([child])
        parts = [block.get("accessory"), block.get("element"), *block.get("elements", []), *block.get("actions", [])]
        for part in parts:
            if isinstance(part, dict) and "action_id" in part:
                yield block, part


def _cards(block: dict[str, Any]) -> list[dict[str, Any]]:
    return list(block.get("elements", [])) if block.get("type") == "carousel" else []


def find(
    blocks: list[dict[str, Any]], action_id: str, value: str | list[str] | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The element called `action_id`; with a `value`, the button that carries it or the menu that offers it (or, of
    several that may be chosen together, each)."""
    for block, part in elements(blocks):
        if part["action_id"] == action_id and (value is None or _carries(part, value)):
            return block, part
    raise NotOnScreen(f"no {action_id!r}{'' if value is None else f' with {value!r}'} to press here")


def _carries(part: dict[str, Any], value: str | list[str]) -> bool:
    if part["type"] == "button":
        return bool(part.get("value") == value)
    known = part.get("options") or part.get("option_groups")
    offered = {option["value"] for option in _options(part)}
    return known is None or (offered.issuperset(value) if isinstance(value, list) else value in offered)


def _options(part: dict[str, Any]) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = part.get("option_groups", [])
    return [*part.get("options", []), *(option for group in groups for option in group["options"])]


def _option(part: dict[str, Any], value: str) -> dict[str, Any]:
    for option in _options(part):
        if option["value"] == value:
            return option
    if "external" in part["type"]:
        return {"text": {"type": "plain_text", "text": value}, "value": value}
    raise NotOnScreen(f"{part['action_id']!r} does not offer {value!r}")


def action_json(block: dict[str, Any], part: dict[str, Any], value: str | None, action_ts: str) -> dict[str, Any]:
    """The entry of a block_actions payload for this press or choice."""
    head = {"action_id": part["action_id"], "block_id": block["block_id"], "type": part["type"]}
    if part["type"] in ("button", "workflow_button"):
        body: dict[str, Any] = {name: part[name] for name in ("text", "value", "style", "url") if name in part}
    elif part["type"] in ("feedback_buttons", "icon_button"):
        body = {"value": value if value is not None else part.get("value", "")}
    else:
        body = filled(part, value)
        body.pop("type")
    return {**head, **body, "action_ts": action_ts}


def filled(part: dict[str, Any], value: Any) -> dict[str, Any]:
    """The state of an input holding `value`, or what the app preset, or nothing."""
    kind = part["type"]
    if kind in TYPED:
        given = part.get("initial_value") if value is None else str(value)
        return {"type": kind, "value": given or None}
    if kind in ONE_OPTION:
        chosen = part.get("initial_option") if value is None else _option(part, str(value))
        return {"type": kind, "selected_option": chosen}
    if kind in OPTIONS:
        wanted = [value] if isinstance(value, str) else value
        preset = part.get("initial_options", [])
        return {"type": kind, "selected_options": preset if wanted is None else [_option(part, v) for v in wanted]}
    if kind in SELECTED:
        name = SELECTED[kind]
        preset = part.get(name.replace("selected", "initial"))
        return {"type": kind, name: preset if value is None else value}
    return {"type": kind, "rich_text_value" if kind == "rich_text_input" else "files": value}


def view_values(blocks: list[dict[str, Any]], values: dict[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """`state.values` of a modal that is submitted with `values` filled in, keyed by action_id or block_id."""
    state = view_state(blocks, values)
    for block, part in elements(blocks):
        required = block["type"] == "input" and not block.get("optional") and part["type"] not in PRESSED
        if required and not _given(state[block["block_id"]][part["action_id"]]):
            name = part["action_id"] if part["action_id"] in values else block["block_id"]
            raise NotOnScreen(f"Slack would not submit: {name!r} is empty")
    return state


def view_state(blocks: list[dict[str, Any]], values: dict[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """`state.values` of a view as it stands, whatever is still empty in it."""
    left = set(values)
    state: dict[str, dict[str, dict[str, Any]]] = {}
    for block, part in elements(blocks):
        if part["type"] in PRESSED:
            continue
        name = part["action_id"] if part["action_id"] in values else block["block_id"]
        left.discard(name)
        state.setdefault(block["block_id"], {})[part["action_id"]] = filled(part, values.get(name))
    if left:
        raise NotOnScreen(f"no input for {sorted(left)} in this view")
    return state


def _given(entry: dict[str, Any]) -> bool:
    return any(value for name, value in entry.items() if name != "type")
