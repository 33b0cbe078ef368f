"""People at work: what they type and press in Slack, what only they are told, and what the world looks like after."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from core.audit import Entry
from integrations.clock import SystemClock
from integrations.store.audit import AuditLog
from integrations.store.connection import connect
from sandbox.bot_process import BotProcess
from sandbox.cast import PEOPLE, ROLLOUTS, TENANTS
from sandbox.fleet import Fate, Pace
from sandbox.pipeline import Pipeline
from sandbox.slack.client import SlackPeople
from sandbox.slack.inputs import NotOnScreen
from sandbox.slack.seen import Delivered, SeenEphemeral, SeenMessage
from sandbox.world import SandboxWorld
from tests.scenario.program import audit_keys, running

BRISK = Pace(poll_s=0.4, telemetry_s=0.8, install_s=(1.2, 1.4), before_reboot_s=(1.2, 1.4), reboot_s=(0.1, 0.2))
"""Quick, but no quicker than the bot looks at devices (each second): what reboots unseen is never verified."""
ONE_LOOP = pytest.mark.asyncio(loop_scope="module")
"""For modules whose tests share one world: all of it lives in one event loop."""
ACK_MS = 1000.0
"""Slack waits 3 s; the bot promises far less, since it only writes down what it heard."""


@asynccontextmanager
async def office(*, start: bool = True, **more: Any) -> AsyncIterator[Office]:
    """A world and the real bot on it. The directory's path is short: a Unix socket lies in it."""
    directory = Path(tempfile.mkdtemp(prefix="cdm-"))
    given: dict[str, Any] = {"devices": 12, "pace": BRISK, "thingsboard_pace": 0.2, "slack_rate": 20.0}
    try:
        async with SandboxWorld(directory, **(given | more)) as world, running(world, start=start) as bot:
            yield Office(world, bot)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@dataclass(slots=True)
