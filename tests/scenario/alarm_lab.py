"""A tenant with its ThingsBoard, the bot's fold, reconciler and acts on a real store, and what Slack is to show."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Any

from core.devices import DeviceFacts
from core.ids import AlarmId, Channel, DeviceName, IncidentId, SlackUser, Stack, Subject, Tenant
from core.incidents import Incident
from core.messages.blocks import Message
from core.outbox import Wanted
from core.rollouts.alarmed import AlarmKinds
from flows.alarms import LEASE, AlarmFold
from flows.gate import Person
from flows.incidents import IncidentActs
from flows.reconcile import Reconciler
from flows.updates import UpdateReader
from flows.world import StackWorld, TenantWorld, World
from integrations.hawkbit import HawkbitAccount, HawkbitActions, HawkbitRollouts
from integrations.store.audit import AuditLog
from integrations.store.connection import Store
from integrations.store.incidents import Incidents
from integrations.store.intake import Intake
from integrations.store.leases import Lease, Leases
from integrations.store.outbox import Outbox, OutboxRows, seconds
from integrations.store.rollouts import RolloutStore
from integrations.store.update_stories import UpdateStories
from integrations.thingsboard.session import Password
from integrations.thingsboard.tenant import ThingsboardTenant
from sandbox.thingsboard import ThingsboardSandbox
from sandbox.thingsboard.entities import Alarm, User
from sandbox.thingsboard.entities import Tenant as SandboxTenant
from sandbox.wire import WireServer
from tests.conftest import ManualClock

EU1, CUSTOMER_A = Stack("eu1"), Tenant("customer-a")
OPS = Channel("C1")
BOT, SECRET = "bot@acme.example", "secret-1"


class Having:
    """`core.ports.Devices` of a tenant with one device."""

    def __init__(self, device: str) -> None:
        self._device = DeviceName(device)

    async def device(self, name: DeviceName, keys: Sequence[str]) -> DeviceFacts | None:
        known = DeviceFacts(self._device, "id", Tenant("customer-b"), None, True, None, {}, {})
        return known if name == self._device else None

    async def names(self, *, limit: int) -> Sequence[DeviceName]:
        return [self._device][:limit]


@dataclass
class AlarmLab:
    store: Store
    clock: ManualClock
    sandbox: ThingsboardSandbox
    server: WireServer
    acme: SandboxTenant
    bot_user: User
    ada: User
    alarms: ThingsboardTenant
    hawkbit: HawkbitRollouts

    def __post_init__(self) -> None:
        tenant = TenantWorld(CUSTOMER_A, self.alarms, self.alarms, ip_network("10.8.0.0/16"), OPS)
        nobody: Any = None  # nothing is made in these tests
        actions = HawkbitActions(self.hawkbit.access)
        stack = StackWorld(EU1, self.hawkbit, actions, nobody, None, {CUSTOMER_A: tenant}, OPS, "wireguard_ip")
        self.world = World([stack], self.clock)
        self.intake = Intake(self.store)
        self.incidents = Incidents(self.store)
        self.audit = AuditLog(self.store, self.clock)
        self.leases = Leases(self.store, self.clock)
        self.fold = self.another_fold(self.store)
        self.reconciler = Reconciler(
            world=self.world,
            store=self.store,
            intake=self.intake,
            incidents=self.incidents,
            outbox=Outbox(self.store, self.clock),
            leases=self.leases,
            clock=self.clock,
        )
        self.acts = IncidentActs(
            world=self.world, incidents=self.incidents, intake=self.intake, audit=self.audit, clock=self.clock
        )

    def add_tenant_with(self, device: str) -> None:
        """Another tenant of the stack, whose ThingsBoard has a device of that name, too."""
        nobody: Any = None
        other = TenantWorld(Tenant("customer-b"), nobody, Having(device), ip_network("10.9.0.0/16"), OPS)
        tenants = {**self.world.stacks[EU1].tenants, other.id: other}
        self.world.stacks = {EU1: replace(self.world.stacks[EU1], tenants=tenants)}

    def another_fold(self, store: Store) -> AlarmFold:
        """A folder of its own process, talking to the store through `store`."""
        return AlarmFold(
            world=self.world,
            intake=Intake(store),
            incidents=Incidents(store),
            outbox=Outbox(store, self.clock),
            leases=Leases(store, self.clock),
            clock=self.clock,
            links={"Device": "https://tb.example/d/{device}"},
            kinds=AlarmKinds(),
            stories=UpdateStories(store),
            updates=UpdateReader(
                world=self.world,
                incidents=Incidents(store),
                stories=UpdateStories(store),
                records=RolloutStore(store),
                clock=self.clock,
            ),
        )

    # ThingsBoard's side

    def raise_alarm(self, device: str = "sim-device-001", kind: str = "OTA Failure", **body: Any) -> Alarm:
        """An alarm in ThingsBoard; nobody is told."""
        found = next((d for d in self.sandbox.world.devices.values() if d.name == device), None)
        target = found or self.sandbox.add_device(self.acme, device)
        given = {"type": kind, "severity": "CRITICAL", "details": {"data": "OTA failed: failure"}, **body}
        return self.sandbox.engine.alarms.create(given, target, self.ada)

    def body(self, alarm: Alarm, message: str = "ALARM", **metadata: str) -> bytes:
        """The envelope as it leaves ThingsBoard for the alarm as it is now."""
        world = self.sandbox.world
        shown = world.alarm_json(alarm) if message == "ALARM_DELETE" else world.alarm_info_json(alarm)
        return json.dumps({"msgType": message, "metadata": metadata, "alarm": shown}).encode()

    async def tell(self, alarm: Alarm, message: str = "ALARM", **metadata: str) -> None:
        await self.hear(self.body(alarm, message, **(metadata or {"isNewAlarm": "true"})))

    async def hear(self, *bodies: bytes) -> None:
        await asyncio.gather(*(self.intake.append(EU1, CUSTOMER_A, body, self.now_ms) for body in bodies))

    def by(self, user: User) -> dict[str, str]:
        names = {"userFirstName": user.first, "userLastName": user.last, "userEmail": user.email}
        return {"userId": user.id, **names}

    # the bot's side

    @property
    def now_ms(self) -> int:
        return int(self.clock.now().timestamp() * 1000)

    async def lease(self) -> Lease:
        lease = await self.leases.acquire(LEASE, 600)
        assert lease is not None
        return lease

    async def folded(self) -> None:
        """Fold until the inbox is empty."""
        lease = await self.lease()
        while await self.fold.step(lease, wait_ms=1):
            pass

    async def read_again(self) -> int:
        asked = await self.fold.doubts.step(await self.lease())
        await self.folded()
        return asked

    async def only(self) -> Incident:
        (incident,) = await self.incidents.of_tenant(EU1, CUSTOMER_A)
        return incident

    async def wanted(self) -> dict[str, Wanted]:
        """What Slack is to show and does not yet, by key."""
        rows, later = OutboxRows(self.store), seconds(self.clock.now()) + 86_400
        lanes = await rows.due_lanes(later)
        return {job.wanted.key: job.wanted for lane in lanes for job in await rows.due(lane, later, limit=1_000)}

    async def message(self, incident: IncidentId) -> Message:
        return (await self.wanted())[f"incident:{incident}"].message

    async def still_allowed(self) -> Person:
        return self.person

    @property
    def person(self) -> Person:
        return Person(SlackUser("T1", "U1"), Subject("s-ada"), "ada", self.clock.now())


def the(alarm: Alarm) -> AlarmId:
    return AlarmId(alarm.id)


@asynccontextmanager
async def alarm_lab(
    store: Store, clock: ManualClock, hawkbit_url: str = "http://127.0.0.1:1"
) -> AsyncIterator[AlarmLab]:
    """Without its address, hawkBit is away."""
    sandbox = ThingsboardSandbox(clock=lambda: clock.now().timestamp(), pace=0.01, stalls=False)
    acme = sandbox.add_tenant("acme")
    bot = sandbox.add_user(acme, BOT, SECRET, first="ChatOps", last="Bot")
    ada = sandbox.add_user(acme, "ada@acme.example", SECRET, first="Ada", last="Admin")
    running = asyncio.create_task(sandbox.run())
    async with WireServer(sandbox.app) as server:
        alarms = ThingsboardTenant(server.url, CUSTOMER_A, lambda: Password(BOT, SECRET), timeout_s=5.0)
        hawkbit = HawkbitRollouts(hawkbit_url, HawkbitAccount("bot", lambda: "bot"), timeout_s=2.0)
        yield AlarmLab(store, clock, sandbox, server, acme, bot, ada, alarms, hawkbit)
        await hawkbit.aclose()
        await alarms.aclose()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
