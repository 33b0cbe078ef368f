"""One message per key: what is wanted, what Slack is known to show, and the next step from one to the other.

Slack knows no idempotency key. So a post is written down as `attempted` before it is sent; where its outcome is not
known, the message is looked up by the id in its metadata until Slack's late history (0 to 10 s) cannot hide it any
more, and only then sent again. Times are seconds since 1970.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum

from core.budgets import Priority
from core.ids import Channel
from core.messages.blocks import Message, annotate, shorter, text_only
from core.messages.text import mono, plain

LATE_S = 60.0
NOWHERE = Channel("")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The state a message should have. `key` is made from meaning; its channel and parent never change.

    `parent` is the key of the message in whose thread it stands. `critical`: rather twice than not at all.
    `open`: the thing goes on; the last state of an ended thing is written with False. `filename`: a file, whose comment
    is the message's text.
    """

    key: str
    channel: Channel
    message: Message
    priority: Priority
    parent: str | None = None
    critical: bool = False
    open: bool = True
    filename: str | None = None


class State(StrEnum):
    PLANNED = "planned"
    ATTEMPTED = "attempted"  # sent, or about to be, and no answer known
    CONFIRMED = "confirmed"
    GONE = "gone"  # deleted by a person who meant it
    DEAD = "dead"  # refused again and again; a new state of the thing tries anew