class Office:
    """What a test stands in: the world, the bot, and the people by name."""

    world: SandboxWorld
    bot: BotProcess
    acks: list[Delivered] = field(default_factory=list)

    @property
    def slack(self) -> SlackPeople:
        return self.world.people

    def person(self, name: str) -> Person:
        return Person(self, PEOPLE[name].id)

    async def newcomer(self, name: str, email: str, *channels: str) -> Person:
        """Somebody new in the workspace and in these channels."""
        id = await self.slack.add_user(name, email=email)
        for channel in (ROLLOUTS, *channels):
            self.world.slack.workspace.channels[channel].members.add(id)
        return Person(self, id)

    async def links(self, accounts: Mapping[Person, str]) -> None:
        """These people link their Slack users with these Keycloak accounts, each in a browser, all at once."""
        pages = await asyncio.gather(*(self.world.login(person.id, name) for person, name in accounts.items()))
        assert all("is now linked" in page for page in pages), pages

    # what stands in a channel

    async def shows(
        self,
        channel: str,
        *words: str,
        button: str = "",
        within_s: float = 20.0,
        fits: Callable[[SeenMessage], bool] = bool,
    ) -> SeenMessage:
        """The first message or reply of the channel with all these words, and this button if one is named."""

        def right(message: SeenMessage) -> bool:
            said = all(word in message.shown for word in words)
            return said and (not button or has(message, button)) and fits(message)

        return await self.slack.wait_for(channel, right, within_s)

    async def reply(self, parent: SeenMessage, channel: str, *words: str, within_s: float = 20.0) -> SeenMessage:
        """The first reply in the message's thread with all these words."""
        return await self.shows(channel, *words, within_s=within_s, fits=lambda m: m.thread_ts == parent.ts != m.ts)

    async def alarm(self, device: str, *, shown_as: str = "") -> SeenMessage:
        """The device reports a failed update; the incident's message with its buttons."""
        sick = self.world.device(device)
        sick.ota_status, sick.ota_error = "failure", "bundle signature verification failed"
        await self.world.fleet.report(sick)
        tenant = next(t for t in TENANTS if t.id == sick.tenant)
        return await self.shows(tenant.channel, "OTA Failure", shown_as or device, button="acknowledge")

    # what is true elsewhere

    async def starts_rollout(
        self,
        name: str,
        version: str,
        devices: Sequence[str],
        groups: Sequence[float] = (50, 50),
        *,
        by: Pipeline | None = None,
        fates: Sequence[Fate] = (),
        **more: Any,
    ) -> int:
        """A rollout over these devices, made by hand unless `by` says otherwise, and started once the bot has seen it
        (and its devices: only so can a new boot be told later). `fates` are those of the first group's devices."""
        pipeline = by or self.world.by_hand
        query = f"controllerId=in=({','.join(devices)})"
        rollout = await pipeline.release(version, query=query, groups=groups, name=name, **more)
        for device, fate in zip(await pipeline.members(rollout, 1) if fates else (), fates, strict=True):
            self.world.device(device).fate = fate
        await self.shows(ROLLOUTS, f"*{name}*")
        await pipeline.order(rollout, "start")
        return rollout

    async def started(self, rollout: int) -> int:
        """How many of its groups have begun, by hawkBit."""
        return await self.world.by_hand.started(rollout)

    async def status(self, rollout: int) -> str:
        return str((await self.world.by_hand.rollout(rollout))["status"])

    async def alarm_state(self, device: str) -> str:
        """ThingsBoard's word for the device's newest alarm: ACTIVE_UNACK, CLEARED_ACK …"""
        account = await self.world.thingsboard_account(self.world.device(device).tenant)
        page = await account.get("/api/v2/alarms?pageSize=1000&page=0")
        newest = max((a for a in page["data"] if a["originatorName"] == device), key=lambda a: a["createdTime"])
        return str(newest["status"])

    def ran(self, device: str) -> list[tuple[str, ...]]:
        """The commands the device was asked to run so far."""
        return [one.argv for one in self.world.relay.devices.ran if one.device == device]

    async def audit(self) -> list[Entry]:
        """The audit log from its beginning, its chain checked."""
        store = connect(f"unix://{self.world.directory / 'data' / 'store' / 'store.sock'}")
        try:
            log = AuditLog(store, SystemClock(), audit_keys(self.world))
            _, broken = await log.verify()
            assert broken is None, broken
            return [entry async for entry in log.entries()]
        finally:
            await store.aclose()


@dataclass(frozen=True, slots=True)
class Person:
    """One person in Slack. Acts answer what the bot then tells this person alone."""

    office: Office = field(repr=False, compare=False)
    id: str

    async def types(self, text: str, channel: str = ROLLOUTS, within_s: float = 15.0) -> SeenEphemeral:
        """`/cdm <text>`; the private answer."""
        return await self._told(lambda: self.office.slack.slash(self.id, channel, "/cdm", text), within_s)

    async def presses(
        self,
        message: SeenMessage,
        action: str,
        channel: str = ROLLOUTS,
        within_s: float = 15.0,
    ) -> SeenEphemeral:
        """Press a button whose answer is private."""
        return await self._told(lambda: self.office.slack.click(self.id, channel, message.ts, action), within_s)

    async def clicks(self, message: SeenMessage, action: str, channel: str = ROLLOUTS) -> Delivered:
        """Press a button whose outcome everybody sees."""
        return self._acked(await self.office.slack.click(self.id, channel, message.ts, action))

    async def private(self) -> list[SeenEphemeral]:
        return await self.office.slack.ephemerals(self.id)

    async def _told(self, act: Callable[[], Any], within_s: float) -> SeenEphemeral:
        before = {said.ts for said in await self.private()}
        self._acked(await act())
        return await self.office.slack.wait_for_ephemeral(self.id, lambda said: said.ts not in before, within_s)

    def _acked(self, delivered: Delivered) -> Delivered:
        assert delivered.acked, delivered.error
        self.office.acks.append(delivered)
        return delivered


def has(message: SeenMessage, action: str) -> bool:
    try:
        message.button(action)
    except NotOnScreen:
        return False
    return True
