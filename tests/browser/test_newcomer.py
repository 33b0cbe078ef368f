"""The story as a newcomer lives it in the browser, by nothing but what is on the screen."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import Locator, expect

from sandbox.cast import TENANTS
from sandbox.settings_file import BOT
from tests.browser.conftest import NewReader
from tests.browser.house import House, house
from tests.browser.reader import Reader

pytestmark = pytest.mark.asyncio(loop_scope="session")
A, B, _ = TENANTS
PILOT, RELEASE = "pilot-1.2.0", "edge-1.1.0"
PILOTS = [A.device(number) for number in range(1, 5)]
QUESTION, ANSWER = "Start group 2 on 2 devices?", "Start 2 devices"


@dataclass(frozen=True, slots=True)
class Story:
    """A fleet of sixty, and a pilot on four devices of customer-a that waits for a person to promote it."""

    house: House
    new_reader: NewReader

    async def reader(self, person: str, place: str) -> Reader:
        return await (await self.new_reader(self.house.url)).opens(person, place)

    async def alarm(self, device: str) -> None:
        await self.house.office.alarm(device)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sandbox() -> AsyncIterator[House]:
    async with house(devices=60, linked=("alice", "bob", "carol", "frank")) as made:
        await made.office.starts_rollout(PILOT, "1.2.0", PILOTS)
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def story(new_reader: NewReader, sandbox: House) -> AsyncIterator[Story]:
    yield Story(sandbox, new_reader)
    await sandbox.close_forms()


async def test_a_newcomer_sees_the_channels_and_what_is_unread(story: Story) -> None:
    newcomer = await (await story.new_reader(story.house.url)).opens()
    await expect(newcomer.page.get_by_role("heading", level=1)).to_have_text("#rollouts")
    await expect(newcomer.sidebar).to_contain_text("admin of all tenants")
    for channel in ("alarms-a", "alarms-b", "alarms-c", "rollouts", "cdm-admin"):
        await expect(newcomer.place(channel)).to_be_visible()
    await newcomer.goes_to("alarms-b")
    await story.alarm("a-gw-010")
    await expect(newcomer.place("alarms-a")).to_contain_text("1 unread")
    await expect(newcomer.place("alarms-b")).not_to_contain_text("unread")
    await expect(newcomer.page).to_have_title(re.compile(r"^\(\d+\) #alarms-b · alice"))
    await newcomer.goes_to("alarms-a")
    await expect(newcomer.message("CRITICAL", "OTA Failure", "a-gw-010")).to_be_visible()
    await expect(newcomer.place("alarms-a")).not_to_contain_text("unread")


async def test_the_canary_is_promoted_by_the_scheduler_before_the_readers_eyes(story: Story) -> None:
    reader = await story.reader("alice", "rollouts")
    devices = [B.device(number) for number in range(1, 13)]
    world = story.house.office.world
    rollout = await story.house.office.starts_rollout(RELEASE, "1.1.0", devices, (25, 75), by=world.pipeline)
    release = reader.message(RELEASE)
    await expect(release).to_contain_text("in group 1 of 2")
    shown = await release.element_handle()
    await expect(release).to_contain_text(re.compile(r"RUNNING.* in group 2 of 2"))
    await expect(release).to_contain_text(re.compile(r"group-1\s+3/3 verified"))
    assert await release.count() == 1
    assert await shown.evaluate("element => element.isConnected"), "it changed in place"
    await expect(release).to_contain_text("DONE: finished and verified")
    starts = [start.user for start in world.hawkbit.starts if (start.rollout, start.index) == (rollout, 1)]
    assert starts == [BOT], "nobody was asked, and nobody pressed anything"


async def test_a_stranger_is_refused_and_told_why(story: Story) -> None:
    reader = await story.reader("bob", "rollouts")
    await expect(reader.message(PILOT).get_by_role("button", name="Promote group 2 (2 devices)")).to_be_visible()
    await reader.becomes("mallory")
    await expect(reader.sidebar).to_contain_text("a stranger without a Keycloak account")
    await expect(reader.place("alarms-a")).to_have_count(0)
    await reader.presses("Promote group 2", reader.message(PILOT))
    await reader.answers(QUESTION, ANSWER)
    await expect(reader.told("not linked", "/cdm link")).to_be_visible()
    await expect(reader.message(PILOT)).to_contain_text("group 1 of 2")


async def test_an_alarm_is_acknowledged_and_everybody_sees_by_whom(story: Story) -> None:
    bob, carol = await story.reader("bob", "alarms-a"), await story.reader("carol", "alarms-a")
    await story.alarm("a-gw-011")
    for reader in (bob, carol):
        await expect(reader.message("CRITICAL", "a-gw-011")).to_be_visible()
    await bob.presses("Acknowledge", bob.message("a-gw-011"))
    for reader in (bob, carol):
        await expect(reader.message("a-gw-011")).to_contain_text("ACKNOWLEDGED")
        await expect(reader.message("a-gw-011")).to_contain_text("acknowledged by bob")
        await expect(reader.message("a-gw-011").get_by_role("button", name="Acknowledge")).to_have_count(0)


async def test_rauc_status_comes_from_the_device_into_the_thread(story: Story) -> None:
    bob = await story.reader("bob", "alarms-a")
    await story.alarm("a-gw-012")
    await bob.presses("RAUC status", bob.message("a-gw-012"))
    await bob.opens_thread(bob.message("a-gw-012"))
    answer = bob.message("DONE", "RAUC slots", within=bob.thread)
    await expect(answer).to_contain_text("Runs slot")
    await expect(answer).to_contain_text("rootfs.0")
    await expect(answer).to_contain_text("By bob")
    await bob.page.keyboard.press("Escape")
    await expect(bob.thread).to_be_hidden()


async def test_a_form_says_what_is_wrong_beside_the_input_and_runs_once_it_is_right(story: Story) -> None:
    bob = await story.reader("bob", "alarms-a")
    await bob.types("/cdm run")
    form = bob.page.get_by_role("dialog", name="Run a runbook")
    await form.get_by_label("Device").fill("a-gw-013")
    await form.get_by_label("Runbook").select_option(label="Journal of a unit")
    unit = form.get_by_label("Unit")
    await unit.fill("x;reboot")
    await form.get_by_label("Lines").fill("20")
    await bob.presses("Run", form, exact=True)
    error = form.get_by_role("alert").filter(has_text="systemd unit")
    await expect(error).to_be_visible()
    await expect(unit).to_be_focused()
    await expect(form.get_by_label("Device")).to_have_value("a-gw-013")
    await expect(unit).to_have_accessible_description(re.compile(await error.inner_text()))
    assert await below(unit, error) > 0
    assert await below(error, form.get_by_label("Lines")) > 0
    await unit.fill("rauc-hawkbit-updater")
    await bob.presses("Run", form, exact=True)
    await expect(form).to_be_hidden()
    result = bob.message("DONE", "Journal of a unit", "a-gw-013")
    await expect(result).to_contain_text("journalctl -u rauc-hawkbit-updater -n 20")
    await expect(result.get_by_role("textbox")).to_have_count(0)
    await expect(bob.told("the result is in")).to_be_visible()


async def test_keycloak_is_broken_by_a_button_and_nobody_may_do_anything_until_it_is_mended(story: Story) -> None:
    bob = await story.reader("bob", "rollouts")
    systems = await bob.opens_world("Systems")
    await bob.presses("Keycloak down", systems)
    try:
        await expect(bob.world.get_by_role("listitem").filter(has_text="keycloak:")).to_contain_text("down")
        await bob.presses("Promote group 2", bob.message(PILOT))
        await bob.answers(QUESTION, ANSWER)
        await expect(bob.told("rights cannot be checked", "Keycloak")).to_be_visible()
    finally:
        await bob.presses("Undo: Keycloak down", systems)
    await expect(bob.world.get_by_role("listitem").filter(has_text="keycloak:")).to_contain_text("up")
    await expect(systems.get_by_role("button", name="Keycloak down", exact=True)).to_be_visible()
    await bob.presses("Promote group 2", bob.message(PILOT))
    await bob.answers(QUESTION, ANSWER)
    await expect(bob.message(PILOT)).to_contain_text("in group 2 of 2")


async def test_the_apps_home_shows_what_is_open_and_who_one_is(story: Story) -> None:
    bob = await story.reader("bob", "rollouts")
    await story.alarm("a-gw-014")
    await bob.place("CDM ChatOps: Home").click()
    for words in ("bob@customer-a.example", "cdm-operator", "a-gw-014", "open incident"):
        await expect(bob.home).to_contain_text(words)
    await bob.presses("Run a runbook", bob.home)
    await expect(bob.page.get_by_role("dialog", name="Run a runbook").get_by_label("Runbook")).to_be_visible()


async def below(upper: Locator, lower: Locator) -> float:
    """px between the two."""
    first, second = await upper.bounding_box(), await lower.bounding_box()
    assert first is not None
    assert second is not None
    return second["y"] - first["y"] - first["height"]
