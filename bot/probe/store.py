"""The store: does it keep what it says it has, and can this bot use it?"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

from bot.probe.finding import Finding, fail, ok, warn
from bot.settings import Settings
from bot.store_access import answers, is_locked, opened_store, store_directory
from integrations.store.connection import Store, StoreUnsafe, check_store, in_danger
from integrations.store.embedded import EmbeddedStore
from integrations.store.families import SCHEMA_VERSION

SYSTEM = "store"


async def look(settings: Settings) -> AsyncIterator[Finding]:
    if settings.store.url is None:
        embedded = EmbeddedStore(store_directory(settings))  # StoreUnsafe where the path is too long
        if not await answers(embedded.url):
            yield _at_rest(embedded.directory)
            return
        yield ok(SYSTEM, f"A bot is running on {embedded.directory}; its store is asked.")
    async with opened_store(settings) as store:
        async for finding in _running(settings, store):
            yield finding


def _at_rest(directory: Path) -> Finding:
    if is_locked(directory):
        return warn(
            SYSTEM,
            f"{directory} is held by another bot whose store does not answer: it is starting, or hangs.",
            "Probe again in a moment. A second bot needs a data_dir of its own, or one Valkey for both (store.url).",
        )
    standing = next(path for path in (directory, *directory.parents) if path.exists())
    if not (standing.is_dir() and os.access(standing, os.W_OK | os.X_OK)):
        return fail(
            SYSTEM,
            f"The bot cannot write to {standing}, where its store keeps its files.",
            f"Give that directory to the user the bot runs as, or set data_dir (now {directory.parent}) to another.",
        )
    return ok(SYSTEM, f"The embedded store is not running; {directory} is writable and free for it.")


async def _running(settings: Settings, store: Store) -> AsyncIterator[Finding]:
    if settings.store.trust_persistence:
        yield warn(
            SYSTEM,
            "store.trust_persistence is set: whether the store keeps data on disk was not checked.",
            "Check appendonly and maxmemory-policy on the server yourself, or allow CONFIG|GET and remove the setting.",
        )
    else:
        yield await _guarantees(store)
    if danger := await in_danger(store):
        yield fail(SYSTEM, f"The store {danger}.", "Mend that first: the bot takes no alarm it cannot keep.")
    found = int(await store.get("cdm:schema") or SCHEMA_VERSION)
    if found > SCHEMA_VERSION:
        yield fail(
            SYSTEM,
            f"A newer bot wrote it (schema {found}, this one knows {SCHEMA_VERSION}), so this bot will not start.",
            "Run that version again, or restore a backup made with this one.",
        )


async def _guarantees(store: Store) -> Finding:
    try:
        kept = await check_store(store)
    except StoreUnsafe as error:
        return fail(SYSTEM, error.user_text)
    fsync, version = kept.get("appendfsync", "unknown"), kept["version"]
    if fsync == "always":
        return ok(SYSTEM, f"Valkey or Redis {version}, append-only, fsync at every write, no eviction.")
    lost = "a second of accepted alarms" if fsync == "everysec" else "some 30 s of accepted alarms"
    return warn(
        SYSTEM,
        f"Version {version}, append-only, but appendfsync is {fsync}: a power cut may lose {lost}.",
        "Set 'appendfsync always' on the server; the bot writes in groups, so it costs little.",
    )
