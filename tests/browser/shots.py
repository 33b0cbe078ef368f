"""The pictures in docs/images: `make shots` takes them anew. Each on a desktop and on a phone, cropped to what is told.

Messages are the mock-ups of docs/messages.md at the time they tell of; the rest is a sandbox with the real bot.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser, FloatRect, Locator, Page, expect

from sandbox import cast
from sandbox.page.app import PageServer, page_app
from sandbox.slack import SlackSandbox
from sandbox.slack.records import Message
from tests.browser import chromium
from tests.browser.house import House, house
from tests.browser.png import with_palette
from tests.browser.reader import Reader
from tests.unit.core.message_samples import NOW, SAMPLES

IMAGES = Path(__file__).parents[2] / "docs" / "images"
MOST_BYTES = 120_000
SCREENS: Mapping[str, tuple[int, int]] = {"desktop": (1280, 800), "phone": (390, 844)}
TALL = 3_200
"""px; so high is the screen for what is cropped, so that nothing of it is out of sight."""
POSTED = ("incident-single", "incident-many", "rollout", "rollout-failed", "run")
A, B, _ = cast.TENANTS
BOB, CHANNEL = cast.PEOPLE["bob"], "alarms-a"
PILOT, RELEASE = "pilot-1.2.0", "release-1.1.0"
_CONTENT = """element => {
  const whole = element.getBoundingClientRect();
  const isShown = (one) => one.checkVisibility({ contentVisibilityAuto: true }) && !one.closest(".tools");
  const range = document.createRange();
  const words = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  const framed = [...element.querySelectorAll("button, summary, pre, code")].filter(isShown);
  const boxes = framed.map((one) => one.getBoundingClientRect());
  while (words.nextNode()) {
    range.selectNodeContents(words.currentNode);
    if (isShown(words.currentNode.parentElement)) boxes.push(...range.getClientRects());
  }
  const right = Math.min(whole.right, Math.max(...boxes.map((box) => box.right)) + 20);
  const bottom = Math.min(whole.bottom, Math.max(...boxes.map((box) => box.bottom)) + 20);
  return { x: whole.x, y: whole.y, width: right - whole.x, height: bottom - whole.y };
}"""
"""The part of an element in which there is anything to be seen."""


@dataclass(frozen=True, slots=True)
class Camera:
    """For one kind of screen."""

    browser: Browser
    screen: str

    @asynccontextmanager
    async def reader(
        self, url: str, person: str, place: str, *, tall: bool = True, scheme: str = "light", at_noon: bool = False
    ) -> AsyncIterator[Reader]:
        """`at_noon`: at the time the mock-ups tell of."""
        width, height = SCREENS[self.screen]
        async with chromium.desk(self.browser, (width, TALL if tall else height), scheme=scheme, zone="UTC") as desk:
            reader = Reader(await desk.new_page(), url)
            if at_noon:
                await reader.page.clock.set_fixed_time(NOW)
            yield await reader.opens(person, place)
            assert reader.wrong == []

    async def takes(self, shown: Locator, name: str, *, framed: bool = False) -> None:
        """The element: all of it if it is framed, else where there is anything to be seen."""
        clip: FloatRect = await shown.evaluate(_CONTENT)
        await self.takes_screen(shown.page, name, await shown.bounding_box() if framed else clip)

    async def takes_screen(self, page: Page, name: str, clip: FloatRect | None = None, more: str = "") -> None:
        path = IMAGES / f"{name}-{self.screen}{more}.png"
        await page.mouse.move(0, 0)
        size = path.write_bytes(with_palette(await page.screenshot(clip=clip)))
        assert size < MOST_BYTES, f"{path.name} has {size:,} bytes"
        sys.stdout.write(f"{path.name}  {size / 1000:.0f} kB\n")


@asynccontextmanager
async def mock_ups() -> AsyncIterator[str]:
    """The page on a Slack where the bot has said what docs/messages.md shows; its address."""
    slack = SlackSandbox(team_id=cast.TEAM, clock=NOW.timestamp)
    workspace = slack.workspace
    workspace.add_user(BOB.name, id=BOB.id, email=BOB.email)
    workspace.add_channel(CHANNEL, id=A.channel, members=(BOB.id,))
    for name in POSTED:
        sample = SAMPLES[name]
        said = Message(A.channel, workspace.next_ts(), workspace.bot_user, sample.text, list(sample.blocks))
        said.bot_id = workspace.bot_id
        workspace.store(said)
    workspace.whisper(A.channel, BOB.id, SAMPLES["device"].text, list(SAMPLES["device"].blocks))
    async with PageServer(page_app(slack, None), 0) as page:
        yield page.url


async def take_messages(camera: Camera, url: str) -> None:
    async with camera.reader(url, BOB.name, CHANNEL, at_noon=True) as reader:
        await expect(reader.message()).to_have_count(len(POSTED) + 1)
        for number, name in enumerate((*POSTED, "device")):
            await camera.takes(reader.message().nth(number), name)


@asynccontextmanager
async def busy_house() -> AsyncIterator[House]:
    """A pilot waits for a person, a release is in its second group, and there time stands still."""
    async with house(devices=60, linked=("alice", "bob", "carol")) as made:
        here = made.office
        await here.starts_rollout(PILOT, "1.2.0", [A.device(number) for number in range(1, 5)])
        await here.shows(cast.ROLLOUTS, PILOT, button="promote")
        await here.alarm(A.device(7))
        alarm = await here.alarm(A.device(9))
        await here.person("bob").clicks(alarm, "acknowledge", A.channel)
        fleet = [B.device(number) for number in range(1, 19)]
        await here.starts_rollout(RELEASE, "1.1.0", fleet, (20, 80), by=here.world.pipeline)
        await here.shows(cast.ROLLOUTS, RELEASE, "RUNNING", "in group 2 of 2", within_s=40)
        await made.controls.run(["speed", "0"])
        yield made


async def take_the_rest(camera: Camera, made: House) -> None:
    async with camera.reader(made.url, "carol", "rollouts") as reader:
        await reader.presses("Promote group 2", reader.message(PILOT))
        await reader.answers("Start group 2 on 2 devices?", "Start 2 devices")
        await expect(reader.told("needs the role")).to_be_visible()
        await camera.takes(reader.told("needs the role").last, "refusal")
    async with camera.reader(made.url, "bob", "home") as reader:
        await expect(reader.home).to_contain_text(PILOT)
        await camera.takes(reader.home, "home")
    async with camera.reader(made.url, "bob", "alarms-a") as reader:
        await reader.types("/cdm run journal")
        await reader.dialog.get_by_label("Device").fill("a-gw-007")
        await expect(reader.dialog.get_by_label("Lines")).to_be_visible()
        await camera.takes(reader.dialog, "modal-run", framed=True)
    await made.close_forms()
    for scheme, more in (("light", ""), ("dark", "-dark")):
        async with camera.reader(made.url, "alice", "rollouts", tall=False, scheme=scheme) as reader:
            await reader.presses("Dismiss", reader.told("Log in to Keycloak"))
            await reader.page.get_by_role("heading", level=1).click()
            await reader.message(RELEASE).get_by_role("button", name="Stop").scroll_into_view_if_needed()
            await expect(reader.messages.get_by_role("button", name="To the newest")).to_be_hidden()
            if await reader.world.is_visible():
                await expect(reader.world).to_contain_text("60 devices")
            await camera.takes_screen(reader.page, "workspace", more=more)


async def main() -> int:
    executable = chromium.program()
    if executable is None:
        sys.stderr.write(f"No pictures are taken: {chromium.MISSING}.\n")
        return 1
    IMAGES.mkdir(parents=True, exist_ok=True)
    async with chromium.running(executable) as browser:
        cameras = [Camera(browser, screen) for screen in SCREENS]
        async with mock_ups() as url:
            for camera in cameras:
                await take_messages(camera, url)
        async with busy_house() as made:
            for camera in cameras:
                await take_the_rest(camera, made)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
