"""How fast slash commands are acknowledged, quiet and while 500 alarms a second come in: the real bot, its store.

The bot runs in HTTP mode on a small sandbox; commands are signed as Slack signs them and do their work (the answers go
to a sink that takes them as Slack's response_url does). Beside it, in the same run, a bare FastAPI handler that only
checks the signature.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import statistics
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import orjson
import uvicorn
from fastapi import FastAPI, Request, Response
from slack_sdk.signature import SignatureVerifier

from sandbox.bot_process import BotFailed, BotProcess
from sandbox.wire import free_port
from sandbox.world import SandboxWorld
from tests.load.options import BenchFailed, Options
from tests.load.paced import ALARMS_PER_S, COMMANDS_PER_S, SIGNING_SECRET, WEBHOOK_SECRET, Paced
from tests.load.report import Aim, Figure, Report, percentile

SECONDS = 20.0
BUSY = f"{ALARMS_PER_S} alarms/s"


def bare_app() -> FastAPI:
    app = FastAPI()
    verifier = SignatureVerifier(SIGNING_SECRET)

    @app.post("/slack/events")
    async def events(request: Request) -> Response:
        known = verifier.is_valid_request(await request.body(), dict(request.headers))
        return Response(status_code=200 if known else 401)

    @app.post("/sink")
    async def sink() -> str:
        """Where the bot's private answers go, as they go to Slack's response_url."""
        return "ok"

    return app


async def acks(options: Options) -> Report:
    seconds = options.seconds or SECONDS
    found = await measure(seconds)
    refused = {name: one.refused for name, one in found.items() if one.refused}
    if refused:
        raise BenchFailed(f"requests were refused: {refused}")
    return Report(
        area="acks",
        about=f"{COMMANDS_PER_S} slash commands a second for {seconds:g} s to the real bot, quiet and beside {BUSY}; "
        "beside a bare FastAPI handler that checks the signature, quiet",
        figures=figures(found),
        settings={"seconds": seconds, "commands_per_second": COMMANDS_PER_S, "alarms_per_second": ALARMS_PER_S},
        raw={
            name: {"requests": len(one.latencies_ms), "latencies_ms": one.latencies_ms} for name, one in found.items()
        },
    )


def figures(found: dict[str, Paced]) -> list[Figure]:
    bare = found["bare"].latencies_ms
    rows = []
    for name, title in (("quiet", "ack, quiet"), ("busy", f"ack, {BUSY}")):
        ours = found[name].latencies_ms
        aims = (Aim("most", 15.0), Aim("most", 3.0)) if name == "busy" else ()
        rows += [
            Figure(f"{title}: p50 ms", statistics.median(ours), statistics.median(bare), "bare, quiet"),
            Figure(f"{title}: p99 ms", percentile(ours, 99), percentile(bare, 99), "bare, quiet", aims),
            Figure(f"{title}: max ms", max(ours), max(bare), "bare, quiet"),
        ]
    alarms, title = found["alarms"].latencies_ms, f"alarm stored, {BUSY}"
    rows.append(Figure(f"{title}: p50 ms", statistics.median(alarms)))
    rows.append(Figure(f"{title}: p99 ms", percentile(alarms, 99)))
    return [*rows, Figure(f"{title}: max ms", max(alarms))]


async def measure(seconds: float) -> dict[str, Paced]:
    directory = Path(tempfile.mkdtemp(prefix="cdm-load-"))
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        world = await stack.enter_async_context(
            SandboxWorld(directory, devices=12, slack_mode="http", slack_rate=200.0)
        )
        bot = BotProcess(world.config, world.bot_url, directory / "bot.log")
        stack.push_async_callback(bot.stop)
        try:
            await bot.start()
        except BotFailed as error:
            raise BenchFailed(str(error)) from error
        bare_port = free_port()
        bare = uvicorn.Server(
            uvicorn.Config(bare_app(), port=bare_port, log_level="warning", access_log=False, lifespan="off")
        )
        serving = asyncio.create_task(bare._serve())
        secret = (directory / "secrets" / "webhook-customer-a").read_text().strip()
        try:
            return await generated(world.bot_port, bare_port, secret, seconds)
        finally:
            bare.should_exit = True
            await serving


async def generated(bot_port: int, bare_port: int, secret: str, seconds: float) -> dict[str, Paced]:
    """What the generator measured in its own process."""
    generator = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.load.paced", str(bot_port), str(bare_port)),
        *(f"http://127.0.0.1:{bare_port}/sink", str(seconds)),
        env=os.environ | {WEBHOOK_SECRET: secret},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        told, _ = await asyncio.wait_for(generator.communicate(), 10 * seconds + 60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            generator.kill()
    if generator.returncode:
        raise BenchFailed("the generator failed; it says above why")
    return {name: Paced(**one) for name, one in orjson.loads(told).items()}


if __name__ == "__main__":
    from tests.load.__main__ import main

    sys.exit(main(["acks", *sys.argv[1:]]))
