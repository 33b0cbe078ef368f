"""What has changed for one person, in batches: each message once with its last state, however often it changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

import orjson

from sandbox.page.door import WorldDoor
from sandbox.page.views import Screens
from sandbox.slack.records import Change

BATCH_S = 0.05
"""Between two batches of one reader."""
WORLD_S = 0.5
"""Between two looks at the world."""
QUIET_S = 15.0
"""Without news, a sign of life after this."""
MOST_BEHIND = 5_000
"""Changes; a reader who missed more begins anew."""
MOST_AT_ONCE = 100
"""Messages in a batch; the others come with the next."""
_MESSAGES = {"message_posted", "message_updated", "message_deleted", "reaction"}
_WHISPERS = {"ephemeral", "ephemeral_updated", "ephemeral_deleted"}
_CHANNELS = {"message_posted", "message_updated", "message_deleted", "channel", "user"}


class WorldPicture:
    """The world's view, taken at most every WORLD_S for all readers together; `version` rises when it changes."""

    def __init__(self, door: WorldDoor) -> None:
        self._door = door
        self._taken_at = 0.0
        self.version = 0
        self.view: dict[str, Any] = {}

    def look(self) -> int:
        now = time.monotonic()
        if self.version == 0 or now - self._taken_at >= WORLD_S:
            self._taken_at = now
            view = self._door.view()
            if view != self.view or self.version == 0:
                self.view = view
                self.version += 1
        return self.version


class Watch:
    """One reader's stream from change number `since` on. A slow reader gets fewer batches, never late ones."""

    def __init__(self, screens: Screens, user: str, since: int, world: WorldPicture | None = None) -> None:
        self._screens = screens
        self._workspace = screens.workspace
        self._user = user
        self._world = world
        self._world_version = 0
        self.seq = since
        self._messages: dict[tuple[str, str], None] = {}
        self._channels: list[dict[str, Any]] | None = None
        self._look_at_channels = self._look_at_modals = self._look_at_home = False

    @property
    def is_lost(self) -> bool:
        """True where the reader asks for what is too long ago, or for another run's future."""
        return not 0 <= len(self._workspace.changes) - self.seq <= MOST_BEHIND

    async def batches(self) -> AsyncIterator[dict[str, Any]]:
        """Without end, but for a lost reader, who gets `{"reset": True}`. An empty batch is a sign of life.
        `seq` is there when nothing before it is still to come."""
        if self.is_lost:
            yield {"reset": True}
            return
        last = time.monotonic()
        while True:
            changes = await self._workspace.changes_since(self.seq, self._patience())
            self._take(changes)
            batch = self._batch()
            if batch or time.monotonic() - last >= QUIET_S:
                last = time.monotonic()
                yield batch
            await asyncio.sleep(BATCH_S)

    def _patience(self) -> float:
        if self._messages:
            return 0.0
        return QUIET_S if self._world is None else WORLD_S

    def _take(self, changes: Sequence[Change]) -> None:
        """Note what to look at; what is seen there is read when the batch is made."""
        for change in changes:
            mine = change.user == self._user
            if change.channel and change.ts and (change.kind in _MESSAGES or (change.kind in _WHISPERS and mine)):
                self._touch(change.channel, change.ts)
            self._look_at_channels |= change.kind in _CHANNELS
            if mine:
                self._look_at_modals |= change.kind == "view"
                self._look_at_home |= change.kind == "home"
        self.seq += len(changes)

    def _touch(self, channel: str, ts: str) -> None:
        place = self._workspace.channels.get(channel)
        if place is None or self._user not in place.members:
            return
        self._messages[channel, ts] = None
        message = self._workspace.messages[channel].get(ts)
        if message is not None and message.is_reply:
            self._messages[channel, str(message.thread_ts)] = None

    def _batch(self) -> dict[str, Any]:
        screens = self._screens
        screens.index.catch_up()
        batch: dict[str, Any] = {}
        if self._messages:
            self._add_messages(batch)
        if self._look_at_channels:
            now = screens.channels(self._user)
            if now != self._channels:
                batch["channels"] = self._channels = now
        if self._look_at_modals:
            batch["modals"] = screens.modals(self._user)
        if self._look_at_home:
            batch["home"] = screens.home(self._user)
        self._look_at_channels = self._look_at_modals = self._look_at_home = False
        if self._world is not None and self._world.look() != self._world_version:
            self._world_version = self._world.version
            batch["world"] = self._world.view
        if batch and not self._messages:
            batch["seq"] = self.seq
        return batch

    def _add_messages(self, batch: dict[str, Any]) -> None:
        shown, gone = [], []
        for channel, ts in list(self._messages)[:MOST_AT_ONCE]:
            del self._messages[channel, ts]
            message = self._screens.message(self._user, channel, ts)
            if message is not None:
                shown.append(message)
            else:
                gone.append([channel, ts])
        batch |= {"messages": shown, "gone": gone}


async def event_lines(watch: Watch, run: str) -> AsyncGenerator[bytes, None]:
    """The stream as text/event-stream: `hello` first, then `batch`es, or `reset` where the reader must begin anew."""
    yield b"retry: 1000\n" + _event("hello", {"run": run, "seq": watch.seq})
    async for batch in watch.batches():
        if not batch:
            yield b": still here\n\n"
        elif "reset" in batch:
            yield _event("reset", {})
        else:
            yield _event("batch", batch, batch.get("seq"))


def _event(name: str, data: dict[str, Any], id: int | None = None) -> bytes:
    head = b"" if id is None else b"id: %d\n" % id
    return head + b"event: " + name.encode() + b"\ndata: " + orjson.dumps(data) + b"\n\n"
