"""What the outbox does about a failed call: the table, and what each reaction makes of a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from core.errors import OutsideError
from core.ids import Channel
from core.outbox import Row, Shape, State, Timing, Wanted


class Trouble(StrEnum):
    """A failure by its `OutsideError.reason`; whatever is not in the table is OTHER."""

    OUTCOME_UNKNOWN = "outcome_unknown"
    UNAVAILABLE = "unavailable"
    RATE_LIMITED = "rate_limited"
    TOKEN_REFUSED = "token_refused"  # noqa: S105  no secret
    SCOPE_MISSING = "scope_missing"
    CHANNEL_GONE = "channel_gone"
    MESSAGE_GONE = "message_gone"
    NOT_EDITABLE = "not_editable"
    THREAD_GONE = "thread_gone"
    BLOCKS_REFUSED = "blocks_refused"
    TOO_LONG = "too_long"
    URL_SPENT = "url_spent"
    USER_UNREACHABLE = "user_unreachable"
    OTHER = "other"

    @classmethod
    def of(cls, error: OutsideError) -> Trouble:
        if error.unknown_outcome:
            return cls.OUTCOME_UNKNOWN
        try:
            return cls(error.reason)
        except ValueError:
            return cls.OTHER


class Kind(StrEnum):
    POST = "post"
    UPLOAD = "upload"
    UPDATE = "update"
    LOOK_UP = "look_up"
    RECHECK = "recheck"
    RESPOND = "respond"
    TELL = "tell"


class Reaction(StrEnum):
    LOOK_UP = "look_up"
    RETRY = "retry"  # not the message's fault: as often as it takes
    BACK_OFF = "back_off"  # perhaps the message's fault: some times, then dead
    WAIT = "wait"  # this method and channel only
    STOP = "stop"  # not ready until the token works
    GUESS = "guess"  # cannot look: repeat what is critical, keep the rest
    FALLBACK = "fallback"
    REPOST = "repost"  # once while open, then respect it
    POST_ANEW = "post_anew"
    UNTHREAD = "unthread"
    PLAIN = "plain"
    SHORTEN = "shorten"
    DROP = "drop"
    ASK_ELSE = "ask_else"  # the response_url is used up: the ephemeral message


def _table() -> dict[tuple[Trouble, Kind], Reaction]:
    writes = (Kind.POST, Kind.UPLOAD, Kind.UPDATE)
    shown = (Kind.POST, Kind.UPDATE, Kind.RESPOND, Kind.TELL)
    table = {
        (Trouble.OUTCOME_UNKNOWN, Kind.POST): Reaction.LOOK_UP,
        (Trouble.OUTCOME_UNKNOWN, Kind.UPLOAD): Reaction.LOOK_UP,
        (Trouble.SCOPE_MISSING, Kind.LOOK_UP): Reaction.GUESS,
        (Trouble.CHANNEL_GONE, Kind.LOOK_UP): Reaction.FALLBACK,
        (Trouble.MESSAGE_GONE, Kind.UPDATE): Reaction.REPOST,
        (Trouble.NOT_EDITABLE, Kind.UPDATE): Reaction.POST_ANEW,
        (Trouble.THREAD_GONE, Kind.POST): Reaction.UNTHREAD,
        (Trouble.THREAD_GONE, Kind.UPLOAD): Reaction.UNTHREAD,
        (Trouble.URL_SPENT, Kind.RESPOND): Reaction.ASK_ELSE,
        (Trouble.TOKEN_REFUSED, Kind.RESPOND): Reaction.ASK_ELSE,
        (Trouble.CHANNEL_GONE, Kind.TELL): Reaction.DROP,
        (Trouble.USER_UNREACHABLE, Kind.TELL): Reaction.DROP,
        (Trouble.SCOPE_MISSING, Kind.RECHECK): Reaction.RETRY,
        (Trouble.CHANNEL_GONE, Kind.RECHECK): Reaction.RETRY,
    }
    table |= {(Trouble.CHANNEL_GONE, kind): Reaction.FALLBACK for kind in writes}
    table |= {(Trouble.BLOCKS_REFUSED, kind): Reaction.PLAIN for kind in shown}
    table |= {(Trouble.TOO_LONG, kind): Reaction.SHORTEN for kind in shown}
    for kind in Kind:
        table[Trouble.RATE_LIMITED, kind] = Reaction.WAIT
        table[Trouble.UNAVAILABLE, kind] = Reaction.RETRY
        table.setdefault((Trouble.TOKEN_REFUSED, kind), Reaction.STOP)
        table.setdefault((Trouble.OUTCOME_UNKNOWN, kind), Reaction.RETRY)
    return table


TABLE: Mapping[tuple[Trouble, Kind], Reaction] = MappingProxyType(_table())


def reaction_to(trouble: Trouble, kind: Kind) -> Reaction:
    return TABLE.get((trouble, kind), Reaction.BACK_OFF)


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed call. `fallback` is where messages go whose channel is gone, if there is such a place."""

    trouble: Trouble
    kind: Kind
    now: float
    fallback: Channel | None = None


@dataclass(frozen=True, slots=True)
class Aftermath:
    """The row to keep, and what else the reaction asks for: a notice to the admins, the full text as a file."""

    row: Row
    reaction: Reaction
    notice: bool = False
    as_file: bool = False


