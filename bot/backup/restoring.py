"""`cdm restore`: a backup into the store of the settings, while no bot works on it."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.audit_keys import keyring
from bot.backup import archive, contents, making, snapshot
from bot.backup.archive import Manifest
from bot.backup.present import Present
from bot.backup.repeating import Prepared, prepare
from bot.maintaining import Maintainer
from bot.settings import Settings
from bot.store_access import opened_store, store_directory
from core.errors import Refused
from core.ids import Channel
from core.messages.maintenance import restored_unproven
from core.outbox import Wanted
from core.ports import Clock
from integrations.store.audit import AuditLog
from integrations.store.connection import Store, check_store, connect
from integrations.store.embedded import EmbeddedStore
from integrations.store.families import SCHEMA_VERSION
from integrations.store.outbox import Outbox, Priority
from integrations.store.replicas import ALIVE_S, Replicas

SCHEMA = "cdm:schema"
HALF_DONE = 999_999
"""The schema of a store while a restore is under way or was broken off: every bot refuses it."""
_FENCES = "cdm:fence:"
_BATCH = 200


@dataclass(frozen=True, slots=True)
class Restored:
    """`replaced`: where a backup of what stood there before is, if anything did."""

    manifest: Manifest
    prepared: Prepared
    replaced: Path | None


async def restore(
    settings: Settings, path: Path, present: Present, clock: Clock, by: Maintainer, *, replace: bool
) -> Restored:
    """Raises Refused where a bot is at work, the store holds anything (without `replace`), or the file is no good."""
    with tempfile.TemporaryDirectory(prefix="cdm-") as made:
        work = Path(made)
        manifest = archive.read(path, work / "read.rdb")
        async with _target(settings) as target, snapshot.opened(work / "read.rdb", work / "s") as copy:
            replaced = await _put_aside(settings, target, clock) if await _holds_anything(target, replace) else None
            await contents.leave_out(copy)
            prepared = await prepare(copy, settings, present, manifest.taken_at, clock)
            await _write_down(copy, settings, clock, by, _told(manifest, replaced))
            await _pour(copy, target, await contents.counted(copy))
    return Restored(manifest, prepared, replaced)


@asynccontextmanager
async def _target(settings: Settings) -> AsyncIterator[Store]:
    """The store of the settings, made where there is none. An embedded one is ours alone: a running bot refuses us."""
    if settings.store.url is not None:
        async with opened_store(settings) as store:
            if not settings.store.trust_persistence:
                await check_store(store)
            await _no_bot(store)
            yield store
        return
    embedded = EmbeddedStore(store_directory(settings), appendfsync=settings.store.appendfsync)
    await embedded.start()
    store = connect(embedded.url, timeout_s=snapshot.LONG_S, connections=4)
    try:
        await store.config_set("proto-max-bulk-len", snapshot.LARGE)
        yield store
    finally:
        await store.aclose()
        await embedded.stop()


async def _no_bot(target: Store) -> None:
    others = await Replicas(target, "restore").count() - 1
    if others:
        raise Refused(
            f"{others} bot processes work on this store. Stop them all first; one that was killed counts for "
            f"{ALIVE_S} s more.",
            system="store",
        )


async def _holds_anything(target: Store, replace: bool) -> bool:
    found = sum((await contents.counted(target)).values())
    broken_off = await target.get(SCHEMA) == str(HALF_DONE).encode()
    if found and not replace:
        what = "a restore that was broken off" if broken_off else f"{found:,} keys of a bot"
        raise Refused(f"The store holds {what} already. To put the backup in its place, add --replace.", system="store")
    return bool(found) and not broken_off


async def _put_aside(settings: Settings, target: Store, clock: Clock) -> Path:
    """What is replaced is kept: the newest audit entries are in it alone."""
    path = settings.data_dir / f"replaced-{clock.now():%Y%m%dT%H%M%S}.cdm-backup"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return (await making.make(target, path, clock, keyring(settings))).path


async def _pour(copy: Store, target: Store, expected: dict[str, int]) -> None:
    """Every key as the servers themselves write it down (DUMP, RESTORE). No bot starts on half of them."""
    await target.set(SCHEMA, HALF_DONE)
    fences = {key: int(await target.get(key) or 0) async for key in target.scan_iter(match=f"{_FENCES}*")}
    old = [key async for key in target.scan_iter(match="cdm:*", count=_BATCH) if key != SCHEMA.encode()]
    for at in range(0, len(old), _BATCH):
        await target.unlink(*old[at : at + _BATCH])
    keys = [key async for key in copy.scan_iter(match="cdm:*", count=_BATCH) if key != SCHEMA.encode()]
    for at in range(0, len(keys), _BATCH):
        await _carry(copy, target, keys[at : at + _BATCH])
    for key, fence in fences.items():  # a fence must only grow
        await target.set(key, max(fence, int(await target.get(key) or 0)))
    found = await contents.counted(target)
    if any(found.get(family, 0) < count for family, count in expected.items() if family != "schema"):
        raise Refused("Not everything arrived in the store. It is left unusable; restore again.", system="store")
    await target.set(SCHEMA, SCHEMA_VERSION)


async def _carry(copy: Store, target: Store, keys: list[bytes]) -> None:
    async with copy.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.dump(key)
            pipe.pexpiretime(key)
        answers = await pipe.execute()
    async with target.pipeline(transaction=False) as pipe:
        for key, value, ends in zip(keys, answers[::2], answers[1::2], strict=True):
            if value is not None:
                pipe.restore(key, max(ends, 0), value, replace=True, absttl=ends > 0)
        await pipe.execute()


async def _write_down(copy: Store, settings: Settings, clock: Clock, by: Maintainer, told: dict[str, str]) -> None:
    """Who restores, into the log that goes on from here; and to the admins, where nobody proved who they are."""
    data = told | {"name": by.name} | ({"without_login": by.reason} if by.reason else {})
    await AuditLog(copy, clock, keyring(settings)).note(by.actor, "restored", "store", data)
    if by.reason:
        wanted = Wanted(
            key=f"notice:restored:{clock.now():%Y%m%dT%H%M%S}",
            channel=Channel(settings.slack.admin_channel),
            message=restored_unproven(by.name, by.reason, clock.now()),
            priority=Priority.INCIDENT,
            critical=True,
            open=False,
        )
        await Outbox(copy, clock).put(wanted)


def _told(manifest: Manifest, replaced: Path | None) -> dict[str, str]:
    told = {"taken_at": manifest.taken_at.isoformat(), "sha256": manifest.sha256}
    return told | ({"replaced": replaced.name} if replaced else {})
