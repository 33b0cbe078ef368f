"""Requests at a fixed pace, in a process of its own: `python -m tests.load.paced BOT_PORT BARE_PORT SINK_URL SECONDS`.

Latencies count from the moment a request was due, so a stall is not hidden by the requests it held up. Prints one JSON
object: each measurement's name, and its latencies in ms in the order of answers per connection.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import itertools
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import cast
from urllib.parse import urlencode

import orjson
import uvloop

from sandbox import cast as people
from tests.load.generator import thingsboard_requests

COMMANDS_PER_S, ALARMS_PER_S = 50, 500
SIGNING_SECRET = "sandbox-signing-secret"
WEBHOOK_SECRET = "CDM_LOAD_SECRET"
"""The environment variable with the secret of the bot's webhook."""


@dataclass(frozen=True, slots=True)
class Paced:
    latencies_ms: list[float]
    refused: int


class _Line(asyncio.Protocol):
    """One keep-alive connection: a request at a time, its latency from when it was due."""

    def __init__(self, free: asyncio.Queue[_Line]) -> None:
        self._free = free
        self.latencies: list[float] = []
        self.refused = 0
        self._due = 0.0
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._free.put_nowait(self)

    def send(self, request: bytes, due: float) -> None:
        self._due, self._buffer = due, b""
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        head = self._buffer[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if end < 0 or len(self._buffer) < end + 4 + length:
            return
        self.latencies.append(time.perf_counter() - self._due)
        self.refused += head[9:10] != b"2"
        self._free.put_nowait(self)


async def paced(port: int, make: Callable[[int], bytes], per_s: int, seconds: float, lines: int) -> Paced:
    """`per_s` requests a second over `lines` connections."""
    free: asyncio.Queue[_Line] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    opened = [(await loop.create_connection(lambda: _Line(free), "127.0.0.1", port))[1] for _ in range(lines)]
    start = time.perf_counter() + 0.1
    for n in range(int(per_s * seconds)):
        due = start + n / per_s
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        (await asyncio.wait_for(free.get(), 10)).send(make(n), due)
    async with asyncio.timeout(30):
        while sum(len(line.latencies) for line in opened) < int(per_s * seconds):
            await asyncio.sleep(0.05)
    for line in opened:
        line.transport.close()
    return Paced([s * 1000 for line in opened for s in line.latencies], sum(line.refused for line in opened))


def command(response_url: str) -> Callable[[int], bytes]:
    """`/cdm help` by alice, signed as Slack signs it; each call another one."""
    run = f"{time.time_ns()}"

    def make(n: int) -> bytes:
        body = urlencode(
            {
                "command": "/cdm",
                "text": "help",
                "team_id": people.TEAM,
                "user_id": people.PEOPLE["alice"].id,
                "channel_id": "C0LOAD",
                "trigger_id": f"{run}.{n}",
                "response_url": response_url,
                "api_app_id": "A0LOAD",
            }
        ).encode()
        at = str(int(time.time()))
        mac = hmac.new(SIGNING_SECRET.encode(), f"v0:{at}:".encode() + body, hashlib.sha256).hexdigest()
        return (
            b"POST /slack/events HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/x-www-form-urlencoded\r\n"
            b"x-slack-request-timestamp: %b\r\nx-slack-signature: v0=%b\r\ncontent-length: %d\r\n\r\n%b"
            % (at.encode(), mac.encode(), len(body), body)
        )

    return make


async def generate(bot: int, bare: int, response_url: str, seconds: float, webhook_secret: str) -> dict[str, Paced]:
    alarms = itertools.cycle(thingsboard_requests(int(ALARMS_PER_S * seconds), webhook_secret))

    async def commands(port: int) -> Paced:
        return await paced(port, command(response_url), COMMANDS_PER_S, seconds, 8)

    found = {"bare": await commands(bare), "quiet": await commands(bot)}
    found["busy"], found["alarms"] = await asyncio.gather(
        commands(bot), paced(bot, lambda _: next(alarms), ALARMS_PER_S, seconds, 32)
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.load.paced", description=__doc__)
    parser.add_argument("bot", type=int)
    parser.add_argument("bare", type=int)
    parser.add_argument("response_url")
    parser.add_argument("seconds", type=float)
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        secret = os.environ[WEBHOOK_SECRET]
        found = runner.run(generate(given.bot, given.bare, given.response_url, given.seconds, secret))
    sys.stdout.buffer.write(orjson.dumps({name: asdict(one) for name, one in found.items()}))


if __name__ == "__main__":
    main()
