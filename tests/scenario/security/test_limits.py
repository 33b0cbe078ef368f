"""One linked person sends 5,000 commands within a minute: what is taken of it, and what others notice."""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest_asyncio

from integrations.store.connection import connect
from integrations.store.work import STREAM
from sandbox.cast import ROLLOUTS
from tests.scenario.people import ONE_LOOP, Office, Person, office
from tests.scenario.program import metric, running, until

pytestmark = ONE_LOOP
COMMANDS, A_MINUTE, AT_ONCE = 5_000, 60.0, 24
LONGEST_S = 20.0
"""The flood is as long as that, or shorter where the wire is quicker: its rate is that of 5,000 a minute, or more."""
PER_MINUTE = 60
COMMAND = "device a-gw-001"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here() -> AsyncIterator[Office]:
    async with office(start=False, slack_rate=20.0) as here:
        here.world.write_config(slack={"requests_per_minute": PER_MINUTE})
        async with running(here.world) as bot:
            here.bot = bot
            await here.links({here.person("bob"): "bob", here.person("carol"): "carol"})
            yield here


async def test_5000_commands_a_minute_by_one_person_harm_nobody_else(here: Office) -> None:
    bob, carol = here.person("bob"), here.person("carol")
    usual = statistics.median([await timed(carol) for _ in range(3)])
    memory, queued, waits = resident_mb(here), list[int](), list[float]()
    flood = asyncio.create_task(pumped(here, bob))
    while not flood.done():
        waits.append(await timed(carol))
        queued.append(await in_queue(here))
        await asyncio.wait([flood], timeout=1.0)
    sent, took = flood.result()

    assert sent / took >= COMMANDS / A_MINUTE, f"only {sent} commands within {took:.0f} s"
    assert max(waits) < max(5 * usual, 4.0), f"usually {usual:.2f} s; {waits}"
    assert max(queued) <= PER_MINUTE
    assert resident_mb(here) < memory + 60
    await until(lambda: _nothing_queued(here), "all that was taken is done")

    async with httpx.AsyncClient(base_url=here.bot.url, trust_env=False) as http:
        taken = sent - int(await metric(http, "cdm_slack_refused_total", kind="command"))
    assert PER_MINUTE / 2 <= taken <= PER_MINUTE / 2 + took + 2

    async def all_answered() -> bool:
        return sum("a-gw-001" in said for said in await told(here, bob)) == taken

    await until(all_answered, f"each of the {taken} that were taken has its answer")
    (refusal,) = [said for said in await told(here, bob) if "not taken" in said]
    assert re.search(r"You have asked \d+ times within a minute; 1 of that was not taken", refusal)

    noted = [entry for entry in await here.audit() if entry.data.get("reason") == "too_many"]
    assert {(entry.actor, entry.action) for entry in noted} == {(f"slack:T0CDM/{bob.id}", "refused:request")}


async def timed(person: Person) -> float:
    """How long the person's command takes to its answer."""
    began = time.monotonic()
    assert "a-gw-002" in (await person.types("device a-gw-002", within_s=30)).shown
    return time.monotonic() - began


async def pumped(here: Office, person: Person) -> tuple[int, float]:
    """How many commands were delivered and answered by an ack, and within what time."""
    began, numbers = time.monotonic(), iter(range(COMMANDS))
    sent = 0

    async def line() -> None:
        nonlocal sent
        for _ in numbers:
            if time.monotonic() - began > LONGEST_S:
                return
            delivered = await here.slack.slash(person.id, ROLLOUTS, "/cdm", COMMAND)
            assert delivered.acked, delivered.error
            sent += 1

    async with asyncio.TaskGroup() as lines:
        for _ in range(AT_ONCE):
            lines.create_task(line())
    return sent, time.monotonic() - began


async def told(here: Office, person: Person) -> list[str]:
    return [said.shown for said in await here.slack.ephemerals(person.id)]


async def in_queue(here: Office) -> int:
    store = connect(f"unix://{here.world.directory / 'data' / 'store' / 'store.sock'}")
    try:
        return int(await store.xlen(STREAM))
    finally:
        await store.aclose()


async def _nothing_queued(here: Office) -> bool:
    return await in_queue(here) == 0


def resident_mb(here: Office) -> float:
    status = Path(f"/proc/{here.bot.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024
