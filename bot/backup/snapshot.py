"""The server's own snapshot, taken while it works, and a server of our own to look into one.

The snapshot comes as replicas get it (SYNC): one instant of the whole store, from a process that the server forks, over
the connection the bot uses anyway. A server whose user may not replicate (many that are run by a cloud) refuses.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

from redis.exceptions import RedisError, ResponseError

from core.errors import Refused, Unavailable
from integrations.store.connection import Store, StoreUnsafe, connect
from integrations.store.embedded import EmbeddedStore

Connection: TypeAlias = Any
"""One of redis-py's, whose methods have no types."""

_MARK = 40
"""So long is the mark after which, announced by `$EOF:`, the snapshot ends."""
_CHUNK = 1 << 20
_SILENT_S = 60.0
"""The server waits 5 s for other replicas first (repl-diskless-sync-delay), and sends a line each 10 s meanwhile."""
_MANIFEST = "file appendonly.aof.1.base.rdb seq 1 type b\n"
LARGE = 1 << 32
LONG_S = 600.0


async def take(store: Store, to: Path) -> None:
    """Write the store's snapshot of now to `to` (mode 600). Raises Refused, Unavailable."""
    connection: Connection = store.connection_pool.make_connection()
    try:
        await connection.connect()
        for words in (("REPLCONF", "capa", "eof"), ("REPLCONF", "rdb-only", "1")):
            await connection.send_command(*words)
            await connection.read_response()
        await connection.send_command("SYNC")
        await _receive(connection, to)
    except ResponseError as error:
        raise _refused(str(error)) from error
    except (RedisError, OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        raise Unavailable(
            f"The store broke off its snapshot ({error or type(error).__name__}). Look into its log (memory? disk?), "
            "then try again.",
            system="store",
        ) from error
    finally:
        await connection.disconnect(nowait=True)


async def _receive(connection: Connection, to: Path) -> None:
    """The bulk of a SYNC is no answer the protocol's parser knows, so it is read from the stream below it."""
    stream: asyncio.StreamReader = connection._reader
    head = b""
    while not head.strip():
        async with asyncio.timeout(_SILENT_S):
            head = await stream.readline()
        if not head:
            raise asyncio.IncompleteReadError(b"", None)
    if not head.startswith(b"$EOF:"):
        raise _refused(head.decode(errors="replace").strip()[:200])
    mark, tail = head.strip()[5:], b""
    with os.fdopen(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        while tail != mark:
            async with asyncio.timeout(_SILENT_S):
                chunk = await stream.read(_CHUNK)
            if not chunk:
                raise asyncio.IncompleteReadError(tail, None)
            held = tail + chunk
            tail = held[-_MARK:]
            file.write(held[:-_MARK])


def _refused(said: str) -> Refused:
    return Refused(
        f"The store gives the bot's user no snapshot ({said}). Allow it SYNC and REPLCONF, or make backups by the "
        "server's own means (its snapshots, or copies of its append-only files).",
        system="store",
    )


@asynccontextmanager
async def opened(snapshot: Path, directory: Path, *, database: int = 0) -> AsyncIterator[Store]:
    """A server of our own that holds what is in that database of the snapshot, in the new folder `directory`. Raises
    Refused where it cannot be read."""
    folder = directory / "appendonlydir"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "appendonly.aof.manifest").write_text(_MANIFEST)
    os.link(snapshot, folder / "appendonly.aof.1.base.rdb")
    server = EmbeddedStore(directory, appendfsync="everysec", start_timeout_s=LONG_S)
    try:
        await server.start()
    except StoreUnsafe as error:
        await server.stop()
        raise Refused(
            "The snapshot cannot be read by the Valkey 9 that the bot brings: it is damaged, or comes from a Redis 7.4 "
            "or newer, whose format is another. Make backups of that server by its own means.",
            system="backup",
        ) from error
    store = connect(server.url, timeout_s=LONG_S, connections=4)
    try:
        await store.config_set("proto-max-bulk-len", LARGE)
        if database:
            await store.swapdb(0, database)
        for other in await store.info("keyspace"):
            if other != "db0":
                await _emptied(f"{server.url}?db={other.removeprefix('db')}")
        yield store
    finally:
        await store.aclose()
        await server.stop()


async def _emptied(url: str) -> None:
    """A shared server's other databases are none of ours."""
    store = connect(url, timeout_s=LONG_S, connections=1)
    await store.flushdb()
    await store.aclose()


async def saved(store: Store, directory: Path) -> Path:
    """The snapshot of a server made by `opened` in that directory, as it is now."""
    await store.save()
    return directory / "dump.rdb"
