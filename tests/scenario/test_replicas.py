"""Two bots on one store: what both hear is done once, and what a killed one had in hand the other does.

Slack comes by HTTP here, so that the test says which of the two hears what.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from integrations.clock import SystemClock
from integrations.store.audit import AuditLog
from integrations.store.connection import Store, connect
from integrations.store.embedded import EmbeddedStore
from integrations.store.work import GROUP, STREAM
from sandbox.bot_process import BotProcess
from sandbox.cast import PEOPLE, ROLLOUTS
from sandbox.slack.seen import SeenMessage
from sandbox.world import SandboxWorld
from tests.scenario.pair import go_on, pair, stand_still
from tests.scenario.program import CHANNEL, WEBHOOK, Raised, bearer, incident_of, raised, still_world, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
BOB, A = PEOPLE["bob"].id, "customer-a"
KEYCLOAK_S = 30.0
"""The bots wait so long for Keycloak: what waits for it is in hand, and not begun."""
TAKEN_UP_S = 14.0
"""A lease of 10 s runs out, and the other one looks each second; with the time it takes to post."""
RECLAIMED_S = 22.0
"""An order that nobody has kept for 12 s is taken up; each bot looks every 6 s."""


@dataclass(slots=True)
class Replicas:
    """The two bots, and the names by which the store knows them."""

    world: SandboxWorld
    store: Store
    bots: list[BotProcess]

    async def hears_slack(self, bot: BotProcess) -> None:
        await self.world.people.set(request_url=f"{bot.url}/slack/events")

    async def tell(self, bot: BotProcess, alarm: Raised) -> None:
        """Its webhook, to this one of the two."""
        async with httpx.AsyncClient(base_url=bot.url, timeout=5, trust_env=False) as http:
            answer = await http.post(WEBHOOK, content=alarm.body, headers=bearer(self.world, alarm.tenant))
        assert answer.is_success, answer.text

    async def messages(self, alarm: Raised) -> list[SeenMessage]:
        """What the tenant's channel says of incidents of this type."""
        shown = await self.world.people.messages(CHANNEL[alarm.tenant])
        return [m for m in shown if incident_of(m) and alarm.alarm.type in m.shown]

    async def shows(self, alarm: Raised, within_s: float = 10.0) -> SeenMessage:
        async def there() -> list[SeenMessage]:
            return await self.messages(alarm)

        found: list[SeenMessage] = await until(there, f"{alarm.alarm.type} is shown", within_s)
        return found[0]

    async def told_to_bob(self) -> list[str]:
        return [said.shown for said in await self.world.people.ephemerals(BOB)]

    async def done(self, action: str) -> list[str]:
        """What the audit log holds of this action, in order: intent, outcome."""
        entries = [entry async for entry in AuditLog(self.store, SystemClock()).entries()]
        return [entry.kind for entry in entries if entry.action == action]

    async def in_hand(self) -> list[str]:
        """By whom the orders not done yet were taken."""
        rows = await self.store.xpending_range(STREAM, GROUP, min="-", max="+", count=10)
        return [row["consumer"].decode() for row in rows]

    async def idle(self) -> None:
        """Until every order is done."""

        async def empty() -> bool:
            return not await self.store.xlen(STREAM)

        await until(empty, "every order is done")

    async def folds(self) -> str:
        """Who folds alarms."""
        return str((await self.store.get("cdm:lease:alarms") or b"").decode()).partition("|")[0]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def replicas() -> AsyncIterator[Replicas]:
    directory = Path(tempfile.mkdtemp(prefix="cdm-"))
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        embedded = EmbeddedStore(directory)
        await embedded.start()
        stack.push_async_callback(embedded.stop)
        store = connect(embedded.url)
        stack.push_async_callback(store.aclose)
        world = await stack.enter_async_context(still_world(slack_mode="http"))
        bots = await stack.enter_async_context(pair(world, embedded, keycloak={"timeout_s": KEYCLOAK_S}))
        assert "now linked" in await world.login(BOB, "bob")
        yield Replicas(world, store, bots)


