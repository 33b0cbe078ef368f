"""The store for a command that runs beside the bot: the one that is running, or the embedded one for a moment."""

from __future__ import annotations

import fcntl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from redis.exceptions import AuthenticationError, RedisError

from bot.settings import Settings
from core.errors import NotAllowed, NotFound, Unavailable
from integrations.store.connection import STORE_DOWN, Store, connect
from integrations.store.embedded import EmbeddedStore

APPEND_ONLY_DIR = "appendonlydir"
"""What Valkey calls the folder of its append-only files."""


def store_directory(settings: Settings) -> Path:
    return settings.data_dir / "store"


@asynccontextmanager
async def opened_store(settings: Settings, *, alone: bool = False) -> AsyncIterator[Store]:
    """A client of the store in the settings. Changes nothing in it, sets no schema, and checks no guarantees.

    An embedded store that a bot is running is reached by its socket, or refused where we are to be `alone`; one at rest
    is started, and stopped at the end (a bot that starts in between is refused). Raises OutsideError where there is
    none.
    """
    if settings.store.url is not None:
        password = settings.store.password
        async with _client(settings.store.url, password.read() if password else None) as store:
            yield store
        return
    embedded = EmbeddedStore(store_directory(settings), appendfsync=settings.store.appendfsync)
    if alone or not await answers(embedded.url):
        if not (embedded.directory / APPEND_ONLY_DIR).is_dir():
            raise NotFound(
                f"There is no store in {embedded.directory}: no bot has run with this data_dir yet. Start the bot, or "
                "correct data_dir in cdm.yaml.",
                system="store",
            )
        await embedded.start()
    try:
        async with _client(embedded.url, None) as store:
            yield store
    finally:
        await embedded.stop()


async def answers(url: str) -> bool:
    """Whether a store answers there, in whatever words."""
    store = connect(url, timeout_s=1.0, connections=1)
    try:
        await store.ping()
    except STORE_DOWN:
        return False
    except RedisError:
        return True
    finally:
        await store.aclose()
    return True


def is_locked(directory: Path) -> bool:
    """Whether a bot holds the directory of an embedded store now."""
    path = directory / "store.lock"
    if not path.exists():
        return False
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


@asynccontextmanager
async def _client(url: str, password: str | None) -> AsyncIterator[Store]:
    store = connect(url, password=password, connections=4)
    try:
        await store.ping()
        yield store
    except AuthenticationError as error:
        raise NotAllowed(
            f"The store refuses the login ({error}). Check store.password and the user in store.url.", system="store"
        ) from error
    except STORE_DOWN as error:
        raise Unavailable(
            f"The store does not answer ({error}). Start it, or correct store.url in cdm.yaml.", system="store"
        ) from error
    finally:
        await store.aclose()
