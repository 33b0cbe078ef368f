"""The audit log verified: entries a second, and the memory it takes for a tenth of the log and for all of it.

Each check runs in a process of its own, beside one that only reads and parses the same entries.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from core.audit import GENESIS, Entry, Keyring, seal
from integrations.clock import SystemClock
from integrations.store.audit import HEAD, STREAM, AuditLog
from integrations.store.connection import Store, connect
from integrations.store.embedded import EmbeddedStore
from tests.load.options import BenchFailed, Options
from tests.load.report import Aim, Figure, Report

ENTRIES = 1_000_000
ENTRIES_A_SECOND = 5_000
"""Of the length asked for, where one is: about what is verified in that time, and more."""
BATCH = 2_000
MORE_MEMORY = 1.1
KEYS = Keyring(b"a key for the bench, as long as one must be")


async def audit(options: Options) -> Report:
    entries = ENTRIES if options.seconds is None else int(options.seconds * ENTRIES_A_SECOND)
    async with _store() as (url, store):
        await _fill(store, entries // 10)
        tenth = await _measured(url, "check")
        await _fill(store, entries)
        whole, bare = await _measured(url, "check"), await _measured(url, "read")
    if whole["entries"] != entries or whole["broken"] is not None:
        raise BenchFailed(f"the log does not hold as it was written: {whole}")
    return Report(
        area="audit",
        about=f"{entries:,} sealed entries verified; beside only reading and parsing them, and a tenth of them",
        figures=[
            Figure("entries verified a second", entries / whole["seconds"], entries / bare["seconds"], "only read"),
            Figure(
                "peak memory, MB",
                whole["peak_mb"],
                tenth["peak_mb"],
                "a tenth of the log",
                (Aim("most", MORE_MEMORY, "ratio"),),
            ),
        ],
        settings={"entries": entries},
        raw={"whole": whole, "tenth": tenth, "read": bare},
    )


@asynccontextmanager
async def _store() -> AsyncIterator[tuple[str, Store]]:
    directory = Path(tempfile.mkdtemp(prefix="cdm-load-"))
    server = EmbeddedStore(directory, appendfsync="everysec")
    await server.start()
    store = connect(server.url)
    try:
        yield server.url, store
    finally:
        await store.aclose()
        await server.stop()
        shutil.rmtree(directory, ignore_errors=True)


async def _fill(store: Store, count: int) -> None:
    """Entries as promotions write them, up to `count`."""
    number, _, prev = (await AuditLog(store, SystemClock()).head()).partition(" ")
    prev = prev or GENESIS
    for begun in range(int(number or 0) + 1, count + 1, BATCH):
        upto = min(begun + BATCH - 1, count)
        async with store.pipeline(transaction=False) as pipe:
            for seq in range(begun, upto + 1):
                entry = _entry(seq, prev)
                prev = entry.hash
                pipe.xadd(STREAM, {"e": orjson.dumps(entry)})
            pipe.set(HEAD, f"{upto} {prev}")
            await pipe.execute()


def _entry(seq: int, prev: str) -> Entry:
    return seal(
        seq=seq,
        at="2026-11-24T03:00:00.123456+00:00",
        kind="intent",
        actor="3f2a9c1e-1111-4222-8333-444455556666",
        action="promote",
        object="rollout:eu1/17/group:3",
        ref="",
        data={"name": "bob", "attempt": 3, "gates": {"share": {"verified": 97, "of": 100}, "soak_s": 12.5}},
        prev=prev,
        keys=KEYS,
    )


async def _measured(url: str, what: str) -> dict[str, Any]:
    command = (sys.executable, "-m", "tests.load.audit", url, what)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    if process.returncode != 0:
        raise BenchFailed(f"the process that should {what} ended with {process.returncode}")
    found: dict[str, Any] = orjson.loads(said)
    return found


async def _look(url: str, what: str) -> dict[str, Any]:
    """In the process of its own."""
    store = connect(url)
    log, begun, count, broken = AuditLog(store, SystemClock(), KEYS), time.monotonic(), 0, None
    if what == "check":
        count, broken = await log.verify()
    else:
        async for _ in log.entries():
            count += 1
    took = time.monotonic() - begun
    await store.aclose()
    return {"entries": count, "broken": broken, "seconds": took, "peak_mb": _peak_mb()}


def _peak_mb() -> float:
    """The most memory this process had resident, from /proc."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(asyncio.run(_look(sys.argv[1], sys.argv[2]))))
