"""Alarms accepted per second, latency and CPU: our receiver beside a bare FastAPI handler and Alertmanager.

All in one run on this machine, alternating round by round, so that the ratios mean something. See README.md.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sandbox.wire import free_port
from tests.load.generator import SECRET, Request, Round, alertmanager_requests, fire, thingsboard_requests
from tests.load.options import BenchFailed, Options
from tests.load.report import Aim, Figure, Report
from tests.load.servers import Server, alertmanager, python_server

CONNECTIONS = (32, 64)
WARM_UP = 500
ROUND_S = 20.0
"""The most a round takes unless told otherwise."""


@dataclass
class Measured:
    """The rounds of one (receiver, connections), and the CPU us of receiver and store per request in each."""

    rounds: list[Round] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)

    def median(self, name: str) -> float:
        return float(statistics.median(self.cpu_us if name == "cpu_us" else [getattr(r, name) for r in self.rounds]))

    def raw(self) -> list[dict[str, Any]]:
        return [
            {
                "sent": one.sent,
                "seconds": one.seconds,
                "per_second": one.per_second,
                "p50_ms": one.p50_ms,
                "p99_ms": one.p99_ms,
                "cpu_us_per_request": cpu_us,
            }
            for one, cpu_us in zip(self.rounds, self.cpu_us, strict=True)
        ]


Results = dict[tuple[str, int], Measured]


async def intake(options: Options) -> Report:
    names = ["ours", "bare"] + (["alertmanager"] if options.alertmanager else [])
    known_as = await version_of(options.alertmanager) if options.alertmanager else None
    results = await measure(options, names)
    return Report(
        area="intake",
        about=f"{options.rounds} x {options.requests:,} alarms, one per request, medians of the rounds; fsync always; "
        f"beside a bare FastAPI handler and {known_as or 'no Alertmanager (give its program by --alertmanager)'}",
        figures=[figure for connections in CONNECTIONS for figure in figures(results, connections)],
        settings={"requests": options.requests, "rounds": options.rounds, "alertmanager": known_as},
        raw={f"{name}, {connections} connections": found.raw() for (name, connections), found in results.items()},
    )


async def measure(options: Options, names: Sequence[str]) -> Results:
    results = {(name, connections): Measured() for connections in CONNECTIONS for name in names}
    async with receivers(names, options.alertmanager) as servers:
        for round_number in range(options.rounds + 1):
            for connections in CONNECTIONS:
                for name in names:
                    count = options.requests if round_number else WARM_UP
                    before = servers[name].cpu_s()
                    requests = made_for(name, count)
                    result = await fire(servers[name].port, requests, connections, options.seconds or ROUND_S)
                    if result.refused:
                        raise BenchFailed(f"{name} refused {result.refused} of {result.sent}")
                    if round_number:  # the first is to warm up
                        results[name, connections].rounds.append(result)
                        used = servers[name].cpu_s() - before
                        results[name, connections].cpu_us.append(used / result.sent * 1e6)
    return results


def figures(results: Results, connections: int) -> list[Figure]:
    """Each figure beside each reference; the aims are about Alertmanager."""
    ours = results["ours", connections]
    beside = {name: found for (name, at), found in results.items() if at == connections and name != "ours"}
    aimed: dict[str, tuple[Aim, ...]] = {
        "per_second": (Aim("least", 1.0, "ratio"), Aim("least", 1.3, "ratio")),
        "p99_ms": (Aim("most", 5.0),),
        "cpu_us": (Aim("most", 100.0),),
    }
    titles = {"per_second": "alarms per second", "p50_ms": "p50 ms", "p99_ms": "p99 ms", "cpu_us": "CPU us per request"}
    rows = []
    for name, title in titles.items():
        title, aims = f"{title}, {connections} connections", aimed.get(name, ())
        for other, found in beside.items():
            told = aims if other == "alertmanager" else ()
            rows.append(Figure(title, ours.median(name), found.median(name), other, told))
        if "alertmanager" not in beside and aims:
            rows.append(Figure(title, ours.median(name), aims=aims))
    return rows


@asynccontextmanager
async def receivers(names: Sequence[str], alertmanager_path: str | None) -> AsyncIterator[dict[str, Server]]:
    started: dict[str, Server] = {}
    try:
        for name in names:
            port = free_port()
            started[name] = (
                await alertmanager(alertmanager_path or "", port)
                if name == "alertmanager"
                else await python_server("tests.load.receivers", name, port)
            )
        yield started
    finally:
        for server in started.values():
            server.stop()


def made_for(name: str, count: int) -> list[Request]:
    return alertmanager_requests(count) if name == "alertmanager" else thingsboard_requests(count, SECRET)


async def version_of(alertmanager_path: str) -> str:
    """Alertmanager's own words, such as "alertmanager, version 0.25.0"."""
    process = await asyncio.create_subprocess_exec(
        *(alertmanager_path, "--version"), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    told, _ = await asyncio.wait_for(process.communicate(), 10)
    return told.decode().partition(" (")[0].strip().partition("\n")[0] or "an Alertmanager without a version"
