"""One process of the bot: the real flows, each of whose awaits may fail, last, stand still or be its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NoReturn, cast

import orjson
from redis.exceptions import ConnectionError as RedisConnectionError

from core.devices import DeviceFacts, Reading
from core.errors import OutcomeUnknown, Unavailable
from core.ids import Channel, DeviceName, GroupId, RolloutId, Stack, Tenant
from core.ports import Rollouts
from core.release_ports import FleetActions, Releases
from core.rollouts.alarmed import AlarmKinds
from core.rollouts.facts import Claim, DistributionSet, GroupFacts, RolloutFacts
from core.rollouts.policy import PromotionPolicy
from flows.rollouts.alarms import RolloutAlarms
from flows.rollouts.brakes import Brakes
from flows.rollouts.device_work import DeviceWorks
from flows.rollouts.ledger import Ledger
from flows.rollouts.promote import Promoter
from flows.rollouts.settle import Settler
from flows.rollouts.site import Site
from flows.rollouts.watch import RolloutWatch
from integrations.store.audit import AuditLog
from integrations.store.connection import STORE_DOWN
from integrations.store.leases import Leases
from integrations.store.outbox import Outbox
from integrations.store.rollouts import RolloutStore
from tests.statemachine.model import BOT, NEW, HawkbitModel, Request
from tests.statemachine.schedule import Delivery, Fate, Sending, Trouble
from tests.statemachine.store import StoreModel
from tests.statemachine.tape import Tape
from tests.statemachine.virtual import VirtualLoop, wall

EU1, TENANT, CHANNEL = Stack("eu1"), Tenant("customer-a"), Channel("C0ROLLOUTS")
WATCH_S = 2.0
_ANSWER_S = 5.0
_WRITTEN: ContextVar[Mapping[str, Any]] = ContextVar("the attempt this task has just written down")


class _NothingOpen:
    """Whatever is asked about single actions and devices: there are none. Nobody here acts on those."""

    def __getattr__(self, name: str) -> Callable[..., Awaitable[tuple[()]]]:
        async def none(*_: Any, **__: Any) -> tuple[()]:
            return ()

        return none


class _NoAlarms(RolloutAlarms):
    """No tenant's alarms were ever read, and no policy here has a limit for them."""

    async def open(self, stack: Stack, tenants: Sequence[Tenant]) -> None:
        return None


@dataclass(slots=True)
class World:
    """What all processes share. `trace` is what happened, for whoever reads a schedule that fails."""

    loop: VirtualLoop
    tape: Tape
    hawkbit: HawkbitModel
    store: StoreModel
    trace: Callable[[str], None]