def react(wanted: Wanted, row: Row, failure: Failure, timing: Timing) -> Aftermath:
    """What a failed call makes of the row. A post that failed with a known outcome is planned again."""
    reaction = reaction_to(failure.trouble, failure.kind)
    unsent = failure.kind in (Kind.POST, Kind.UPLOAD) and reaction is not Reaction.LOOK_UP
    row = replace(row, trouble=failure.trouble.value, state=State.PLANNED if unsent else row.state)
    if reaction is Reaction.LOOK_UP:
        first = failure.now + timing.look_up_s[0]
        row = replace(row, uncertain_at=failure.now, lookups=0, not_before=first)
    elif failure.kind is Kind.LOOK_UP and reaction in (Reaction.RETRY, Reaction.BACK_OFF, Reaction.GUESS):
        row = _blind(wanted, row, reaction, failure.now, timing)
    elif failure.kind is Kind.RECHECK and reaction in (Reaction.RETRY, Reaction.BACK_OFF):
        row = _recheck_later(wanted, row, failure.now, timing)
    elif reaction is Reaction.RETRY:
        row = _later(row, failure.now, timing)
    elif reaction is Reaction.BACK_OFF:
        row = _or_dead(wanted, row, failure.now, timing)
    elif reaction is Reaction.FALLBACK:
        return _moved(row, failure, timing)
    elif reaction is Reaction.REPOST:
        row = _reposted(row) if wanted.open and not row.reposts else replace(row, state=State.GONE)
    elif reaction is Reaction.POST_ANEW:
        row = _anew(row)
    elif reaction is Reaction.UNTHREAD:
        row = replace(row, alone=True)
    elif reaction in (Reaction.PLAIN, Reaction.SHORTEN):
        return _reshaped(wanted, row, reaction, failure.now, timing)
    return Aftermath(row, reaction)


def _later(row: Row, now: float, timing: Timing) -> Row:
    return replace(row, tries=row.tries + 1, not_before=now + min(2.0 ** min(row.tries, 10), timing.longest_s))


def _or_dead(wanted: Wanted, row: Row, now: float, timing: Timing) -> Row:
    row = _later(row, now, timing)
    if row.tries < timing.tries:
        return row
    return replace(row, state=State.DEAD, dead_of=wanted.message.digest, tries=0, not_before=0.0)


def _blind(wanted: Wanted, row: Row, reaction: Reaction, now: float, timing: Timing) -> Row:
    """The look-up itself fails: at once for good, or for longer than patience lasts."""
    since = row.uncertain_at or now
    row = replace(row, uncertain_at=since)
    if wanted.critical and (reaction is Reaction.GUESS or now - since >= timing.patience_s):
        return replace(row, state=State.PLANNED, uncertain_at=0.0, repeats=row.repeats + 1, doubt=True, tries=0)
    return _later(row, now, timing)


def _recheck_later(wanted: Wanted, row: Row, now: float, timing: Timing) -> Row:
    """Looking for twins never holds up the message itself, and ends with the thing it is about."""
    if row.tries >= timing.tries and not wanted.open:
        return replace(row, recheck_at=0.0, tries=0)
    wait = min(timing.recheck_s * 2.0 ** min(row.tries, 10), timing.longest_s)
    return replace(row, tries=row.tries + 1, recheck_at=now + wait)


def _anew(row: Row) -> Row:
    """The next post is another one, with an id of its own. Replies keep to the old thread."""
    return replace(
        row,
        state=State.PLANNED,
        generation=row.generation + 1,
        attempted_at=0.0,
        uncertain_at=0.0,
        lookups=0,
        repeats=0,
        ts="",
        shown="",
        tries=0,
        not_before=0.0,
        recheck_at=0.0,
        doubt=False,
    )


def _reposted(row: Row) -> Row:
    return replace(_anew(row), reposts=row.reposts + 1)


def _moved(row: Row, failure: Failure, timing: Timing) -> Aftermath:
    if failure.fallback is None or row.channel == failure.fallback:
        return Aftermath(_later(row, failure.now, timing), Reaction.RETRY, notice=True)
    anew = _anew(row)
    moved = replace(anew, channel=failure.fallback, moved_from=row.channel, thread="", in_thread="", alone=True)
    return Aftermath(moved, Reaction.FALLBACK, notice=True)


def _reshaped(wanted: Wanted, row: Row, reaction: Reaction, now: float, timing: Timing) -> Aftermath:
    shape = row.shape if row.shape_of == wanted.message.digest else Shape.FULL
    smaller = {
        (Shape.FULL, Reaction.PLAIN): Shape.TEXT,
        (Shape.SHORT, Reaction.PLAIN): Shape.SHORT_TEXT,
        (Shape.FULL, Reaction.SHORTEN): Shape.SHORT,
        (Shape.TEXT, Reaction.SHORTEN): Shape.SHORT_TEXT,
        (Shape.SHORT, Reaction.SHORTEN): Shape.SHORT_TEXT,
    }.get((shape, reaction))
    if smaller is None:
        return Aftermath(_or_dead(wanted, row, now, timing), Reaction.BACK_OFF)
    row = replace(row, shape=smaller, shape_of=wanted.message.digest)
    return Aftermath(row, reaction, as_file=reaction is Reaction.SHORTEN)
