"""The page under load: 50 updates a second, and a channel of ten thousand messages."""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import expect

from sandbox.page.app import PageServer, page_app
from sandbox.slack import SlackSandbox
from sandbox.wire import Receive, Scope, Send, WireServer, answer, read_body
from tests.browser.conftest import NewReader
from tests.browser.reader import Reader
from tests.load.page_messages import MANY, READER, SIZES, alarm, filled
from tests.scenario.program import until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.alone]
CARDS, PER_S, SECONDS = 20, 50, 20.0
LOADED = 600
"""Elements of messages that the document may hold at most, however long the channel is."""
WATCH = """
  const counts = new Map();
  const cards = /card (\\d+) update (\\d+) at ([\\d.]+);/g;
  window.lags = [];
  window.backward = [];
  new MutationObserver(() => {
    const now = Date.now() / 1000;
    for (const [, number, count, at] of document.body.textContent.matchAll(cards)) {
      const before = counts.get(number) ?? 0;
      if (Number(count) < before) window.backward.push([number, before, count]);
      if (Number(count) <= before) continue;
      counts.set(number, Number(count));
      window.lags.push([Number(at), now - Number(at)]);
    }
  }).observe(document.querySelector("main"), { childList: true, subtree: true, characterData: true });
"""
"""Notes when each update came into the document, and whether one came after a later one."""


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Takes whatever people press."""
    await read_body(receive)
    await answer(send, 200)


@dataclass(frozen=True, slots=True)
class Place:
    slack: SlackSandbox
    url: str
    api: httpx.AsyncClient

    async def call(self, method: str, **given: Any) -> dict[str, Any]:
        said: dict[str, Any] = (await self.api.post(method, json=given)).json()
        assert said["ok"], said
        return said


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place() -> AsyncIterator[Place]:
    """Slack with a channel of 10,000 alarms, one of 50, and one that is empty, and the page on it; no rate limits."""
    slack = filled()
    slack.rates.enabled = False
    slack.workspace.add_channel("cards", id="C0CARDS", members=(READER.id,))
    headers = {"authorization": f"Bearer {slack.bot_token}"}
    async with PageServer(page_app(slack, None), 0) as page:
        servers = [await WireServer(one).start() for one in (slack.app, app)]
        slack.courier.use_http(servers[1].url)
        try:
            base = f"{servers[0].url}/api/"
            async with httpx.AsyncClient(base_url=base, headers=headers, trust_env=False) as api:
                yield Place(slack, page.url, api)
        finally:
            await slack.close()
            for server in servers:
                await server.stop()


def card(number: int, count: int) -> str:
    return f"card {number} update {count} at {time.time():.3f};"


async def test_fifty_updates_a_second_are_followed_without_falling_behind(place: Place, new_reader: NewReader) -> None:
    posted = [(await place.call("chat.postMessage", channel="C0CARDS", text=card(n, 0)))["ts"] for n in range(CARDS)]
    reader = await (await new_reader(place.url)).opens(READER.name, "cards")
    await expect(reader.message("card 19 update 0 at")).to_be_visible()
    await reader.does(WATCH)

    began = time.monotonic()
    updates = round(PER_S * SECONDS)
    for number in range(updates):
        await asyncio.sleep(max(0.0, began + number / PER_S - time.monotonic()))
        count = 1 + number // CARDS
        await place.call("chat.update", channel="C0CARDS", ts=posted[number % CARDS], text=card(number % CARDS, count))
    took_s = time.monotonic() - began

    last = updates // CARDS
    await reader.page.wait_for_function(
        "last => [...Array(20).keys()].every((n) => document.body.textContent.includes(`card ${n} update ${last} at`))",
        arg=last,
        timeout=10_000,
    )
    settled_s = time.monotonic() - began - took_s
    assert await reader.does("() => window.backward") == []
    lags = [lag for _, lag in sorted(await reader.does("() => window.lags"))]
    first, end = lags[: len(lags) // 3], lags[-len(lags) // 3 :]
    thirds = {"all": lags, "first third": first, "last third": end}
    medians = {name: round(statistics.median(some), 3) for name, some in thirds.items()}
    print(
        f"{updates / took_s:.0f} updates/s; lag in s: {medians}, most {max(lags):.3f}, after the last {settled_s:.3f}"
    )
    assert len(lags) > 10 * CARDS, "it is followed, not only its end shown"
    assert medians["last third"] < 2 * medians["first third"] + 0.5, "the lag grows"


async def test_ten_thousand_messages_in_a_channel_stay_usable(place: Place, new_reader: NewReader) -> None:
    began = time.monotonic()
    reader = await (await new_reader(place.url)).opens(READER.name, "many")
    newest, old = SIZES[MANY] - 1, SIZES[MANY] - 501
    await expect(reader.message(device(newest))).to_be_in_viewport()
    print(f"open after {(time.monotonic() - began) * 1000:.0f} ms")

    await reader.messages.hover()
    await wheels_to(reader, old, -4_000)
    shown = await numbers(reader)
    assert shown == list(range(shown[0], shown[-1] + 1)), "none is missing, none is there twice"

    wanted, ts = reader.message(device(old)), list(place.slack.workspace.messages[MANY])[old]
    where = await wanted.bounding_box()
    await place.call("chat.update", channel=MANY, ts=ts, text="", blocks=alarm(old, "still failing"))
    await expect(wanted).to_contain_text("still failing")
    assert await wanted.bounding_box() == where
    await reader.presses("Acknowledge", wanted)
    told = await until(lambda: pressed(place), "the app is told")
    assert (told["container"]["message_ts"], told["actions"][0]["value"]) == (ts, f"{old:05d}")

    await wheels_to(reader, newest, 4_000)
    await expect(reader.message(device(newest))).to_be_in_viewport()


def device(number: int) -> str:
    return f"a-gw-{number:05d}"


async def numbers(reader: Reader) -> list[int]:
    """Of the alarms in the document, in its order."""
    texts = await reader.message().all_text_contents()
    return [int(found[1]) for text in texts if (found := re.search(r"alarm-(\d{5})", text))]


async def wheels_to(reader: Reader, number: int, step: int) -> None:
    """Turn the wheel until that alarm is on the screen; the document stays small all the way."""
    wanted, deadline = reader.message(device(number)), time.monotonic() + 60
    while not await wanted.count():
        assert time.monotonic() < deadline, f"{device(number)} does not come; {await numbers(reader)} are there"
        await reader.page.mouse.wheel(0, step)
        await reader.does("() => new Promise(requestAnimationFrame)")
        assert await reader.message().count() < LOADED
    await wanted.scroll_into_view_if_needed()


async def pressed(place: Place) -> dict[str, Any] | None:
    return next((one.payload for one in place.slack.courier.deliveries if one.payload.get("actions")), None)
