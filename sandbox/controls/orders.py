"""What a person may do to the sandbox itself, at the console, in the panel or in a scenario: one set of words."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, get_args

import httpx

from sandbox import cast
from sandbox.cast import TENANTS, Tenant
from sandbox.controls.buttons import STORM, SYSTEMS, buttons
from sandbox.controls.panel import fleet_json, rollouts_json
from sandbox.controls.storm import Storm
from sandbox.fleet import Fate, SimulatedDevice
from sandbox.tempo import SPEEDS
from sandbox.world import SandboxWorld

FATES: tuple[Fate, ...] = get_args(Fate)
BAD: tuple[Fate, ...] = ("falls_back", "fails", "never_reboots")
OUTSIDE = r"^\w+ (?!/_sandbox)"
"""Every request but those through the sandbox's own doors."""
SLOW_S = 3.0
RESTART_S = 4.0
MOST_ALARMS = 999
KEPT = 20
HELP = f"""\
  alice> /cdm rollout status      alice types a command in #rollouts; also: alice #alarms-a> /cdm alarms
  bob> click 3                    bob presses button [3]
  bob> hello                      bob writes a message
  link erin                       erin links her Slack user with her Keycloak account, in a browser
  release 1.2.0                   the pipeline starts a rollout in groups of 5, 25 and 70 %
  break gw a-gw-003 falls_back    its next update: {", ".join(FATES)};
                                  or it is offline, online
  break bundle 1.2.0 falls_back   what becomes of all who install it: {", ".join(BAD)}, good
  break site customer-b offline   all its devices; or online
  break keycloak down             down, slow or up: {", ".join(SYSTEMS)}
  restart hawkbit                 it is away for some seconds
  alarms {STORM}                      so many devices fail at once; end it with: alarms over
  speed 4                         how fast the devices' time goes: {", ".join(f"{one:g}" for one in SPEEDS)}
  help, quit"""


class Misunderstood(Exception):
    """Nothing was done, or not all of it; the text says why."""


