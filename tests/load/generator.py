"""A load generator that costs little: raw keep-alive HTTP/1.1 over asyncio protocols, one request in flight each."""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import orjson

Request = bytes
SECRET = "load-secret"
"""Of the webhook of the receivers under load."""


@dataclass(frozen=True, slots=True)
class Round:
    """One round's result. Latencies in ms."""

    sent: int
    refused: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        return self.sent / self.seconds


class _Connection(asyncio.Protocol):
    def __init__(self, requests: Iterator[Request], latencies: list[float], done: asyncio.Future[None]) -> None:
        self._requests = requests
        self._latencies = latencies
        self._done = done
        self._buffer = b""
        self._sent_at = 0.0
        self.refused = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._buffer) < end + 4 + length:
            return
        self._latencies.append(time.perf_counter() - self._sent_at)
        if head[9:10] != b"2":
            self.refused += 1
        self._buffer = b""
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exc or ConnectionError("the receiver closed the connection"))

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            if not self._done.done():
                self._done.set_result(None)
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)


def thingsboard_requests(count: int, secret: str) -> list[Request]:
    """Alarms as ThingsBoard CE 4.2.1 sends them through the envelope transform, each of its own."""
    made = []
    for n in range(count):
        alarm = {
            "id": {"entityType": "ALARM", "id": str(uuid.uuid4())},
            "createdTime": 1795499208957,
            "tenantId": {"entityType": "TENANT", "id": "5a89b3e0-e7ca-11f1-a347-8513dc0a27d7"},
            "type": "OTA Failure",
            "originator": {"entityType": "DEVICE", "id": str(uuid.UUID(int=n))},
            "severity": "CRITICAL",
            "acknowledged": False,
            "cleared": False,
            "startTs": 1795499208928,
            "endTs": 1795499208928,
            "ackTs": 0,
            "clearTs": 0,
            "assignTs": 0,
            "propagate": False,
            "propagateToOwner": False,
            "propagateToTenant": False,
            "propagateRelationTypes": [],
            "originatorName": f"sim-device-{n:06d}",
            "originatorLabel": f"SIM-DEVICE-{n:06d}",
            "name": "OTA Failure",
            "status": "ACTIVE_UNACK",
            "details": {"data": "OTA failed: failure"},
        }
        metadata = {"deviceType": "cdm-x509", "deviceName": f"sim-device-{n:06d}", "isNewAlarm": "true"}
        body = orjson.dumps({"msgType": "ALARM", "metadata": metadata, "alarm": alarm})
        made.append(
            b"POST /webhooks/thingsboard/eu1 HTTP/1.1\r\nuser-agent: ReactorNetty/1.2.10\r\nhost: 127.0.0.1\r\n"
            b"accept: */*\r\nContent-Type: application/json\r\nAuthorization: Bearer %b\r\ncontent-length: %d\r\n\r\n%b"
            % (secret.encode(), len(body), body)
        )
    return made


def alertmanager_requests(count: int) -> list[Request]:
    """The same alarms with all that they say, one per request, as Alertmanager's v2 API takes them."""
    made = []
    for n in range(count):
        labels = {
            "alertname": "OTA Failure",
            "severity": "critical",
            "tenant": "5a89b3e0-e7ca-11f1-a347-8513dc0a27d7",
            "device": f"sim-device-{n:06d}",
            "device_type": "cdm-x509",
            "originator": str(uuid.UUID(int=n)),
            "alarm_id": str(uuid.uuid4()),
        }
        annotations = {
            "details": "OTA failed: failure",
            "label": f"SIM-DEVICE-{n:06d}",
            "status": "ACTIVE_UNACK",
            "propagate": "false",
        }
        alert = {
            "labels": labels,
            "annotations": annotations,
            "startsAt": "2026-11-24T05:46:48.928Z",
            "generatorURL": "https://thingsboard.example/alarms",
        }
        body = orjson.dumps([alert])
        made.append(
            b"POST /api/v2/alerts HTTP/1.1\r\nuser-agent: ReactorNetty/1.2.10\r\nhost: 127.0.0.1\r\n"
            b"accept: */*\r\nContent-Type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        )
    return made


async def fire(port: int, requests: list[Request], connections: int, seconds: float) -> Round:
    """Send `requests` over `connections`, each waiting for its answer before the next, for `seconds` at the most."""
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    opened: list[_Connection] = []
    ends: list[asyncio.Future[None]] = []
    started = time.perf_counter()
    shared = itertools.takewhile(lambda _: time.perf_counter() < started + seconds, requests)
    for _ in range(connections):
        end: asyncio.Future[None] = loop.create_future()
        connection = _Connection(shared, latencies, end)
        opened.append(connection)
        ends.append(end)
        await loop.create_connection(lambda c=connection: c, "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.gather(*ends)
    took = time.perf_counter() - started
    latencies.sort()
    return Round(
        sent=len(latencies),
        refused=sum(connection.refused for connection in opened),
        seconds=took,
        p50_ms=latencies[len(latencies) // 2] * 1000,
        p99_ms=latencies[int(len(latencies) * 0.99)] * 1000,
    )
