"""What a Slack workspace remembers: people, channels, messages, files, views, and a numbered list of every change."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

from sandbox.slack.errors import SlackError
from sandbox.slack.records import Change, ChangeKind, Channel, Ephemeral, File, Message, User, View


class Workspace:
    """The state, and the few rules every way in shares. All times come from `clock` (seconds since 1970)."""

    def __init__(self, team_id: str, clock: Callable[[], float], seed: int) -> None:
        self.team_id = team_id
        self.domain = "cdm-sandbox"
        self.app_id = "A0CDM"
        self.bot_id = "B0CDM"
        self.bot_user = "U0CDMBOT"
        self.clock = clock
        self.rng = random.Random(seed)
        self.users = {self.bot_user: User(self.bot_user, "cdm", "CDM ChatOps", "", is_bot=True)}
        self.channels: dict[str, Channel] = {}
        self.messages: dict[str, dict[str, Message]] = {}
        self.ephemerals: list[Ephemeral] = []
        self.files: dict[str, File] = {}
        self.modals: dict[str, list[View]] = {}
        self.homes: dict[str, View] = {}
        self.changes: list[Change] = []
        self.history_delay_s = 0.0
        self._last_us = 0
        self._changed = asyncio.Event()

    def next_ts(self) -> str:
        """A message timestamp: now, unique and rising in this workspace."""
        self._last_us = max(self._last_us + 1, int(self.clock() * 1_000_000))
        return f"{self._last_us // 1_000_000}.{self._last_us % 1_000_000:06d}"

    def new_id(self, letter: str) -> str:
        return letter + "".join(self.rng.choices("ABCDEFGHJKLMNPQRSTUVWXYZ23456789", k=10))

    def note(
        self,
        kind: ChangeKind,
        data: dict[str, Any],
        *,
        channel: str | None = None,
        user: str | None = None,
        ts: str | None = None,
    ) -> None:
        self.changes.append(Change(len(self.changes) + 1, self.clock(), kind, channel, user, ts, data))
        self._changed.set()
        self._changed = asyncio.Event()

    async def changes_since(self, seq: int, wait_s: float) -> list[Change]:
        """The changes after number `seq`; waits up to `wait_s` for the first."""
        if len(self.changes) <= seq and wait_s > 0:
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                return []
        return self.changes[seq:]

    def add_user(self, name: str, *, id: str = "", email: str = "", real_name: str = "") -> User:
        user = User(
            id or "U0" + re.sub(r"[^A-Z0-9]", "", name.upper()),
            name,
            real_name or name.title(),
            email or f"{name}@example.org",
        )
        self.users[user.id] = user
        self.note("user", {"name": name}, user=user.id)
        return user

    def add_channel(
        self, name: str, *, id: str = "", private: bool = False, members: tuple[str, ...] = (), bot_in: bool = True
    ) -> Channel:
        """A channel of `members`, and of the app's bot if `bot_in`."""
        channel = Channel(
            id or "C0" + re.sub(r"[^A-Z0-9]", "", name.upper()),
            name,
            is_private=private,
            members={*members, *([self.bot_user] if bot_in else [])},
            created=int(self.clock()),
        )
        self.channels[channel.id] = channel
        self.messages[channel.id] = {}
        self.note("channel", {"name": name, "created": True}, channel=channel.id)
        return channel

    def direct(self, user: str) -> Channel:
        """The direct message channel of the bot and `user`, opened if need be."""
        if user not in self.users:
            raise SlackError("user_not_found")
        id = "D" + user[1:]
        if id not in self.channels:
            self.channels[id] = Channel(id, "", im_user=user, members={user, self.bot_user})
            self.messages[id] = {}
        return self.channels[id]

    def channel_for_bot(self, id: str) -> Channel:
        """A channel the bot can see, by its id: a private one it is not in does not exist for it."""
        channel = self.channels.get(id)
        if channel is None or (channel.is_private and self.bot_user not in channel.members):
            raise SlackError("channel_not_found")
        return channel

    def message(self, channel: str, ts: str) -> Message:
        found = self.messages[channel].get(ts)
        if found is None or found.deleted:
            raise SlackError("message_not_found")
        return found

    def live(self, channel: str) -> Iterator[Message]:
        return (m for m in self.messages[channel].values() if not m.deleted)

    def replies(self, channel: str, thread_ts: str) -> list[Message]:
        return [m for m in self.live(channel) if m.is_reply and m.thread_ts == thread_ts]

    def store(self, message: Message) -> Message:
        message.visible_at = self.clock() + self.rng.uniform(0, self.history_delay_s)
        self.messages[message.channel][message.ts] = message
        self.note("message_posted", message.state(), channel=message.channel, user=message.user, ts=message.ts)
        return message

    def changed(self, message: Message) -> None:
        message.revisions += 1
        self.note("message_updated", message.state(), channel=message.channel, user=message.user, ts=message.ts)

    def delete(self, message: Message, by: str) -> None:
        message.deleted, message.deleted_by = True, by
        self.note("message_deleted", message.state(), channel=message.channel, user=by, ts=message.ts)

    def whisper(
        self,
        channel: str,
        user: str,
        text: str,
        blocks: list[dict[str, Any]] | None = None,
        *,
        thread_ts: str | None = None,
        error: bool = False,
    ) -> Ephemeral:
        said = Ephemeral(channel, self.next_ts(), user, text, blocks or [], thread_ts, error)
        self.ephemerals.append(said)
        self.note("ephemeral", said.state(), channel=channel, user=user, ts=said.ts)
        return said

    def state(self) -> dict[str, Any]:
        """Everything: channels with their messages and replies (deleted ones marked), ephemerals, files, views."""
        return {
            "seq": len(self.changes),
            "team": self.team_id,
            "users": [
                {"id": u.id, "name": u.name, "real_name": u.real_name, "email": u.email, "is_bot": u.is_bot}
                for u in self.users.values()
            ],
            "channels": [self._channel_state(channel) for channel in self.channels.values()],
            "ephemerals": [e.state() for e in self.ephemerals],
            "files": [f.state() for f in self.files.values()],
            "modals": {user: [view.state() for view in stack] for user, stack in self.modals.items()},
            "homes": {user: view.state() for user, view in self.homes.items()},
        }

    def _channel_state(self, channel: Channel) -> dict[str, Any]:
        messages = self.messages[channel.id].values()
        replies: dict[str, list[dict[str, Any]]] = {}
        for message in messages:
            if message.is_reply:
                replies.setdefault(str(message.thread_ts), []).append(message.state())
        known = {m.ts for m in messages if not m.is_reply}
        return {
            "id": channel.id,
            "name": channel.name,
            "is_private": channel.is_private,
            "im_user": channel.im_user,
            "archived": channel.archived,
            "members": sorted(channel.members),
            "messages": [{**m.state(), "replies": replies.get(m.ts, [])} for m in messages if not m.is_reply],
            "orphans": [m for ts, listed in replies.items() if ts not in known for m in listed],
        }
