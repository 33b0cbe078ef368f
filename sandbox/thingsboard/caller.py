"""The REST API call node: patterns, the shared connection pool with its losses, and what counts as success.

Measured on 4.2.1: 16 connections and 32 waiting for each receiver, a call beyond that fails at once; redirects are not
followed; an unresolved `${...}` is sent as it is written.
"""

from __future__ import annotations

import asyncio
import base64
import random
import re
from collections import defaultdict
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from sandbox.thingsboard.chains import Node
from sandbox.thingsboard.messages import Message
from sandbox.thingsboard.rules import as_text
from sandbox.thingsboard.world import compact

_PATTERN = re.compile(r"\$\{([^}]+)\}|\$\[([^\]]+)\]")
_WEB_CLIENT = "class org.springframework.web.reactive.function.client.WebClient"
PENDING_LIMIT = 32
RULE_THREADS = 8
"""Rule-engine threads; a node with maxParallelRequestsCount blocks one while it waits for its turn."""
SPREAD_S = 0.04
"""Calls of one pack leave within this time in no particular order: the cause of reordering on burst queues."""


def fill(pattern: str, message: Message) -> str:
    """`${key}` from the metadata, `$[a.b]` from the payload; literal where there is no such value."""

    def value(match: re.Match[str]) -> str:
        if match[1] is not None:
            return message.metadata.get(match[1], match[0])
        found: Any = message.data
        for part in match[2].split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return match[0] if found is None or isinstance(found, dict | list) else as_text(found)

    return _PATTERN.sub(value, pattern)


class _Pool:
    def __init__(self, connections: int) -> None:
        self.free = asyncio.Semaphore(connections)
        self.pending = 0


class Caller:
    """Makes the calls of all REST nodes of one server. `pool_size` is TB_RE_HTTP_CLIENT_POOL_MAX_CONNECTIONS."""

    def __init__(self, rng: random.Random, pace: float, pool_size: int = 16) -> None:
        self.rng = rng
        self.pace = pace
        self.pool_size = pool_size
        self.failures: list[str] = []
        self._pools: dict[tuple[str, int | None], _Pool] = defaultdict(lambda: _Pool(self.pool_size))
        self._permits: dict[int, asyncio.Semaphore] = {}
        self._threads = asyncio.Semaphore(RULE_THREADS)
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
        self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(self, node: Node, message: Message) -> tuple[bool, Message]:
        """(succeeded, the message with what the answer adds to its metadata)."""
        limit = int(node.configuration.get("maxParallelRequestsCount") or 0)
        if limit <= 0:
            return await self._noted(*await self._pooled(node, message))
        permit = self._permits.setdefault(id(node), asyncio.Semaphore(limit))
        patience = int(node.configuration.get("readTimeoutMs") or 0) / 1000 * self.pace
        async with self._threads:
            if permit.locked() and patience <= 0:
                return await self._noted(False, self._failed(message, "Max parallel requests reached"))
            try:
                await asyncio.wait_for(permit.acquire(), patience or None)
            except TimeoutError:
                return await self._noted(False, self._failed(message, "Max parallel requests reached"))
        try:
            return await self._noted(*await self._pooled(node, message))
        finally:
            permit.release()

    async def _noted(self, succeeded: bool, message: Message) -> tuple[bool, Message]:
        if not succeeded:
            self.failures.append(message.metadata.get("error", message.metadata.get("statusCode", "?")))
        return succeeded, message

    async def _pooled(self, node: Node, message: Message) -> tuple[bool, Message]:
        url = fill(str(node.configuration["restEndpointUrlPattern"]), message)
        pool = self._pools[(urlsplit(url).hostname or "", urlsplit(url).port)]
        await asyncio.sleep(self.rng.uniform(0, SPREAD_S) * self.pace)
        if pool.free.locked() and pool.pending >= PENDING_LIMIT:
            error = f"{_WEB_CLIENT}RequestException: Pending acquire queue has reached its maximum size of 32"
            return False, self._failed(message, error)
        pool.pending += 1
        try:
            await pool.free.acquire()
        finally:
            pool.pending -= 1
        try:
            return await self._send(node, message, url)
        finally:
            pool.free.release()

    async def _send(self, node: Node, message: Message, url: str) -> tuple[bool, Message]:
        assert self._session is not None
        configuration = node.configuration
        timeout_ms = int(configuration.get("readTimeoutMs") or 0)
        timeout = aiohttp.ClientTimeout(total=timeout_ms / 1000 * self.pace if timeout_ms else None)
        body = None if configuration.get("ignoreRequestBody") else compact(message.data).encode()
        try:
            async with self._session.request(
                str(configuration.get("requestMethod", "POST")),
                url,
                headers=self._headers(configuration, message),
                data=body,
                timeout=timeout,
                allow_redirects=False,
                skip_auto_headers=("Accept-Encoding", "User-Agent"),
            ) as answer:
                raw = await answer.read()
        except TimeoutError:
            return False, self._failed(message, f"{_WEB_CLIENT}RequestException: null")
        except (aiohttp.ClientError, ConnectionError) as error:
            return False, self._failed(message, f"{_WEB_CLIENT}RequestException: {error}")
        return self._judge(configuration, message, answer, raw)

    def _judge(
        self, configuration: Any, message: Message, answer: aiohttp.ClientResponse, raw: bytes
    ) -> tuple[bool, Message]:
        added = {"statusCode": str(answer.status), "status": str(answer.reason or "").upper().replace(" ", "_")}
        if len(raw) > int(configuration.get("maxInMemoryBufferSizeInKb") or 256) * 1024:
            return False, self._failed(message, "DataBufferLimitException: Exceeded limit on max bytes to buffer")
        if 200 <= answer.status < 300:
            headers = {k: v for k, v in answer.headers.items() if k.lower() != "content-length"}
            return True, message.but(metadata={**message.metadata, **headers, **added})
        added["status"] = str(answer.reason or "")
        if raw:
            added["error_body"] = raw.decode(errors="replace")
        return False, message.but(metadata={**message.metadata, **added})

    @staticmethod
    def _failed(message: Message, error: str) -> Message:
        return message.but(metadata={**message.metadata, "error": error})

    @staticmethod
    def _headers(configuration: Any, message: Message) -> dict[str, str]:
        headers = {"user-agent": "ReactorNetty/1.2.10", "accept": "*/*", "Content-Type": "application/json"}
        for name, pattern in (configuration.get("headers") or {}).items():
            headers[fill(name, message)] = fill(str(pattern), message)
        credentials = configuration.get("credentials") or {}
        if credentials.get("type") == "basic":
            pair = f"{credentials['username']}:{credentials['password']}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(pair).decode()
        return headers
