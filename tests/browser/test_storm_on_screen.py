"""Four hundred alarms at once, watched on the page."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from tests.browser.screening import screened

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_alarm_storm_is_one_message_with_the_count_and_a_file_of_all_devices(
    browser: Browser,
) -> None:
    async with screened(browser, "alarm-storm", "bob", "alarms-a") as ended:
        await ended.is_well()
        reader = ended.reader
        await ended.shows_what_slack_holds("alarms-a")
        storm = reader.message("CLEARED", "OTA Failure", "400 devices")
        await expect(storm).to_have_count(1)
        await reader.opens_thread(storm)
        file = reader.thread.get_by_role("figure").filter(has_text=".csv").last
        await file.get_by_text("Show").click()
        await expect(file).to_contain_text("a-st-001")
