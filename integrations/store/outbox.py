"""What the bot wants to show in Slack, kept until Slack shows it.

Two documents a message: what is wanted (written by whoever decides, together with its own state) and what is known of
Slack (`core.outbox.Row`, written only by the worker under the lane's lease). A lane is a channel; files have one of
their own. The due index of a lane holds `<revision>|<key>`: the worker removes exactly the revisions it has read, so a
state wanted meanwhile cannot be lost.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import orjson

from core.budgets import Priority
from core.ids import Channel
from core.messages.blocks import Message, compose, text_only
from core.outbox import NOWHERE, Row, Shape, State, Wanted
from core.ports import Clock
from integrations.store.connection import Store
from integrations.store.families import DAY, HOUR, Family
from integrations.store.leases import Command

__all__ = ["FAMILIES", "Outbox", "Priority", "Wanted"]

FILES = Channel("files")
ENDED_S = 14 * DAY
OPEN_S = 180 * DAY
TELL_S = 1800
MAX_DOCUMENT = 256 << 10
MAX_FILE = 8 << 20
MAX_DUE = 5_000
MAX_DEAD = 1_000
MAX_TELLS = 1_000
_PENDING, _LANES, _DEAD, _TELLS = "cdm:outbox:pending", "cdm:outbox:lanes", "cdm:outbox:dead", "cdm:outbox:tells"
_ENDS = "14 days after its thing ended, 180 days after its last change"

FAMILIES = (
    Family("outbox, wanted", "cdm:outbox:want:*", _ENDS, OPEN_S, max_bytes=MAX_DOCUMENT),
    Family("outbox, rows", "cdm:outbox:row:*", _ENDS, OPEN_S, max_bytes=8 << 10),
    Family("outbox, files", "cdm:outbox:file:*", "when uploaded, else after 14 days", ENDED_S, max_bytes=MAX_FILE),
    Family("outbox, due", "cdm:outbox:due:*", "when shown; beyond the cap the oldest notes go", None, MAX_DUE),
    Family("outbox, pending", _PENDING, "when shown", None, max_bytes=64 << 20),
    Family("outbox, lanes", _LANES, "never: one entry a channel", None, max_bytes=1 << 20),
    Family("outbox, dead", _DEAD, "when newer ones push it out, after 14 days", ENDED_S, MAX_DEAD),
    Family("outbox, private", "cdm:outbox:tell*", "after 30 minutes", HOUR, MAX_TELLS, 256 << 10),
)


@dataclass(frozen=True, slots=True)
class Job:
    """One message to look at: what is wanted, what is known, and the due entries this reading answers."""

    wanted: Wanted
    row: Row
    parent: Row | None
    since: float
    entries: tuple[bytes, ...]
    lane: Channel


@dataclass(frozen=True, slots=True)
class Tell:
    """A private answer. `at` is when it was wanted."""

    id: str
    channel: Channel
    user: str
    message: Message
    response_url: str | None
    at: float
    tries: int = 0


class Outbox:
    """What deciding code says: bring Slack to this state. Nothing here talks to Slack."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def want(self, wanted: Wanted) -> list[Command]:
        """The commands to include in a fenced commit, so that a state and its message change together."""
        doc = _packed(wanted)
        if len(doc) > MAX_DOCUMENT:
            doc = _packed(replace(wanted, message=text_only(wanted.message)))
        lane, now, key = lane_of(wanted), seconds(self._clock.now()), wanted.key
        kept = OPEN_S if wanted.open else ENDED_S
        revision = hashlib.sha256(doc).hexdigest()[:16]
        return [
            ("SET", f"cdm:outbox:want:{key}", doc, "EX", kept),
            ("EXPIRE", f"cdm:outbox:row:{key}", kept),
            ("ZADD", due_key(lane, wanted.priority), repr(now), f"{revision}|{key}"),
            ("ZADD", _PENDING, "NX", repr(now), key),
            ("SADD", _LANES, lane),
        ]

    async def put(self, wanted: Wanted) -> None:
        await self._carry_out(self.want(wanted))

    def upload_commands(self, key: str, parent: str, filename: str, content: bytes, comment: str) -> list[Command]:
        """A file in the thread of `parent`. Content beyond 8 MiB is cut, and the comment says so."""
        if len(content) > MAX_FILE:
            content, comment = content[:MAX_FILE], f"{comment} (cut after {MAX_FILE >> 20} MiB)"
        file = Wanted(key, NOWHERE, compose(comment), Priority.NOTE, parent, open=False, filename=filename)
        return [("SET", f"cdm:outbox:file:{key}", content, "EX", ENDED_S), *self.want(file)]

    async def put_file(self, key: str, parent: str, filename: str, content: bytes, comment: str) -> None:
        await self._carry_out(self.upload_commands(key, parent, filename, content, comment))

    async def tell(self, channel: Channel, user: str, message: Message, response_url: str | None = None) -> None:
        """A private answer: by its URL while that lasts, else as an ephemeral message; dropped after 30 minutes.

        Best effort, as Slack's own; where an answer of Slack is lost it may be shown twice.
        """
        now = seconds(self._clock.now())
        await self._carry_out(_tell(Tell(secrets.token_hex(8), channel, user, message, response_url, now), now))

    async def _carry_out(self, commands: Sequence[Command]) -> None:
        async with self._store.pipeline(transaction=True) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            await pipe.execute()


