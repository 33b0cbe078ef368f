"""The audit log in the store: append-only, chained, intent before effect and outcome after."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import orjson

from core.audit import GENESIS, MAX_EXACT, NO_KEYS, ChainCheck, Entry, Keyring, seal
from core.audit_checkpoint import Archived, Checkpoint, checkpoint_trouble, seal_checkpoint
from core.ports import Clock
from integrations.store.connection import Store
from integrations.store.families import Family
from integrations.store.leases import Command, Lease, ValueMoved

STREAM = "cdm:audit"
HEAD = "cdm:audit:head"
POSTED = "cdm:audit:posted"
"""The day (UTC) on which the head was last posted to Slack."""

TRIMMED = "cdm:audit:trimmed"
"""The checkpoint at which the log begins, once older entries were archived and taken out."""

FAMILIES = (Family("audit", "cdm:audit*", "when cdm audit trim archives it", None, 5_000_000, 4 << 30),)

_APPEND = """
local head = redis.call('GET', KEYS[1]) or ''
if head ~= ARGV[1] then return head end
redis.call('XADD', KEYS[2], '*', 'e', ARGV[3])
redis.call('SET', KEYS[1], ARGV[2])
return false
"""


_TYPES: Mapping[str, type] = {
    **{field.name: str for field in fields(Entry)},
    **{"seq": int, "v": int, "data": dict},
}


@dataclass(frozen=True, slots=True)
class Line:
    """What an entry says, before it has its place in the chain. An outcome names its intent in `ref`."""

    kind: str
    actor: str
    action: str
    object: str
    data: Mapping[str, Any] = field(default_factory=dict)
    ref: str = ""


class Unreadable(Exception):
    """What stands in the log is no entry."""


class AuditLog:
    """Appends are serialised by comparing the chain's head in the store: replicas share one chain. Each entry is sealed
    with the current key of `keys`, if there is one."""

    def __init__(self, store: Store, clock: Clock, keys: Keyring = NO_KEYS) -> None:
        self._store = store
        self._clock = clock
        self._keys = keys

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
            head = await self.head()
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
            for _, row in rows:
                yield parse_entry(row.get(b"e", b""))
            if len(rows) < batch:
                return
            last = "(" + rows[-1][0].decode()

    async def latest(self, count: int) -> list[Entry]:
        """The newest entries, newest first."""
        rows = await self._store.xrevrange(STREAM, count=count)
        return [parse_entry(row.get(b"e", b"")) for _, row in rows]

    async def check_newest(self, count: int) -> ChainCheck:
        """The last `count` entries alone, up to the stored head. What came before them is taken as it is told."""
        number, hash = _parted(await self.head())
        check = ChainCheck(self._keys, {number: hash} if number else {})
        try:
            newest = (await self.latest(count))[::-1]
        except Unreadable as error:
            check.broken = f"one of the last {count} entries cannot be read ({error})"
            return check
        if newest and newest[0].seq > 1:
            check.begin_after(newest[0].seq - 1, newest[0].prev)
        if all(check.see(entry) for entry in newest):
            check.end()
        return check

    async def check(self, anchors: Mapping[int, str] | None = None, archived: Iterable[Entry] = ()) -> ChainCheck:
        """The chain from its first entry (or its checkpoint) to the stored head, and against `anchors` (hashes by
        number). `archived` are entries taken out before, oldest first, and may be read again. Keeps no entry in memory.
        The log may grow, and be trimmed, meanwhile."""
        while True:
            before = await self._store.get(TRIMMED)
            check = await self._check(anchors or {}, archived)
            if await self._store.get(TRIMMED) == before:
                return check

    async def checkpoint(self) -> Checkpoint | None:
        """As it is stored; whether it holds says `check`. Raises Unreadable."""
        raw = await self._store.get(TRIMMED)
        return None if raw is None else _checkpoint(raw)

    async def trim(self, lease: Lease, archived: Archived, line: Line) -> str:
        """Take the entries of `archived` out, seal where the log begins now, and append `line`, all in one fenced
        commit. An entry must stay. Answers the line's reference; raises LeaseLost, or ValueError without a key."""
        checkpoint = await self.checkpoint()
        sealed = seal_checkpoint((*(checkpoint.archives if checkpoint else ()), archived), self._keys)
        first = await self._id_of(sealed.first)
        commands: list[Command] = [
            ("XTRIM", STREAM, "MINID", "=", first),
            ("SET", TRIMMED, orjson.dumps(asdict(sealed))),
        ]
        return await self.commit(lease, line, lambda ref: commands)

    async def _check(self, anchors: Mapping[int, str], archived: Iterable[Entry]) -> ChainCheck:
        number, hash = _parted(await self.head())
        check = ChainCheck(self._keys, {**anchors, **({number: hash} if number else {})})
        try:
            checkpoint = await self.checkpoint()
            if not self._starts(check, checkpoint, archived):
                return check
            async for entry in self.entries():
                if not check.see(entry):
                    return check
        except Unreadable as error:
            check.broken = f"the entry after {check.last} cannot be read ({error})"
            return check
        check.end()
        if check.broken is None and check.last > _parted(await self.head())[0]:
            check.broken = f"entry {check.last} is beyond the newest that the bot wrote"
        if check.broken is None and number and anchors.get(number, hash) != hash:
            check.broken = f"entry {number} is not the one that was anchored: the log up to it was written anew"
        return check

    def _starts(self, check: ChainCheck, checkpoint: Checkpoint | None, archived: Iterable[Entry]) -> bool:
        """Bring `check` to where the log in the store begins, by way of what was archived where that is given."""
        if checkpoint is None:
            return all(check.see(entry) for entry in archived)
        check.broken = checkpoint_trouble(checkpoint, self._keys)
        if check.broken is not None:
            return False
        begun = False
        for entry in archived:
            if not begun and (older := checkpoint.before(entry.seq)):
                check.begin_after(older.last, older.hash)
            begun = True
            if check.broken is not None or not check.see(entry):
                return False
        if not begun:
            check.begin_after(checkpoint.first - 1, checkpoint.hash)
        elif not check.follows(checkpoint.first - 1, checkpoint.hash):
            check.broken = (
                f"the archives end with entry {check.last}, the log in the store begins at {checkpoint.first}"
            )
        return check.broken is None

    async def _id_of(self, seq: int) -> str:
        """Of an entry in the stream; the newest are looked at first."""
        last = "+"
        while rows := await self._store.xrevrange(STREAM, max=last, count=500):
            for id, row in rows:
                if parse_entry(row.get(b"e", b"")).seq == seq:
                    return str(id.decode())
            last = "(" + rows[-1][0].decode()
        raise ValueError(f"there is no entry {seq}")

    async def verify(self) -> tuple[int, str | None]:
        """(entries read, why the chain does not hold or None)."""
        check = await self.check()
        return check.entries, check.broken

    async def posted_on(self) -> str:
        """The day on which the head was last posted to Slack, "" for never."""
        return (await self._store.get(POSTED) or b"").decode()

    def posted_commands(self, day: str) -> list[Command]:
        """To be carried out together with what posts it."""
        return [("SET", POSTED, day)]

    async def head(self) -> str:
        """ "<number> <hash>" of the last entry; empty before the first."""
        return (await self._store.get(HEAD) or b"").decode()

    async def _append(self, line: Line) -> str:
        head = await self.head()
        while True:
            entry, raw = self._sealed(line, head)
            moved = await self._store.eval(_APPEND, 2, HEAD, STREAM, head, f"{entry.seq} {entry.hash}", raw)
            if moved is None:
                return f"{entry.seq}"
            head = moved.decode()

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
            data=_exact(orjson.loads(orjson.dumps(dict(line.data)))),
            prev=prev or GENESIS,
            keys=self._keys,
        )
        return entry, orjson.dumps(entry)


