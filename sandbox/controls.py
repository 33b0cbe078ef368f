"""What a person at the console may do to the sandbox itself: break things and mend them, link people, release."""

from __future__ import annotations

from typing import get_args

from sandbox import cast
from sandbox.fleet import Fate
from sandbox.world import SandboxWorld

FATES: tuple[str, ...] = get_args(Fate)
SYSTEMS = ("slack", "thingsboard", "hawkbit", "keycloak", "relay")
OUTSIDE = r"^\w+ (?!/_sandbox)"
"""Every request but those through the sandbox's own doors."""
SLOW_S = 3.0
HELP = f"""\
  alice> /cdm rollout status      alice types a command in #rollouts; also: alice #alarms-a> /cdm alarms
  bob> click 3                    bob presses button [3]
  bob> hello                      bob writes a message
  link erin                       erin links her Slack user with her Keycloak account, in a browser
  release 1.2.0                   the pipeline starts a rollout in groups of 5, 25 and 70 %
  break gw a-gw-003 falls_back    its next update: {", ".join(FATES)};
                                  or it is offline, online
  break keycloak down             down, slow or up: {", ".join(SYSTEMS)}
  help, quit"""


class Misunderstood(Exception):
    """The line makes no sense; the text says what would."""


class Controls:
    """Every command answers with a line to print."""

    def __init__(self, world: SandboxWorld) -> None:
        self._world = world

    async def run(self, words: list[str]) -> str:
        match words:
            case ["break", "gw", device, how]:
                return self._break_device(device, how)
            case ["break", system, how]:
                return await self._break_system(system, how)
            case ["link", name]:
                return await self._link(name)
            case ["release", version]:
                return await self._release(version)
        raise Misunderstood("Type help for what there is.")

    def _break_device(self, name: str, how: str) -> str:
        found = self._world.fleet.lookup(name)
        if found is None:
            raise Misunderstood(f"There is no device {name}; they are called {cast.TENANTS[0].device(3)} and the like.")
        if how in ("offline", "online"):
            found.online = how == "online"
            return f"{name} is {how}"
        for fate in get_args(Fate):
            if fate == how:
                found.fate = fate
                return f"the next update of {name}: {how}"
        raise Misunderstood(f"A device can be one of {', '.join(FATES)}, offline, online; not {how}.")

    async def _break_system(self, system: str, how: str) -> str:
        if system not in SYSTEMS or how not in ("down", "slow", "up"):
            raise Misunderstood(f"Say: break {'|'.join(SYSTEMS)} down|slow|up")
        if system == "relay":
            await self._world.relay.misbehave(down=how == "down", silent=how == "slow")
            return f"relay is {how}"
        server = self._world.servers.get(system)
        if server is None:
            raise Misunderstood(f"{system} is a real one here; it is not the sandbox's to break.")
        server.faults.clear()
        if how == "down":
            server.faults.add("lost_request", OUTSIDE)
            if system == "slack":
                await self._world.people.drop_sockets()
        elif how == "slow":
            server.faults.add("late_answer", OUTSIDE, delay_s=SLOW_S)
        return f"{system} is {how}"

    async def _link(self, name: str) -> str:
        person = cast.PEOPLE.get(name)
        if person is None:
            raise Misunderstood(f"There is nobody called {name}; there are {', '.join(cast.PEOPLE)}.")
        return f"{name}'s browser shows: {await self._world.login(person.id, name)}"

    async def _release(self, version: str) -> str:
        if version not in cast.SETS:
            raise Misunderstood(f"hawkBit has the versions {', '.join(cast.SETS)}.")
        rollout = await self._world.pipeline.release(version)
        await self._world.pipeline.order(rollout, "start")
        return f"rollout {rollout} of {version} is started"
