"""What was decided about a rollout, asked for later: from the store, as it was taken, and page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from core.messages.blocks import Message
from flows.rollouts.why import told
from integrations.store.connection import Store
from integrations.store.rollout_past import RolloutPast
from tests.conftest import ManualClock
from tests.scenario.rollout_lab import EU1, Lab, lab
from tests.scenario.rollout_play import POLICY, Play, begin


@pytest.fixture
async def here(store: Store, clock: ManualClock) -> AsyncIterator[Lab]:
    async with lab(store, clock, POLICY, tick_s=2.0) as made:
        yield made


async def why(play: Play, **asked: Any) -> Message:
    record = await play.lab.record(play.rollout)
    return await told(RolloutPast(play.lab.store), record, **asked)


def button(message: Message, action: str) -> str | None:
    """What its value says behind the rollout; None where there is no such button."""
    pressed = [part for block in message.blocks if block["type"] == "actions" for part in block["elements"]]
    found = [str(part["value"]) for part in pressed if part["action_id"] == action]
    return found[0].removeprefix("eu1/").partition("/")[2] if found else None


async def test_each_decision_reads_as_it_was_taken_whatever_came_after(here: Lab, clock: ManualClock) -> None:
    play = await begin(here, clock, 2, 3)
    await play.rounds(40)
    assert play.started == [1, 2]
    newest = await why(play)
    assert "no group to start" in newest.text
    assert button(newest, "why-newest") is None
    pages = [newest]
    while before := button(pages[-1], "why"):
        pages.append(await why(play, id=before))
    assert len(pages) == len(await RolloutPast(here.store).moments(EU1, play.id)) > 5
    assert all(button(page, "why-newest") == "" for page in pages[1:])
    first, sent = pages[-1], [page for page in pages if "the start of group 2 was sent" in page.text.split("\n")[0]]
    assert "no group has started yet" in first.text
    assert len(sent) == 1
    assert sent[0].text.startswith("🟢 PASS · *fw* on eu1")
    assert "2 of 2 verified, 95 % needed" in sent[0].text
    assert "sent by the scheduler" in sent[0].text
    assert POLICY.policy_hash() in sent[0].text
    assert "claims 0 s old" in sent[0].text
    waited = next(page for page in pages if page.text.startswith("🟡 HOLD · *fw* on eu1: group 2 waits"))
    assert "0 of 2 verified, 95 % needed (2 await a reboot, 0 unknown, 0 refuted)" in waited.text


async def test_so_many_before_the_newest_is_the_same_page_and_beyond_the_oldest_is_the_oldest(
    here: Lab, clock: ManualClock
) -> None:
    play = await begin(here, clock, 2, 3)
    await play.rounds(8)
    newest = await why(play)
    assert await why(play, back=1) == await why(play, id=button(newest, "why") or "")
    assert await why(play, back=9_999) == await why(play, id="1-1")
    assert button(await why(play, back=9_999), "why") is None


async def test_a_rollout_nobody_decided_about_says_so(here: Lab, clock: ManualClock) -> None:
    play = Play(here, clock, here.add_rollout("unseen", (2, 3)))
    assert "No decision about rollout" in (await why(play)).text
