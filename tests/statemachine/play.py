"""Plays one schedule: two processes of the bot on one store, hawkBit, devices, people and trouble; then calm."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import structlog

from core.errors import OutsideError
from core.ids import Subject
from core.messages.blocks import Message
from core.rollouts.actors import person
from core.rollouts.policy import PromotionPolicy
from core.rollouts.records import RolloutRecord
from core.rollouts.views import Progress
from flows.rollouts import ledger
from integrations.store.connection import STORE_DOWN
from integrations.store.rollouts import RolloutStore
from tests.statemachine.model import ADMIN, ROLLOUT, HawkbitModel, Request
from tests.statemachine.process import EU1, WATCH_S, Process, World
from tests.statemachine.schedule import ADMINS, POLICY, Act, Deed, Schedule
from tests.statemachine.store import StoreModel
from tests.statemachine.tape import Tape
from tests.statemachine.virtual import VirtualLoop

ANNA, BERT = person(Subject("sub-anna"), "anna"), person(Subject("sub-bert"), "bert")
CALM_S = 45.0
"""So long after the last trouble and the last start nothing may be left to do: a dead holder's lease, a request's life,
the settling, two agreeing reads and the slowest device take less."""
_FIRST_S = 8.0  # the bots see the release before it is started
_LONGEST_S = 1_800.0
_AWAY_S = 5.0


@dataclass(slots=True)
class Played:
    """What is left of a schedule: hawkBit's log, what the bot wrote down, the attempts it raised an alarm for, how
    often each thing went wrong (`hits`), and what happened in words."""

    schedule: Schedule
    hawkbit: HawkbitModel
    record: RolloutRecord
    alarms: frozenset[int]
    hits: Counter[str]
    ended_at: float
    trace: list[str]
    broken: list[str]


@dataclass(slots=True)
class _Stage:
    world: World
    schedule: Schedule
    policy: PromotionPolicy
    processes: list[Process] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    records: RolloutStore = field(init=False)

    def __post_init__(self) -> None:
        self.records = RolloutStore(_Plain(self.world.store))

    async def play(self) -> None:
        loop, hawkbit, tape = self.world.loop, self.world.hawkbit, self.world.tape
        self.processes += [self._process(0), self._process(1)]
        work = [loop.create_task(self._tick())]
        work += [loop.create_task(self._keep(n)) for n in (0, 1)]
        await asyncio.sleep(_FIRST_S)
        hawkbit.start()
        while hawkbit.started == 0:
            await asyncio.sleep(0.1)
        tape.wild = True
        work += [loop.create_task(self._person(deed)) for deed in self.schedule.deeds]
        done = await self._calm()
        self.world.trace("calm" if done else "it never came to rest")
        for process in self.processes:
            process.dead = True
            work += process.tasks
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)

    async def _calm(self) -> bool:
        """Until nothing has gone wrong and nothing has begun for long enough. People finish what they began: whoever
        paused or held resumes, as the message offers."""
        loop, hawkbit, tape = self.world.loop, self.world.hawkbit, self.world.tape
        began, seen, since = loop.time(), (0, 0), loop.time()
        last_deed = began + max((deed.at_s for deed in self.schedule.deeds), default=0.0)
        while loop.time() < began + _LONGEST_S:
            await asyncio.sleep(WATCH_S)
            if not tape.over and loop.time() > last_deed and (await self._finished()):
                tape.wild = False
            now = (hawkbit.started, tape.hits.total())
            if not tape.over or loop.time() < last_deed or now != seen:
                seen, since = now, loop.time()
                continue
            if await self._finished() or loop.time() > since + CALM_S:
                return True
            await self._tidy()
        return False

    async def _finished(self) -> bool:
        hawkbit = self.world.hawkbit
        record = await self.records.record(EU1, ROLLOUT)
        return hawkbit.started == len(hawkbit.groups) and record.open_attempt is None and not self._under_way()

    def _under_way(self) -> bool:
        """A request may still be applied."""
        born = self.world.loop.time() - POLICY.max_request_life_s
        return any(r.applied_at is None and r.sent_at >= born for r in self.world.hawkbit.requests)

    async def _tick(self) -> None:
        await asyncio.sleep(self.schedule.phase_s)
        while True:
            self.world.hawkbit.tick()
            await asyncio.sleep(self.policy.tick_s)

    # processes

    def _process(self, number: int) -> Process:
        return Process(self.world, f"bot {number}", self.schedule.skew_s * number, self.policy)

    async def _keep(self, number: int) -> None:
        """A process that crashed is started anew a moment later."""
        await asyncio.sleep(0.7 * number)
        while True:
            process = self.processes[number]
            running = process.begin(process.run())
            await asyncio.wait([running])
            if not running.cancelled() and (error := running.exception()) is not None:
                self.broken.append(f"a process ended: {error!r}")
                return
            await asyncio.sleep(_AWAY_S)
            self.processes[number] = self._process(number)

    # people

    async def _person(self, deed: Deed) -> None:
        await asyncio.sleep(deed.at_s)
        await self._act(deed.act, deed.process)

    async def _act(self, act: Act, number: int) -> None:
        process = self.processes[number]
        if act in ADMINS:
            await self._in_hawkbit(act)
            return
        if process.dead:
            return
        self.world.trace(f"a person's {act.value} by {process.name}")
        brakes = {Act.PAUSE: process.brakes.pause, Act.HOLD: process.brakes.hold}
        if act in brakes:
            tasks = [process.begin(brakes[act](EU1, ROLLOUT, ANNA, "by hand"))]
        elif act is Act.UNHOLD:
            tasks = [process.begin(process.brakes.unhold(EU1, ROLLOUT, ANNA))]
        else:
            tasks = self._clicks(act, number)
        for task in tasks:
            await asyncio.wait([task])
            if task.cancelled():
                continue
            error = task.exception()
            if error is not None and not isinstance(error, (*STORE_DOWN, OutsideError)):
                self.broken.append(f"a person's {act.value} raised {error!r}")

    async def _in_hawkbit(self, act: Act) -> None:
        hawkbit, loop = self.world.hawkbit, self.world.loop
        if act is Act.ADMIN_RACES:
            written = self.world.tape.attempts
            while self.world.tape.attempts == written and not self._under_way():
                await asyncio.sleep(0.03)
        request = Request(ADMIN, "pause" if act is Act.ADMIN_PAUSE else "resume", loop.time())
        hawkbit.requests.append(request)
        hawkbit.arrive(request)

    def _clicks(self, act: Act, number: int) -> list[asyncio.Task[Any]]:
        group = self.world.hawkbit.started + (2 if act is Act.PROMOTE_OTHER else 1)
        where = [(number, ANNA), (1 - number, BERT)] if act is Act.PROMOTE_TWICE else [(number, ANNA)]
        return [
            process.begin(process.promoter.promote(EU1, ROLLOUT, group, by, wait_s=1.0))
            for process, by in ((self.processes[n], by) for n, by in where)
            if not process.dead
        ]

    async def _tidy(self) -> None:
        record = await self.records.record(EU1, ROLLOUT)
        view = record.progress
        if record.hold is not None and record.hold.by.person:
            await self._act(Act.UNHOLD, 0)
        elif view is not None and view.can_resume:
            await self._act(Act.PROMOTE, 0)


def _terse(view: Progress) -> Message:
    """How a message is laid out costs half of a schedule, and is tested elsewhere."""
    return Message(f"{view.mood}: {'; '.join(view.reasons)}", ())


class _Plain:
    """The store for whoever only looks on."""

    def __init__(self, model: StoreModel) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any) -> Any:
            return getattr(self._model, name)(*args)

        return call


def play(schedule: Schedule, policy: PromotionPolicy = POLICY) -> Played:
    """The whole schedule, in virtual time. `policy` is what the bots go by; the world keeps to `POLICY`'s bounds."""
    loop = VirtualLoop()
    trace: list[str] = []

    def note(what: str) -> None:
        trace.append(f"{loop.time():8.2f}  {what}")

    hawkbit = HawkbitModel(schedule, loop.time, note)
    world = World(loop, Tape(schedule), hawkbit, StoreModel(loop.time), note)
    stage = _Stage(world, schedule, policy)
    asyncio.set_event_loop(None)
    try:
        with _errors_logged(stage.broken), patch.object(ledger, "rollout_message", _terse):
            loop.run_until_complete(stage.play())
            record = loop.run_until_complete(stage.records.record(EU1, ROLLOUT))
    finally:
        loop.close()
    keys = [key.partition(":unexpected:") for key in world.store.keys("cdm:outbox:want:")]
    alarms = frozenset(int(attempt) for _, what, attempt in keys if what)
    return Played(schedule, hawkbit, record, alarms, world.tape.hits, loop.time(), trace, stage.broken)


@contextlib.contextmanager
def _errors_logged(broken: list[str]) -> Iterator[None]:
    """What the flows log as an error is a fault found; the rest is not kept."""

    def keep(_: Any, __: str, event: Any) -> Any:
        broken.append(f"logged: {event}")
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.processors.format_exc_info, keep],
        wrapper_class=structlog.make_filtering_bound_logger(40),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)
