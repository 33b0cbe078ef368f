"""What holds on the stand-in and on a real workspace alike; nothing here touches another's message.

pytest tests/contract/slack/test_web_api.py --slack-url https://slack.com/api/ --slack-token xoxb-… --slack-channel C…
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from tests.contract.slack.conftest import OPS, Stand, actions, button, refusal, refused_as, section

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(slots=True)
class Place:
    web: AsyncWebClient
    channel: str


@pytest_asyncio.fixture(loop_scope="module")
async def place(request: pytest.FixtureRequest, slack: Stand) -> AsyncIterator[Place]:
    """The bot in a channel; what a test posts is deleted afterwards."""
    url, token = request.config.getoption("--slack-url"), request.config.getoption("--slack-token")
    if url and token:
        web = AsyncWebClient(token=token, base_url=url, retry_handlers=[], timeout=30)
        place = Place(web, request.config.getoption("--slack-channel"))
        assert place.channel, "--slack-channel is missing"
    else:
        place = Place(slack.web(), OPS)
    posted: list[str] = []
    send = place.web.chat_postMessage

    async def remembered(**given):  # type: ignore[no-untyped-def]
        answer = await send(**given)
        posted.append(answer["ts"])
        return answer

    place.web.chat_postMessage = remembered  # type: ignore[method-assign]
    yield place
    for ts in posted:
        with contextlib.suppress(SlackApiError):  # deleted by the test itself
            await place.web.chat_delete(channel=place.channel, ts=ts)


async def test_auth_test_names_the_bot_and_its_scopes(place: Place) -> None:
    answer = await place.web.auth_test()

    assert answer["team_id"].startswith("T")
    assert answer["user_id"].startswith("U")
    assert answer["bot_id"].startswith("B")
    assert "chat:write" in answer.headers["x-oauth-scopes"].split(",")


async def test_a_wrong_token_is_invalid_auth(place: Place) -> None:
    assert await refused_as(place.web.auth_test(token="xoxb-wrong")) == "invalid_auth"


async def test_a_post_comes_back_with_ts_text_and_made_up_block_ids(place: Place) -> None:
    blocks = [section("*hello*"), actions(button())]

    answer = await place.web.chat_postMessage(channel=place.channel, text="a < b & c", blocks=blocks)

    message = answer["message"]
    assert answer["channel"] == place.channel
    assert message["ts"] == answer["ts"]
    assert message["text"] == "a &lt; b &amp; c"
    assert message["bot_id"].startswith("B")
    assert all(block["block_id"] for block in message["blocks"])
    assert message["blocks"][1]["elements"][0]["value"] == "7"


async def test_an_update_keeps_ts_and_is_not_a_second_message(place: Place) -> None:
    token = uuid.uuid4().hex
    first = await place.web.chat_postMessage(channel=place.channel, text=f"{token} one")

    again = await place.web.chat_update(channel=place.channel, ts=first["ts"], text=f"{token} two")

    history = await place.web.conversations_history(channel=place.channel, oldest=first["ts"], inclusive=True)
    texts = [m["text"] for m in history["messages"] if token in m["text"]]
    assert again["ts"] == first["ts"]
    assert texts == [f"{token} two"]


async def test_metadata_is_stored_kept_by_updates_and_shown_only_when_asked_for(place: Place) -> None:
    metadata = {"event_type": "cdm_outbox", "event_payload": {"id": uuid.uuid4().hex}}
    sent = await place.web.chat_postMessage(channel=place.channel, text="x", metadata=metadata)
    await place.web.chat_update(channel=place.channel, ts=sent["ts"], text="y")

    found = await place.web.conversations_history(
        channel=place.channel, oldest=sent["ts"], inclusive=True, limit=1, include_all_metadata=True
    )
    plain = await place.web.conversations_history(channel=place.channel, oldest=sent["ts"], inclusive=True, limit=1)

    assert found["messages"][0]["metadata"] == metadata
    assert "metadata" not in plain["messages"][0]


async def test_replies_come_with_their_parent_first_and_not_in_the_channels_history(place: Place) -> None:
    parent = await place.web.chat_postMessage(channel=place.channel, text="parent")
    reply = await place.web.chat_postMessage(channel=place.channel, text="reply", thread_ts=parent["ts"])

    thread = await place.web.conversations_replies(channel=place.channel, ts=parent["ts"])
    history = await place.web.conversations_history(channel=place.channel, oldest=parent["ts"], inclusive=True)

    assert [m["text"] for m in thread["messages"]] == ["parent", "reply"]
    assert thread["messages"][0]["reply_count"] == 1
    assert thread["messages"][1]["thread_ts"] == parent["ts"]
    assert reply["ts"] not in [m["ts"] for m in history["messages"]]


async def test_a_permalink_points_at_the_message(place: Place) -> None:
    sent = await place.web.chat_postMessage(channel=place.channel, text="x")

    link = await place.web.chat_getPermalink(channel=place.channel, message_ts=sent["ts"])

    assert link["permalink"].endswith(f"/{place.channel}/p{sent['ts'].replace('.', '')}")


async def test_a_deleted_message_cannot_be_updated(place: Place) -> None:
    sent = await place.web.chat_postMessage(channel=place.channel, text="x")
    await place.web.chat_delete(channel=place.channel, ts=sent["ts"])

    update = place.web.chat_update(channel=place.channel, ts=sent["ts"], text="y")

    assert await refused_as(update) == "message_not_found"


async def test_an_unknown_channel_is_channel_not_found(place: Place) -> None:
    assert await refused_as(place.web.chat_postMessage(channel="C000000000", text="x")) == "channel_not_found"
    assert await refused_as(place.web.conversations_history(channel="C000000000")) == "channel_not_found"


@pytest.mark.filterwarnings("ignore:The top-level")
async def test_a_post_without_content_is_no_text(place: Place) -> None:
    assert await refused_as(place.web.chat_postMessage(channel=place.channel, text="")) == "no_text"


async def test_an_unknown_block_is_refused_with_a_pointer_to_it(place: Place) -> None:
    blocks = [section("fine"), {"type": "hologram"}]

    answer = await refusal(place.web.chat_postMessage(channel=place.channel, text="x", blocks=blocks))

    assert answer["error"] == "invalid_blocks"
    assert any("/blocks/1" in said for said in answer["response_metadata"]["messages"])


async def test_an_update_of_more_than_4000_characters_is_msg_too_long(place: Place) -> None:
    sent = await place.web.chat_postMessage(channel=place.channel, text="x")

    update = place.web.chat_update(channel=place.channel, ts=sent["ts"], text="x" * 4_001)

    assert await refused_as(update) == "msg_too_long"


async def test_an_uploaded_file_is_answered_without_a_message_ts(place: Place) -> None:
    answer = await place.web.files_upload_v2(filename="log.txt", content="line 1\n")

    assert answer["file"]["id"].startswith("F")
    assert not answer["file"].get("shares")


async def test_a_made_up_trigger_opens_nothing(place: Place) -> None:
    view = {"type": "modal", "title": {"type": "plain_text", "text": "x"}, "blocks": [section("x")]}

    answer = await refusal(place.web.views_open(trigger_id="1.2.abc", view=view))

    assert answer["error"] in ("invalid_trigger_id", "invalid_arguments")
