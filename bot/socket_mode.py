"""Socket Mode: one connection of this process, and the notice when somebody else uses the same app token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from prometheus_client import Gauge
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp

from core.ports import Clock

log = structlog.get_logger(__name__)

CONNECTIONS = Gauge("cdm_slack_connections", "Socket Mode connections of this app token, as Slack's hello said")

PING_S = 5.0
"""A half-open link is noticed within about twice this (measured with slack_sdk 3.47 on aiohttp)."""


class SocketLink:
    """`own` tells how many connections this installation's replicas hold; more than that means that another
    installation takes some of our clicks (Slack hands each payload to any one connection)."""

    def __init__(
        self,
        app: AsyncApp,
        token: Callable[[], str],
        own: Callable[[], Awaitable[int]],
        shared: Callable[[int, int], Awaitable[None]],
        clock: Clock,
    ) -> None:
        self._app = app
        self._token = token
        self._own = own
        self._shared = shared
        self._clock = clock
        self._handler: AsyncSocketModeHandler | None = None

    async def connect(self) -> None:
        self._handler = AsyncSocketModeHandler(self._app, self._token(), ping_interval=PING_S)
        self._handler.client.message_listeners.append(self._heard)
        await self._handler.connect_async()
        log.info("socket_connected")

    async def close(self) -> None:
        if self._handler is not None:
            await self._handler.close_async()

    async def problem(self) -> str | None:
        """Why no click would arrive now, or None."""
        if self._handler is None or not await self._handler.client.is_connected():
            return "the Socket Mode connection to Slack is down; it is being renewed"
        return None

    async def _heard(self, client: Any, message: dict[str, Any], raw: str | None) -> None:
        if message.get("type") != "hello":
            return
        count = int(message.get("num_connections", 0))
        CONNECTIONS.set(count)
        own = await self._own()
        if count > own:
            log.warning("app_token_shared", connections=count, own=own)
            await self._shared(count, own)
