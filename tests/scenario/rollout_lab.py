"""A fleet on the stand-in hawkBit, and bots that share one store: what the scenarios of rollouts are played on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from core.devices import DeviceFacts, Reading
from core.errors import Unavailable
from core.ids import Channel, DeviceName, RolloutId, Stack, Tenant
from core.ports import Clock, Devices
from core.rollouts.alarmed import AlarmKinds
from core.rollouts.facts import RolloutFacts
from core.rollouts.policies import PolicyRule
from core.rollouts.policy import PromotionPolicy
from flows.rollouts.alarms import RolloutAlarms
from flows.rollouts.brakes import Brakes
from flows.rollouts.device_work import DeviceWorks
from flows.rollouts.ledger import Ledger
from flows.rollouts.looking import NO_RELAY, RelayBudget
from flows.rollouts.promote import Promoter
from flows.rollouts.settle import Settler
from flows.rollouts.site import Site
from flows.rollouts.slot_reader import SlotReader
from flows.rollouts.watch import RolloutWatch
from integrations.hawkbit import HawkbitAccount, HawkbitActions, HawkbitReleases, HawkbitRollouts
from integrations.store.audit import AuditLog
from integrations.store.connection import Store
from integrations.store.leases import Leases
from integrations.store.outbox import Outbox
from integrations.store.rollouts import RolloutStore
from sandbox.hawkbit.control import finish, seed_set, seed_target
from sandbox.hawkbit.model import Conditions, Rollout
from sandbox.hawkbit.operations import GroupWish, RolloutWish
from sandbox.hawkbit.server import HawkbitSandbox
from sandbox.wire import WireServer

EU1, TENANT, CHANNEL = Stack("eu1"), Tenant("customer-a"), Channel("C0ROLLOUTS")
OLD, NEW = "1.0.0", "2.0.0"
LOOKS_TO_BOOT = 5


class Fleet:
    """Devices that install what hawkBit gives them, and boot into it at the fifth look at them (and every fifth).

    `broken` ones fail to install. `falling_back` ones report success and then boot into the old version.
    `silent` ones never answer hawkBit. ThingsBoard does not answer for `unread` ones.
    """

    def __init__(self, hawkbit: HawkbitSandbox) -> None:
        self.hawkbit = hawkbit
        self.broken: set[str] = set()
        self.falling_back: set[str] = set()
        self.silent: set[str] = set()
        self.unread: set[str] = set()
        self.booted_new_at: dict[str, float] = {}
        self._looks: dict[str, int] = {}

    def work(self) -> None:
        """Every device that has an open action ends it now."""
        repo = self.hawkbit.tenant().repo
        for name, target in list(repo.targets.items()):
            if name in self.silent or not any(a.status == "running" for a in target.active_actions()):
                continue
            finish(repo, name, "failure" if name in self.broken else "success")
            if name not in self.broken:
                self._looks[name] = 0

    def booted(self, name: str) -> None:
        """It runs the new version, whatever hawkBit was told."""
        self._looks[name] = LOOKS_TO_BOOT

    async def run(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            self.work()

    async def device(self, name: DeviceName, keys: Sequence[str]) -> DeviceFacts | None:
        """`core.ports.Devices`: telemetry sent this moment."""
        if name in self.unread:
            raise Unavailable("ThingsBoard does not answer.", system="ThingsBoard")
        boots = 0
        if name in self._looks:
            self._looks[name] += 1
            boots = self._looks[name] // LOOKS_TO_BOOT
        new = boots > 0 and name not in self.falling_back
        now = datetime.fromtimestamp(self.hawkbit.clock(), UTC)
        if new:
            self.booted_new_at.setdefault(name, self.hawkbit.clock())
        values = {"sw_version": NEW if new else OLD, "boot_id": f"boot-{boots}"}
        readings = {k: Reading(v, now) for k, v in values.items() if k in keys}
        return DeviceFacts(name, f"id-{name}", TENANT, None, True, now, readings, {})

    async def names(self, *, limit: int) -> Sequence[DeviceName]:
        return [DeviceName(n) for n in list(self.hawkbit.tenant().repo.targets)[:limit]]


class Freezer:
    """Stops one bot wherever it next waits for the store or for hawkBit, as SIGSTOP would, and lets it go on.

    `at_worst` may say, for a store write just carried out, that the bot stands still right behind it, for how long.
    """

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self.at_worst: Callable[[Sequence[Any]], float] = lambda _: 0.0
        self.hits = 0

    @property
    def frozen(self) -> bool:
        return not self._open.is_set()

    def freeze_for(self, seconds: float) -> None:
        self._open.clear()
        self.hits += 1
        asyncio.get_running_loop().call_later(seconds, self._open.set)

    async def __call__(self) -> None:
        await self._open.wait()


class Freezable:
    """Calls of `inner` that stand still while frozen, before they are made and before they return. A call named in
    `sent_at_once` is made without waiting: it stands for the bytes that follow the last check."""

    def __init__(self, inner: Any, freezer: Freezer, sent_at_once: Collection[str] = ()) -> None:
        self.inner = inner
        self._freezer = freezer
        self._sent_at_once = sent_at_once

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.inner, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            if name not in self._sent_at_once:
                await self._freezer()
            try:
                return await method(*args, **kwargs)
            finally:
                if name == "eval" and (seconds := self._freezer.at_worst(args)) > 0:
                    self._freezer.freeze_for(seconds)
                await self._freezer()

        return call


@dataclass(slots=True)
class Bot:
    """One process's worth of the bot: its own client, its own leases, the shared store."""

    site: Site
    ledger: Ledger
    promoter: Promoter
    brakes: Brakes
    works: DeviceWorks
    watch: RolloutWatch
    freezer: Freezer
    client: HawkbitRollouts

    async def run(self, every_s: float) -> None:
        while True:
            await self.watch.tick()
            await asyncio.sleep(every_s)


