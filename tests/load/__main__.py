"""Alarms accepted per second, latency and CPU: our receiver beside a bare FastAPI handler and Alertmanager.

All in one run on this machine, alternating round by round, so that the ratios mean something. See README.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import uvloop

from sandbox.wire import free_port
from tests.load.generator import Request, Round, alertmanager_requests, fire, thingsboard_requests
from tests.load.receivers import SECRET
from tests.load.servers import Server, alertmanager, receiver

CONNECTIONS = (32, 64)
LOUD_LOAD = 0.5


@dataclass
class Measured:
    """The rounds of one (receiver, connections)."""

    rounds: list[Round] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)

    def median(self, name: str) -> float:
        return float(statistics.median(getattr(one, name) for one in self.rounds))


@asynccontextmanager
async def receivers(names: Sequence[str], alertmanager_path: str | None) -> AsyncIterator[dict[str, Server]]:
    started: dict[str, Server] = {}
    try:
        for name in names:
            port = free_port()
            started[name] = (
                await alertmanager(alertmanager_path or "", port)
                if name == "alertmanager"
                else await receiver(name, port)
            )
        yield started
    finally:
        for server in started.values():
            server.stop()


async def measure(arguments: argparse.Namespace) -> dict[tuple[str, int], Measured]:
    names = ["ours", "bare"] + (["alertmanager"] if arguments.alertmanager else [])
    results = {(name, connections): Measured() for connections in CONNECTIONS for name in names}
    async with receivers(names, arguments.alertmanager) as servers:
        for round_number in range(arguments.rounds + 1):
            for connections in CONNECTIONS:
                for name in names:
                    count = arguments.requests if round_number else 500
                    before = servers[name].cpu_s()
                    result = await fire(servers[name].port, made_for(name, count), connections)
                    if result.refused:
                        raise SystemExit(f"{name} refused {result.refused} of {result.sent}")
                    if round_number:  # the first is to warm up
                        results[name, connections].rounds.append(result)
                        results[name, connections].cpu_us.append((servers[name].cpu_s() - before) / count * 1e6)
    return results


def made_for(name: str, count: int) -> list[Request]:
    return alertmanager_requests(count) if name == "alertmanager" else thingsboard_requests(count, SECRET)


def table(results: dict[tuple[str, int], Measured], baseline: str) -> list[str]:
    lines = [
        f"| receiver | connections | per second | p50 ms | p99 ms | CPU us per request | times {baseline} |",
        "|---|---|---|---|---|---|---|",
    ]
    for (name, connections), measured in results.items():
        rate = measured.median("per_second")
        ratio = rate / results[baseline, connections].median("per_second")
        lines.append(
            f"| {name} | {connections} | {rate:,.0f} | {measured.median('p50_ms'):.2f} | "
            f"{measured.median('p99_ms'):.2f} | {statistics.median(measured.cpu_us):.0f} | {ratio:.2f} |"
        )
    return lines


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round, to see that it works")
    parser.add_argument("--requests", type=int, default=20_000, help="alarms per round")
    parser.add_argument("--rounds", type=int, default=3)
    found = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    parser.add_argument("--alertmanager", metavar="PATH", default=found, help="its program (default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.requests, arguments.rounds = 2_000, 1
    load = os.getloadavg()[0]
    say(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, {platform.machine()}, load {load:.2f}")
    if load > LOUD_LOAD:
        say("The machine is not quiet: take the ratios for what they are.")
    if arguments.alertmanager:
        told = subprocess.run([arguments.alertmanager, "--version"], capture_output=True, text=True, check=False)
        say((told.stdout or told.stderr).splitlines()[0])
    else:
        say("No Alertmanager found: give its program by --alertmanager.")
    say(f"{arguments.requests} alarms a round, one per request, {arguments.rounds} rounds, medians; fsync always")
    results = asyncio.Runner(loop_factory=uvloop.new_event_loop).run(measure(arguments))
    for line in table(results, "alertmanager" if arguments.alertmanager else "bare"):
        say(line)


if __name__ == "__main__":
    main()
