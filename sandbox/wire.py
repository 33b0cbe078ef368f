"""How every stand-in stands on the wire: one HTTP server, and the switches that make it misbehave.

A stand-in is an ASGI app plus this. Faults are set from Python (`server.faults.add(...)`) or, when the stand-in runs in
another process, over the wire at `/_sandbox/faults` (GET lists, POST adds one, DELETE clears).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import re
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

Kind = Literal["late_request", "late_answer", "lost_request", "lost_answer", "status", "status_after"]


@dataclass(slots=True)
class Fault:
    """One way to misbehave, for the requests whose `METHOD path` matches `match` (a regular expression, searched).

    kinds: late_request  wait `delay_s` (to `delay_max_s` if given), then handle: the effect comes late, even if the
                         client has gone away meanwhile
           late_answer   handle at once, answer after the delay
           lost_request  cut the connection, nothing handled
           lost_answer   handle, then cut the connection: the effect stands, nobody is told
           status        answer `status` with `headers` and `body`, nothing handled (429, 503)
           status_after  handle, then answer `status`: half applied
    `share` is the probability for a matching request; `times` ends the fault after that many hits.
    """

    kind: Kind
    match: str = ""
    share: float = 1.0
    times: int | None = None
    delay_s: float = 0.0
    delay_max_s: float = 0.0
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    hits: int = 0


class Faults:
    """The faults of one stand-in, tried in the order they were added; the first that hits decides."""

    def __init__(self, seed: int = 1) -> None:
        self.rng = random.Random(seed)
        self.active: list[Fault] = []

    def add(self, kind: Kind, match: str = "", **more: Any) -> Fault:
        fault = Fault(kind, match, **more)
        self.active.append(fault)
        return fault

    def clear(self) -> None:
        self.active.clear()

    def pick(self, what: str) -> Fault | None:
        for fault in self.active:
            if fault.times is not None and fault.hits >= fault.times:
                continue
            if re.search(fault.match, what) and (fault.share >= 1 or self.rng.random() < fault.share):
                fault.hits += 1
                return fault
        return None

    def delay_of(self, fault: Fault) -> float:
        return (
            self.rng.uniform(fault.delay_s, fault.delay_max_s) if fault.delay_max_s > fault.delay_s else fault.delay_s
        )


class FaultGate:
    """ASGI middleware that lets `faults` at each HTTP request before and after `app` handles it."""

    def __init__(self, app: App, faults: Faults) -> None:
        self.app = app
        self.faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["path"] == "/_sandbox/faults":
            await self._control(scope, receive, send)
            return
        query = scope.get("query_string", b"").decode()
        fault = self.faults.pick(f"{scope['method']} {scope['path']}{'?' + query if query else ''}")
        if fault is None:
            await self.app(scope, receive, send)
            return
        transport: asyncio.Transport | None = scope.get("sandbox.transport")
        delay = self.faults.delay_of(fault)
        if fault.kind == "lost_request" and transport is not None:
            transport.abort()
        elif fault.kind == "status":
            await answer(send, fault.status, fault.body, fault.headers)
        elif fault.kind == "late_request":
            body = await read_body(receive)  # read before the client can go away
            await asyncio.sleep(delay)
            await self.app(scope, _replay(body), _deaf(send))
        else:
            held: list[MutableMapping[str, Any]] = []

            async def hold(message: MutableMapping[str, Any]) -> None:
                held.append(message)

            await self.app(scope, _replay(await read_body(receive)), hold)
            if fault.kind == "lost_answer" and transport is not None:
                transport.abort()
            elif fault.kind == "status_after":
                await answer(send, fault.status, fault.body, fault.headers)
            else:
                await asyncio.sleep(delay)
                for message in held:
                    await _deaf(send)(message)

    async def _control(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "DELETE":
            self.faults.clear()
        elif scope["method"] == "POST":
            wanted = json.loads(await read_body(receive))
            self.faults.add(wanted.pop("kind"), wanted.pop("match", ""), **wanted)
        await answer(send, 200, [asdict(f) for f in self.faults.active])


def _replay(body: bytes) -> Receive:
    sent = False

    async def receive() -> MutableMapping[str, Any]:
        nonlocal sent
        if not sent:
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    return receive


def _deaf(send: Send) -> Send:
    async def quiet(message: MutableMapping[str, Any]) -> None:
        with contextlib.suppress(OSError, RuntimeError):
            await send(message)

    return quiet


async def read_body(receive: Receive) -> bytes:
    body: bytes = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return body


async def answer(send: Send, status: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
    """Send `body` as JSON, or nothing at all where it is None (a real hawkBit answers 429 with an empty body)."""
    raw = b"" if body is None else (body.encode() if isinstance(body, str) else json.dumps(body).encode())
    listed = [(k.lower().encode(), v.encode()) for k, v in (headers or {}).items()]
    if raw and not any(k == b"content-type" for k, _ in listed):
        listed.append((b"content-type", b"application/json"))
    listed.append((b"content-length", str(len(raw)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": listed})
    await send({"type": "http.response.body", "body": raw})


class _CuttableProtocol(HttpToolsProtocol):
    """Lets the app see the connection, so that a fault can cut it."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["sandbox.transport"] = self.transport  # type: ignore[typeddict-unknown-key]


class _PromptServer(uvicorn.Server):
    """Stops when told to, not at the next of uvicorn's 0.1 s ticks: a test suite stops hundreds of these."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.told_to_stop = asyncio.Event()

    async def main_loop(self) -> None:
        while not self.told_to_stop.is_set():
            await self.on_tick(0)  # keeps the Date header right
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.told_to_stop.wait(), 1.0)


class WireServer:
    """Runs one stand-in's ASGI app on 127.0.0.1 in the running event loop.

    >>> async with WireServer(app) as server: server.url
    'http://127.0.0.1:40001'
    """

    def __init__(self, app: App, port: int = 0, seed: int = 1) -> None:
        self.faults = Faults(seed)
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        config = uvicorn.Config(
            FaultGate(app, self.faults),
            host="127.0.0.1",
            port=self.port,
            http=_CuttableProtocol,
            lifespan="off",
            ws="none",
            log_level="critical",
            access_log=False,
            timeout_graceful_shutdown=1,
            timeout_keep_alive=60,  # as Tomcat and Netty have it; uvicorn's 5 s meets httpx's own 5 s, and one loses
        )
        self._server = _PromptServer(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> WireServer:
        self._task = asyncio.create_task(self._server._serve(), name=f"wire:{self.port}")
        while not self._server.started:
            if self._task.done():
                await self._task
                raise OSError(f"port {self.port} could not be opened")
            await asyncio.sleep(0.005)
        return self

    async def stop(self) -> None:
        """Stop at once: open connections are cut, as when a server's process ends."""
        if self._task is None:
            return
        self._server.force_exit = True
        self._server.told_to_stop.set()
        with contextlib.suppress(asyncio.CancelledError, SystemExit):
            await self._task
        self._task = None

    async def __aenter__(self) -> WireServer:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


_given_out: set[int] = set()


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on and that this process has not been given before."""
    for _ in itertools.repeat(None, 200):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in _given_out:
            _given_out.add(port)
            return port
    raise OSError("no free port on 127.0.0.1")
