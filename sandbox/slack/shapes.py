"""The objects of the Web API's answers and of the payloads sent to the app."""

from __future__ import annotations

from typing import Any

from sandbox.slack.records import Channel, File, Message, User, View
from sandbox.slack.workspace import Workspace


def message_json(workspace: Workspace, message: Message, *, metadata: bool = False) -> dict[str, Any]:
    """A message as the history methods give it; its metadata only when asked for."""
    shown: dict[str, Any] = {
        "type": "message",
        "user": message.user,
        "ts": message.ts,
        "text": message.text,
        "team": workspace.team_id,
    }
    if message.bot_id:
        shown |= {"bot_id": message.bot_id, "app_id": workspace.app_id, "bot_profile": _bot_profile(workspace)}
    if message.blocks:
        shown["blocks"] = message.blocks
    if message.attachments:
        shown["attachments"] = message.attachments
    if message.edited:
        shown["edited"] = {"user": message.bot_id or message.user, "ts": message.edited_ts}
    if metadata and message.metadata:
        shown["metadata"] = message.metadata
    if message.files:
        shown["files"] = [file_json(workspace, workspace.files[id]) for id in message.files]
    if message.reactions:
        names = dict.fromkeys(name for name, _ in message.reactions)
        shown["reactions"] = [
            {"name": name, "users": users, "count": len(users)}
            for name in names
            for users in [[user for other, user in message.reactions if other == name]]
        ]
    return shown | _thread(workspace, message)


def _thread(workspace: Workspace, message: Message) -> dict[str, Any]:
    if message.is_reply:
        shown: dict[str, Any] = {"thread_ts": message.thread_ts}
        parent = workspace.messages[message.channel].get(str(message.thread_ts))
        if parent is not None:
            shown["parent_user_id"] = parent.user
        if message.broadcast:
            shown["subtype"] = "thread_broadcast"
        return shown
    replies = workspace.replies(message.channel, message.ts)
    if not replies:
        return {}
    people = list(dict.fromkeys(reply.user for reply in replies))
    return {
        "thread_ts": message.ts,
        "reply_count": len(replies),
        "reply_users_count": len(people),
        "reply_users": people,
        "latest_reply": replies[-1].ts,
        "is_locked": False,
        "subscribed": False,
    }


def tombstone(message: Message) -> dict[str, Any]:
    """What is left of a deleted message that has replies."""
    return {
        "type": "message",
        "subtype": "tombstone",
        "text": "This message was deleted.",
        "user": "USLACKBOT",
        "hidden": True,
        "ts": message.ts,
        "thread_ts": message.ts,
    }


def _bot_profile(workspace: Workspace) -> dict[str, Any]:
    bot = workspace.users[workspace.bot_user]
    return {
        "id": workspace.bot_id,
        "app_id": workspace.app_id,
        "name": bot.real_name,
        "deleted": False,
        "updated": 0,
        "team_id": workspace.team_id,
    }


def channel_json(workspace: Workspace, channel: Channel) -> dict[str, Any]:
    if channel.is_im:
        return {
            "id": channel.id,
            "created": channel.created,
            "is_im": True,
            "is_org_shared": False,
            "user": channel.im_user,
            "is_user_deleted": False,
            "priority": 0,
        }
    return {
        "id": channel.id,
        "name": channel.name,
        "name_normalized": channel.name,
        "is_channel": not channel.is_private,
        "is_group": channel.is_private,
        "is_im": False,
        "is_mpim": False,
        "is_private": channel.is_private,
        "is_archived": channel.archived,
        "is_general": False,
        "is_shared": False,
        "is_ext_shared": False,
        "is_org_shared": False,
        "is_member": workspace.bot_user in channel.members,
        "created": channel.created,
        "creator": "U0ADMIN",
        "num_members": len(channel.members),
        "topic": {"value": "", "creator": "", "last_set": 0},
        "purpose": {"value": "", "creator": "", "last_set": 0},
        "context_team_id": workspace.team_id,
    }


def user_json(workspace: Workspace, user: User, *, with_email: bool) -> dict[str, Any]:
    """A deactivated person is shown without what the account once was; only a stranger is marked as one."""
    shown: dict[str, Any] = {
        "id": user.id,
        "team_id": user.team or workspace.team_id,
        "name": user.name,
        "deleted": user.deleted,
        "is_bot": user.is_bot,
        "is_app_user": False,
        "updated": 0,
        "profile": profile_json(user, with_email=with_email),
    }
    if user.deleted:
        return shown
    shown |= {"real_name": user.real_name, "tz": user.tz, "tz_offset": 0}
    shown |= {"is_restricted": user.is_restricted, "is_ultra_restricted": user.is_ultra_restricted}
    return shown | ({"is_stranger": True} if user.team else {})


def profile_json(user: User, *, with_email: bool) -> dict[str, Any]:
    profile = {"real_name": user.real_name, "display_name": user.name, "avatar_hash": "", "title": ""}
    return profile | ({"email": user.email} if with_email and user.email else {})


def file_json(workspace: Workspace, file: File) -> dict[str, Any]:
    shares: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for channel_id, ts in file.shares:
        kind = "private" if workspace.channels[channel_id].is_private else "public"
        shares.setdefault(kind, {}).setdefault(channel_id, []).append({"ts": ts, "reply_users": []})
    link = f"https://{workspace.domain}.slack.com/files/{workspace.bot_user}/{file.id}/{file.name}"
    return {
        "id": file.id,
        "name": file.name,
        "title": file.title,
        "size": file.length,
        "user": workspace.bot_user,
        "mimetype": "" if not file.shares else "text/plain",
        "permalink": link,
        "url_private": link,
        "channels": [channel for channel, _ in file.shares if channel.startswith("C")],
        "shares": shares,
    }


def view_json(workspace: Workspace, view: View) -> dict[str, Any]:
    body = view.body
    return {
        "id": view.id,
        "team_id": workspace.team_id,
        "type": body["type"],
        "blocks": body["blocks"],
        "private_metadata": body.get("private_metadata", ""),
        "callback_id": body.get("callback_id", ""),
        "external_id": body.get("external_id", ""),
        "state": {"values": {}},
        "hash": view.hash,
        "title": body.get("title"),
        "submit": body.get("submit"),
        "close": body.get("close"),
        "clear_on_close": body.get("clear_on_close", False),
        "notify_on_close": body.get("notify_on_close", False),
        "previous_view_id": view.previous_id,
        "root_view_id": view.root_id,
        "app_id": workspace.app_id,
        "app_installed_team_id": workspace.team_id,
        "bot_id": workspace.bot_id,
    }
