"""What watching rollouts costs: hawkBit calls, time and processor of one tick, and the decision about a large group.

The fleet of 10,000 devices is spread over 1, 10 or 50 rollouts of 100 groups each, on the stand-in hawkBit in
this process. A tick in which nothing has changed is measured: that is what nearly all of them are.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import orjson

from core.ids import DeviceName, GroupId
from core.rollouts.decide import decide_on
from core.rollouts.facts import Counts
from core.rollouts.policy import PromotionPolicy
from core.rollouts.records import DeviceEvidence, DeviceState, GroupEvidence
from core.rollouts.verify import judge
from integrations.clock import SystemClock
from integrations.store.connection import Store, connect
from integrations.store.embedded import EmbeddedStore
from tests.load.options import Options
from tests.load.report import Figure, Report
from tests.scenario.rollout_lab import Bot, Lab, lab
from tests.unit.core.rollouts.cases import Case

DEVICES, GROUPS = 10_000, 100
ROLLOUTS = (1, 10, 50)
TICKS = 5
POLICY = PromotionPolicy(enabled=True, owners=frozenset({"bot"}))
_KINDS = {
    "devices of groups": r"GET .*/deploygroups/\d+/targets",
    "groups": r"GET .*/deploygroups",
    "lists of rollouts": r"GET .*/rollouts($|\?)",
    "others": r".",
}


async def rollouts(options: Options) -> Report:
    devices = DEVICES if options.seconds is None else int(options.seconds * 200)
    figures, raw = [], {}
    async with _store() as store:
        for count in ROLLOUTS:
            async with lab(store, SystemClock(), POLICY, tick_s=2.0) as here:
                figures += await _ticks(here, count, devices, raw)
            await store.flushdb()
    figures += _decision(devices, raw)
    return Report(
        area="rollouts",
        about=f"{devices:,} devices in 1, 10 and 50 rollouts of {GROUPS} groups that go on; a tick without news",
        figures=figures,
        settings={"devices": devices, "groups": GROUPS, "ticks": TICKS},
        raw=raw,
    )


async def _ticks(here: Lab, count: int, devices: int, raw: dict[str, object]) -> list[Figure]:
    each = max(devices // count // GROUPS, 1)
    for number in range(count):
        here.start(here.add_rollout(f"r{number:02}", [each] * GROUPS))
    here.hawkbit.tenant().engine.tick()
    bot = here.add_bot()
    for _ in range(3):  # all that is read once is read now
        await bot.watch.tick()
    seen = {kind: here.server.faults.add("late_request", match) for kind, match in _KINDS.items()}
    wall, processor = await _timed(bot)
    calls = {kind: fault.hits / TICKS for kind, fault in seen.items()}
    here.server.faults.clear()
    bare = await _bare(here, count)
    raw[f"{count} rollouts"] = {"calls": calls, "wall_ms": wall, "processor_ms": processor}
    called = "1 rollout" if count == 1 else f"{count} rollouts"
    return [
        Figure(f"{called}: hawkBit calls a tick", sum(calls.values()), 1 + count, "one list and one of groups each"),
        Figure(f"{called}: a tick, ms", statistics.median(wall), bare, "those calls alone"),
        Figure(f"{called}: processor a tick, both sides, ms", statistics.median(processor)),
    ]


async def _timed(bot: Bot) -> tuple[list[float], list[float]]:
    wall, processor = [], []
    for _ in range(TICKS):
        begun, spent = time.perf_counter(), time.process_time()
        await bot.watch.tick()
        wall.append(1000 * (time.perf_counter() - begun))
        processor.append(1000 * (time.process_time() - spent))
    return wall, processor


async def _bare(here: Lab, count: int) -> float:
    """The least that must be read, by a bare client, one call after the other; milliseconds."""
    ids = [rollout.id for rollout in here.hawkbit.tenant().repo.rollouts.values()][:count]
    full = "representation=full&limit=500"
    async with httpx.AsyncClient(base_url=f"{here.server.url}/rest/v1", auth=("bot", "bot"), timeout=30) as client:
        begun = time.perf_counter()
        (await client.get(f"/rollouts?q=status=in=(running,paused)&{full}")).raise_for_status()
        for id in ids:
            (await client.get(f"/rollouts/{id}/deploygroups?{full}")).raise_for_status()
        return 1000 * (time.perf_counter() - begun)


def _decision(devices: int, raw: dict[str, object]) -> list[Figure]:
    """A group of all devices judged and decided on, beside only parsing what is kept of them."""
    now = datetime.now(UTC)
    found = {}
    for number in range(devices):
        name = DeviceName(f"gw-{number:05}")
        claimed = now - timedelta(hours=1)
        found[name] = DeviceEvidence(name, DeviceState.AWAITING_REBOOT, first_claimed_at=claimed)
    evidence = GroupEvidence(GroupId(101), found, now, now)
    case = Case(evidence=evidence, now=now, read_at=now).first(total=devices, counts=Counts(finished=devices))
    kept = [orjson.dumps(one) for one in found.values()]
    inputs = case.inputs()
    judged = _best_ms(lambda: [judge(one, "2.0.0", POLICY, now) for one in found.values()])
    decided = _best_ms(lambda: decide_on(inputs))
    parsed = _best_ms(lambda: [orjson.loads(one) for one in kept])
    raw["decision"] = {"judged_ms": judged, "decided_ms": decided, "parsed_ms": parsed}
    return [
        Figure(f"{devices:,} devices judged, ms", judged, parsed, "parsed as kept"),
        Figure("decision on their numbers, ms", decided),
    ]


def _best_ms(work: Callable[[], object]) -> float:
    took = []
    for _ in range(7):
        begun = time.perf_counter()
        work()
        took.append(1000 * (time.perf_counter() - begun))
    return min(took)


@asynccontextmanager
async def _store() -> AsyncIterator[Store]:
    directory = Path(tempfile.mkdtemp(prefix="cdm-load-"))
    server = EmbeddedStore(directory, appendfsync="everysec")
    await server.start()
    store = connect(server.url)
    try:
        yield store
    finally:
        await store.aclose()
        await server.stop()
        shutil.rmtree(directory, ignore_errors=True)
