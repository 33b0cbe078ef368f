"""A scenario played in a sandbox of its own while somebody has the page open."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from playwright.async_api import Browser, expect

from sandbox.cast import channel_id
from sandbox.fleet import Pace
from sandbox.scenarios import Player, load
from tests.browser import chromium
from tests.browser.house import House, house
from tests.browser.reader import Reader
from tests.scenario.program import until

UNHURRIED = Pace(poll_s=1.0, telemetry_s=2.0, install_s=(1.0, 2.0), before_reboot_s=(3.0, 4.0), reboot_s=(0.5, 1.0))
"""The bot looks at devices each second, and must see each before its reboot, however busy the machine is."""
_DATE = re.compile(r"<!date[^>]*>")
_LABELLED = re.compile(r"<[^|>]*\|([^>]*)>")
_UNSEEN = re.compile(r"[*_~`\u200b\s]")


@dataclass(frozen=True, slots=True)
class Ended:
    """A scenario at its end, and the reader who had the page open all the while. `failures`: promises not kept."""

    house: House
    reader: Reader
    failures: list[str]

    async def is_well(self) -> None:
        """Every promise is kept, the panel says so, and the page's scripts made no mistake."""
        assert self.failures == []
        await expect(self.reader.world).to_contain_text("Story has ended well")
        assert self.reader.wrong == []

    async def shows_what_slack_holds(self, channel: str) -> None:
        """Each message of the channel in its order, with all that Slack has in it but times, which are in the reader's
        zone."""
        await self.reader.goes_to(channel)

        async def shown() -> bool:
            held = [pieces(m.shown) for m in await self.house.office.slack.messages(channel_id(channel))]
            texts = [_UNSEEN.sub("", text) for text in await self.reader.posted().all_text_contents()]
            return len(held) == len(texts) > 0 and all(map(in_order, held, texts))

        await until(shown, f"the page shows what Slack holds in #{channel}")


def pieces(shown: str) -> list[str]:
    """What stands in a message, as one reads it: without markup and spaces, cut at lines and times."""
    text = _LABELLED.sub(r"\1", _DATE.sub("\n", shown))
    lines = (_UNSEEN.sub("", re.sub(r"^\[(.*)\]$", r"\1", line)) for line in text.splitlines())
    return [line for line in lines if line]


def in_order(wanted: list[str], text: str) -> bool:
    at = 0
    for piece in wanted:
        found = text.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return True


@asynccontextmanager
async def screened(browser: Browser, name: str, person: str, channel: str) -> AsyncIterator[Ended]:
    """The scenario's end, once it has come, as `person` sees it who had that channel open; all stays as it is then."""
    scenario = load(name)
    async with house(devices=scenario.devices, pace=UNHURRIED) as place, chromium.desk(browser) as desk:
        reader = await Reader(await desk.new_page(), place.url).opens(person, channel)
        place.controls.story = player = Player(place.office.world, place.controls, scenario, print)
        await player.play()
        yield Ended(place, reader, player.failures)
