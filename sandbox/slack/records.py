"""The things a workspace holds: people, channels, messages, files, views, and the changes to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from sandbox.slack.texts import as_read, links, pings

ChangeKind = Literal[
    "message_posted", "message_updated", "message_deleted", "ephemeral", "ephemeral_updated", "ephemeral_deleted",
    "file", "view", "home", "reaction", "channel", "user", "delivery", "socket", "token",
]  # fmt: skip


@dataclass(slots=True)
class User:
    """`is_restricted` is a guest, `is_ultra_restricted` one of a single channel. `team` is another workspace's id for
    somebody who is here through a shared channel only, else ""."""

    id: str
    name: str
    real_name: str
    email: str
    is_bot: bool = False
    deleted: bool = False
    tz: str = "Etc/UTC"
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    team: str = ""


@dataclass(slots=True)
class Channel:
    id: str
    name: str
    is_private: bool = False
    im_user: str | None = None
    members: set[str] = field(default_factory=set)
    archived: bool = False
    created: int = 0

    @property
    def is_im(self) -> bool:
        return self.im_user is not None


@dataclass(slots=True)
class Message:
    """`revisions` counts every change, `edited` those that leave the "(edited)" mark. `visible_at` is when the
    history methods begin to show it; people see it at once."""

    channel: str
    ts: str
    user: str
    text: str
    blocks: list[dict[str, Any]]
    bot_id: str | None = None
    attachments: list[dict[str, Any]] = field(default_factory=list)
    thread_ts: str | None = None
    broadcast: bool = False
    metadata: dict[str, Any] | None = None
    edited: int = 0
    edited_ts: str = ""
    revisions: int = 0
    deleted: bool = False
    deleted_by: str = ""
    reactions: list[tuple[str, str]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    visible_at: float = 0.0
    names_are_live: bool = False
    unfurl: bool = True

    @property
    def is_reply(self) -> bool:
        return self.thread_ts is not None and self.thread_ts != self.ts

    def state(self) -> dict[str, Any]:
        """All there is to see of this message, for `/_sandbox/slack/state`."""
        return {
            "channel": self.channel,
            "ts": self.ts,
            "user": self.user,
            "bot_id": self.bot_id,
            "text": self.text,
            "blocks": self.blocks,
            "shown": as_read(self.text, self.blocks),
            "thread_ts": self.thread_ts,
            "metadata": self.metadata,
            "edited": self.edited,
            "revisions": self.revisions,
            "deleted": self.deleted,
            "deleted_by": self.deleted_by,
            "reactions": self.reactions,
            "files": self.files,
            "pings": pings(self.text, self.blocks, names_are_live=self.names_are_live),
            "unfurled": links(self.text, self.blocks) if self.unfurl else [],
        }


@dataclass(slots=True)
class Ephemeral:
    """Only `user` sees it. `error` marks Slack's own notices of a failed command or click."""

    channel: str
    ts: str
    user: str
    text: str
    blocks: list[dict[str, Any]]
    thread_ts: str | None = None
    error: bool = False
    deleted: bool = False
    revisions: int = 0

    def state(self) -> dict[str, Any]:
        return {
            "channel": self.channel,
            "ts": self.ts,
            "user": self.user,
            "text": self.text,
            "blocks": self.blocks,
            "shown": as_read(self.text, self.blocks),
            "thread_ts": self.thread_ts,
            "error": self.error,
            "deleted": self.deleted,
            "revisions": self.revisions,
        }


@dataclass(slots=True)
class File:
    id: str
    name: str
    title: str
    length: int
    content: bytes | None = None
    completed: bool = False
    shares: list[tuple[str, str]] = field(default_factory=list)

    def state(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "title": self.title,
            "size": self.length,
            "content": (self.content or b"").decode("utf-8", "replace"),
            "completed": self.completed,
            "shares": [{"channel": channel, "ts": ts} for channel, ts in self.shares],
        }


@dataclass(slots=True)
class View:
    """A modal or a home tab as one person sees it. `errors` are those of its last submission."""

    id: str
    user: str
    body: dict[str, Any]
    hash: str
    root_id: str
    previous_id: str | None = None
    errors: dict[str, str] = field(default_factory=dict)
    trouble: str = ""

    def state(self) -> dict[str, Any]:
        blocks = self.body.get("blocks", [])
        return {
            "id": self.id,
            "user": self.user,
            "hash": self.hash,
            "view": self.body,
            "shown": as_read("", blocks),
            "errors": self.errors,
            "trouble": self.trouble,
        }


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happened, numbered from 1. `data` holds the state of what changed."""

    seq: int
    at: float
    kind: ChangeKind
    channel: str | None
    user: str | None
    ts: str | None
    data: dict[str, Any]
