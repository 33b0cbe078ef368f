"""The sandbox's workspace page: how well its stream follows 50 message updates a second, and how a long channel loads.

Beside the stream, in the same run, a bare Starlette endpoint that sends as many bytes for each update; beside a page
of 50 out of 10,000 messages, one of 50 out of 50, loaded by turns.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from sandbox.wire import free_port
from tests.load.marks import UPDATES_PER_S, Reader
from tests.load.options import BenchFailed, Options
from tests.load.page_messages import FEW, MANY, READER, SHOWN, SIZES
from tests.load.report import Aim, Figure, Report, percentile
from tests.load.servers import Server, python_server

SECONDS = 20.0
WARM_UP_S = 1.0
FEWEST_LOADS = 20
NEWEST, OLDER = f"the newest {SHOWN} of {SIZES[MANY]:,}", f"an older {SHOWN} of {SIZES[MANY]:,}"
ALL = f"{SHOWN} of {SIZES[FEW]}"
_ALARM = re.compile(rb"alarm-(\d{5})")


@dataclass(frozen=True, slots=True)
class Followed:
    """What a client of the stream got within `seconds`."""

    reader: Reader
    seconds: float
    received_bytes: int
    cpu_ms_per_second: float

    def raw(self) -> dict[str, Any]:
        return self.reader.summary() | {
            "seconds": self.seconds,
            "bytes_per_second": self.received_bytes / self.seconds,
            "cpu_ms_per_second": self.cpu_ms_per_second,
        }


async def page(options: Options) -> Report:
    seconds = options.seconds or SECONDS
    async with running("still") as (_, http):
        _, first_ms = await load(http, MANY)
        loads = await load_by_turns(http, seconds / 4)
    async with running("page") as (server, http):
        unwatched = await cpu_ms_per_second(server, seconds / 4)
        seen = (await http.get("/api/workspace", params={"user": READER.id})).raise_for_status().json()["seq"]
        ours = await follow(http, server, {"user": READER.id, "since": str(seen)}, seconds)
    event_bytes = round(ours.received_bytes / len(ours.reader.seen))
    async with running("bare", "--event-bytes", str(event_bytes)) as (server, http):
        bare = await follow(http, server, {}, seconds)
    return Report(
        area="page",
        about=f"{UPDATES_PER_S} updates a second for {seconds:g} s in a channel of {SIZES[MANY]:,} messages to one "
        f"client; beside a bare Starlette endpoint sending {event_bytes:,} bytes an update",
        figures=[*stream_figures(ours, bare, unwatched), *load_figures(loads, first_ms)],
        settings={"seconds": seconds, "updates_per_second": UPDATES_PER_S, "event_bytes": event_bytes},
        raw={
            "page": ours.raw(),
            "bare": bare.raw(),
            "unwatched_cpu_ms_per_second": unwatched,
            "first_load_ms": first_ms,
            "loads_ms": loads,
        },
    )


def stream_figures(ours: Followed, bare: Followed, unwatched: float) -> list[Figure]:
    this, reference = ours.raw(), bare.raw()
    rows = {
        "lag_p50_ms": ("update shown: p50 lag ms", ()),
        "lag_p99_ms": ("update shown: p99 lag ms", (Aim("most", 100.0),)),
        "behind_max_updates": ("most updates behind", (Aim("most", 10.0),)),
        "updates_skipped": ("updates skipped", (Aim("most", 0),)),
        "bytes_per_second": ("bytes per second", ()),
        "cpu_ms_per_second": ("server CPU ms per second", ()),
    }
    found = [Figure(title, this[name], reference[name], "bare", aims) for name, (title, aims) in rows.items()]
    return [*found, Figure("server CPU ms per second, nobody watching", unwatched)]


def load_figures(loads: dict[str, list[float]], first_ms: float) -> list[Figure]:
    many, few, older = loads[NEWEST], loads[ALL], loads[OLDER]
    ratio, most = (Aim("most", 2.0, "ratio"),), (Aim("most", 100.0),)
    return [
        Figure(f"load {NEWEST}: p50 ms", statistics.median(many), statistics.median(few), ALL, ratio),
        Figure(f"load {NEWEST}: p99 ms", percentile(many, 99), percentile(few, 99), ALL, most),
        Figure(f"load {OLDER}: p50 ms", statistics.median(older)),
        Figure(f"load {OLDER}: p99 ms", percentile(older, 99), aims=most),
        Figure("the very first load: ms", first_ms),
    ]


@asynccontextmanager
async def running(kind: str, *more: str) -> AsyncIterator[tuple[Server, httpx.AsyncClient]]:
    """A server of this area, and a client of it that takes bytes as they are."""
    server = await python_server("tests.load.page_server", kind, free_port(), *more)
    url, headers = f"http://127.0.0.1:{server.port}", {"accept-encoding": "identity"}
    try:
        async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=30) as http:
            yield server, http
    finally:
        server.stop()


async def cpu_ms_per_second(server: Server, seconds: float) -> float:
    before = server.cpu_s()
    await asyncio.sleep(seconds)
    return (server.cpu_s() - before) / seconds * 1000


async def load_by_turns(http: httpx.AsyncClient, seconds: float) -> dict[str, list[float]]:
    """ms of each load: the newest messages of both channels, and going back through the long one."""
    found: dict[str, list[float]] = {NEWEST: [], ALL: [], OLDER: []}
    until, before = time.monotonic() + seconds, ""
    while time.monotonic() < until or len(found[OLDER]) < FEWEST_LOADS:
        newest, took_ms = await load(http, MANY)
        found[NEWEST].append(took_ms)
        found[ALL].append((await load(http, FEW))[1])
        before, took_ms = await load(http, MANY, before or newest)
        found[OLDER].append(took_ms)
        if len(found[OLDER]) % (SIZES[MANY] // SHOWN - 1) == 0:
            before = ""
    return found


async def load(http: httpx.AsyncClient, channel: str, before: str = "") -> tuple[str, float]:
    """The ts of the oldest message of a page, and how many ms it took. BenchFailed unless the page is a full one."""
    wanted = {"user": READER.id, "channel": channel, "limit": str(SHOWN)} | ({"before": before} if before else {})
    started = time.perf_counter()
    answer = await http.get("/api/messages", params=wanted)
    took_ms = (time.perf_counter() - started) * 1000
    if answer.status_code != 200 or len(set(_ALARM.findall(answer.content))) != SHOWN:
        raise BenchFailed(f"/api/messages of {channel} answered {answer.status_code} without {SHOWN} messages")
    return str(answer.json()["messages"][0]["ts"]), took_ms


async def follow(http: httpx.AsyncClient, server: Server, params: dict[str, str], seconds: float) -> Followed:
    """Read the stream for `seconds`, not counting the first second."""
    reader = Reader()
    received, began, cpu_s = 0, 0.0, 0.0
    pending = b""
    opened = time.monotonic()
    async with http.stream("GET", "/api/stream", params=params) as answer:
        answer.raise_for_status()
        try:
            async with asyncio.timeout(WARM_UP_S + seconds):
                async for chunk in answer.aiter_bytes():
                    now = time.monotonic()
                    if not began:
                        if now - opened >= WARM_UP_S:
                            began, cpu_s = now, server.cpu_s()
                        continue
                    received += len(chunk)
                    whole, _, pending = (pending + chunk).replace(b"\r\n", b"\n").rpartition(b"\n\n")
                    reader.feed(whole, now)
            raise BenchFailed("the server ended the stream")
        except TimeoutError:
            pass
    ended = time.monotonic()
    reader.look(ended)
    if not reader.seen:
        raise BenchFailed(f"no update arrived within {seconds:g} s")
    used = (server.cpu_s() - cpu_s) / (ended - began) * 1000
    return Followed(reader, ended - began, received, used)
