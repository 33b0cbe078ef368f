"""conversations.* and users.*."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from sandbox.slack.calls import Answer, Call, method
from sandbox.slack.errors import SlackError, invalid_arguments
from sandbox.slack.records import Channel, Message, User
from sandbox.slack.shapes import channel_json, message_json, profile_json, tombstone, user_json

Item = TypeVar("Item")


def _family(channel: Channel) -> str:
    return "im" if channel.is_im else "groups" if channel.is_private else "channels"


def _page(call: Call, items: Sequence[Item], default: int, most: int) -> tuple[Sequence[Item], Answer]:
    limit = call.number("limit", default)
    if not 1 <= limit <= most:
        raise SlackError("invalid_limit")
    start = 0
    if cursor := call.text("cursor"):
        try:
            start = int(base64.b64decode(cursor, validate=True).removeprefix(b"next:"))
        except (ValueError, binascii.Error):
            raise SlackError("invalid_cursor") from None
    following = "" if start + limit >= len(items) else base64.b64encode(f"next:{start + limit}".encode()).decode()
    return items[start : start + limit], {"response_metadata": {"next_cursor": following}}


def _readable(call: Call) -> Channel:
    workspace = call.sandbox.workspace
    channel = workspace.channel_for_bot(call.need("channel"))
    call.need_scope(f"{_family(channel)}:history")
    if workspace.bot_user not in channel.members:
        raise SlackError("not_in_channel")
    return channel


def _instant(call: Call, name: str) -> Decimal | None:
    try:
        return Decimal(call.text(name)) if call.text(name) else None
    except InvalidOperation:
        raise SlackError(f"invalid_ts_{name}") from None


def _within(call: Call, messages: list[Message]) -> list[Message]:
    """Those between `oldest` and `latest` that the history already shows."""
    oldest, latest, inclusive = _instant(call, "oldest"), _instant(call, "latest"), call.flag("inclusive")
    now = call.sandbox.workspace.clock()

    def fits(message: Message) -> bool:
        ts = Decimal(message.ts)
        after = oldest is None or ts > oldest or (inclusive and ts == oldest)
        before = latest is None or ts < latest or (inclusive and ts == latest)
        return after and before and message.visible_at <= now

    return [message for message in messages if fits(message)]


def _history_json(call: Call, message: Message) -> dict[str, Any]:
    if message.deleted:
        return tombstone(message)
    return message_json(call.sandbox.workspace, message, metadata=call.flag("include_all_metadata"))


@method("conversations.history")
async def history(call: Call) -> Answer:
    """Newest first. With `oldest` but no `latest` a page holds the messages closest to `oldest`."""
    workspace = call.sandbox.workspace
    channel = _readable(call)
    listed = [
        m
        for m in workspace.messages[channel.id].values()
        if (not m.is_reply or m.broadcast)
        and (not m.deleted or (not m.is_reply and workspace.replies(channel.id, m.ts)))
    ]
    found = sorted(_within(call, listed), key=lambda m: Decimal(m.ts))
    forward = bool(call.text("oldest")) and not call.text("latest")
    page, meta = _page(call, found if forward else found[::-1], 100, 999)
    shown = sorted(page, key=lambda m: Decimal(m.ts), reverse=True)
    more = bool(meta["response_metadata"]["next_cursor"])
    return {
        "messages": [_history_json(call, m) for m in shown],
        "has_more": more,
        "pin_count": 0,
        "channel_actions_ts": None,
        "channel_actions_count": 0,
        **(meta if more else {}),
    }


@method("conversations.replies")
async def replies(call: Call) -> Answer:
    """Oldest first, the parent always on top of the first page."""
    workspace = call.sandbox.workspace
    channel = _readable(call)
    parent = workspace.messages[channel.id].get(call.need("ts"))
    following = [] if parent is None else workspace.replies(channel.id, parent.ts)
    if parent is None or (parent.deleted and not following) or parent.visible_at > workspace.clock():
        raise SlackError("thread_not_found")
    page, meta = _page(call, _within(call, following), 1000, 1000)
    top = [] if call.text("cursor") else [parent]
    more = bool(meta["response_metadata"]["next_cursor"])
    return {
        "messages": [_history_json(call, m) for m in [*top, *page]],
        "has_more": more,
        **(meta if more else {}),
    }


@method("conversations.info")
async def info(call: Call) -> Answer:
    channel = call.sandbox.workspace.channel_for_bot(call.need("channel"))
    call.need_scope(f"{_family(channel)}:read")
    shown = channel_json(call.sandbox.workspace, channel)
    if not call.flag("include_num_members"):
        shown.pop("num_members", None)
    return {"channel": shown}


@method("conversations.join", "channels:join")
async def join(call: Call) -> Answer:
    workspace = call.sandbox.workspace
    channel = workspace.channel_for_bot(call.need("channel"))
    if channel.is_private or channel.is_im:
        raise SlackError("method_not_supported_for_channel_type")
    if channel.archived:
        raise SlackError("is_archived")
    if workspace.bot_user in channel.members:
        call.warnings.append("already_in_channel")
    channel.members.add(workspace.bot_user)
    workspace.note("channel", {"joined": workspace.bot_user}, channel=channel.id, user=workspace.bot_user)
    return {"channel": channel_json(workspace, channel)}


@method("conversations.open", "im:write")
async def open_direct(call: Call) -> Answer:
    workspace = call.sandbox.workspace
    if not (wanted := call.text("users") or call.text("channel")):
        raise SlackError("users_list_not_supplied")
    if "," in wanted:
        raise SlackError("missing_scope", needed="mpim:write", provided=",".join(sorted(call.sandbox.scopes)))
    if wanted in workspace.channels:
        channel = workspace.channel_for_bot(wanted)
    else:
        known = f"D{wanted[1:]}" in workspace.channels
        channel = workspace.direct(wanted)
        if known:
            return {"no_op": True, "already_open": True, "channel": {"id": channel.id}}
    return {"channel": channel_json(workspace, channel) if call.flag("return_im") else {"id": channel.id}}


@method("conversations.list")
async def list_channels(call: Call) -> Answer:
    workspace = call.sandbox.workspace
    families = {"public_channel": "channels", "private_channel": "groups", "im": "im", "mpim": "mpim"}
    wanted = [kind.strip() for kind in call.text("types", "public_channel").split(",")]
    if any(kind not in families for kind in wanted):
        raise SlackError("invalid_types")
    call.need_scope(*(f"{families[kind]}:read" for kind in wanted))
    listed = [
        channel
        for channel in workspace.channels.values()
        if any(families[kind] == _family(channel) for kind in wanted)
        and not (channel.archived and call.flag("exclude_archived"))
        and not (channel.is_private and workspace.bot_user not in channel.members)
    ]
    page, meta = _page(call, listed, 100, 1000)
    return {"channels": [channel_json(workspace, channel) for channel in page], **meta}


@method("conversations.members")
async def members(call: Call) -> Answer:
    channel = call.sandbox.workspace.channel_for_bot(call.need("channel"))
    call.need_scope(f"{_family(channel)}:read")
    page, meta = _page(call, sorted(channel.members), 100, 1000)
    return {"members": list(page), **meta}


def _user(call: Call) -> User:
    user = call.sandbox.workspace.users.get(call.need("user"))
    if user is None:
        raise SlackError("user_not_found")
    return user


def _sees_email(call: Call) -> bool:
    return "users:read.email" in call.sandbox.scopes


@method("users.info", "users:read")
async def user_info(call: Call) -> Answer:
    return {"user": user_json(call.sandbox.workspace, _user(call), with_email=_sees_email(call))}


@method("users.list", "users:read")
async def list_users(call: Call) -> Answer:
    workspace = call.sandbox.workspace
    page, meta = _page(call, list(workspace.users.values()), 1000, 1000)
    listed = [user_json(workspace, user, with_email=_sees_email(call)) for user in page]
    return {"members": listed, "cache_ts": int(workspace.clock()), **meta}


@method("users.lookupByEmail", "users:read.email")
async def lookup_by_email(call: Call) -> Answer:
    email = call.need("email").lower()
    for user in call.sandbox.workspace.users.values():
        if user.email.lower() == email and not user.deleted:
            return {"user": user_json(call.sandbox.workspace, user, with_email=True)}
    raise SlackError("users_not_found")


@method("users.profile.get", "users.profile:read")
async def user_profile(call: Call) -> Answer:
    if not call.text("user"):
        raise invalid_arguments("missing required field: user")
    return {"profile": profile_json(_user(call), with_email=_sees_email(call))}
