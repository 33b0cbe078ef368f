"""`core.ports.Views` on the wire: a form is opened, updated by its hash, and each refusal has its class."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from core.errors import Conflict, NotFound, OutcomeUnknown, Refused
from core.ports import ViewRef
from integrations.slack.client import SlackPosts
from integrations.slack.errors import TriggerSpent, TriggerUsed, ViewChanged, ViewGone
from tests.contract.slack.conftest import BOB, OPS, Stand, modal, section

pytestmark = pytest.mark.asyncio(loop_scope="module")
SOON = 2.0


@pytest_asyncio.fixture(loop_scope="module")
async def views(slack: Stand) -> AsyncIterator[SlackPosts]:
    client = SlackPosts(lambda: "xoxb-sandbox", base_url=slack.api)
    yield client
    await client.aclose()


async def trigger(slack: Stand) -> str:
    return str((await slack.people.slash(BOB, OPS, "/cdm")).payload["trigger_id"])


async def shown(slack: Stand) -> str | None:
    view = await slack.people.modal(BOB)
    return view.shown if view else None


def form(text: str = "loading") -> dict[str, Any]:
    return modal(section(text), external_id="ours-1")


async def test_a_form_is_opened_and_updated_by_its_id_and_hash(slack: Stand, views: SlackPosts) -> None:
    ref = await views.open_view(await trigger(slack), form(), timeout_s=SOON)
    assert ref.external_id == "ours-1"
    await views.update_view(ref, modal(section("filled")), timeout_s=SOON)
    assert await shown(slack) == "filled"
    with pytest.raises(ViewChanged) as changed:
        await views.update_view(ref, modal(section("older")), timeout_s=SOON)
    assert isinstance(changed.value, Conflict)
    assert await shown(slack) == "filled"


async def test_a_form_whose_opening_was_not_answered_is_found_by_our_own_name(slack: Stand, views: SlackPosts) -> None:
    slack.server.faults.add("late_answer", "views.open", delay_s=2.0)
    with pytest.raises(OutcomeUnknown):
        await views.open_view(await trigger(slack), form(), timeout_s=0.2)
    await views.update_view(ViewRef("ours-1"), modal(section("filled")), timeout_s=SOON)
    assert await shown(slack) == "filled"


async def test_a_trigger_opens_one_form_within_its_three_seconds(slack: Stand, views: SlackPosts) -> None:
    id = await trigger(slack)
    await views.open_view(id, form(), timeout_s=SOON)
    with pytest.raises(TriggerUsed) as used:
        await views.open_view(id, modal(section("again")), timeout_s=SOON)
    assert isinstance(used.value, Conflict)
    late = await trigger(slack)
    slack.clock.turn(3.5)
    with pytest.raises(TriggerSpent) as spent:
        await views.open_view(late, modal(section("late")), timeout_s=SOON)
    assert isinstance(spent.value, Refused)
    assert not isinstance(spent.value, Conflict)


async def test_a_closed_form_is_gone(slack: Stand, views: SlackPosts) -> None:
    ref = await views.open_view(await trigger(slack), form(), timeout_s=SOON)
    await slack.people.close_view(BOB)
    with pytest.raises(ViewGone) as gone:
        await views.update_view(ref, modal(section("filled")), timeout_s=SOON)
    assert isinstance(gone.value, NotFound)


async def test_a_home_tab_is_published_for_one_person(slack: Stand, views: SlackPosts) -> None:
    await views.publish_home(BOB, {"type": "home", "blocks": [section("yours")]}, timeout_s=SOON)
    home = await slack.people.home(BOB)
    assert home is not None
    assert home.shown == "yours"
