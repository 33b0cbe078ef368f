"""What a scenario plays on: the world, what its steps have kept, and how to wait for what must come true."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import httpx

from sandbox.cast import TENANTS, Tenant, channel_id
from sandbox.controls import Controls
from sandbox.scenarios.schema import NAMED, Words
from sandbox.slack.inputs import NotOnScreen
from sandbox.slack.seen import SeenMessage
from sandbox.world import SandboxWorld

LOOK_S = 0.2
QUOTED = 300
"""So many characters of what was on screen instead stand in a failure."""
_MARKUP = str.maketrans("", "", "*`\u200b")
_FOLDED = re.compile(r"([\w.-]*)\[([0-9][0-9,-]*)\]([\w.-]*)")
Answer = TypeVar("Answer")


class Unmet(Exception):
    """What should have come true did not, in time. The text says what was there instead."""


@dataclass(frozen=True, slots=True)
class Rollout:
    id: int
    name: str


Devices = tuple[str, ...]


@dataclass(slots=True)
class Stage:
    """`tell` prints one line. `kept` is what steps have kept, by name."""

    world: SandboxWorld
    controls: Controls
    tell: Callable[[str], None]
    kept: dict[str, Rollout | Devices | SeenMessage] = field(default_factory=dict)

    def say(self, line: str) -> None:
        self.tell(f"-- {line}")

    def rollout(self, name: str) -> Rollout:
        found = self._kept(name)
        if not isinstance(found, Rollout):
            raise Unmet(f"{name} is no rollout")
        return found

    def seen(self, name: str) -> SeenMessage:
        found = self._kept(name)
        if not isinstance(found, SeenMessage):
            raise Unmet(f"{name} is no message")
        return found

    def devices(self, names: Iterable[str]) -> Devices:
        """Each a device, or some that were kept."""
        found: list[str] = []
        for name in names:
            kept = tuple(sorted(devices_in(name))) if "-" in name else self._kept(name)
            if not isinstance(kept, tuple):
                raise Unmet(f"{name} is no device")
            found += kept
        return tuple(found)

    def device(self, name: str) -> str:
        (one,) = self.devices([name])
        return one

    def filled(self, text: str) -> str:
        """The text with what was kept in the places of `${name}`."""
        return NAMED.sub(lambda found: self._word(found[1]), text)

    def channel(self, name: str) -> str:
        return channel_id(self.filled(name))

    def _kept(self, name: str) -> Rollout | Devices | SeenMessage:
        if name not in self.kept:
            raise Unmet(f"there is no {name}: the step that should have kept it failed")
        return self.kept[name]

    def _word(self, name: str) -> str:
        whole, _, part = name.partition(".")
        found = self._kept(whole)
        if isinstance(found, SeenMessage):
            return found.shown
        if isinstance(found, Rollout):
            return found.name
        if not part:
            return ", ".join(found)
        tenant = tenant_of(self.device(whole))
        return {"tenant": tenant.id, "channel": tenant.channel_name, "operator": tenant.operator}[part]

    async def until(
        self, what: str, read: Callable[[], Awaitable[Answer]], fits: Callable[[Answer], bool], within_s: float
    ) -> Answer:
        """The first answer that fits. Raises Unmet with the last one where there is none in time."""
        deadline = time.monotonic() + within_s
        while not fits(answer := await self.ask(read)):
            if time.monotonic() > deadline:
                raise Unmet(f"{what}: not within {within_s:g} s; instead: {answer}")
            await asyncio.sleep(LOOK_S)
        return answer

    @staticmethod
    async def ask(read: Callable[[], Awaitable[Answer]]) -> Answer:
        """Read once more where the server has just closed an idle connection. What is to be done is asked for first:
        then the connection is a fresh one, and nothing has to be done twice."""
        try:
            return await read()
        except httpx.RemoteProtocolError:
            return await read()

    def missing(self, wanted: Words, shown: str) -> list[str]:
        """What of `wanted` the text does not keep, in words; none where it fits. Case and markup do not count."""
        read = plain(shown)
        named = devices_in(read)
        found = [f"lacks {text!r}" for text in map(self.filled, wanted.has) if plain(text) not in read]
        found += [f"says {text!r}" for text in map(self.filled, wanted.lacks) if plain(text) in read]
        found += [f"does not name {name}" for name in self.devices(wanted.names) if name not in named]
        return found


def tenant_of(device: str) -> Tenant:
    return next(tenant for tenant in TENANTS if device.startswith(f"{tenant.letter}-"))


def plain(text: str) -> str:
    """As a person reads it: without markup, in small letters, on one line."""
    return " ".join(text.translate(_MARKUP).lower().split())


def devices_in(text: str) -> set[str]:
    """Names of devices in a text, those folded to `a-gw-[001-003,007]` too."""
    found = set(re.findall(r"[a-z]-[a-z]+-[0-9]{3}", text))
    for before, numbers, after in _FOLDED.findall(text):
        for piece in numbers.split(","):
            first, _, last = piece.partition("-")
            found |= {f"{before}{n:0{len(first)}d}{after}" for n in range(int(first), int(last or first) + 1)}
    return found


def quoted(text: str) -> str:
    flat = " / ".join(line for line in text.splitlines() if line.strip())
    return repr(flat if len(flat) <= QUOTED else f"{flat[:QUOTED]}…")


def has_button(message: SeenMessage, action_id: str) -> bool:
    try:
        message.button(action_id)
    except NotOnScreen:
        return False
    return True


def nearest(candidates: Sequence[tuple[str, list[str]]], where: str) -> str:
    """Of (text, what it does not keep), the one that keeps most, the latest of those."""
    if not candidates:
        return f"{where} shows nothing"
    text, wrong = min(reversed(candidates), key=lambda one: len(one[1]))
    return f"{where} shows {len(candidates)} messages, the nearest is {quoted(text)}: it {', '.join(wrong)}"
