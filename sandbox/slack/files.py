"""files.*: an upload URL, the bytes, the completion, and the message that appears some time after the answer."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from sandbox.slack.calls import Answer, Call, method
from sandbox.slack.content import with_ids
from sandbox.slack.errors import SlackError, missing_field
from sandbox.slack.records import Channel, File, Message
from sandbox.slack.shapes import file_json
from sandbox.slack.texts import as_stored


@method("files.getUploadURLExternal", "files:write")
async def get_upload_url(call: Call) -> Answer:
    workspace = call.sandbox.workspace
    name, length = call.need("filename"), call.number("length", 0)
    if length < 1:
        raise missing_field("length")
    file = File(workspace.new_id("F"), name, name, length)
    workspace.files[file.id] = file
    return {"upload_url": f"http://{call.host}/upload/v1/{file.id}", "file_id": file.id}


def receive_upload(files: dict[str, File], file_id: str, body: bytes) -> tuple[int, str]:
    """Status and text for a POST to an upload URL; a URL is good for one upload of the announced length."""
    file = files.get(file_id)
    if file is None or file.content is not None:
        return 404, "upload url not found"
    if len(body) != file.length:
        return 400, "length mismatch"
    file.content = body
    return 200, f"OK - {len(body)}"


@method("files.completeUploadExternal", "files:write")
async def complete_upload(call: Call) -> Answer:
    """Answers at once; the files are shared later, and the answer knows no message ts."""
    sandbox = call.sandbox
    listed = call.structure("files", "invalid_arguments")
    if not isinstance(listed, list) or not listed or not all(isinstance(item, dict) for item in listed):
        raise missing_field("files")
    files = [_uploaded(sandbox.workspace.files, item) for item in listed]
    names = [name for name in [call.text("channel_id"), *call.text("channels").split(",")] if name]
    channels = [_shareable(call, name) for name in names]
    blocks = call.structure("blocks", "invalid_blocks_format") or []
    for file, item in zip(files, listed, strict=True):
        file.completed = True
        file.title = str(item.get("title") or file.name)
    for channel in channels:
        shown = with_ids(blocks, sandbox.workspace)
        sandbox.later(sandbox.file_processing_s, partial(_share, call, files, channel, shown))
    return {"files": [file_json(sandbox.workspace, file) | {"shares": {}} for file in files]}


def _uploaded(files: dict[str, File], item: dict[str, Any]) -> File:
    file = files.get(str(item.get("id")))
    if file is None or file.content is None or file.completed:
        raise SlackError("file_not_found")
    return file


def _shareable(call: Call, name: str) -> Channel:
    """A channel by its id: names are not understood here, and chat:write.public does not help."""
    workspace = call.sandbox.workspace
    channel = workspace.channel_for_bot(name)
    if workspace.bot_user not in channel.members:
        raise SlackError("not_in_channel")
    if channel.archived:
        raise SlackError("is_archived")
    return channel


def _share(call: Call, files: list[File], channel: Channel, blocks: list[dict[str, Any]]) -> None:
    workspace = call.sandbox.workspace
    ts = workspace.next_ts()
    for file in files:
        file.shares.append((channel.id, ts))
        workspace.note("file", file.state(), channel=channel.id, user=workspace.bot_user, ts=ts)
    workspace.store(
        Message(
            channel.id,
            ts,
            workspace.bot_user,
            as_stored(call.text("initial_comment")),
            blocks,
            bot_id=workspace.bot_id,
            thread_ts=call.text("thread_ts") or None,
            files=[file.id for file in files],
        )
    )


@method("files.info", "files:read")
async def file_info(call: Call) -> Answer:
    workspace = call.sandbox.workspace
    file = workspace.files.get(call.need("file"))
    if file is None or not file.completed:
        raise SlackError("file_not_found")
    content = (file.content or b"")[:1000].decode("utf-8", "replace")
    return {"file": json.loads(json.dumps(file_json(workspace, file))), "content": content}