@dataclass(slots=True)
class Process:
    """From its start to its crash. It is a `core.ports.Clock` too: its wall clock is `skew_s` ahead, and its monotonic
    one stands while the machine is suspended."""

    world: World
    name: str
    skew_s: float
    policy: PromotionPolicy
    dead: bool = False
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    ledger: Ledger = field(init=False)
    promoter: Promoter = field(init=False)
    brakes: Brakes = field(init=False)
    watch: RolloutWatch = field(init=False)
    _still_until: float = 0.0
    _suspended_s: float = 0.0

    def __post_init__(self) -> None:
        store: Any = _Store(self)
        hawkbit: Rollouts = _Hawkbit(self)  # type: ignore[assignment]
        actions, unused = cast(FleetActions, _NothingOpen()), cast(Releases, None)
        site = Site(EU1, hawkbit, actions, unused, {TENANT: _Devices(self)}, self.policy, CHANNEL, BOT)
        sites = {EU1: site}
        leases, audit = Leases(store, self), AuditLog(store, self)
        alarms = _NoAlarms(store, self, AlarmKinds())
        self.ledger = Ledger(RolloutStore(store), leases, audit, Outbox(store, self), self, alarms)
        settler = Settler(self.ledger)
        self.promoter, self.brakes = Promoter(sites, self.ledger, settler), Brakes(sites, self.ledger)

        async def tenants_of(_: RolloutFacts) -> frozenset[Tenant]:
            return frozenset({TENANT})

        works = DeviceWorks(sites, self.ledger)
        self.watch = RolloutWatch(site, self.ledger, self.promoter, self.brakes, settler, works, tenants_of)

    # the clock

    def now(self) -> datetime:
        return wall(self.world.loop.time()) + timedelta(seconds=self.skew_s)

    def monotonic(self) -> float:
        return self.world.loop.time() - self._suspended_s

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._moving()

    # its life

    async def run(self) -> None:
        while True:
            with contextlib.suppress(*STORE_DOWN):
                await self.watch.tick()
            await self.sleep(WATCH_S)

    def begin(self, work: Any) -> asyncio.Task[Any]:
        task = self.world.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def crash(self) -> None:
        """Nothing of it is carried out any more, not even what its `finally` blocks say."""
        self.dead = True
        self.world.trace(f"{self.name} crashes")
        for task in self.tasks:
            task.cancel()

    # its awaits

    async def reach(self, call: Callable[[], Any], *, fails: Callable[[], NoReturn], sends: bool = False) -> Any:
        """Carry out one call to the outside, with what the schedule has in store for it. `sends`: behind it the process
        is about to send a promotion."""
        self._alive()
        tape = self.world.tape
        mishap = tape.mishap()
        await self._pass(tape.pace_s())
        if mishap is not None and mishap.trouble is Trouble.FAILS:
            fails()
        if mishap is not None and mishap.before:
            await self._suffer(mishap.trouble, mishap.lasts_s)
        answer = call()
        if sends:
            stop = tape.stop()
            await self._suffer(stop.trouble, stop.lasts_s)
        if mishap is not None and mishap.trouble is Trouble.ANSWER_LOST:
            fails()
        if mishap is not None and not mishap.before:
            await self._suffer(mishap.trouble, mishap.lasts_s)
        await self._pass(tape.pace_s())
        return answer

    async def _pass(self, seconds: float) -> None:
        if seconds > 0:
            await asyncio.sleep(seconds)
        await self._moving()

    async def _suffer(self, kind: Trouble, lasts_s: float) -> None:
        if kind is Trouble.CRASHES:
            self.crash()
        if kind in (Trouble.STANDS_STILL, Trouble.SUSPENDED):
            self.world.trace(f"{self.name} {kind.value} for {lasts_s:.2f} s")
            self._still_until = max(self._still_until, self.world.loop.time() + lasts_s)
            if kind is Trouble.SUSPENDED:
                self._suspended_s += lasts_s
        await self._moving()

    async def _moving(self) -> None:
        """No task of a process that stands still goes on."""
        while self.world.loop.time() < self._still_until:
            await asyncio.sleep(self._still_until - self.world.loop.time())
        self._alive()

    def _alive(self) -> None:
        if self.dead:
            raise asyncio.CancelledError

    # what its ports do

    def send(self, does: str) -> tuple[Request, Sending]:
        """The bytes are out: from here on the request lives without its sender. By then nothing was awaited."""
        world, now = self.world, self.world.loop.time()
        sending = world.tape.sending()
        request = Request(self.name, does, now)
        if does == "resume":
            written = _WRITTEN.get()
            request.meant, request.attempt = written["group_index"], written["number"]
            request.scheduler = written["by"]["kind"] == "scheduler"
        world.hawkbit.requests.append(request)
        world.trace(f"{self.name} sends {does} {request.meant or ''}: {sending.delivery}")
        if sending.delivery is not Delivery.NEVER:
            world.loop.call_later(sending.after_s, world.hawkbit.arrive, request)
        return request, sending

    async def answered(self, sent: tuple[Request, Sending], timeout_s: float) -> None:
        """Wait for hawkBit's answer, at most `timeout_s`."""
        request, sending = sent
        told = sending.delivery in (Delivery.ANSWERED, Delivery.SERVER_ERROR)
        await self.sleep(min(sending.after_s + 0.01, timeout_s) if told else timeout_s)
        if sending.delivery is not Delivery.ANSWERED or request.applied_at is None:
            raise OutcomeUnknown("hawkBit's answer did not come.", system="hawkBit")
        self.world.hawkbit.answer(request)


