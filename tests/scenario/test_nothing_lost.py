"""P1, nothing lost: an alarm answered with 2xx is shown, whatever dies in between; one that never came is found."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import httpx
import pytest

from integrations.store.connection import connect
from sandbox.bot_process import BotProcess
from sandbox.cast import TENANTS
from sandbox.settings_file import DATA
from sandbox.slack.seen import SeenMessage
from sandbox.world import SandboxWorld
from tests.scenario.program import (
    CHANNEL,
    WEBHOOK,
    Raised,
    alarms_in,
    bearer,
    files_of,
    incident_of,
    is_pointer,
    marked,
    raised,
    running,
    still_world,
    until,
)

pytestmark = pytest.mark.alone

STORM, OTHERS, UNHEARD = 600, 1_400, 30
A_TYPE = 60
"""So many of the others share a type: 20 a tenant, which stand in the message itself. The storm's stand in a file."""
PER_SECOND = 400.0
SENDERS = 16
TIMES_SENT = 400


@dataclass
class Storm:
    """Webhooks on their way, as ThingsBoard sends them: each until it is answered 2xx, and never again after that."""

    world: SandboxWorld
    http: httpx.AsyncClient
    accepted: set[str] = field(default_factory=set)
    failures: Counter[str] = field(default_factory=Counter)

    async def send(self, alarms: Iterable[Raised]) -> None:
        waiting = iter(alarms)
        begun = time.monotonic()
        sent = 0

        async def sender() -> None:
            nonlocal sent
            for alarm in waiting:
                sent += 1
                await asyncio.sleep(max(0.0, begun + sent / PER_SECOND - time.monotonic()))
                await self._deliver(alarm)

        await asyncio.gather(*(sender() for _ in range(SENDERS)))

    async def _deliver(self, alarm: Raised) -> None:
        for _ in range(TIMES_SENT):
            try:
                answer = await self.http.post(WEBHOOK, content=alarm.body, headers=bearer(self.world, alarm.tenant))
            except httpx.TransportError as error:
                self.failures[type(error).__name__] += 1
            else:
                if answer.is_success:
                    self.accepted.add(alarm.id)
                    return
                self.failures[str(answer.status_code)] += 1
            await asyncio.sleep(0.1)


def the_storm(world: SandboxWorld) -> list[Raised]:
    """One type on 600 devices, then many types on 1,400 more, the tenants in turn."""
    alarms = []
    for number in range(STORM + OTHERS):
        tenant = TENANTS[number % len(TENANTS)]
        kind = "OTA Failure" if number < STORM else f"Fault {number // A_TYPE}"
        alarms.append(raised(world, tenant.id, f"{tenant.letter}-storm-{number:04}", kind))
    return alarms


def the_unheard(world: SandboxWorld) -> list[Raised]:
    """Alarms whose webhooks were lost, five minutes ago."""
    found = []
    for number in range(UNHEARD):
        tenant = TENANTS[number % len(TENANTS)]
        found.append(raised(world, tenant.id, f"{tenant.letter}-unheard-{number:02}", "Overheating", age_s=300))
    return found


@dataclass
class Shown:
    """What the tenants' channels say: the messages of each incident, the incidents that list each alarm, the ids of
    posts that stand there more than once, and messages that are about no incident."""

    incidents: dict[str, list[SeenMessage]]
    alarms: dict[str, list[str]]
    repeated: list[str]
    others: list[str]

    @staticmethod
    async def read(world: SandboxWorld, alarms: Iterable[Raised]) -> Shown:
        by_device = {alarm.device: alarm.id for alarm in alarms}
        messages = [message for channel in CHANNEL.values() for message in await world.people.messages(channel)]
        files = {file.id: file for file in await world.people.files()}
        incidents: dict[str, list[SeenMessage]] = defaultdict(list)
        listed: dict[str, list[str]] = defaultdict(list)
        posts = Counter([str(message.metadata) for message in messages] + [file.name for file in files.values()])
        others: list[str] = []
        for message in messages:
            incident = incident_of(message)
            if incident is None:
                others += [] if is_pointer(message) else [message.shown]
                continue
            incidents[incident].append(message)
            here = {by_device[name] for name in marked(message) & by_device.keys()}
            for file in files_of(files, message)[-1:]:
                here.update(alarms_in(file))
            for alarm in here:
                listed[alarm].append(incident)
        return Shown(dict(incidents), dict(listed), [post for post, times in posts.items() if times > 1], others)

    def holds_once(self, alarms: Iterable[Raised]) -> None:
        assert [alarm.device for alarm in alarms if len(self.alarms.get(alarm.id, ())) != 1] == []
        assert {id for id, messages in self.incidents.items() if len(messages) != 1} == set()
        assert self.repeated == []
        assert [text for text in self.others if "answers again" not in text and "does not answer" not in text] == []


