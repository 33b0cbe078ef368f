"""Promise P2, one promotion, by the whole program: one decision starts one group.

Two bots, each a process of its own, share one store. hawkBit ticks every 20 ms and devices finish at once, so about
40 ms after a resume the rollout waits for the next one: a request that is sent twice, or takes effect after its time,
starts a group of its own, and hawkBit's log shows it. hawkBit loses answers, applies requests late (up to the stated
`max_request_life_s`), answers 5xx after the effect. Two people click Promote and Resume and type the same as commands,
all the time. The bot that watches is stopped for twice its lease and goes on, again and again; one is killed.

What holds, and what does not. The bots are told of a tick of 1 s, of which `request_timeout_s` + `max_read_age_s` stay
below; hawkBit really ticks fifty times as fast. That assumption is broken on purpose. It stands against a resume that
somebody sends past the bot, in hawkBit itself, between our read and our request; nobody does that here. Against our own
requests, whoever asks for them, the rest of the fence must be enough: one open attempt a rollout, written down before
it is sent, no other until it can take no effect any more, and the read-back. The bound that this needs is kept: nothing
takes effect later than `max_request_life_s` after it was sent, and a process that stands still between its last check
and its first byte eats from the same time, so while one is stopped requests are less late (`LATE_WHILE_STOPPED_S`).

CDM_P2_PROMOTIONS sets the size (60).
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from core.audit import Entry, Keyring
from core.ids import GroupId, RolloutId, Stack
from core.rollouts.records import AttemptState, RolloutRecord
from integrations.clock import SystemClock
from integrations.store.audit import AuditLog
from integrations.store.connection import Store
from integrations.store.embedded import EmbeddedStore
from integrations.store.rollouts import RolloutStore
from sandbox.bot_process import BotProcess
from sandbox.cast import PEOPLE, ROLLOUTS, STACK
from sandbox.hawkbit.model import Rollout
from sandbox.settings_file import BOT
from sandbox.slack.inputs import NotOnScreen
from sandbox.wire import Fault, Faults
from tests.scenario.pair import go_on, pair, stand_still
from tests.scenario.program import audit_keys, still_world
from tests.scenario.program import until as holding
from tests.scenario.promotion_lab import GROUPS, PAUSED_AT, InstantFleet, Releases, buttons
from tests.scenario.rollout_lab import running, until

pytestmark = pytest.mark.alone

PROMOTIONS = int(os.environ.get("CDM_P2_PROMOTIONS", "60"))
TICK_S, TOLD_TICK_S = 0.02, 1.0
TIMEOUT_S, READ_AGE_S = 0.4, 0.5
LEASE_S, LIFE_S = 1.2, 2.4
STOP_S = 2 * LEASE_S
LATE_S = 0.95 * LIFE_S
LATE_WHILE_STOPPED_S = LEASE_S + LIFE_S - STOP_S - 0.3
DEADLINE_S = 60.0 + PROMOTIONS
SETTINGS: dict[str, Any] = {
    "promotion": {
        "settle_s": 0.2,
        "agree_s": 0.2,
        "request_timeout_s": TIMEOUT_S,
        "max_read_age_s": READ_AGE_S,
        "max_request_life_s": LIFE_S,
        "readings_per_tick": 10_000,
    },
    "timing": {"lease_s": LEASE_S},
}
RESUME = r"POST .*/resume"
ALICE, BOB = PEOPLE["alice"].id, PEOPLE["bob"].id


@dataclass(slots=True)
class Crowd:
    """People in Slack who want every rollout to go on, now. `did` counts what they did."""

    releases: Releases
    rng: random.Random
    did: Counter[str] = field(default_factory=Counter)

    async def push(self, user: str) -> None:
        """Press whatever starts a group or lifts a hold, sometimes twice; type the same, fitting or not."""
        people = self.releases.world.slack.people
        while True:
            await asyncio.sleep(self.rng.uniform(0.05, 0.3))
            shown = [(m, b) for m in self.releases.shown() for b in buttons(m)]
            offers = [
                (m, b) for m, b in shown if b in ("promote", "resume") or (b == "unhold" and self.rng.random() < 0.1)
            ]
            if self.rng.random() < 0.1:
                verb, rollout = self.rng.choice(("promote", "resume")), self.rng.choice(self.releases.all)
                self.did[f"typed {verb}"] += 1
                await people.slash(user, ROLLOUTS, "/cdm", f"rollout {verb} {rollout.name}")
                continue
            if not offers:
                continue
            message, button = self.rng.choice(offers)
            times = 2 if self.rng.random() < 0.3 else 1
            self.did[button] += times
            clicks = [people.click(user, ROLLOUTS, message.ts, button) for _ in range(times)]
            for answer in await asyncio.gather(*clicks, return_exceptions=True):
                if isinstance(answer, BaseException) and not isinstance(answer, NotOnScreen):
                    raise answer

    async def pause(self, user: str) -> None:
        """Pause each rollout whose held device is still installing."""
        people, waiting = self.releases.world.slack.people, self.releases.fleet.waiting
        while True:
            await asyncio.sleep(0.1)
            names = [rollout.name for rollout in self.releases.paused if rollout.id in waiting]
            shown = self.releases.messages() if names else {}
            for name in names:
                for message in [m for m in shown[name] if "pause" in buttons(m)]:
                    self.did["pause"] += 1
                    await people.click(user, ROLLOUTS, message.ts, "pause")


@dataclass(slots=True)
class Chaos:
    """What happens to the processes. `late` is the fault that is tamed while one of them stands still."""

    bots: Sequence[BotProcess]
    store: Store
    late: Fault
    rng: random.Random
    stopped: int = 0
    killed: int = 0

    async def run(self) -> None:
        turn = 0
        while True:
            await asyncio.sleep(self.rng.uniform(0.5, 1.2))
            if self.stopped and not self.killed:
                self.killed += 1
                await self.bots[0].kill()
                await self.bots[0].start()
            self.stopped += await self._stopped_as_watcher(self.bots[turn % 2])
            turn += 1

    async def _stopped_as_watcher(self, bot: BotProcess) -> bool:
        """Stop it for twice its lease if it is the one that watches. A holder's name does not tell the process; but
        what a stopped one holds runs out, and is never given back before. If it is, the other one watches."""
        key = f"cdm:lease:watch:{STACK}"
        while not await self.store.exists(key):
            await asyncio.sleep(0.01)
        self.late.delay_max_s = LATE_WHILE_STOPPED_S
        stand_still(bot)
        try:
            begun = time.monotonic()
            token, left_ms = await self.store.get(key), await self.store.pttl(key)
            while time.monotonic() < begun + STOP_S:
                if time.monotonic() < begun + left_ms / 1000 - 0.1 and await self.store.get(key) != token:
                    return False
                await asyncio.sleep(0.02)
            return token is not None  # None: it was given back just before the stop
        finally:
            go_on(bot)
            await asyncio.sleep(0.3)  # what it was about to send is sent by now
            self.late.delay_max_s = LATE_S


def break_hawkbit(faults: Faults) -> Fault:
    """Answers the fault that applies requests late."""
    faults.add("lost_answer", RESUME, share=0.1)
    faults.add("status_after", RESUME, share=0.05)
    faults.add("lost_request", RESUME, share=0.05)
    faults.add("status", r"GET .*/rollouts", share=0.01)
    return faults.add("late_request", RESUME, share=0.3, delay_s=0.3 * LIFE_S, delay_max_s=LATE_S)


async def test_p2_one_decision_starts_one_group_across_two_processes(embedded: EmbeddedStore, store: Store) -> None:
    rng = random.Random(2)
    async with still_world(devices=3, slack_rate=200.0, hawkbit_tick_s=TOLD_TICK_S) as world:
        fleet = InstantFleet(world, rng)
        releases = Releases(world, fleet, rng)
        async with pair(world, embedded, **SETTINGS) as bots, running(fleet.run()):
            world.hawkbit.tick_s = TICK_S
            for name in ("alice", "bob"):
                await world.login(PEOPLE[name].id, name)
            await releases.make(PROMOTIONS)
            await holding(prepared(store, releases), "the bots have looked at every first group twice", 60)
            crowd, faults = Crowd(releases, rng), world.servers["hawkbit"].faults
            chaos = Chaos(bots, store, break_hawkbit(faults), rng)
            for rollout in releases.all:
                world.hawkbit.tenant().operations.start(rollout, rollout.created_by)
            begun = time.monotonic()
            work = [crowd.push(ALICE), crowd.push(ALICE), crowd.push(BOB), crowd.push(BOB), crowd.pause(BOB)]
            async with running(chaos.run(), *work):
                await until(
                    lambda: not unended(releases) or bool(releases.alarms() or releases.past_a_gate()),
                    within_s=DEADLINE_S,
                    what=lambda: "\n".join(unended(releases)),
                )
            assert releases.alarms() + releases.past_a_gate() == []
            took_s = time.monotonic() - begun
            hits = {fault.kind: fault.hits for fault in faults.active}
            faults.clear()
            await holding(settled(store, releases), "every promotion is read back", 30)
            await asyncio.sleep(LIFE_S)  # whatever was still under way has arrived
            print(f"{took_s:.1f} s; faults {hits}; {crowd.did}; stopped {chaos.stopped}, killed {chaos.killed}")
        assert releases.alarms() + releases.past_a_gate() == []
        for rollout in releases.all:
            check_starts(releases, rollout, await record_of(store, rollout))
        check_audit(releases, await audit(store, audit_keys(world)))
        assert hits["late_request"] > 0
        assert sum(hits.values()) - hits["status"] > PROMOTIONS * 0.2, hits
        assert chaos.killed == 1
        assert chaos.stopped >= 2
        assert {name: len(messages) for name, messages in releases.messages().items() if len(messages) != 1} == {}


# what is waited for


async def record_of(store: Store, rollout: Rollout) -> RolloutRecord:
    return await RolloutStore(store).record(Stack(STACK), RolloutId(rollout.id))


def prepared(store: Store, releases: Releases) -> Callable[[], Awaitable[bool]]:
    """A look at each device before its group starts: only so can it be told that a device booted anew at once."""

    async def holds() -> bool:
        for rollout in releases.all:
            group = rollout.groups[0]
            kept = await RolloutStore(store).evidence(Stack(STACK), RolloutId(rollout.id), GroupId(group.id))
            if sum(device.before is not None for device in kept.devices.values()) < group.total:
                return False
        return True

    return holds


def unended(releases: Releases) -> list[str]:
    """How far each good rollout came that is not shown as finished and verified."""
    lines, messages = [], releases.messages()
    for rollout in releases.good:
        shown = " | ".join(message.text for message in messages[rollout.name])
        if "finished and verified" not in shown:
            lines.append(f"{rollout.name}: {shown}")
    return lines


def settled(store: Store, releases: Releases) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        return not any([(await record_of(store, rollout)).open_attempt for rollout in releases.all])

    return holds


# what must be true


def check_starts(releases: Releases, rollout: Rollout, record: RolloutRecord) -> None:
    """By hawkBit's own log: none lost, none doubled, none out of order, each by the attempt that was meant for it."""
    starts = releases.starts()[rollout.id]
    good = rollout in releases.good
    assert [start.index for start in starts] == list(range(GROUPS if good else 2)), rollout.name
    assert [(start.by, start.user) for start in starts[1:]] == [("resume", BOT)] * (len(starts) - 1), rollout.name
    states = [(a.number, a.group_index, a.state.value) for a in record.attempts]
    started = [a.group_index for a in record.attempts if a.state is AttemptState.STARTED]
    assert started == [start.index + 1 for start in starts[1:]], f"{rollout.name}: {states}"
    assert not [a for a in record.attempts if a.state is AttemptState.UNEXPECTED], f"{rollout.name}: {states}"
    if rollout in releases.paused:
        started_by = [
            a.by for a in record.attempts if (a.group_index, a.state) == (PAUSED_AT + 1, AttemptState.STARTED)
        ]
        assert [by.person for by in started_by] == [True], rollout.name


async def audit(store: Store, keys: Keyring) -> list[Entry]:
    log = AuditLog(store, SystemClock(), keys)
    _, broken = await log.verify()
    assert broken is None, broken
    return [entry async for entry in log.entries() if entry.action == "promote"]


def check_audit(releases: Releases, entries: Sequence[Entry]) -> None:
    """Each start was decided on passed gates, written down before it, and its outcome after it, once: also by the bots
    that were stopped and killed."""
    intents = {entry.ref or str(entry.seq): entry for entry in entries if entry.kind == "intent"}
    outcomes = {entry.ref: str(entry.data["state"]) for entry in entries if entry.kind == "outcome"}
    for intent in intents.values():
        share = intent.data["gates"]["share"]
        assert intent.data["verdict"] == "pass"
        assert share["verified"] * 100 >= 95 * share["of"]
    told = Counter(intents[ref].object for ref, state in outcomes.items() if state == "started")
    begun = Counter(
        f"rollout:{STACK}/{start.rollout}/group:{start.index + 1}"
        for starts in releases.starts().values()
        for start in starts[1:]
    )
    assert told == begun
    assert Counter(entry.ref for entry in entries if entry.kind == "outcome") == Counter(intents.keys())