class _Store:
    """The store, as this process reaches it."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._process.world.store, name)

        def fails() -> NoReturn:
            raise RedisConnectionError("the connection broke")

        async def call(*args: Any) -> Any:
            attempt = _attempt(args)
            about_to_send = attempt is not None and attempt["state"] == "sent"
            if about_to_send and attempt is not None:
                _WRITTEN.set(attempt)
            return await self._process.reach(lambda: method(*args), fails=fails, sends=about_to_send)

        return call


def _attempt(args: Sequence[Any]) -> Mapping[str, Any] | None:
    """The newest attempt in the rollout's document, where these are the words of a commit that writes one."""
    for at, word in enumerate(args):
        if isinstance(word, str) and word.startswith("cdm:rollout:doc:") and at + 1 < len(args):
            attempts = orjson.loads(args[at + 1])["attempts"]
            return attempts[-1] if attempts else None
    return None


class _Hawkbit:
    """`core.ports.Rollouts`, as far as promotions and brakes ask."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._model = process.world.hawkbit

    async def active(self) -> Sequence[RolloutFacts]:
        return [found for found in [await self._read(self._model.facts)] if not found.status.terminal]

    async def rollout(self, rollout: RolloutId) -> RolloutFacts | None:
        found: RolloutFacts = await self._read(self._model.facts)
        return found

    async def groups(self, rollout: RolloutId) -> tuple[GroupFacts, ...]:
        found: tuple[GroupFacts, ...] = await self._read(self._model.group_facts)
        return found

    async def distribution_set(self, set_id: int) -> DistributionSet:
        found: DistributionSet = await self._read(lambda: DistributionSet(set_id, "FW", NEW, True, True))
        return found

    async def claims(self, rollout: RolloutId, group: GroupId, wanted: DistributionSet) -> Mapping[DeviceName, Claim]:
        def read() -> Mapping[DeviceName, Claim]:
            now = self._process.world.loop.time()
            return {d.name: Claim(d.name, None) for d in self._model.group(group).devices if d.claimed(now)}

        found: Mapping[DeviceName, Claim] = await self._read(read)
        return found

    async def members(self, rollout: RolloutId, group: GroupId) -> frozenset[DeviceName]:
        found: frozenset[DeviceName] = await self._read(
            lambda: frozenset(d.name for d in self._model.group(group).devices)
        )
        return found

    async def resume(self, rollout: RolloutId, *, timeout_s: float) -> None:
        await self._process.answered(self._process.send("resume"), timeout_s)

    async def pause(self, rollout: RolloutId) -> None:
        await self._process.answered(self._process.send("pause"), _ANSWER_S)

    async def _read(self, read: Callable[[], Any]) -> Any:
        return await self._process.reach(read, fails=_hawkbit_away)


class _Devices:
    """`core.ports.Devices`: telemetry sent this moment."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def device(self, name: DeviceName, keys: Sequence[str]) -> DeviceFacts | None:
        device = self._process.world.hawkbit.devices[name]

        def read() -> DeviceFacts:
            if device.unit.fate is Fate.UNREAD:
                _thingsboard_away()
            now = self._process.now()
            values = device.telemetry(self._process.world.loop.time())
            readings = {key: Reading(value, now) for key, value in values.items() if key in keys}
            return DeviceFacts(name, f"id-{name}", TENANT, None, True, now, readings, {})

        found: DeviceFacts = await self._process.reach(read, fails=_thingsboard_away)
        return found

    async def names(self, *, limit: int) -> Sequence[DeviceName]:
        return list(self._process.world.hawkbit.devices)[:limit]


def _hawkbit_away() -> NoReturn:
    raise Unavailable("hawkBit does not answer.", system="hawkBit")


def _thingsboard_away() -> NoReturn:
    raise Unavailable("ThingsBoard does not answer.", system="ThingsBoard")
