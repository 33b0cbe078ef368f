"""How fast slash commands are acknowledged, quiet and while 500 alarms a second come in: the real bot, its store.

The bot runs in HTTP mode on a small sandbox; commands are signed as Slack signs them and do their work (the answers go
to a sink that takes them as Slack's response_url does). Beside it, in the same run, a bare FastAPI handler that only
checks the signature. Latencies count from the moment a request was due, so a stall is not hidden by the requests it
held up.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import itertools
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import cast
from urllib.parse import urlencode

import uvicorn
import uvloop
from fastapi import FastAPI, Request, Response
from slack_sdk.signature import SignatureVerifier

from sandbox import cast as people
from sandbox.bot_process import BotProcess
from sandbox.wire import free_port
from sandbox.world import SandboxWorld
from tests.load.generator import thingsboard_requests

COMMANDS_PER_S, ALARMS_PER_S = 50, 500
SECRET = "sandbox-signing-secret"


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


async def paced(
    port: int, make: Callable[[int], bytes], per_s: int, seconds: float, lines: int
) -> tuple[list[float], int]:
    """(latencies in ms, refused) of `per_s` requests a second over `lines` connections."""
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
    found = [latency * 1000 for line in opened for latency in line.latencies]
    for line in opened:
        line.transport.close()
    return found, sum(line.refused for line in opened)


def command(secret: str, response_url: str) -> Callable[[int], bytes]:
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
        mac = hmac.new(secret.encode(), f"v0:{at}:".encode() + body, hashlib.sha256).hexdigest()
        return (
            b"POST /slack/events HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/x-www-form-urlencoded\r\n"
            b"x-slack-request-timestamp: %b\r\nx-slack-signature: v0=%b\r\ncontent-length: %d\r\n\r\n%b"
            % (at.encode(), mac.encode(), len(body), body)
        )

    return make


def bare_app() -> FastAPI:
    app = FastAPI()
    verifier = SignatureVerifier(SECRET)

    @app.post("/slack/events")
    async def events(request: Request) -> Response:
        known = verifier.is_valid_request(await request.body(), dict(request.headers))
        return Response(status_code=200 if known else 401)

    @app.post("/sink")
    async def sink() -> str:
        """Where the bot's private answers go, as they go to Slack's response_url."""
        return "ok"

    return app


async def generate(bot: int, bare: int, webhook_secret: str, response_url: str, seconds: float) -> None:
    """The generator's own process: prints one line per measurement."""
    alarms = itertools.cycle(thingsboard_requests(int(ALARMS_PER_S * seconds), webhook_secret))

    async def commands(port: int) -> tuple[list[float], int]:
        return await paced(port, command(SECRET, response_url), COMMANDS_PER_S, seconds, 8)

    tell("bare FastAPI with a signature check, quiet", *await commands(bare))
    tell("the bot, quiet", *await commands(bot))
    both = await asyncio.gather(commands(bot), paced(bot, lambda _: next(alarms), ALARMS_PER_S, seconds, 32))
    tell(f"the bot, {ALARMS_PER_S} alarms/s", *both[0])
    tell(f"those {ALARMS_PER_S} alarms/s", *both[1])


def tell(what: str, latencies: Sequence[float], refused: int) -> None:
    cuts = statistics.quantiles(latencies, n=100)
    sys.stdout.write(
        f"| {what} | {len(latencies):,} | {refused} | {statistics.median(latencies):.2f} | {cuts[98]:.2f} | "
        f"{max(latencies):.2f} |\n"
    )
    sys.stdout.flush()


async def measure(seconds: float) -> None:
    directory = Path(tempfile.mkdtemp(prefix="cdm-load-"))
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        world = await stack.enter_async_context(
            SandboxWorld(directory, devices=12, slack_mode="http", slack_rate=200.0)
        )
        bot = BotProcess(world.config, world.bot_url, directory / "bot.log")
        stack.push_async_callback(bot.stop)
        await bot.start()
        bare_port = free_port()
        bare = uvicorn.Server(
            uvicorn.Config(bare_app(), port=bare_port, log_level="warning", access_log=False, lifespan="off")
        )
        serving = asyncio.create_task(bare._serve())
        secret = (directory / "secrets" / "webhook-customer-a").read_text().strip()
        sys.stdout.write("| what | requests | refused | p50 ms | p99 ms | max ms |\n|---|---|---|---|---|---|\n")
        sys.stdout.flush()
        generator = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.load.acks", "--generate", str(world.bot_port), str(bare_port)),
            *(f"http://127.0.0.1:{bare_port}/sink", str(seconds)),
            env=os.environ | {"CDM_LOAD_SECRET": secret},
        )
        await asyncio.wait_for(generator.wait(), 10 * seconds + 60)
        bare.should_exit = True
        await serving


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.load.acks", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--generate", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if arguments.generate:
            bot, bare, response_url, seconds = arguments.generate
            secret = os.environ["CDM_LOAD_SECRET"]
            runner.run(generate(int(bot), int(bare), secret, response_url, float(seconds)))
            return
        sys.stdout.write(
            f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}\n"
        )
        runner.run(measure(arguments.seconds))


if __name__ == "__main__":
    main()
