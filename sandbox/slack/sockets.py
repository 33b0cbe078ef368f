"""Socket Mode: up to ten connections of one app, each envelope to any one of them, acked by its id."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import uuid
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from sandbox.slack.calls import Answer, Call, method
from sandbox.slack.limits import Limits
from sandbox.slack.workspace import Workspace
from sandbox.wire import Receive, Scope, Send

DEBUG_LIFE_S = 360.0


@dataclass(slots=True, eq=False)
class Connection:
    number: int
    send: Send
    life_s: float

    async def say(self, body: dict[str, Any]) -> None:
        with contextlib.suppress(OSError, RuntimeError):  # a peer that is gone
            await self.send({"type": "websocket.send", "text": json.dumps(body)})

    async def close(self) -> None:
        with contextlib.suppress(OSError, RuntimeError):
            await self.send({"type": "websocket.close", "code": 1000})


class Sockets:
    """`life_s` is the age at which Slack refreshes a connection, `grace_s` the time between its warning and the cut,
    `duplicate_next` the number of envelopes that will be sent twice."""

    def __init__(self, workspace: Workspace, limits: Limits, seed: int) -> None:
        self.workspace = workspace
        self.limits = limits
        self.rng = random.Random(seed)
        self.open: list[Connection] = []
        self.life_s = 18_060.0
        self.grace_s = 10.0
        self.duplicate_next = 0
        self.opened = 0
        self._tickets: set[str] = set()
        self._acks: dict[str, asyncio.Future[dict[str, Any]]] = {}

    def new_ticket(self) -> str:
        ticket = uuid.UUID(int=self.rng.getrandbits(128)).hex
        self._tickets.add(ticket)
        return ticket

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One WebSocket, from its single-use ticket to its end."""
        await receive()
        query = parse_qs(scope["query_string"].decode())
        ticket = query.get("ticket", [""])[0]
        if ticket not in self._tickets:
            await send({"type": "websocket.close", "code": 1008})
            return
        self._tickets.remove(ticket)
        await send({"type": "websocket.accept"})
        debug = query.get("debug_reconnects", [""])[0] == "true"
        connection = Connection(self.opened + 1, send, DEBUG_LIFE_S if debug else self.life_s)
        self.opened += 1
        if len(self.open) >= self.limits.sockets:
            await self.disconnect(connection, "too_many_websockets")
            return
        self.open.append(connection)
        self.workspace.note("socket", {"open": len(self.open), "number": connection.number})
        ageing = asyncio.create_task(self._age(connection))
        try:
            await connection.say(self._hello(connection))
            await self._listen(receive)
        finally:
            ageing.cancel()
            if connection in self.open:
                self.open.remove(connection)
            self.workspace.note("socket", {"open": len(self.open), "number": connection.number})

    def _hello(self, connection: Connection) -> dict[str, Any]:
        return {
            "type": "hello",
            "num_connections": len(self.open),
            "debug_info": {
                "host": f"applink-{connection.number}",
                "build_number": 1,
                "approximate_connection_time": int(connection.life_s),
            },
            "connection_info": {"app_id": self.workspace.app_id},
        }

    async def _listen(self, receive: Receive) -> None:
        while True:
            event: MutableMapping[str, Any] = await receive()
            if event["type"] == "websocket.disconnect":
                return
            try:
                said = json.loads(event.get("text") or "{}")
            except ValueError:
                continue
            waiting = self._acks.get(said.get("envelope_id", ""))
            if waiting is not None and not waiting.done():
                waiting.set_result(said)

    async def _age(self, connection: Connection) -> None:
        await asyncio.sleep(connection.life_s)
        await self.refresh(connection)

    async def refresh(self, connection: Connection, reason: str = "refresh_requested") -> None:
        """Warn, then ask the client to come back on a new URL, then cut if it has not gone by itself."""
        if reason == "refresh_requested":
            await self._say_disconnect(connection, "warning")
            await asyncio.sleep(self.grace_s)
        if connection in self.open:
            self.open.remove(connection)  # nothing new goes to it
            await self.disconnect(connection, reason)

    async def disconnect(self, connection: Connection, reason: str) -> None:
        await self._say_disconnect(connection, reason)
        await connection.close()

    async def _say_disconnect(self, connection: Connection, reason: str) -> None:
        info = {"host": f"applink-{connection.number}"}
        await connection.say({"type": "disconnect", "reason": reason, "debug_info": info})

    async def drop(self) -> None:
        """Close every connection without a word."""
        for connection in list(self.open):
            await connection.close()

    async def deliver(
        self, kind: str, payload: dict[str, Any], timeout_s: float, retry: tuple[int, str] | None = None
    ) -> dict[str, Any]:
        """The ack of one envelope, sent to a random connection; ConnectionError if there is none, TimeoutError."""
        if not self.open:
            raise ConnectionError("no Socket Mode connection")
        envelope_id = str(uuid.UUID(int=self.rng.getrandbits(128)))
        envelope = {
            "envelope_id": envelope_id,
            "type": kind,
            "payload": payload,
            "accepts_response_payload": kind != "events_api",
        }
        if kind == "events_api":
            attempt, reason = retry or (0, "")
            envelope |= {"retry_attempt": attempt, "retry_reason": reason}
        waiting: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._acks[envelope_id] = waiting
        try:
            await self.rng.choice(self.open).say(envelope)
            if self.duplicate_next > 0:
                self.duplicate_next -= 1
                await self.rng.choice(self.open).say(envelope)
            async with asyncio.timeout(timeout_s):
                return await waiting
        finally:
            del self._acks[envelope_id]


@method("apps.connections.open", takes="app")
async def open_connection(call: Call) -> Answer:
    ticket = call.sandbox.sockets.new_ticket()
    return {"url": f"ws://{call.host}/link/?ticket={ticket}&app_id={call.sandbox.workspace.app_id}"}
