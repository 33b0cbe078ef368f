"""WebSocket for an HTTP server that has none: the handshake and frames of RFC 6455, handed on as ASGI `websocket`.

uvicorn speaks WebSocket only where the websockets or wsproto package is installed, which this project does not need
for anything else. Where it does, this module is never reached.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import struct
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

from sandbox.wire import App, Scope

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
NO_STATUS, ABNORMAL = 1005, 1006

Event = MutableMapping[str, Any]


def wants_upgrade(scope: Scope) -> bool:
    headers = dict(scope["headers"])
    return bool(headers.get(b"upgrade", b"").lower() == b"websocket") and "sandbox.transport" in scope


async def upgraded(scope: Scope, app: App) -> None:
    """Take the connection from the HTTP server and run `app` on it until either side closes."""
    transport: asyncio.Transport = scope["sandbox.transport"]
    http: Any = transport.get_protocol()
    wire = _Wire(transport)
    transport.set_protocol(wire)
    http.connection_lost(ConnectionResetError("taken over"))  # so that the server neither answers nor waits
    http.connections.add(wire)  # so that the server closes it when it stops
    wire.forget = lambda: http.connections.discard(wire)
    key = dict(scope["headers"]).get(b"sec-websocket-key", b"")
    accept = base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())

    accepted = False

    async def send(event: Event) -> None:
        nonlocal accepted
        if transport.is_closing():
            return
        if event["type"] == "websocket.accept":
            accepted = True
            transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
                b"sec-websocket-accept: " + accept + b"\r\n\r\n"
            )
        elif event["type"] == "websocket.send":
            transport.write(_frame(TEXT, event["text"].encode()))
        elif event["type"] == "websocket.close" and not accepted:
            transport.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            transport.close()
        elif event["type"] == "websocket.close":
            transport.write(_frame(CLOSE, struct.pack("!H", event.get("code", 1000))))
            transport.close()

    wire.events.put_nowait({"type": "websocket.connect"})
    await app({**scope, "type": "websocket", "scheme": "ws"}, wire.events.get, send)
    transport.close()


def _frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, size)
    elif size < 65_536:
        head = struct.pack("!BBH", 0x80 | opcode, 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 127, size)
    return head + payload


class _Wire(asyncio.Protocol):
    """Frames in, ASGI events out; answers pings and close frames itself."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.forget: Callable[[], None] = lambda: None
        self._buffer = bytearray()
        self._message = bytearray()
        self._gone = False

    def shutdown(self) -> None:
        """Called by the server when it stops."""
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        for final, opcode, payload in self._frames():
            if opcode == PING:
                self.transport.write(_frame(PONG, payload))
            elif opcode == CLOSE:
                self.transport.write(_frame(CLOSE, payload[:2]))
                self.transport.close()
                self._leave(struct.unpack("!H", payload[:2])[0] if len(payload) >= 2 else NO_STATUS)
            elif opcode != PONG:
                self._message += payload
                if final:
                    text = bytes(self._message).decode()
                    self._message.clear()
                    self.events.put_nowait({"type": "websocket.receive", "text": text})

    def connection_lost(self, exc: Exception | None) -> None:
        self.forget()
        self._leave(ABNORMAL)

    def _leave(self, code: int) -> None:
        if not self._gone:
            self._gone = True
            self.events.put_nowait({"type": "websocket.disconnect", "code": code})

    def _frames(self) -> Iterator[tuple[bool, int, bytes]]:
        while len(self._buffer) >= 2:
            first, second = self._buffer[0], self._buffer[1]
            at, size = 2, second & 0x7F
            extended = {126: ("!H", 2), 127: ("!Q", 8)}.get(size)
            if extended:
                code, width = extended
                if len(self._buffer) < at + width:
                    return
                size = struct.unpack_from(code, self._buffer, at)[0]
                at += width
            masked = bool(second & 0x80)
            start = at + (4 if masked else 0)
            if len(self._buffer) < start + size:
                return
            payload = bytes(self._buffer[start : start + size])
            if masked:
                mask = self._buffer[at : at + 4]
                payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
            del self._buffer[: start + size]
            yield bool(first & 0x80), first & 0x0F, payload