async def test_an_alarm_that_both_bots_hear_is_one_message(replicas: Replicas) -> None:
    alarms = [raised(replicas.world, A, f"a-twice-{number}", f"Twice {number}") for number in range(8)]
    await asyncio.gather(*(replicas.tell(bot, alarm) for alarm in alarms for bot in replicas.bots))
    for alarm in alarms:
        await replicas.shows(alarm)
    last = raised(replicas.world, A, "a-after", "After them")
    await replicas.tell(replicas.bots[1], last)
    await replicas.shows(last)
    assert [len(await replicas.messages(alarm)) for alarm in alarms] == [1] * len(alarms)


async def test_a_click_that_both_bots_hear_is_worked_on_once(replicas: Replicas) -> None:
    alarm = raised(replicas.world, A, "a-clicked", "Clicked")
    await replicas.tell(replicas.bots[0], alarm)
    message = await replicas.shows(alarm)
    before = len(await replicas.told_to_bob())
    slow = replicas.world.servers["keycloak"].faults.add("late_answer", delay_s=0.5)
    await replicas.hears_slack(replicas.bots[0])
    heard = await replicas.world.people.click(BOB, CHANNEL[A], message.ts, "acknowledge")
    assert heard.acked
    await replicas.hears_slack(replicas.bots[1])
    for _ in range(3):
        assert (await replicas.world.people.replay(heard.id)).acked
    assert alarm.alarm.acknowledged is False, "all of them were heard before the first was done"

    async def answered() -> bool:
        return len(await replicas.told_to_bob()) > before

    await until(answered, "bob is answered")
    slow.times = slow.hits
    assert alarm.alarm.acknowledged
    assert await replicas.done("acknowledge") == ["intent", "outcome"]
    await replicas.idle()
    assert len(await replicas.told_to_bob()) == before + 1


async def test_what_a_killed_bot_had_in_hand_the_other_does_once_and_alarms_go_on_within_seconds(
    replicas: Replicas,
) -> None:
    world, (first, second) = replicas.world, replicas.bots
    # Only the first hears, takes and folds. The second one's last question for orders is over within 0.5 s.
    stand_still(second)
    await asyncio.sleep(0.6)
    faults = world.servers["keycloak"].faults
    faults.clear()
    faults.add("late_answer", delay_s=KEYCLOAK_S)
    await replicas.hears_slack(first)
    before = len(await replicas.told_to_bob())
    assert (await world.people.slash(BOB, ROLLOUTS, "/cdm", "run journal a-gw-001")).acked

    async def taken() -> list[str]:
        return await replicas.in_hand()

    (holder,) = await until(taken, "the first has the order in hand")

    async def folding() -> bool:
        return bool(await replicas.folds() == holder)

    await until(folding, "the first folds", TAKEN_UP_S)
    assert world.relay.devices.ran == []
    alarm = raised(world, A, "a-orphan", "Orphan")
    await replicas.tell(first, alarm)
    await first.kill()
    killed_at = time.monotonic()
    faults.clear()
    go_on(second)
    later = raised(world, A, "a-later", "Later")
    await replicas.tell(second, later)
    await replicas.shows(alarm, TAKEN_UP_S)
    await replicas.shows(later, TAKEN_UP_S)
    assert time.monotonic() - killed_at < TAKEN_UP_S
    assert await replicas.folds() not in ("", holder)

    async def runs() -> list[str]:
        shown = await world.people.messages(CHANNEL[A])
        return [message.shown for message in shown if "Journal of a unit" in message.shown]

    async def ended() -> bool:
        return any("DONE · " in shown for shown in await runs())

    await until(ended, "the order is carried out", RECLAIMED_S)
    await replicas.idle()
    assert [one.device for one in world.relay.devices.ran] == ["a-gw-001"]
    assert await replicas.done("run:journal") == ["intent", "outcome"]
    assert len(await runs()) == 1

    async def told() -> bool:
        return len(await replicas.told_to_bob()) > before

    await until(told, "bob is told where the result is", RECLAIMED_S)
    assert len(await replicas.told_to_bob()) == before + 1
    assert [len(await replicas.messages(one)) for one in (alarm, later)] == [1, 1]
