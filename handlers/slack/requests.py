"""A person's request as it came in, before anything is decided about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from core.ids import Channel, SlackUser


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """A slash command. `repeated`: it was begun before, by a process that did not finish it."""

    id: str
    user: SlackUser
    channel: Channel
    response_url: str | None
    heard_at: datetime
    repeated: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Click:
    """A button pressed. `value` names the thing it acts on; the state of that thing is read anew."""

    id: str
    user: SlackUser
    channel: Channel
    response_url: str | None
    heard_at: datetime
    repeated: bool
    action: str
    value: str
    message_ts: str


Request: TypeAlias = Typed | Click
