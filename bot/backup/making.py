"""`cdm backup`: a snapshot of the store, without what must not survive, proven to be readable after it was written."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bot.backup import archive, contents, snapshot
from bot.backup.archive import BadBackup, Manifest
from core.audit import Keyring
from core.errors import Refused
from core.ports import Clock
from integrations.store.connection import Store
from integrations.store.families import SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class Made:
    """`audit_trouble`: why the audit chain in the backup does not hold, if it does not."""

    path: Path
    manifest: Manifest
    audit_trouble: str | None


async def make(store: Store, path: Path, clock: Clock, keys: Keyring) -> Made:
    """The store as of one instant, in a new file. Whoever works on the store goes on meanwhile. `keys` check the audit.

    Two whole copies lie in the temporary directory (TMPDIR) for the moment, and a server of our own holds it in memory.
    """
    if await asyncio.to_thread(path.exists):
        raise Refused(f"{path} is there already, and a backup is never overwritten. Give another name.")
    with tempfile.TemporaryDirectory(prefix="cdm-") as made:
        work = Path(made)
        taken_at = clock.now()
        await snapshot.take(store, work / "taken.rdb")
        database = int(store.connection_pool.connection_kwargs.get("db") or 0)
        async with snapshot.opened(work / "taken.rdb", work / "s", database=database) as copy:
            await contents.leave_out(copy)
            counted, trouble = await contents.counted(copy), await contents.audit_trouble(copy, keys)
            head, schema = await contents.audit_head(copy), int(await copy.get("cdm:schema") or SCHEMA_VERSION)
            if schema > SCHEMA_VERSION:
                raise Refused(
                    "A newer bot wrote this store, or a restore into it was broken off: make the backup with that "
                    "version, or restore again.",
                    system="store",
                )
            kept = await snapshot.saved(copy, work / "s")
        manifest = Manifest(
            schema_version=schema,
            taken_at=taken_at,
            sha256=archive.digest(kept),
            size=kept.stat().st_size,
            keys=counted,
            audit_head=head,
        )
        archive.write(path, manifest, kept)
        await _prove(path, manifest, work)
    return Made(path, manifest, trouble)


async def _prove(path: Path, manifest: Manifest, work: Path) -> None:
    """Read the file back as a restore does, and compare."""
    found = archive.read(path, work / "back.rdb")
    async with snapshot.opened(work / "back.rdb", work / "b") as copy:
        same = found == manifest and await contents.counted(copy) == manifest.keys
        if not same or await contents.audit_head(copy) != manifest.audit_head:
            raise BadBackup(path, "does not hold what was written to it. Look at the disk, and do not rely on it.")
