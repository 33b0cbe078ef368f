"""Devices that end an action at once, and the rollouts of the promotion test over them."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from sandbox.cast import ROLLOUTS, SETS
from sandbox.hawkbit.control import finish, seed_target
from sandbox.hawkbit.model import Rollout
from sandbox.hawkbit.repository import GroupStart
from sandbox.pipeline import Pipeline
from sandbox.slack.inputs import elements
from sandbox.slack.records import Message
from sandbox.thingsboard.entities import Device
from sandbox.world import SandboxWorld

GROUPS = 6
PAUSED_AT = 3
"""The group at which people pause the rollouts that they are to pause."""
OLD, NEW = SETS[0], SETS[1]
TELEMETRY_S = 0.5


@dataclass(slots=True)
class Controller:
    """A device that has installed by the time it is told to. `finished_at` and `told_new_at` are Unix times: of its
    report to hawkBit, and of the first telemetry out of the new version."""

    name: str
    known: Device
    version: str = OLD
    slot: str = "A"
    boot: str = "boot-0"
    finished_at: float = float("inf")
    told_new_at: float = float("inf")


@dataclass(slots=True)
class InstantFleet:
    """Devices that end an action as soon as their group runs, and boot into the new version right after.

    `falling_back` ones boot into the old version again, `never_rebooting` ones not at all. In the rollouts of `held`
    one device of the group PAUSED_AT (`waiting`) goes on installing until hawkBit shows the rollout paused.
    """

    world: SandboxWorld
    rng: random.Random
    devices: dict[str, Controller] = field(default_factory=dict)
    held: set[int] = field(default_factory=set)
    waiting: dict[int, str] = field(default_factory=dict)
    falling_back: set[str] = field(default_factory=set)
    never_rebooting: set[str] = field(default_factory=set)
    _live: dict[int, list[Controller]] = field(default_factory=dict)

    def add(self, name: str) -> None:
        """One of customer-a, running the old set."""
        server, repo = self.world.thingsboard.world, self.world.hawkbit.tenant().repo
        like = next(d for d in server.devices.values() if d.name == "a-gw-001")
        owner, profile = server.tenants[like.tenant], server.profiles[like.profile]
        old = next(s for s in repo.sets.values() if s.version == OLD)
        seed_target(repo, name, installed=old)
        self.devices[name] = Controller(name, self.world.thingsboard.add_device(owner, name, profile=profile))
        self._report(self.devices[name])

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._work())
            tasks.create_task(self._tell())

    async def _work(self) -> None:
        hawkbit, seen = self.world.hawkbit, 0
        rollouts = hawkbit.tenant().repo.rollouts
        while True:
            for start in hawkbit.starts[seen:]:
                seen += 1
                members = [self.devices[t.controller_id] for t in rollouts[start.rollout].groups[start.index].members]
                self._live[start.rollout] = members
                if start.rollout in self.held and start.index == PAUSED_AT - 1:
                    self.waiting[start.rollout] = members.pop().name
                for device in members:
                    self._install(device)
            for rollout in [r for r in self.waiting if rollouts[r].status == "paused"]:
                device = self.devices[self.waiting.pop(rollout)]
                self._live[rollout].append(device)
                self._install(device)
            await asyncio.sleep(0.005)

    def _install(self, device: Controller) -> None:
        finish(self.world.hawkbit.tenant().repo, device.name)
        device.finished_at = time.time()
        if device.name not in self.never_rebooting:
            delay = self.rng.uniform(0.0, 0.2) if self.rng.random() < 0.9 else 2.5
            asyncio.get_running_loop().call_later(delay, self._boot, device)

    def _boot(self, device: Controller) -> None:
        device.boot = "boot-1"
        if device.name not in self.falling_back:
            device.version, device.slot = NEW, "B"
            device.told_new_at = time.time()
        self._report(device)

    def _report(self, device: Controller) -> None:
        values = {"sw_version": device.version, "rauc_slot": device.slot, "boot_id": device.boot}
        self.world.thingsboard.field.post_telemetry(device.known, values)

    async def _tell(self) -> None:
        while True:
            for device in [device for members in self._live.values() for device in members]:
                self._report(device)
                await asyncio.sleep(0)
            await asyncio.sleep(TELEMETRY_S)


@dataclass(slots=True)
class Releases:
    """The rollouts of the test. `good` ones must reach their last group: those `by_policy` are the scheduler's to
    promote, those `by_hand` a person's, `paused` ones are paused and resumed by people on their way. `bad` ones must
    not pass their second group."""

    world: SandboxWorld
    fleet: InstantFleet
    rng: random.Random
    by_policy: list[Rollout] = field(default_factory=list)
    by_hand: list[Rollout] = field(default_factory=list)
    paused: list[Rollout] = field(default_factory=list)
    bad: list[Rollout] = field(default_factory=list)

    @property
    def good(self) -> list[Rollout]:
        return [*self.by_policy, *self.by_hand, *self.paused]

    @property
    def all(self) -> list[Rollout]:
        return [*self.good, *self.bad]

    async def make(self, promotions: int) -> None:
        """Ready to start. `promotions` is how many groups of good ones are to be started after their first."""
        world = self.world
        homes = ((self.by_policy, world.pipeline), (self.by_hand, world.by_hand), (self.paused, world.pipeline))
        for number in range(max(promotions // (GROUPS - 1), 4)):
            kind, owner = homes[(0, 1, 0, 2)[number % 4]]
            kind.append(await self._release(f"p2-{number:03}", owner))
        for name, fate in (("liars", self.fleet.falling_back), ("sleepers", self.fleet.never_rebooting)):
            rollout = await self._release(name, world.pipeline)
            self.bad.append(rollout)
            fate |= {target.controller_id for target in rollout.groups[1].members}
        self.fleet.held |= {rollout.id for rollout in self.paused}

    async def _release(self, name: str, owner: Pipeline) -> Rollout:
        sizes = [self.rng.randint(1, 3) for _ in range(GROUPS)]
        for number in range(sum(sizes)):
            self.fleet.add(f"a-{name}-{number:02}")
        shares = [100 * size / sum(sizes) for size in sizes]
        id = await owner.release(NEW, query=f"controllerId==a-{name}-*", groups=shares, name=name)
        made = self.world.hawkbit.tenant().repo.rollouts[id]
        assert [group.total for group in made.groups] == sizes
        return made

    def starts(self) -> dict[int, list[GroupStart]]:
        """By rollout, every group that hawkBit began, in order, by hawkBit's own log."""
        found: dict[int, list[GroupStart]] = {rollout.id: [] for rollout in self.all}
        for start in self.world.hawkbit.starts:
            found[start.rollout].append(start)
        return found

    def past_a_gate(self) -> list[str]:
        """Groups that began before 95 % of the group before them had finished, and had told that they run the new
        version."""
        found, starts = [], self.starts()
        for rollout in self.all:
            for start in starts[rollout.id][1:]:
                before = [self.fleet.devices[t.controller_id] for t in rollout.groups[start.index - 1].members]
                proven = sum(max(d.finished_at, d.told_new_at) * 1000 < start.at + 1 for d in before)
                if proven * 100 < 95 * len(before):
                    found.append(f"{rollout.name}: group {start.index + 1} after {proven} of {len(before)}")
        return found

    def messages(self) -> dict[str, list[Message]]:
        """By the name of the rollout, what stands in the channel of it, replies left out."""
        found: dict[str, list[Message]] = {rollout.name: [] for rollout in self.all}
        for message in self.shown():
            name = message.text.split("*")[1:2]
            found[name[0]].append(message)
        return found

    def alarms(self) -> list[str]:
        """What the bots cry out in the threads: a group started that nobody meant to start."""
        return [message.text for message in self._standing() if message.is_reply]

    def shown(self) -> Iterator[Message]:
        """What stands in the rollouts' channel now, replies left out."""
        return (message for message in self._standing() if not message.is_reply)

    def _standing(self) -> list[Message]:
        return [m for m in self.world.slack.workspace.messages[ROLLOUTS].values() if not m.deleted]


def buttons(message: Message) -> list[str]:
    """The action ids of its buttons."""
    return [part["action_id"] for _, part in elements(message.blocks)]
