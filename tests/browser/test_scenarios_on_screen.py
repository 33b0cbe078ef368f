"""Releases that go wrong, watched on the page: at the scenario's end it shows what Slack holds, word by word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.browser.screening import Ended, screened

pytestmark = pytest.mark.asyncio(loop_scope="session")
PLAYED = ("bad-bundle", "hawkbit-error-stop")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def screenings(browser: Browser) -> AsyncIterator[dict[str, Ended]]:
    """Both at once: they mostly wait."""
    async with AsyncExitStack() as exit:
        seen = (exit.enter_async_context(screened(browser, name, "alice", "rollouts")) for name in PLAYED)
        yield dict(zip(PLAYED, await asyncio.gather(*seen), strict=True))


async def test_hawkbit_stopping_for_errors_is_on_screen_and_nobody_is_offered_to_go_on(
    screenings: dict[str, Ended],
) -> None:
    ended = screenings["hawkbit-error-stop"]
    await ended.is_well()
    reader = ended.reader
    await expect(reader.posted("FAILED", "edge-1.1.0", "hawkBit stopped it for errors")).to_be_visible()
    for label in ("Promote", "Resume"):
        await expect(reader.messages.get_by_role("button", name=label)).to_have_count(0)
    await expect(reader.told("Group 2 was not started", "second person").first).to_be_visible()
    await ended.shows_what_slack_holds("alarms-a")
    await ended.shows_what_slack_holds("rollouts")


async def test_a_bad_bundle_is_on_screen_with_how_many_devices_refuted_it_and_where(
    screenings: dict[str, Ended],
) -> None:
    ended = screenings["bad-bundle"]
    await ended.is_well()
    reader = ended.reader
    await expect(reader.message("FAILED", "edge-1.1.0", "20 refuted", "0 of 20 verified")).to_be_visible()
    await expect(reader.messages.get_by_role("button", name="Promote")).to_have_count(0)
    await expect(reader.told("Group 2 was not started", "can no longer be reached").first).to_be_visible()
    await ended.shows_what_slack_holds("rollouts")
    await ended.shows_what_slack_holds("alarms-a")
    await expect(reader.posted("OTA Failure").last).to_be_visible()