class Shape(StrEnum):
    """How much of a message Slack takes."""

    FULL = "full"
    SHORT = "short"
    TEXT = "text"
    SHORT_TEXT = "short_text"


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of one message in Slack.

    `attempted_at` is the first attempt of this `generation`; `thread` is where replies to it go, which outlives the
    message; `shown` is the digest Slack was last known to show, `sent` that of the attempt under way.
    """

    key: str
    state: State = State.PLANNED
    channel: Channel = NOWHERE
    generation: int = 0
    attempted_at: float = 0.0
    uncertain_at: float = 0.0
    lookups: int = 0
    repeats: int = 0
    sent: str = ""
    ts: str = ""
    thread: str = ""
    in_thread: str = ""
    shown: str = ""
    shape: Shape = Shape.FULL
    shape_of: str = ""
    tries: int = 0
    not_before: float = 0.0
    recheck_at: float = 0.0
    reposts: int = 0
    late_s: int = 0
    doubt: bool = False
    alone: bool = False
    moved_from: str = ""
    trouble: str = ""
    dead_of: str = ""

    @property
    def outbox_id(self) -> str:
        """Goes into the message's metadata (and a file's name): the same for every repeat of one post."""
        return f"{hashlib.sha256(self.key.encode()).hexdigest()[:20]}-{self.generation}"


@dataclass(frozen=True, slots=True)
class Timing:
    """`look_up_s`: when to look after a post of unknown outcome; an empty last look means that it was not stored."""

    look_up_s: tuple[float, ...] = (1.0, 4.0, 9.0, 15.0)
    recheck_s: float = 60.0
    patience_s: float = 60.0
    parent_s: float = 1.0
    longest_s: float = 300.0
    tries: int = 12


class Do(StrEnum):
    REST = "rest"
    WAIT = "wait"
    POST = "post"
    LOOK_UP = "look_up"
    UPDATE = "update"
    RECHECK = "recheck"  # look for a twin after a repeat


@dataclass(frozen=True, slots=True)
class Step:
    do: Do
    until: float = 0.0


def next_step(wanted: Wanted, row: Row, parent: Row | None, now: float, timing: Timing) -> Step:
    """What to do for this message now."""
    if row.state is State.GONE or (row.state is State.DEAD and row.dead_of == wanted.message.digest):
        return Step(Do.REST)
    if row.not_before > now:
        return Step(Do.WAIT, row.not_before)
    if row.state is State.ATTEMPTED:
        return Step(Do.LOOK_UP)
    if not row.shown:
        ready = place(wanted, row, parent) is not None
        return Step(Do.POST) if ready else Step(Do.WAIT, now + timing.parent_s)
    if wanted.filename is None and render(wanted, row).digest != row.shown:
        return Step(Do.UPDATE)
    if row.recheck_at:
        return Step(Do.RECHECK) if row.recheck_at <= now else Step(Do.WAIT, row.recheck_at)
    return Step(Do.REST)


def place(wanted: Wanted, row: Row, parent: Row | None) -> tuple[Channel, str] | None:
    """Channel and thread ("" for none) to post to; None while the parent is not there yet."""
    if wanted.parent is None or row.alone:
        return row.channel or wanted.channel, ""
    if parent is not None and parent.thread:
        return parent.channel, parent.thread
    if parent is not None and parent.state in (State.GONE, State.DEAD):
        return row.channel or wanted.channel, ""
    return None


def render(wanted: Wanted, row: Row) -> Message:
    """The message as it goes out: in the shape Slack takes, with what must be said about its delivery."""
    message = wanted.message
    shape = row.shape if row.shape_of == message.digest else Shape.FULL
    if shape in (Shape.SHORT, Shape.SHORT_TEXT):
        message = shorter(message)
    if shape in (Shape.TEXT, Shape.SHORT_TEXT):
        message = text_only(message)
    notes = []
    if row.doubt:
        notes.append("possible repeat: Slack did not say whether an earlier copy was stored")
    if row.late_s:
        notes.append(f"shown {row.late_s} s late")
    if row.moved_from:
        notes.append(f"meant for {mono(row.moved_from, 40)}, which the bot cannot post to")
    return annotate(message, ". ".join(notes)) if notes else message


def attempt(wanted: Wanted, row: Row, to: tuple[Channel, str], since: float, now: float) -> Row:
    """The row to be written before the post is sent."""
    late = int(now - since)
    tells = wanted.parent is None and wanted.priority <= Priority.INCIDENT and late > LATE_S
    row = replace(row, late_s=late if tells else 0)
    row = replace(
        row, state=State.ATTEMPTED, channel=to[0], in_thread=to[1], uncertain_at=0.0, lookups=0, not_before=0.0
    )
    return replace(row, attempted_at=row.attempted_at or now, sent=render(wanted, row).digest)


def confirm(row: Row, ts: str, now: float, timing: Timing) -> Row:
    """The post stands at `ts` (a file has none). After a repeat, a twin may still appear."""
    return replace(
        row,
        state=State.CONFIRMED,
        ts=ts,
        thread=row.thread or row.in_thread or ts,
        shown=row.sent,
        uncertain_at=0.0,
        lookups=0,
        tries=0,
        not_before=0.0,
        recheck_at=now + timing.recheck_s if row.repeats and ts else 0.0,
        trouble="",
    )


def found(row: Row, at: tuple[str, ...], now: float, timing: Timing) -> Row:
    """After looking up a post of unknown outcome: `at` are the ts that carry its id, oldest first."""
    if at:
        confirmed = confirm(row, at[0], now, timing)
        return replace(confirmed, recheck_at=now) if len(at) > 1 else confirmed
    since = row.uncertain_at or now
    lookups = row.lookups + 1
    if now >= since + timing.look_up_s[-1]:
        return replace(row, state=State.PLANNED, uncertain_at=0.0, lookups=0, repeats=row.repeats + 1, tries=0)
    after = timing.look_up_s[min(lookups, len(timing.look_up_s) - 1)]
    return replace(row, uncertain_at=since, lookups=lookups, not_before=max(since + after, now), tries=0)


def rechecked(row: Row, at: tuple[str, ...]) -> tuple[Row, tuple[str, ...]]:
    """After looking for twins: the row, and the ts to be deleted. The doubt about a repeat is over."""
    ts = row.ts if row.ts in at or not at else at[0]
    return replace(row, ts=ts, recheck_at=0.0, doubt=False, tries=0), tuple(t for t in at if t != ts)


def updated(row: Row, digest: str) -> Row:
    return replace(row, shown=digest, state=State.CONFIRMED, tries=0, not_before=0.0, trouble="")


def unique_name(filename: str, outbox_id: str) -> str:
    """A file's name (foreign text may stand in it) with the outbox id before its ending, for the look-up."""
    stem, dot, ending = filename.rpartition(".")
    if not dot:
        stem, ending = filename, ""
    return f"{plain(stem, 100)}-{outbox_id}{dot}{plain(ending, 10)}"
