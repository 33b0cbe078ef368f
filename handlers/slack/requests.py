"""A person's request as it came in, before anything is decided about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from core.ids import Channel, SlackUser
from core.ports import ViewRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What is known of every request. `repeated`: it was begun before, by a process that did not finish it."""

    id: str
    user: SlackUser
    channel: Channel
    response_url: str | None
    heard_at: datetime
    repeated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed(Heard):
    """A slash command.

    `form`: a form was opened for it as loading, or may have been. `trouble`: why it surely or probably was not.
    """

    text: str
    form: ViewRef | None = None
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Click(Heard):
    """A button pressed. `value` names the thing it acts on; the state of that thing is read anew. `channel` is "" in
    the Home tab. `form` and `trouble` as in `Typed`."""

    action: str
    value: str
    message_ts: str
    form: ViewRef | None = None
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent(Heard):
    """A form for a run, filled in and valid by itself. `form` still stands and shows the outcome, where the form was
    opened in the Home tab (`channel` is "" then); else it is closed. `incident` is "" where there is none."""

    runbook: str
    device: str
    params: Mapping[str, str]
    incident: str
    form: ViewRef | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeOpened(Heard):
    """Somebody looks at the app's Home tab."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasoned(Heard):
    """A reason given in a form: `purpose` is the action of the button that opened it, `value` what that named."""

    purpose: str
    value: str
    reason: str
    form: ViewRef | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wished(Heard):
    """A form for a release, filled in: `params` as `core.rollouts.wish.wish_of` reads them."""

    params: Mapping[str, str]
    form: ViewRef | None = None


Request: TypeAlias = Typed | Click | Sent | HomeOpened | Reasoned | Wished