class Played(Protocol):
    """The scenario under way, for the panel."""

    def view(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Said:
    """`at` is a Unix time."""

    at: float
    text: str


class Controls:
    """Every command answers with a line to print. `story` is the scenario under way, if there is one."""

    def __init__(self, world: SandboxWorld) -> None:
        self.story: Played | None = None
        self._world = world
        self._storm = Storm(world)
        self._states = dict.fromkeys(SYSTEMS, "up")
        self._recent: deque[Said] = deque(maxlen=KEPT)

    def view(self) -> dict[str, Any]:
        """The world as JSON for a panel, and what can be done to it."""
        fleet, speed = self._world.fleet, self._world.tempo.speed
        cut_off = {tenant.id for tenant in TENANTS if all(d.cut_off for d in self._devices(tenant))}
        shown = buttons(states=self._states, bad=set(fleet.bad), offline=cut_off, stormy=self._storm.rages, speed=speed)
        away = {"hawkbit": "down"} if self._world.hawkbit_restarting else {}
        return {
            "fleet": fleet_json(self._world),
            "rollouts": rollouts_json(self._world),
            "systems": [{"name": name, "state": state} for name, state in (self._states | away).items()],
            "recent": [asdict(said) for said in self._recent],
            "speed": speed,
            "speeds": list(SPEEDS),
            "story": self.story.view() if self.story else None,
            "controls": [one.json() for one in shown],
        }

    async def run(self, words: Sequence[str]) -> str:
        """Carry out one command. Raises Misunderstood."""
        try:
            said = await self._run(list(words))
        except (httpx.HTTPError, TimeoutError, AssertionError, LookupError) as failed:
            raise Misunderstood(f"That did not work: {type(failed).__name__}: {failed}") from failed
        self._recent.appendleft(Said(time.time(), said))
        return said

    async def _run(self, words: list[str]) -> str:
        match words:
            case ["break", "gw", device, how]:
                return self._break_device(device, how)
            case ["break", "bundle", version, how]:
                return self._break_bundle(version, how)
            case ["break", "site", tenant, how]:
                return self._break_site(_tenant(tenant), how)
            case ["break", system, how]:
                return await self._break_system(system, how)
            case ["restart", "hawkbit"]:
                return await self._restart_hawkbit()
            case ["alarms", "over"]:
                return f"{await self._storm.end()} devices report success; their alarms clear"
            case ["alarms", number, *tenant] if len(tenant) <= 1:
                return await self._raise_alarms(number, _tenant(*tenant) if tenant else TENANTS[0])
            case ["speed", speed]:
                return self._set_speed(speed)
            case ["link", name]:
                return await self._link(name)
            case ["release", version]:
                return await self._release(version)
        raise Misunderstood("Type help for what there is.")

    def _break_device(self, name: str, how: str) -> str:
        found = self._world.fleet.lookup(name)
        if found is None:
            raise Misunderstood(f"There is no device {name}; they are called {TENANTS[0].device(3)} and the like.")
        if how in ("offline", "online"):
            self._world.cut_off([found], how == "offline")
            return f"{name} is {how}"
        for fate in FATES:
            if fate == how:
                found.fate = fate
                return f"the next update of {name}: {how}"
        raise Misunderstood(f"A device can be one of {', '.join(FATES)}, offline, online; not {how}.")

    def _break_bundle(self, version: str, how: str) -> str:
        if version not in cast.SETS:
            raise Misunderstood(f"hawkBit has the versions {', '.join(cast.SETS)}.")
        if how == "good":
            self._world.fleet.bad.pop(version, None)
            return f"the bundle {version} is good"
        for fate in BAD:
            if fate == how:
                self._world.fleet.bad[version] = fate
                return f"the bundle {version} is bad: every further install {how.replace('_', ' ')}"
        raise Misunderstood(f"A bundle can be one of {', '.join(BAD)}, good; not {how}.")

    def _break_site(self, tenant: Tenant, how: str) -> str:
        if how not in ("offline", "online"):
            raise Misunderstood("Say: break site TENANT offline|online")
        devices = self._devices(tenant)
        self._world.cut_off(devices, how == "offline")
        return f"all {len(devices)} devices of {tenant.id} are {how}"

    async def _break_system(self, system: str, how: str) -> str:
        if system not in SYSTEMS or how not in ("down", "slow", "up"):
            raise Misunderstood(f"Say: break {'|'.join(SYSTEMS)} down|slow|up")
        server = self._world.servers.get(system)
        if server is None:
            raise Misunderstood(f"{system} is a real one here; it is not the sandbox's to break.")
        if system == "relay":
            await self._world.relay.misbehave(down=how == "down", silent=how == "slow")
        else:
            server.faults.clear()
            if how == "down":
                server.faults.add("lost_request", OUTSIDE)
                if system == "slack":
                    await self._world.people.drop_sockets()
            elif how == "slow":
                server.faults.add("late_answer", OUTSIDE, delay_s=SLOW_S)
        self._states[system] = how
        return f"{system} is {how}"

    async def _restart_hawkbit(self) -> str:
        if self._world.hawkbit_restarting:
            raise Misunderstood("hawkBit is restarting already.")
        await self._world.restart_hawkbit(RESTART_S)
        return f"hawkBit restarts: it is away for {RESTART_S:g} s"

    async def _raise_alarms(self, number: str, tenant: Tenant) -> str:
        if not number.isdecimal() or not 1 <= int(number) <= MOST_ALARMS:
            raise Misunderstood(f"Say: alarms NUMBER [TENANT], up to {MOST_ALARMS}, or: alarms over")
        await self._storm.begin(tenant, int(number))
        return f"{number} devices of {tenant.id} report a failed update"

    def _set_speed(self, speed: str) -> str:
        for known in SPEEDS:
            if speed == f"{known:g}":
                self._world.tempo.set(known)
                return f"time goes at speed {speed}" if known else "time stands still for devices and hawkBit"
        raise Misunderstood(f"The speed of time is one of {', '.join(f'{one:g}' for one in SPEEDS)}.")

    async def _link(self, name: str) -> str:
        person = cast.PEOPLE.get(name)
        if person is None:
            raise Misunderstood(f"There is nobody called {name}; there are {', '.join(cast.PEOPLE)}.")
        return f"{name}'s browser shows: {await self._world.login(person.id, name)}"

    async def _release(self, version: str) -> str:
        if version not in cast.SETS:
            raise Misunderstood(f"hawkBit has the versions {', '.join(cast.SETS)}.")
        if self._world.tempo.speed == 0:
            raise Misunderstood("Time stands still, so hawkBit would not get a rollout ready. Set the speed first.")
        rollout = await self._world.pipeline.release(version, name=self._unused(f"{cast.SET_NAME}-{version}"))
        await self._world.pipeline.order(rollout, "start")
        return f"rollout {rollout} of {version} is started"

    def _unused(self, name: str) -> str:
        """Names of rollouts are unique in hawkBit."""
        taken = {rollout.name for rollout in self._world.hawkbit.tenant().repo.rollouts.values()}
        again = (f"{name}-{number}" for number in range(2, len(taken) + 3))
        return name if name not in taken else next(one for one in again if one not in taken)

    def _devices(self, tenant: Tenant) -> list[SimulatedDevice]:
        return [device for device in self._world.fleet.devices.values() if device.tenant == tenant.id]


def _tenant(name: str) -> Tenant:
    for tenant in TENANTS:
        if tenant.id == name:
            return tenant
    raise Misunderstood(f"There is no {name}; there are {', '.join(tenant.id for tenant in TENANTS)}.")