async def kill_the_store(world: SandboxWorld) -> None:
    store = connect(f"unix://{(world.directory / DATA / 'store' / 'store.sock').resolve()}")
    pid = int((await store.info("server"))["process_id"])
    await store.aclose()
    os.kill(pid, signal.SIGKILL)


async def kill_in_the_storm(world: SandboxWorld, bot: BotProcess, storm: Storm) -> None:
    """The bot three times and its store once, each while alarms come in, are folded and posted."""
    for at, victim in ((200, "bot"), (700, "bot"), (1_200, "store"), (1_600, "bot")):
        while len(storm.accepted) < at:
            await asyncio.sleep(0.005)
        if victim == "bot":
            await bot.kill()
            await bot.start()
        else:
            await kill_the_store(world)


async def test_p1_nothing_lost_when_bot_and_store_are_killed_in_a_storm_of_2000_alarms() -> None:
    limits = httpx.Limits(max_connections=SENDERS, max_keepalive_connections=SENDERS)
    async with still_world(slack_rate=200.0) as world:
        world.write_config(timing={"reconcile_s": 2.0})
        alarms = the_storm(world)
        # While ThingsBoard's list cannot be read, only the webhooks that were accepted can bring an alarm to Slack.
        lists = world.servers["thingsboard"].faults
        lists.add("status", r"^GET /api/v2/alarms", status=503)
        # Slack takes a while to answer what it has stored, so that the bot dies without having heard.
        slow = world.servers["slack"].faults
        slow.add("late_answer", r"chat\.(postMessage|update)", share=0.5, delay_s=0.05, delay_max_s=0.15)
        async with (
            running(world) as bot,
            httpx.AsyncClient(base_url=world.bot_url, limits=limits, timeout=5, trust_env=False) as http,
        ):
            storm = Storm(world, http)
            async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
                tasks.create_task(storm.send(alarms))
                tasks.create_task(kill_in_the_storm(world, bot, storm))
            assert storm.failures["503"], "the store was not killed while alarms came in"
            assert storm.failures["ReadError"] + storm.failures["RemoteProtocolError"], "nor was the bot"
            assert len(storm.accepted) == STORM + OTHERS

            # The first messages of a group list their device until their edit, that they are part of it, has its turn.
            async def accepted_shown() -> bool:
                shown = await Shown.read(world, alarms)
                return all(len(shown.alarms.get(id, ())) == 1 for id in storm.accepted)

            await until(accepted_shown, "every accepted alarm is shown, in one incident", 60, look_s=1)
            (await Shown.read(world, alarms)).holds_once(alarms)

            unheard = the_unheard(world)
            lists.clear()

            async def unheard_shown() -> bool:
                shown = await Shown.read(world, unheard)
                return all(len(shown.alarms.get(alarm.id, ())) == 1 for alarm in unheard)

            await until(unheard_shown, "every alarm that is active in ThingsBoard is shown once", 30, look_s=0.5)
            shown = await Shown.read(world, [*alarms, *unheard])
            shown.holds_once([*alarms, *unheard])
            for alarm in unheard:
                (incident,) = shown.alarms[alarm.id]
                assert "found by reconciliation, 5 min old" in shown.incidents[incident][0].shown
