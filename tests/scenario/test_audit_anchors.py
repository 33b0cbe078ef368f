"""The audit's newest number and hash leave the store: each minute into the log, each day into Slack, by one process."""

from __future__ import annotations

import hashlib
from typing import Any

from structlog.testing import capture_logs

from core.ids import Channel
from flows.anchors import AuditAnchors
from integrations.store.audit import AuditLog
from integrations.store.connection import Store
from integrations.store.leases import Leases
from integrations.store.outbox import Outbox, OutboxRows
from tests.conftest import ManualClock

CHANNEL = Channel("C0ADMIN")


def process(store: Store, clock: ManualClock, log: AuditLog, name: str) -> AuditAnchors:
    outbox = Outbox(store, clock)
    return AuditAnchors(audit=log, outbox=outbox, leases=Leases(store, clock, name), clock=clock, channel=CHANNEL)


async def logged(*ticking: AuditAnchors) -> list[Any]:
    with capture_logs() as told:
        for one in ticking:
            await one.tick()
    return [(line["seq"], line["hash"]) for line in told if line["event"] == "audit_anchored"]


async def posted(store: Store, clock: ManualClock) -> dict[str, str]:
    jobs = await OutboxRows(store).due(CHANNEL, clock.now().timestamp())
    return {job.wanted.key: job.wanted.message.text for job in jobs}


async def test_the_head_is_logged_when_it_moved_and_by_one_process_only(store: Store, clock: ManualClock) -> None:
    log = AuditLog(store, clock)
    one, other = process(store, clock, log, "one"), process(store, clock, log, "other")
    assert await logged(one, other) == [], "there is nothing to anchor yet"
    await log.note("bot", "decided", "it:1")
    await log.note("bot", "decided", "it:2")
    first = (await log.latest(1))[0]
    assert await logged(one, other) == [(2, first.hash)]
    assert await logged(other, one) == [], "it did not move"
    await log.note("bot", "decided", "it:3")
    second = (await log.latest(1))[0]
    assert await logged(other, one) == [(3, second.hash)]
    check = await log.check({2: first.hash, 3: second.hash})
    assert check.broken is None
    wrong = hashlib.sha256(b"").hexdigest()
    assert "entry 2 is not the one that was anchored" in str((await log.check({2: wrong})).broken)


async def test_another_process_takes_over_when_the_first_is_gone(store: Store, clock: ManualClock) -> None:
    log = AuditLog(store, clock)
    await log.note("bot", "decided", "it:1")
    one, other = process(store, clock, log, "one"), process(store, clock, log, "other")
    assert len(await logged(one)) == 1
    await store.delete("cdm:lease:audit-anchor")
    assert len(await logged(other)) == 1


async def test_each_day_after_the_first_one_message_is_posted_also_after_a_restart(
    store: Store, clock: ManualClock
) -> None:
    log = AuditLog(store, clock)
    await log.note("bot", "decided", "it:1")
    await process(store, clock, log, "one").tick()
    assert await posted(store, clock) == {}
    await clock.forward(86_400)
    await process(store, clock, log, "one").tick()
    ((key, text),) = (await posted(store, clock)).items()
    assert key == "audit-anchor:2026-11-25"
    assert f"`{await log.head()}`" in text
    await log.note("bot", "decided", "it:2")
    await process(store, clock, log, "one").tick()
    assert await posted(store, clock) == {key: text}
    await clock.forward(86_400)
    await process(store, clock, log, "one").tick()
    assert list(await posted(store, clock)) == [key, "audit-anchor:2026-11-26"]
