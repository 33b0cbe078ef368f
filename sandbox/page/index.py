"""Where things stand in each channel: its messages in order, the replies of each thread, and each person's ephemerals.

The workspace keeps messages by their ts and a list of all changes. This index follows that list by number, so that a
page of a channel costs the same however long the channel is.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field

from sandbox.slack.records import Change, Ephemeral, Message
from sandbox.slack.workspace import Workspace


def key_of(ts: str) -> int:
    """A ts as a number of microseconds, which sorts; ValueError for what is no ts."""
    seconds, _, fraction = ts.partition(".")
    return int(seconds) * 1_000_000 + int(fraction.ljust(6, "0")[:6] or 0)


def ts_of(key: int) -> str:
    return f"{key // 1_000_000}.{key % 1_000_000:06d}"


@dataclass(slots=True)
class Timeline:
    """One channel, as keys in order. `posted` counts what ever appeared in it and never falls, so that a reader can
    tell how much is unread."""

    shown: list[int] = field(default_factory=list)
    threads: dict[str, list[int]] = field(default_factory=dict)
    posted: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """A run of keys, oldest first, and whether there are more on either side."""

    keys: list[int]
    more_before: bool
    more_after: bool


class Index:
    """`catch_up` before reading; it costs what has changed since."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.seq = 0
        self.names_version = 0
        self._timelines: dict[str, Timeline] = {}
        self._whispers: dict[tuple[str, str, str], list[int]] = {}
        self._whispered: dict[tuple[str, str], Ephemeral] = {}
        self._whispers_read = 0

    def catch_up(self) -> None:
        changes = self.workspace.changes
        for number in range(self.seq, len(changes)):
            self._apply(changes[number])
        self.seq = len(changes)

    def timeline(self, channel: str) -> Timeline:
        return self._timelines.setdefault(channel, Timeline())

    def whispered(self, channel: str, ts: str) -> Ephemeral | None:
        return self._whispered.get((channel, ts))

    def page(self, person: str, channel: str, thread: str, before: int | None, after: int | None, limit: int) -> Page:
        """`limit` keys of the channel, or of a thread of it, as `person` sees it: those next to `before` or `after`,
        or the newest."""
        timeline = self.timeline(channel)
        own = self._whispers.get((person, channel, thread), [])
        lists = [timeline.threads.get(thread, []) if thread else timeline.shown, own]
        if after is not None:
            keys = sorted(key for listed in lists for key in _following(listed, after, limit))[:limit]
        else:
            keys = sorted(key for listed in lists for key in _preceding(listed, before, limit))[-limit:]
        if not keys:
            return Page([], after is not None and any(lists), before is not None and any(lists))
        return Page(keys, any(k and k[0] < keys[0] for k in lists), any(k and k[-1] > keys[-1] for k in lists))

    def _apply(self, change: Change) -> None:
        match change.kind:
            case "message_posted":
                self._posted(self._message(change))
            case "message_updated":
                message = self._message(change)
                if message.is_reply and message.broadcast and not message.deleted:
                    self._show(message)
            case "message_deleted":
                self._deleted(self._message(change))
            case "ephemeral":
                self._learn_whispers()
            case "ephemeral_deleted":
                self._forget_whisper(change)
            case "channel" | "user":
                self.names_version += 1

    def _message(self, change: Change) -> Message:
        return self.workspace.messages[str(change.channel)][str(change.ts)]

    def _posted(self, message: Message) -> None:
        if message.is_reply:
            insort(self.timeline(message.channel).threads.setdefault(str(message.thread_ts), []), key_of(message.ts))
        if not message.is_reply or message.broadcast:
            self._show(message)

    def _show(self, message: Message) -> None:
        timeline, key = self.timeline(message.channel), key_of(message.ts)
        if not _holds(timeline.shown, key):
            insort(timeline.shown, key)
            timeline.posted += 1

    def _deleted(self, message: Message) -> None:
        """A message goes at once; the parent of a thread stays, as a tombstone, as long as it has replies."""
        timeline, key = self.timeline(message.channel), key_of(message.ts)
        if message.is_reply:
            parent = str(message.thread_ts)
            replies = timeline.threads.get(parent, [])
            _drop(replies, key)
            if not replies:
                timeline.threads.pop(parent, None)
                above = self.workspace.messages[message.channel].get(parent)
                if above is not None and above.deleted:
                    _drop(timeline.shown, key_of(parent))
        if message.ts not in timeline.threads:
            _drop(timeline.shown, key)

    def _learn_whispers(self) -> None:
        for said in self.workspace.ephemerals[self._whispers_read :]:
            self._whispered[said.channel, said.ts] = said
            insort(self._whispers.setdefault((said.user, said.channel, said.thread_ts or ""), []), key_of(said.ts))
        self._whispers_read = len(self.workspace.ephemerals)

    def _forget_whisper(self, change: Change) -> None:
        said = self._whispered.pop((str(change.channel), str(change.ts)), None)
        if said is not None:
            _drop(self._whispers[said.user, said.channel, said.thread_ts or ""], key_of(said.ts))


def _preceding(keys: list[int], before: int | None, limit: int) -> list[int]:
    end = len(keys) if before is None else bisect_left(keys, before)
    return keys[max(0, end - limit) : end]


def _following(keys: list[int], after: int, limit: int) -> list[int]:
    start = bisect_right(keys, after)
    return keys[start : start + limit]


def _holds(keys: list[int], key: int) -> bool:
    at = bisect_left(keys, key)
    return at < len(keys) and keys[at] == key


def _drop(keys: list[int], key: int) -> None:
    if _holds(keys, key):
        del keys[bisect_left(keys, key)]