class OutboxRows:
    """What the worker reads, and the commands of its commits."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def due_lanes(self, now: float) -> list[Channel]:
        """The lanes with anything due."""
        lanes = sorted(lane.decode() for lane in await self._store.smembers(_LANES))
        async with self._store.pipeline(transaction=False) as pipe:
            for lane in lanes:
                for priority in Priority:
                    pipe.zcount(due_key(Channel(lane), priority), "-inf", repr(now))
            counts = await pipe.execute()
        per = len(Priority)
        return [Channel(lane) for i, lane in enumerate(lanes) if any(counts[i * per : (i + 1) * per])]

    async def due(self, lane: Channel, now: float, limit: int = 50) -> list[Job]:
        """What is due in a lane, at most `limit` of each priority, first what goes first."""
        entries: dict[str, list[bytes]] = {}
        async with self._store.pipeline(transaction=False) as pipe:
            for priority in Priority:
                pipe.zrangebyscore(due_key(lane, priority), "-inf", repr(now), start=0, num=limit)
            for entry in [e for found in await pipe.execute() for e in found]:
                entries.setdefault(entry.decode().partition("|")[2], []).append(entry)
        keys = list(entries)
        wants = await self._documents("want", keys)
        rows = await self._rows([*keys, *(w["parent"] for w in wants.values() if w["parent"])])
        sinces = await self._store.zmscore(_PENDING, keys) if keys else []
        jobs = []
        for key, since in zip(keys, sinces, strict=True):
            if key not in wants:
                await self._forget(lane, key, entries[key])
                continue
            wanted = _unpacked(key, wants[key])
            parent = rows.get(wanted.parent) if wanted.parent else None
            jobs.append(Job(wanted, rows.get(key, Row(key)), parent, since or now, tuple(entries[key]), lane))
        return sorted(jobs, key=lambda job: (job.wanted.priority, job.since))

    async def row(self, key: str) -> Row:
        """What is known of one message now."""
        return (await self._rows([key])).get(key, Row(key))

    async def content(self, key: str) -> bytes | None:
        found: bytes | None = await self._store.get(f"cdm:outbox:file:{key}")
        return found

    def keep(self, job: Job, row: Row) -> list[Command]:
        """The row as it is now; what is due stays due."""
        kept = OPEN_S if job.wanted.open else ENDED_S
        return [("SET", f"cdm:outbox:row:{row.key}", orjson.dumps(asdict(row)), "EX", kept)]

    def later(self, job: Job, until: float, *, shown: bool = False) -> list[Command]:
        """Look again at `until`. `shown`: Slack shows what is wanted, it is only looked at again."""
        commands: list[Command] = [
            ("ZADD", due_key(job.lane, priority), "XX", repr(until), entry)
            for entry in job.entries
            for priority in Priority
        ]
        return [*commands, ("ZREM", _PENDING, job.wanted.key)] if shown else commands

    def done(self, job: Job) -> list[Command]:
        """Nothing is left to do for what was read."""
        commands = _removed(job.lane, job.wanted.key, job.entries)
        return [*commands, ("DEL", f"cdm:outbox:file:{job.wanted.key}")] if job.wanted.filename else commands

    def dead(self, job: Job, now: float) -> list[Command]:
        """Given up on; the newest thousand of the last 14 days are remembered."""
        return [
            *_removed(job.lane, job.wanted.key, job.entries),
            ("ZADD", _DEAD, repr(now), job.wanted.key),
            ("ZREMRANGEBYSCORE", _DEAD, "-inf", repr(now - ENDED_S)),
            ("ZREMRANGEBYRANK", _DEAD, 0, -MAX_DEAD - 1),
        ]

    def alive(self, key: str) -> Command:
        return ("ZREM", _DEAD, key)

    async def surplus(self, lane: Channel) -> list[tuple[str, bytes]]:
        """The oldest notes (key, entry) beyond the cap of a lane."""
        name = due_key(lane, Priority.NOTE)
        over = await self._store.zcard(name) - MAX_DUE
        entries = await self._store.zrange(name, 0, over - 1) if over > 0 else []
        return [(entry.decode().partition("|")[2], entry) for entry in entries]

    def dropped(self, lane: Channel, key: str, entry: bytes) -> list[Command]:
        return _removed(lane, key, [entry])

    async def backlog(self) -> tuple[int, float | None, int]:
        """(messages not shown as wanted, since when the oldest waits, messages given up on)."""
        count = await self._store.zcard(_PENDING)
        oldest = await self._store.zrange(_PENDING, 0, 0, withscores=True)
        return int(count), float(oldest[0][1]) if oldest else None, int(await self._store.zcard(_DEAD))

    async def tells(self, now: float) -> list[Tell]:
        """Private answers that are due; those whose time is over too, so that they can be logged."""
        ids = [i.decode() for i in await self._store.zrangebyscore(_TELLS, "-inf", repr(now), start=0, num=20)]
        found = await self._store.mget([f"cdm:outbox:tell:{i}" for i in ids]) if ids else []
        gone = [i for i, raw in zip(ids, found, strict=True) if raw is None]
        if gone:
            await self._store.zrem(_TELLS, *gone)
        return [_tell_of(i, orjson.loads(raw)) for i, raw in zip(ids, found, strict=True) if raw is not None]

    async def told(self, tell: Tell) -> None:
        async with self._store.pipeline(transaction=True) as pipe:
            pipe.zrem(_TELLS, tell.id)
            pipe.delete(f"cdm:outbox:tell:{tell.id}")
            await pipe.execute()

    async def tell_later(self, tell: Tell, until: float) -> None:
        async with self._store.pipeline(transaction=True) as pipe:
            for command in _tell(replace(tell, tries=tell.tries + 1), until):
                pipe.execute_command(*command)
            await pipe.execute()

    async def _forget(self, lane: Channel, key: str, entries: Sequence[bytes]) -> None:
        """What was wanted has expired."""
        async with self._store.pipeline(transaction=True) as pipe:
            for command in _removed(lane, key, entries):
                pipe.execute_command(*command)
            await pipe.execute()

    async def _rows(self, keys: Sequence[str]) -> dict[str, Row]:
        return {key: _row(doc) for key, doc in (await self._documents("row", keys)).items()}

    async def _documents(self, kind: str, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        found = await self._store.mget([f"cdm:outbox:{kind}:{key}" for key in keys]) if keys else []
        return {key: orjson.loads(raw) for key, raw in zip(keys, found, strict=True) if raw is not None}


def seconds(at: datetime) -> float:
    return at.timestamp()


def lane_of(wanted: Wanted) -> Channel:
    return wanted.channel if wanted.filename is None else FILES


def due_key(lane: Channel, priority: Priority) -> str:
    return f"cdm:outbox:due:{lane}:{priority.value}"


def _removed(lane: Channel, key: str, entries: Sequence[bytes]) -> list[Command]:
    from_index: list[Command] = [("ZREM", due_key(lane, priority), *entries) for priority in Priority]
    return [*from_index, ("ZREM", _PENDING, key)]


def _packed(wanted: Wanted) -> bytes:
    doc = asdict(wanted)
    del doc["key"]
    return orjson.dumps(doc)


def _unpacked(key: str, doc: dict[str, Any]) -> Wanted:
    message = Message(doc["message"]["text"], tuple(doc["message"]["blocks"]))
    return Wanted(**{**doc, "key": key, "message": message, "priority": Priority(doc["priority"])})


def _row(doc: dict[str, Any]) -> Row:
    return Row(**{**doc, "state": State(doc["state"]), "shape": Shape(doc["shape"])})


def _tell(tell: Tell, due: float) -> list[Command]:
    return [
        ("SET", f"cdm:outbox:tell:{tell.id}", orjson.dumps(asdict(tell)), "EX", HOUR),
        ("ZADD", _TELLS, repr(due), tell.id),
        ("ZREMRANGEBYRANK", _TELLS, 0, -MAX_TELLS - 1),
    ]


def _tell_of(id: str, doc: dict[str, Any]) -> Tell:
    return Tell(**{**doc, "id": id, "message": Message(doc["message"]["text"], tuple(doc["message"]["blocks"]))})
