"""The audit log in the store: append-only, chained, intent before effect and outcome after."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from core.audit import GENESIS, Entry, first_break, seal
from core.ports import Clock
from integrations.store.connection import Store
from integrations.store.families import Family
from integrations.store.leases import Command, Lease, ValueMoved

STREAM = "cdm:audit"
HEAD = "cdm:audit:head"

FAMILIES = (
    Family("audit", "cdm:audit*", "never by itself; copy it out, then delete the key", None, 5_000_000, 4 << 30),
)

_APPEND = """
local head = redis.call('GET', KEYS[1]) or ''
if head ~= ARGV[1] then return head end
redis.call('XADD', KEYS[2], '*', 'e', ARGV[3])
redis.call('SET', KEYS[1], ARGV[2])
return false
"""


@dataclass(frozen=True, slots=True)
class Line:
    """What an entry says, before it has its place in the chain. An outcome names its intent in `ref`."""

    kind: str
    actor: str
    action: str
    object: str
    data: Mapping[str, Any] = field(default_factory=dict)
    ref: str = ""


class AuditLog:
    """Appends are serialised by comparing the chain's head in the store: replicas share one chain."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def intent(self, actor: str, action: str, object: str, data: Mapping[str, Any] | None = None) -> str:
        """Write down what is about to be done. Returns its reference, for the outcome. Raises while the store is away:
        then nothing may be done."""
        return await self._append(Line("intent", actor, action, object, data or {}))

    async def outcome(self, ref: str, actor: str, action: str, object: str, data: Mapping[str, Any]) -> str:
        return await self._append(Line("outcome", actor, action, object, data, ref))

    async def note(self, actor: str, action: str, object: str, data: Mapping[str, Any] | None = None) -> str:
        """Something decided or refused, with no effect outside."""
        return await self._append(Line("note", actor, action, object, data or {}))

    async def commit(self, lease: Lease, line: Line, commands: Callable[[str], Sequence[Command]]) -> str:
        """Append the line and carry out `commands` in one fenced commit: both are there, or neither is. `commands`
        gets the line's reference, which it answers too; it may be asked again. Raises LeaseLost."""
        while True:
            head = await self._head()
            entry, raw = self._sealed(line, head)
            ref = f"{entry.seq}"
            appended: list[Command] = [("XADD", STREAM, "*", "e", raw), ("SET", HEAD, f"{entry.seq} {entry.hash}")]
            try:
                await lease.commit([*commands(ref), *appended], expect=(HEAD, head))
            except ValueMoved:
                continue
            return ref

    async def entries(self, *, batch: int = 500) -> AsyncIterator[Entry]:
        """Every entry, oldest first."""
        last = "-"
        while True:
            rows = await self._store.xrange(STREAM, min=last, count=batch)
            for _, fields in rows:
                yield _entry(orjson.loads(fields[b"e"]))
            if len(rows) < batch:
                return
            last = "(" + rows[-1][0].decode()

    async def latest(self, count: int) -> list[Entry]:
        """The newest entries, newest first."""
        rows = await self._store.xrevrange(STREAM, count=count)
        return [_entry(orjson.loads(fields[b"e"])) for _, fields in rows]

    async def verify(self) -> tuple[int, str | None]:
        """(entries read, why the chain does not hold or None). Also compares the last entry with the stored head."""
        read = [entry async for entry in self.entries()]
        broken = first_break(read, start=read[0].prev if read and read[0].seq > 1 else GENESIS)
        head = await self._head()
        if broken is None and read and head != f"{read[-1].seq} {read[-1].hash}":
            broken = f"entries after {read[-1].seq} are missing"
        return len(read), broken

    async def _append(self, line: Line) -> str:
        head = await self._head()
        while True:
            entry, raw = self._sealed(line, head)
            moved = await self._store.eval(_APPEND, 2, HEAD, STREAM, head, f"{entry.seq} {entry.hash}", raw)
            if moved is None:
                return f"{entry.seq}"
            head = moved.decode()

    async def _head(self) -> str:
        """Number and hash of the last entry; empty before the first."""
        return (await self._store.get(HEAD) or b"").decode()

    def _sealed(self, line: Line, head: str) -> tuple[Entry, bytes]:
        """The entry that follows `head`, and its bytes."""
        seq, _, prev = head.partition(" ")
        entry = seal(
            seq=int(seq or 0) + 1,
            at=self._clock.now().isoformat(),
            kind=line.kind,
            actor=line.actor,
            action=line.action,
            object=line.object,
            ref=line.ref,
            data=dict(line.data),
            prev=prev or GENESIS,
        )
        return entry, orjson.dumps(entry)


def _entry(raw: Mapping[str, Any]) -> Entry:
    return Entry(**raw)
