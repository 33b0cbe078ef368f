"""What a message is made of, read from a call and checked as Slack checks it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sandbox.slack.blocks import check_message_blocks
from sandbox.slack.calls import Call
from sandbox.slack.errors import SlackError
from sandbox.slack.texts import as_stored
from sandbox.slack.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Content:
    """None means "not given": chat.update keeps what was there."""

    text: str | None
    blocks: list[dict[str, Any]] | None
    attachments: list[dict[str, Any]] | None
    metadata: dict[str, Any] | None

    @property
    def is_empty(self) -> bool:
        return not (self.text or self.blocks or self.attachments)


def read_content(call: Call, *, text_limit: int | None = None, count_block_text: bool = True) -> Content:
    """The content of a post or update; raises SlackError with the method's own code.

    Longer text than `text_limit` is refused; without one it is cut at 40,000 characters with a warning.
    """
    limits = call.sandbox.limits
    text = None if call.args.get("text") is None else call.text("text")
    if text is not None and text_limit is not None and len(text) > text_limit:
        raise SlackError("msg_too_long")
    if text is not None and len(text) > limits.truncate_text:
        text = text[: limits.truncate_text]
        call.warnings.append("message_truncated")
    blocks = call.structure("blocks", "invalid_blocks_format")
    if blocks is not None:
        checked = check_message_blocks(blocks, limits, call.sandbox.refused_blocks, count_text=count_block_text)
        blocks = with_ids(checked, call.sandbox.workspace)
    attachments = call.structure("attachments", "invalid_attachments")
    if attachments is not None:
        if not isinstance(attachments, list):
            raise SlackError("invalid_attachments")
        if len(attachments) > limits.attachments:
            raise SlackError("too_many_attachments")
    return Content(
        None if text is None else as_stored(text), blocks, attachments, _metadata(call, limits.metadata_bytes)
    )


def _metadata(call: Call, allowed: int) -> dict[str, Any] | None:
    given = call.structure("metadata", "invalid_metadata_format")
    if given is None:
        return None
    if not isinstance(given, dict):
        raise SlackError("invalid_metadata_format")
    if not given:
        return {}
    if not isinstance(given.get("event_type"), str) or not isinstance(given.get("event_payload"), dict):
        raise SlackError("invalid_metadata_schema")
    if len(json.dumps(given)) > allowed:
        raise SlackError("metadata_too_large")
    return given


def with_ids(blocks: list[dict[str, Any]], workspace: Workspace) -> list[dict[str, Any]]:
    """A copy with the block_id and action_id Slack makes up where the app gave none, and `emoji` on plain text."""
    return [_with_ids(block, workspace, is_block=True) for block in blocks]


def _with_ids(part: dict[str, Any], workspace: Workspace, *, is_block: bool = False) -> dict[str, Any]:
    copy: dict[str, Any] = {}
    if is_block:
        copy = {"block_id": workspace.new_id("")[:5]}
    elif part.get("type") in ("button", "overflow", "checkboxes", "radio_buttons") or str(
        part.get("type", "")
    ).endswith(("_select", "picker", "_input")):
        copy = {"action_id": workspace.new_id("")[:5]}
    for name, value in part.items():
        if isinstance(value, dict):
            copy[name] = _with_ids(value, workspace)
        elif isinstance(value, list):
            nested = name in ("child_blocks", "tasks")
            copy[name] = [
                _with_ids(item, workspace, is_block=nested) if isinstance(item, dict) else item for item in value
            ]
        else:
            copy[name] = value
    if part.get("type") == "plain_text":
        copy.setdefault("emoji", True)
    elif part.get("type") == "mrkdwn":
        copy["text"] = as_stored(str(part["text"]))
        copy.setdefault("verbatim", False)
    return copy
