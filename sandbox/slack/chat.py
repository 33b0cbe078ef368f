"""chat.* and reactions.add."""

from __future__ import annotations

import asyncio
from typing import Any

from sandbox.slack.calls import Answer, Call, method
from sandbox.slack.content import read_content
from sandbox.slack.errors import SlackError
from sandbox.slack.records import Channel, Message
from sandbox.slack.shapes import message_json


def _postable(call: Call, wanted: str) -> Channel:
    """The channel a post goes to: an id, a name, or a person's id for a direct message."""
    workspace = call.sandbox.workspace
    if wanted in workspace.users:
        return workspace.direct(wanted)
    named = {f"#{c.name}": c.id for c in workspace.channels.values() if c.name}
    channel = workspace.channel_for_bot(named.get("#" + wanted.lstrip("#"), wanted))
    if workspace.bot_user not in channel.members and "chat:write.public" not in call.sandbox.scopes:
        raise SlackError("not_in_channel")
    if channel.archived:
        raise SlackError("is_archived")
    return channel


@method("chat.postMessage", "chat:write")
async def post_message(call: Call) -> Answer:
    workspace = call.sandbox.workspace
    if late := call.sandbox.take_late_post():
        await asyncio.sleep(late)
    channel = _postable(call, call.need("channel"))
    call.sandbox.rates.take_post(channel.id)
    content = read_content(call)
    if content.is_empty:
        raise SlackError("no_text")
    message = workspace.store(
        Message(
            channel.id,
            workspace.next_ts(),
            workspace.bot_user,
            content.text or "",
            content.blocks or [],
            bot_id=workspace.bot_id,
            attachments=content.attachments or [],
            thread_ts=call.text("thread_ts") or None,
            broadcast=call.flag("reply_broadcast"),
            metadata=content.metadata or None,
            names_are_live=call.flag("link_names") or call.text("parse") == "full",
            unfurl=call.flag("unfurl_links", True) or call.flag("unfurl_media", True),
        )
    )
    return {
        "channel": channel.id,
        "ts": message.ts,
        "message": message_json(workspace, message, metadata=True),
    }


@method("chat.update", "chat:write")
async def update(call: Call) -> Answer:
    workspace = call.sandbox.workspace
    message = _own(call, "cant_update_message", archived="is_inactive")
    content = read_content(call, text_limit=call.sandbox.limits.update_text)
    if content.text is None and content.blocks is None and content.attachments is None:
        raise SlackError("no_text")
    blocks = content.blocks
    if blocks is None:
        blocks = message.blocks if content.text is None else []
    text = message.text if content.text is None else content.text
    attachments = message.attachments if content.attachments is None else content.attachments
    if not (text or blocks or attachments):
        raise SlackError("no_text")
    if not blocks and text != message.text:
        message.edited += 1
        message.edited_ts = workspace.next_ts()
    message.text, message.blocks, message.attachments = text, blocks, attachments
    if content.metadata is not None:
        message.metadata = content.metadata or None
    message.broadcast = message.broadcast or call.flag("reply_broadcast")
    message.names_are_live = call.flag("link_names") or call.text("parse") == "full"
    workspace.changed(message)
    return {
        "channel": message.channel,
        "ts": message.ts,
        "text": message.text,
        "message": message_json(workspace, message, metadata=True),
    }


@method("chat.delete", "chat:write")
async def delete(call: Call) -> Answer:
    message = _own(call, "cant_delete_message", archived="is_archived")
    call.sandbox.workspace.delete(message, call.sandbox.workspace.bot_user)
    return {"channel": message.channel, "ts": message.ts}


def _own(call: Call, refusal: str, archived: str) -> Message:
    """A message of the bot's own, by channel id (never by name) and ts."""
    workspace = call.sandbox.workspace
    channel = workspace.channel_for_bot(call.need("channel"))
    ts = call.need("ts")
    if channel.archived:
        raise SlackError(archived)
    message = workspace.message(channel.id, ts)
    if message.bot_id != workspace.bot_id:
        raise SlackError(refusal)
    return message


@method("chat.postEphemeral", "chat:write")
async def post_ephemeral(call: Call) -> Answer:
    workspace = call.sandbox.workspace
    channel = _postable(call, call.need("channel"))
    user = call.need("user")
    if user not in channel.members:
        raise SlackError("user_not_in_channel")
    content = read_content(call)
    if content.is_empty:
        raise SlackError("no_text")
    said = workspace.whisper(
        channel.id, user, content.text or "", content.blocks, thread_ts=call.text("thread_ts") or None
    )
    return {"message_ts": said.ts}


@method("chat.getPermalink")
async def get_permalink(call: Call) -> Answer:
    workspace = call.sandbox.workspace
    channel = workspace.channel_for_bot(call.need("channel"))
    message = workspace.message(channel.id, call.need("message_ts"))
    link = f"https://{workspace.domain}.slack.com/archives/{channel.id}/p{message.ts.replace('.', '')}"
    if message.is_reply:
        link += f"?thread_ts={message.thread_ts}&cid={channel.id}"
    return {"channel": channel.id, "permalink": link}


@method("reactions.add", "reactions:write")
async def add_reaction(call: Call) -> Answer:
    workspace = call.sandbox.workspace
    channel = workspace.channel_for_bot(call.need("channel"))
    name: Any = call.text("name").strip(":")
    if not name:
        raise SlackError("invalid_name")
    if channel.archived:
        raise SlackError("is_archived")
    message = workspace.message(channel.id, call.need("timestamp"))
    reaction = (name, workspace.bot_user)
    if reaction in message.reactions:
        raise SlackError("already_reacted")
    message.reactions.append(reaction)
    workspace.note("reaction", {"name": name}, channel=channel.id, user=workspace.bot_user, ts=message.ts)
    return {}