def parse_entry(raw: bytes) -> Entry:
    """An entry as JSON. Raises Unreadable."""
    try:
        entry = Entry(**orjson.loads(raw))
    except (ValueError, TypeError) as error:
        raise Unreadable(str(error)) from error
    if not all(isinstance(getattr(entry, name), kind) for name, kind in _TYPES.items()):
        raise Unreadable("a field is of another type")
    return entry


def _checkpoint(raw: bytes) -> Checkpoint:
    """Raises Unreadable."""
    try:
        read = orjson.loads(raw)
        archives = tuple(Archived(**one) for one in read["archives"])
        found = Checkpoint(archives, read["key"], read["seal"])
        whole = all(type(end) is int for one in archives for end in (one.first, one.last))
    except (ValueError, TypeError, KeyError) as error:
        raise Unreadable(f"the checkpoint at which the log begins: {error}") from error
    if not whole or not archives or not isinstance(found.key, str):
        raise Unreadable("the checkpoint at which the log begins: a field is of another type")
    return found


def _parted(head: str) -> tuple[int, str]:
    """Number and hash; (0, "") before the first entry."""
    number, _, hash = head.partition(" ")
    return (int(number), hash) if number.isdecimal() else (0, "")


def _exact(value: Any) -> Any:
    """JSON as it is, but for integers that have no canonical form: those become text."""
    if isinstance(value, dict):
        return {key: _exact(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_exact(one) for one in value]
    return str(value) if type(value) is int and abs(value) > MAX_EXACT else value
