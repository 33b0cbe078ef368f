"""The page for everybody: on any screen, in light and dark, by keyboard alone, and while things change."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Locator, expect

from core.messages.blocks import Message
from sandbox.cast import ROLLOUTS
from tests.browser.conftest import NewReader
from tests.browser.house import House, house
from tests.browser.looks import barriers, focus_fault, layout_faults
from tests.browser.reader import Reader
from tests.browser.scenes import GOLDEN, PILOT, SCENES, SINGLE, A, walk
from tests.scenario.program import until
from tests.unit.core.message_samples import SAMPLES

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sandbox() -> AsyncIterator[House]:
    """With alarms, a rollout to promote, a run's result, private answers, and every block that Slack has."""
    async with house(devices=40, linked=("bob",)) as made:
        here, bob = made.office, made.office.person("bob")
        samples = list(SAMPLES.items())
        await _post(made, samples[: len(samples) // 2])
        for path in sorted(GOLDEN.glob("message-*.json")):
            case = json.loads(path.read_text())["message"]
            await made.posts("cdm-fallback", case["text"], case["blocks"])
        await here.starts_rollout(PILOT, "1.2.0", [A.device(number) for number in range(2, 6)])
        alarm = await here.alarm(SINGLE)
        await bob.clicks(alarm, "run:rauc-status", A.channel)
        await bob.types("rollout status", A.channel)
        await _post(made, samples[len(samples) // 2 :])  # the page shows the newest of a channel: PILOT among them
        for _ in range(12):  # the list of commands lies over these, and over nobody's buttons
            await made.posts("rollouts", "All quiet.")
        await here.reply(alarm, A.channel, "RAUC slots", "DONE")
        await here.shows(ROLLOUTS, PILOT, button="promote")
        yield made


async def _post(place: House, samples: Iterable[tuple[str, Message]]) -> None:
    for name, sample in samples:
        await place.posts("alarms-a" if name.startswith("incident") else "rollouts", name, sample.blocks)


# on any screen


SCREENS = {
    "desktop, light": ((1280, 800), "light", True),
    "tablet": ((768, 1024), "light", False),
    "phone, dark": ((390, 844), "dark", True),
    "small phone": ((320, 568), "light", False),
}
"""px, colours, and whether axe-core looks too: at each scene once in light and once in dark."""


@pytest.mark.parametrize("screen", SCREENS)
async def test_nothing_is_cut_or_covered_or_beyond_the_edge_and_axe_finds_no_barrier(
    sandbox: House, new_reader: NewReader, screen: str
) -> None:
    size, scheme, is_for_axe = SCREENS[screen]
    reader = await new_reader(sandbox.url, size, scheme=scheme)
    faults: list[str] = []
    async for scene in walk(reader, sandbox):
        found = await layout_faults(reader.page, is_overlaid=SCENES[scene].is_overlaid)
        found += await barriers(reader.page) if is_for_axe else []
        faults += [f"{scene}: {fault}" for fault in found]
    assert faults == []


# by keyboard alone


async def tabs_to(reader: Reader, wanted: Locator, most: int = 80) -> None:
    """Press Tab until that has the focus; on the way one always sees where the focus is."""
    for _ in range(most):
        await reader.page.keyboard.press("Tab")
        if fault := await focus_fault(reader.page):
            raise AssertionError(fault)
        if await wanted.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"{wanted} is not reached by {most} times Tab")


async def test_everything_is_done_by_keyboard_alone(sandbox: House, new_reader: NewReader) -> None:
    reader = await (await new_reader(sandbox.url)).opens("bob", "rollouts")
    keyboard = reader.page.keyboard
    await tabs_to(reader, reader.page.get_by_role("link", name="Skip to the message box"))
    await keyboard.press("Enter")
    await expect(reader.box).to_be_focused()
    await keyboard.type("/cdm rollout st")
    await keyboard.press("ArrowDown")
    await keyboard.press("Enter")
    await expect(reader.box).to_have_value("/cdm rollout status ")
    await keyboard.press("Enter")
    await expect(reader.told(PILOT)).to_be_visible()
    await expect(reader.box).to_be_focused()

    await keyboard.press("Control+k")
    await keyboard.type("alarms-a")
    await keyboard.press("Enter")
    await reader.stands_in("#alarms-a")
    await keyboard.press("Control+k")
    await keyboard.press("Escape")
    await expect(reader.dialog).to_be_hidden()

    alarm = reader.message(SINGLE).filter(has=reader.page.get_by_role("button", name="Acknowledge"))
    await reader.messages.focus()
    redeploy = alarm.get_by_role("button", name="Redeploy")
    await tabs_to(reader, redeploy)
    await keyboard.press("Enter")
    await expect(reader.page.get_by_role("dialog", name=re.compile("Redeploy"))).to_be_visible()
    assert await focus_fault(reader.page) == ""
    await keyboard.press("Escape")
    await expect(redeploy).to_be_focused()

    more = alarm.get_by_label("More actions")
    await tabs_to(reader, more)
    await keyboard.press("Enter")
    await expect(alarm.get_by_role("button", name="Clear in ThingsBoard")).to_be_focused()
    await keyboard.press("Escape")
    await expect(more).to_be_focused()

    await tabs_to(reader, alarm.get_by_role("button", name=re.compile("repl(y|ies),")))
    await keyboard.press("Enter")
    await expect(reader.message("DONE", within=reader.thread)).to_be_visible()
    await expect(reader.thread.get_by_role("textbox")).to_be_focused()
    assert await focus_fault(reader.page) == ""
    await keyboard.press("Escape")
    await expect(reader.thread).to_be_hidden()
    assert await focus_fault(reader.page) == ""


async def test_a_form_is_left_with_escape_and_the_focus_is_where_it_was(sandbox: House, new_reader: NewReader) -> None:
    reader = await (await new_reader(sandbox.url)).opens("bob", "rollouts")
    await reader.box.focus()
    await reader.page.keyboard.type("/cdm run")
    await reader.page.keyboard.press("Enter")
    form = reader.page.get_by_role("dialog", name="Run a runbook")
    await expect(form.get_by_label("Device")).to_be_focused()
    for _ in range(8):  # the focus goes round within the form, by way of the browser's own controls
        await reader.page.keyboard.press("Tab")
        assert await reader.page.evaluate("() => document.activeElement.matches('body, dialog *')")
    await reader.page.keyboard.press("Escape")
    await expect(form).to_be_hidden()
    await expect(reader.box).to_be_focused()


# while things change


def card(number: int, lines: int) -> list[dict[str, Any]]:
    """A section for each line; Slack makes up new block_ids with every edit."""
    sections = [
        {"type": "section", "text": {"type": "mrkdwn", "text": f"line {line} of message {number}"}}
        for line in range(lines)
    ]
    options = [{"text": {"type": "plain_text", "text": f"entry {n}"}, "value": f"e{n}"} for n in (1, 2)]
    look = {"type": "button", "action_id": "look", "text": {"type": "plain_text", "text": f"Look at {number}"}}
    return [
        *sections,
        {"type": "actions", "elements": [look, {"type": "overflow", "action_id": "more", "options": options}]},
    ]


async def test_an_edit_in_place_leaves_the_reader_where_they_were(sandbox: House, new_reader: NewReader) -> None:
    posted = [await sandbox.posts("cdm-admin", f"{n}", card(n, 3)) for n in range(30)]
    reader = await (await new_reader(sandbox.url)).opens("alice", "cdm-admin")
    await expect(reader.message("line 0 of message 29")).to_be_in_viewport()
    middle = reader.message("line 0 of message 15")
    await middle.evaluate("element => element.scrollIntoView({ block: 'center' })")
    await reader.box.fill("half a thought")
    more = middle.get_by_label("More actions")
    await more.click()
    entry = middle.get_by_role("button", name="entry 2")
    await entry.focus()
    was = await middle.bounding_box()

    for number, lines in {14: 12, 13: 1, 15: 4, 16: 9, 2: 40}.items():
        await sandbox.edits("cdm-admin", posted[number], f"{number}", card(number, lines))
    await expect(reader.message("line 11 of message 14")).to_be_attached()
    await expect(reader.message("line 39 of message 2")).to_be_attached()

    now = await middle.bounding_box()
    assert was is not None
    assert now is not None
    assert abs(now["y"] - was["y"]) < 1, "it has not moved by a pixel"
    await expect(entry).to_be_focused()
    await expect(entry).to_be_visible()
    await expect(reader.box).to_have_value("half a thought")


async def test_a_press_that_has_begun_is_not_lost_by_an_edit(sandbox: House, new_reader: NewReader) -> None:
    ts = await sandbox.posts("alarms-b", "1", card(1, 3))
    reader = await (await new_reader(sandbox.url)).opens("alice", "alarms-b")
    await reader.message("message 1").get_by_role("button", name="Look at 1").hover()
    await reader.page.mouse.down()
    await sandbox.edits("alarms-b", ts, "1", [*card(1, 3), {"type": "divider"}])
    await expect(reader.message("message 1").get_by_role("separator")).to_be_attached()
    before = len(sandbox.office.world.slack.courier.deliveries)
    await reader.page.mouse.up()

    async def pressed() -> bool:
        new = sandbox.office.world.slack.courier.deliveries[before:]
        return any(one.payload.get("actions", [{}])[0].get("action_id") == "look" for one in new)

    await until(pressed, "the app is told of the press")


async def test_who_reads_the_newest_stays_with_the_newest(sandbox: House, new_reader: NewReader) -> None:
    reader = await (await new_reader(sandbox.url)).opens("alice", "alarms-c")
    posted = [await sandbox.posts("alarms-c", f"{n}", card(n, 8)) for n in range(12)]
    await expect(reader.message("line 7 of message 11")).to_be_in_viewport()
    await sandbox.edits("alarms-c", posted[11], "11", card(11, 20))
    await expect(reader.message("line 19 of message 11")).to_be_in_viewport()
    await expect(reader.message().last.get_by_role("button", name="Look at 11")).to_be_in_viewport()
