"""The story that plays by itself: a release goes out to the whole fleet, and things happen on the way.

Every step waits for what it promises with a deadline, looking only at what is on the wire: messages in Slack, and the
answers of hawkBit, ThingsBoard and the relay. A promise not kept is told loudly and remembered in `failures`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from sandbox.cast import PEOPLE, ROLLOUTS, SET_NAME, SETS, TENANTS, Tenant
from sandbox.slack.client import SlackPeople
from sandbox.slack.inputs import NotOnScreen
from sandbox.slack.seen import SeenMessage
from sandbox.world import SandboxWorld

_, NEW, PILOT = SETS
RELEASE = f"{SET_NAME}-{NEW}"
PILOT_NAME = f"pilot-{PILOT}"
PILOT_DEVICES = 4
LEAST_CANARIES = 20
"""With fewer devices in a group, one failure would be more than 5 %."""
LEAST_DEVICES = 100
LOOK_S = 0.2
MALLORY, CAROL = PEOPLE["mallory"], PEOPLE["carol"]


class Unmet(Exception):
    """What should have happened did not, in time."""


class Story:
    """`tell` prints one line."""

    def __init__(self, world: SandboxWorld, tell: Callable[[str], None]) -> None:
        self.failures: list[str] = []
        self.finished = False
        self._world = world
        self._slack: SlackPeople = world.people
        self._tell = tell
        self._began = time.monotonic()
        self._release = self._pilot = 0
        self._failing = ""
        self._tenant: Tenant = TENANTS[0]
        self._alarm: SeenMessage | None = None

    async def play(self) -> None:
        """From the first to the last step. A failed step is told; the next ones are tried all the same."""
        steps: tuple[Callable[[], Awaitable[None]], ...] = (
            self._fleet_is_online,
            self._people_link,
            self._release_starts,
            self._pilot_starts,
            self._failure_is_shown,
            self._operator_reads_the_device,
            self._operator_acknowledges,
            self._others_are_refused,
            self._operator_promotes_the_pilot,
            self._scheduler_promotes_the_canary,
            self._device_is_repaired,
            self._release_ends,
        )
        for step in steps:
            try:
                await step()
            except (Unmet, AssertionError, LookupError, TimeoutError, httpx.HTTPError) as wrong:
                name = step.__name__.strip("_").replace("_", " ")
                self.failures.append(f"{name}: {wrong or type(wrong).__name__}")
                self._tell(f"!! {self.failures[-1]}")
        self.finished = True
        seconds = time.monotonic() - self._began
        end = f"promises not kept: {len(self.failures)}" if self.failures else "every promise was kept"
        self._say(f"the story ends after {seconds:.0f} s: {end}")

    def _say(self, line: str) -> None:
        self._tell(f"-- {line}")

    # steps

    async def _fleet_is_online(self) -> None:
        wanted = len(self._world.fleet.devices)
        self._say(f"{wanted} devices of three customers come online")
        await self._until(f"all {wanted} devices active in ThingsBoard", self._all_active, 60)

    async def _all_active(self) -> bool:
        for tenant in TENANTS:
            account = await self._world.thingsboard_account(tenant.id)
            page = await account.get("/api/tenant/deviceInfos?pageSize=1&page=0&active=true")
            if page["totalElements"] < self._world.counts[tenant.id]:
                return False
        return True

    async def _people_link(self) -> None:
        for person in PEOPLE.values():
            if person.linked:
                self._say(f"{person.name} ({person.role}) links Slack and Keycloak: /cdm link, and a browser")
                page = await self._world.login(person.id, person.name)
                if "now linked" not in page:
                    raise Unmet(f"{person.name}'s browser ends at: {page[:200]}")
        self._say(f"{MALLORY.name} is {MALLORY.role}, so there is nothing to link")

    async def _release_starts(self) -> None:
        total = len(self._world.fleet.devices) - len(self._pilots)
        canaries = max(5.0, 100 * LEAST_CANARIES / total)
        groups = (canaries, 25.0, 75.0 - canaries)
        names = ",".join(self._pilots)
        self._release = await self._world.pipeline.release(NEW, query=f"controllerId=out=({names})", groups=groups)
        sizes = [str(group["totalTargets"]) for group in await self._world.pipeline.groups(self._release)]
        self._say(f"the pipeline makes the rollout {RELEASE}, groups of {', '.join(sizes)}, PAUSE after each")
        canary = await self._world.pipeline.members(self._release, 1)
        for tenant in reversed(TENANTS):
            for name in canary:
                if name.startswith(f"{tenant.letter}-"):
                    self._failing, self._tenant = name, tenant
        self._world.device(self._failing).fate = "fails"
        falling = (await self._world.pipeline.members(self._release, 2))[0]
        self._world.device(falling).fate = "falls_back"
        self._say(f"nobody knows yet: {self._failing} will fail to install, {falling} will fall back after its reboot")
        await self._world.pipeline.order(self._release, "start")
        self._say("the rollout is started")
        await self._message(ROLLOUTS, "the rollout is shown", lambda m: RELEASE in m.shown)

    @property
    def _pilots(self) -> list[str]:
        first = TENANTS[0]
        count = self._world.counts[first.id]
        return [first.device(number) for number in range(count - PILOT_DEVICES + 1, count + 1)]

    async def _pilot_starts(self) -> None:
        """Made by hand, so not the bot's to promote."""
        self._say(
            f"somebody tries {PILOT} by hand on {PILOT_DEVICES} devices of {TENANTS[0].id}: a person promotes that"
        )
        query = f"controllerId=in=({','.join(self._pilots)})"
        by_hand = self._world.by_hand
        self._pilot = await by_hand.release(PILOT, query=query, groups=(50, 50), name=PILOT_NAME)
        await by_hand.order(self._pilot, "start")

    async def _failure_is_shown(self) -> None:
        self._alarm = await self._message(
            self._tenant.channel,
            f"the OTA Failure of {self._failing} is shown",
            lambda m: self._failing in m.shown and _has(m, "run:rauc-status"),
            60,
        )

    async def _operator_reads_the_device(self) -> None:
        who, alarm = PEOPLE[self._tenant.operator], self._shown_alarm()
        self._say(f"{who.name} presses RAUC status")
        await self._slack.click(who.id, self._tenant.channel, alarm.ts, "run:rauc-status")
        await self._message(
            self._tenant.channel,
            f"what {self._failing} answered is in the thread",
            lambda m: m.thread_ts == alarm.ts and "Runs slot" in m.shown,
        )
        await self._until(f"{self._failing} ran rauc status", self._ran_rauc, 5)

    async def _ran_rauc(self) -> bool:
        ran = (await self._sandbox("relay", "/_sandbox/relay"))["ran"]
        return any(one["device"] == self._failing and one["argv"][:2] == ["rauc", "status"] for one in ran)

    async def _operator_acknowledges(self) -> None:
        who, alarm = PEOPLE[self._tenant.operator], self._shown_alarm()
        self._say(f"{who.name} acknowledges")
        await self._slack.click(who.id, self._tenant.channel, alarm.ts, "acknowledge")
        await self._until("the alarm is acknowledged in ThingsBoard", lambda: self._alarm_is("acknowledged"), 20)
        await self._message(
            self._tenant.channel,
            "the message says acknowledged",
            lambda m: m.ts == alarm.ts and "cknowledged" in m.shown,
        )

    async def _others_are_refused(self) -> None:
        shown = await self._message(
            ROLLOUTS, "the pilot can be promoted", lambda m: PILOT_NAME in m.shown and _has(m, "promote"), 60
        )
        for who, wanted in ((MALLORY, "not linked"), (CAROL, "needs the role")):
            self._say(f"{who.name} ({who.role}) presses Promote")
            before = {said.ts for said in await self._slack.ephemerals(who.id)}
            await self._slack.click(who.id, ROLLOUTS, shown.ts, "promote")
            said = await self._slack.wait_for_ephemeral(who.id, lambda e, old=before: e.ts not in old)  # type: ignore[misc]
            if wanted not in said.shown:
                raise Unmet(f"{who.name} was told {said.shown!r}, not {wanted!r}")
        if await self._world.by_hand.started(self._pilot) != 1:
            raise Unmet("a group started although both were refused")

    async def _operator_promotes_the_pilot(self) -> None:
        who = PEOPLE[TENANTS[0].operator]
        shown = await self._message(
            ROLLOUTS, "the pilot can still be promoted", lambda m: PILOT_NAME in m.shown and _has(m, "promote")
        )
        self._say(f"{who.name} ({who.role}) presses Promote")
        await self._slack.click(who.id, ROLLOUTS, shown.ts, "promote")
        await self._until("the pilot's second group starts", lambda: self._group_started(self._pilot, 2), 20)

    async def _scheduler_promotes_the_canary(self) -> None:
        await self._until(f"group 2 of {RELEASE} starts", lambda: self._group_started(self._release, 2), 90)
        self._say(f"the canaries are verified on the devices themselves: the scheduler has promoted {RELEASE}")

    async def _group_started(self, rollout: int, number: int) -> bool:
        """By a request of the bot's own account, once."""
        starts = (await self._sandbox("hawkbit", "/_sandbox/hawkbit"))["starts"]
        mine = [one for one in starts if one["rollout"] == rollout and one["index"] == number - 1]
        if mine and (len(mine) > 1 or mine[0]["user"] != "cdm-bot"):
            raise Unmet(f"group {number} of rollout {rollout} was started by {[one['user'] for one in mine]}")
        return bool(mine)

    async def _device_is_repaired(self) -> None:
        who, alarm = PEOPLE[self._tenant.operator], self._shown_alarm()
        self._world.device(self._failing).fate = "good"
        self._say(f"the cause on {self._failing} is found; {who.name} presses Redeploy")
        await self._slack.click(who.id, self._tenant.channel, alarm.ts, "redeploy")
        await self._until(f"{self._failing} runs {NEW}", self._runs_new, 40)
        await self._until("the alarm is cleared in ThingsBoard", lambda: self._alarm_is("cleared"), 20)
        await self._message(
            self._tenant.channel, "the message turns green", lambda m: m.ts == alarm.ts and "cleared" in m.shown
        )

    async def _runs_new(self) -> bool:
        account = await self._world.thingsboard_account(self._tenant.id)
        device = await account.get(f"/api/tenant/devices?deviceName={self._failing}")
        values = await account.get(
            f"/api/plugins/telemetry/DEVICE/{device['id']['id']}/values/timeseries?keys=sw_version"
        )
        return bool(values["sw_version"][0]["value"] == NEW)

    async def _release_ends(self) -> None:
        await self._until(f"group 3 of {RELEASE} starts", lambda: self._group_started(self._release, 3), 90)
        await self._until(f"{RELEASE} ends in hawkBit", self._finished, 90)
        await self._message(
            ROLLOUTS,
            "the rollout's message says that it is finished",
            lambda m: RELEASE in m.shown and "finished" in m.shown,
        )

    async def _finished(self) -> bool:
        return bool((await self._world.pipeline.rollout(self._release))["status"] == "finished")

    # what they share

    def _shown_alarm(self) -> SeenMessage:
        if self._alarm is None:
            raise Unmet("there is no alarm to act on")
        return self._alarm

    async def _alarm_is(self, state: str) -> bool:
        account = await self._world.thingsboard_account(self._tenant.id)
        page = await account.get("/api/v2/alarms?pageSize=1000&page=0")
        return any(one["originatorName"] == self._failing and one[state] for one in page["data"])

    async def _message(
        self, channel: str, what: str, fits: Callable[[SeenMessage], bool], within_s: float = 30
    ) -> SeenMessage:
        try:
            return await self._slack.wait_for(channel, fits, within_s)
        except AssertionError as missing:
            raise Unmet(f"{what}: not within {within_s:.0f} s") from missing

    async def _until(self, what: str, holds: Callable[[], Awaitable[bool]], within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while not await holds():
            if time.monotonic() > deadline:
                raise Unmet(f"{what}: not within {within_s:.0f} s")
            await asyncio.sleep(LOOK_S)

    async def _sandbox(self, system: str, path: str) -> Any:
        async with httpx.AsyncClient(trust_env=False, timeout=10) as http:
            return (await http.get(f"{self._world.servers[system].url}{path}")).json()


def _has(message: SeenMessage, action_id: str) -> bool:
    try:
        message.button(action_id)
    except NotOnScreen:
        return False
    return True
