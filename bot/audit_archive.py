"""Older entries of the audit log out of the store and into a file, and read back from there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from bot.maintaining import Maintainer
from core.audit import GENESIS, ChainCheck, Entry, Keyring
from core.audit_checkpoint import Archived, Checkpoint
from core.audit_view import json_line
from core.errors import Refused
from core.ports import Clock
from integrations.store.approvals import ApprovalStore
from integrations.store.audit import AuditLog, Line, Unreadable, parse_entry
from integrations.store.leases import LeaseLost, Leases

YOUNGEST = timedelta(days=30)
"""Younger entries stay in the store, and with them what still goes on."""
LEASE, LEASE_S = "audit-trim", 900.0
ACTION, OBJECT = "trim", "audit"


@dataclass(frozen=True, slots=True)
class Archives:
    """Files that trims wrote, in any order. Iterating reads their entries anew, oldest first; raises Unreadable."""

    paths: Sequence[Path]

    def __iter__(self) -> Iterator[Entry]:
        for path in sorted(self.paths, key=_first):
            yield from _entries(path)

    def strangers(self, checkpoint: Checkpoint | None) -> list[Path]:
        """Those that are, byte by byte, none that a trim wrote."""
        known = {one.sha256 for one in checkpoint.archives} if checkpoint else set()
        return [path for path in self.paths if _digest(path) not in known]


class Trimming:
    """`by` is who orders it. Nothing is taken out before the file was read back and found to be the same chain."""

    def __init__(
        self, *, log: AuditLog, approvals: ApprovalStore, leases: Leases, keys: Keyring, clock: Clock, by: Maintainer
    ) -> None:
        self._log = log
        self._approvals = approvals
        self._leases = leases
        self._keys = keys
        self._clock = clock
        self._actor = by.actor
        self._name = by.name

    async def trim(self, before: datetime, path: Path) -> Archived:
        """The entries older than `before` into a new file, then out of the store. Raises Refused: then all are there,
        and the file is not."""
        if before > self._clock.now() - YOUNGEST:
            raise Refused(f"Entries younger than {YOUNGEST.days} days stay in the store. Give an earlier --before.")
        if not self._keys.current:
            raise Refused(
                "Without audit.key nobody could tell a trim from a theft. Set a key first (docs/operations.md)."
            )
        for request in await self._approvals.live():
            if request.at < before:
                raise Refused(
                    f"Request {request.id} of {request.at:%Y-%m-%d} for approval is open or to be reviewed, and what "
                    "led to it stays until it is over (/cdm approvals). Nothing was taken out."
                )
        async with self._leases.hold(LEASE, LEASE_S) as lease:
            if lease is None:
                raise Refused("Another trim is under way, or was killed within the last 15 minutes. Try again then.")
            check = await self._log.check()
            if check.broken is not None:
                raise Refused(f"The log does not hold, so nothing may be taken out of it: {check.broken}.")
            archived = await self._written(before, path, await self._log.checkpoint())
            about = {"name": self._name, "before": before.isoformat(), "first": archived.first, "last": archived.last}
            ref = await self._log.intent(self._actor, ACTION, OBJECT, {**about, "sha256": archived.sha256})
            done = Line("outcome", self._actor, ACTION, OBJECT, {"taken_out": archived.last - archived.first + 1}, ref)
            try:
                await self._log.trim(lease, archived, done)
            except LeaseLost:
                await self._log.outcome(ref, self._actor, ACTION, OBJECT, {"taken_out": 0})
                raise Refused("It took too long, so nothing was taken out. The file is whole; remove it.") from None
            return archived

    async def close(self, seq: int, why: str) -> None:
        """Write down that an act's outcome will never be known. Raises Refused where it is known, or still may be."""
        found: Entry | None = None
        async for entry in self._log.entries():
            if entry.seq == seq:
                found = entry
            if entry.ref == str(seq):
                raise Refused(f"Entry {seq} has its outcome: entry {entry.seq}.")
        if found is None or found.kind != "intent":
            raise Refused(f"There is no intent {seq} in the store.")
        if datetime.fromisoformat(found.at) > self._clock.now() - YOUNGEST:
            raise Refused(f"Intent {seq} is younger than {YOUNGEST.days} days: what it began may still end.")
        data = {"unknown": why, "closed_by": self._name}
        await self._log.outcome(str(seq), self._actor, found.action, found.object, data)

    async def _written(self, before: datetime, path: Path, checkpoint: Checkpoint | None) -> Archived:
        """The file, written, on the disk, and proven."""
        begun = (checkpoint.first - 1, checkpoint.hash) if checkpoint else (0, GENESIS)
        with _new(path) as file:
            try:
                last, waiting = begun, dict[str, Entry]()
                async for entry in self._log.entries():
                    if datetime.fromisoformat(entry.at) >= before:
                        break
                    file.write(json_line(entry))
                    last = entry.seq, entry.hash
                    waiting.pop(entry.ref, None)
                    if entry.kind == "intent":
                        waiting[str(entry.seq)] = entry
                _refuse(before, waiting.values(), empty=last == begun)
                file.flush()
                os.fsync(file.fileno())
                return self._proven(path, begun, last)
            except BaseException:
                os.unlink(path)
                raise

    def _proven(self, path: Path, begun: tuple[int, str], last: tuple[int, str]) -> Archived:
        check = ChainCheck(self._keys)
        check.begin_after(*begun)
        try:
            same = all(check.see(entry) for entry in _entries(path)) and check.follows(*last)
        except Unreadable:
            same = False
        if not same:
            raise Refused(f"{path} does not hold what was written to it: look at the disk. Nothing was taken out.")
        return Archived(begun[0] + 1, last[0], last[1], _digest(path), self._clock.now().isoformat())


def _new(path: Path) -> BinaryIO:
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    except FileExistsError:
        raise Refused(f"{path} is there already, and an archive is never overwritten. Give another name.") from None


def _refuse(before: datetime, waiting: Iterable[Entry], *, empty: bool) -> None:
    for entry in waiting:
        raise Refused(
            f"Entry {entry.seq} ({entry.action} on {entry.object}, {entry.at}) has no outcome before then, and an act "
            f"is not taken out without it. Give --before {entry.at}; or, if its outcome will never be known, "
            f"cdm audit close {entry.seq} --why …"
        )
    if empty:
        raise Refused(f"No entry in the store is older than {before.isoformat()}. Nothing was done.")


def _entries(path: Path) -> Iterator[Entry]:
    with path.open("rb") as file:
        for line in file:
            yield parse_entry(line)


def _first(path: Path) -> int:
    """The number of its first entry; 0 where it has none, which reading it then tells."""
    try:
        return next((entry.seq for entry in _entries(path)), 0)
    except Unreadable:
        return 0


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
