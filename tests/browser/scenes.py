"""Where one can be on the page: each of its places, panes, menus and dialogs, as bob has them open."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import expect

from sandbox.cast import TENANTS
from tests.browser.house import House
from tests.browser.reader import Reader

GOLDEN = Path(__file__).parents[1] / "unit" / "sandbox" / "page" / "golden"
A = TENANTS[0]
PILOT, SINGLE = "pilot-1.2.0", A.device(1)
"""A rollout that waits for a person, and the device of the one real alarm."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Begins in `place`; `opens` brings the reader there. `is_overlaid`: something lies over words on purpose."""

    place: str
    opens: Callable[[Reader, House], Awaitable[None]]
    is_overlaid: bool = False


async def stays(reader: Reader, place: House) -> None:
    await expect(reader.message().last).to_be_visible()


async def thread(reader: Reader, place: House) -> None:
    await reader.opens_thread(reader.message(SINGLE).filter(has=reader.page.get_by_role("button", name="Acknowledge")))
    await expect(reader.message("DONE", within=reader.thread)).to_be_visible()


async def menu(reader: Reader, place: House) -> None:
    more = reader.message(SINGLE).get_by_label("More actions")
    await more.click()
    await expect(reader.message(SINGLE).get_by_role("button", name="Clear in ThingsBoard")).to_be_visible()


async def completions(reader: Reader, place: House) -> None:
    await reader.box.fill("/cdm r")
    await expect(reader.page.get_by_role("listbox", name="Commands")).to_be_visible()


async def question(reader: Reader, place: House) -> None:
    await reader.presses("Promote group 2", reader.message(PILOT))
    await expect(reader.page.get_by_role("dialog", name="Start group 2 on 2 devices?")).to_be_visible()


async def form(reader: Reader, place: House) -> None:
    await reader.types("/cdm run journal")
    await reader.dialog.get_by_label("Unit").fill("x;reboot")
    await reader.dialog.get_by_label("Device").fill("a gw 1")
    await reader.presses("Run", reader.dialog, exact=True)
    await expect(reader.dialog.get_by_role("alert").first).to_be_visible()


async def every_input(reader: Reader, place: House) -> None:
    case = json.loads((GOLDEN / "modal-inputs.json").read_text())["modal"]
    place.shows_form("bob", case["view"], case["errors"])
    await expect(reader.dialog.get_by_role("alert").first).to_be_visible()


async def home(reader: Reader, place: House) -> None:
    await expect(reader.home).to_contain_text(PILOT)


async def world(reader: Reader, place: House) -> None:
    if not await reader.world.is_visible():
        await reader.page.get_by_role("button", name="World").click()
    for group in ("Devices", "Systems", "Load", "Release"):
        await reader.opens_world(group)


async def sidebar(reader: Reader, place: House) -> None:
    if not await reader.sidebar.is_visible():
        await reader.page.get_by_role("button", name="Channels").click()
    await expect(reader.place("alarms-a")).to_be_visible()


async def switcher(reader: Reader, place: House) -> None:
    await reader.page.keyboard.press("Control+k")
    await expect(reader.dialog.get_by_role("option").first).to_be_visible()


SCENES: Mapping[str, Scene] = {
    "alarms": Scene("alarms-a", stays),
    "rollouts": Scene("rollouts", stays),
    "all blocks": Scene("cdm-fallback", stays),
    "thread": Scene("alarms-a", thread, is_overlaid=True),
    "menu": Scene("alarms-a", menu, is_overlaid=True),
    "completions": Scene("rollouts", completions, is_overlaid=True),
    "question": Scene("rollouts", question),
    "form with errors": Scene("alarms-a", form, is_overlaid=True),
    "all inputs": Scene("rollouts", every_input, is_overlaid=True),
    "home": Scene("home", home),
    "world": Scene("alarms-a", world),
    "sidebar": Scene("alarms-a", sidebar),
    "switcher": Scene("alarms-a", switcher),
}


async def walk(reader: Reader, place: House) -> AsyncIterator[str]:
    """Through all scenes, as bob; each begins with a page just opened, and the mouse out of the way."""
    for name, scene in SCENES.items():
        await reader.page.goto("about:blank")
        await reader.opens("bob", scene.place)
        await scene.opens(reader, place)
        await reader.page.mouse.move(0, 0)
        yield name
        await place.close_forms()
