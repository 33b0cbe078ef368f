"""The way through the relay, as asyncssh wants a tunnel: one method that opens a connection to an address behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import asyncssh


class Tunnel:
    """Opens TCP connections from the relay, safe to be cancelled.

    A relay answers an open for a dead address minutes later. asyncssh would then hold a channel that belongs to
    nobody; here a late one is closed as it comes.
    """

    def __init__(self, relay: asyncssh.SSHClientConnection) -> None:
        self._relay = relay

    async def create_connection(self, factory: Callable[[], Any], host: str, port: int) -> Any:
        opening = asyncio.ensure_future(self._relay.create_connection(factory, host, port))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_late)
            raise


def _close_late(opening: asyncio.Future[Any]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        channel, _session = opening.result()
        channel.abort()