@dataclass(slots=True)
class Lab:
    """`devices` and `slots` stand in for the fleet's own telemetry, where a test has others."""

    hawkbit: HawkbitSandbox
    server: WireServer
    fleet: Fleet
    store: Store
    clock: Clock
    policy: PromotionPolicy
    bots: list[Bot] = field(default_factory=list)
    set_id: int = 0
    rules: Sequence[PolicyRule] = ()
    devices: Devices | None = None
    slots: SlotReader | None = None
    relay: RelayBudget = NO_RELAY

    def add_bot(self) -> Bot:
        freezer = Freezer()
        store: Any = Freezable(self.store, freezer)
        client = HawkbitRollouts(
            self.server.url,
            HawkbitAccount("bot", lambda: "bot"),
            HawkbitAccount("brake", lambda: "brake"),
            release=HawkbitAccount("release", lambda: "release"),
            timeout_s=5.0,
        )
        rollouts: Any = Freezable(client, freezer, sent_at_once=("resume", "next_group"))
        actions: Any = Freezable(HawkbitActions(client.access), freezer)
        releases: Any = Freezable(HawkbitReleases(client.access, upload_timeout_s=5.0), freezer)
        devices = {TENANT: self.devices or self.fleet}
        site = Site(EU1, rollouts, actions, releases, devices, self.policy, CHANNEL, "bot", self.rules, self.slots)
        sites: Mapping[Stack, Site] = {EU1: site}
        ledger = Ledger(
            RolloutStore(store),
            Leases(store, self.clock),
            AuditLog(store, self.clock),
            Outbox(self.store, self.clock),
            self.clock,
            RolloutAlarms(self.store, self.clock, AlarmKinds()),
        )
        settler = Settler(ledger)
        promoter, brakes = Promoter(sites, ledger, settler), Brakes(sites, ledger)
        works = DeviceWorks(sites, ledger)

        async def tenants_of(_: RolloutFacts) -> frozenset[Tenant]:
            return frozenset({TENANT})

        watch = RolloutWatch(
            site, ledger, promoter, brakes, settler, works, tenants_of, looks_per_tick=100_000, relay=self.relay
        )
        bot = Bot(site, ledger, promoter, brakes, works, watch, freezer, client)
        self.bots.append(bot)
        return bot

    def add_rollout(
        self,
        name: str,
        sizes: Sequence[int],
        *,
        action: str = "PAUSE",
        by: str = "bot",
        success: float = 95,
        error: float = 20,
    ) -> Rollout:
        """A rollout in `ready`, with devices of its own named NAME-00..."""
        tenant, total = self.hawkbit.tenant(), sum(sizes)
        for i in range(total):
            seed_target(tenant.repo, f"{name}-{i:03}")
        conditions = Conditions(success_threshold=f"{success:g}", error_threshold=f"{error:g}", success_action=action)
        groups = [GroupWish(f"g{n}", 100.0 * size / total, conditions) for n, size in enumerate(sizes, 1)]
        wish = RolloutWish(name, f"controllerId=={name}-*", tenant.repo.set(self.set_id), groups=groups)
        rollout = tenant.operations.create(wish, by, may_lock=True)
        tenant.engine.tick()
        assert rollout.status == "ready"
        return rollout

    def start(self, rollout: Rollout, by: str = "admin") -> None:
        self.hawkbit.tenant().operations.start(rollout, by)

    def started(self, rollout: Rollout) -> list[int]:
        """The numbers, from 1, of the groups that began, in order."""
        return [s.index + 1 for s in self.hawkbit.starts if s.rollout == rollout.id]

    async def record(self, rollout: Rollout) -> Any:
        return await RolloutStore(self.store).record(EU1, RolloutId(rollout.id))


@asynccontextmanager
async def lab(store: Store, clock: Clock, policy: PromotionPolicy, *, tick_s: float) -> AsyncIterator[Lab]:
    """A hawkBit on the wire (its scheduler is not started), an empty fleet, and no bot yet."""
    hawkbit = HawkbitSandbox(tick_s=tick_s, clock=lambda: clock.now().timestamp())
    async with WireServer(hawkbit.app) as server:
        made = Lab(hawkbit, server, Fleet(hawkbit), store, clock, policy)
        made.set_id = seed_set(hawkbit.tenant().repo, "FW", NEW).id
        try:
            yield made
        finally:
            for bot in made.bots:
                await bot.client.aclose()


@asynccontextmanager
async def running(*work: Any) -> AsyncIterator[None]:
    """Coroutines that run for the block. The first that fails fails the test."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield
        for task in tasks:
            if task.done() and not task.cancelled():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], bool], *, within_s: float, what: Callable[[], str] = lambda: "") -> None:
    """Poll until it holds; fails with `what` after `within_s`."""
    try:
        async with asyncio.timeout(within_s):
            while not condition():
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {within_s} s: {what()}") from None
