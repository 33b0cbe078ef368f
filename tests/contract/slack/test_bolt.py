"""A slack_bolt app on the stand-in, over Socket Mode and over a Request URL: the same acts, the same outcome."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from slack_bolt.adapter.asgi.async_handler import AsyncSlackRequestHandler
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.errors import SlackApiError

from sandbox.slack.inputs import NotOnScreen
from sandbox.wire import WireServer
from tests.contract.slack.conftest import (
    ALICE,
    BOB,
    OPS,
    QUIET,
    Stand,
    actions,
    button,
    eventually,
    modal,
    section,
    text_input,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

Run = Callable[[AsyncApp], AbstractAsyncContextManager[None]]


def bolt(slack: Stand) -> AsyncApp:
    return AsyncApp(client=slack.web(), signing_secret="sandbox-signing-secret")


@pytest.fixture(params=["socket", "http"])
def run(request: pytest.FixtureRequest, slack: Stand) -> Run:
    @asynccontextmanager
    async def over_socket(app: AsyncApp) -> AsyncIterator[None]:
        handler = AsyncSocketModeHandler(app, "xapp-sandbox", ping_interval=2)
        await handler.connect_async()
        yield
        await handler.close_async()

    @asynccontextmanager
    async def over_http(app: AsyncApp) -> AsyncIterator[None]:
        async with WireServer(AsyncSlackRequestHandler(app)) as server:  # type: ignore[arg-type]
            await slack.people.set(mode="http", request_url=f"{server.url}/slack/events")
            yield

    return over_socket if request.param == "socket" else over_http


async def test_what_a_command_acks_is_shown_to_its_user_alone(slack: Stand, run: Run) -> None:
    app = bolt(slack)

    @app.command("/cdm")
    async def cdm(ack: Any, command: dict[str, Any]) -> None:
        await ack(f"you said {command['text']!r} in {command['channel_name']}")

    async with run(app):
        delivered = await slack.people.slash(BOB, OPS, "/cdm", "rollout status")

    assert delivered.acked
    assert [e.text for e in await slack.people.ephemerals(BOB)] == ["you said 'rollout status' in ops"]
    assert await slack.people.ephemerals(ALICE) == []


async def test_a_command_works_where_the_bot_is_not_and_answers_by_its_response_url(slack: Stand, run: Run) -> None:
    app = bolt(slack)

    @app.command("/cdm")
    async def cdm(ack: Any, respond: Any) -> None:
        await ack()
        await respond("only you")
        await respond(text="everybody", response_type="in_channel")

    async with run(app):
        await slack.people.slash(BOB, QUIET, "/cdm", "status")
        await slack.people.wait_for(QUIET, lambda m: m.text == "everybody")

    assert [e.text for e in await slack.people.ephemerals(BOB)] == ["only you"]


async def test_a_click_carries_message_container_value_and_user(slack: Stand, run: Run) -> None:
    app = bolt(slack)
    bodies: list[dict[str, Any]] = []

    @app.action("promote")
    async def promote(ack: Any, body: dict[str, Any], client: Any) -> None:
        await ack()
        bodies.append(body)
        await client.chat_update(
            channel=body["channel"]["id"],
            ts=body["message"]["ts"],
            text=f"promoted by <@{body['user']['id']}>",
            blocks=[section("promoted")],
        )

    ts = await slack.post("group 1 at 96 %", blocks=[section("96 %"), actions(button(style="primary"), block_id="b1")])
    async with run(app):
        delivered = await slack.people.click(BOB, OPS, ts, "promote")
        await slack.people.wait_for(OPS, lambda m: m.shown == "promoted")

    (body,) = bodies
    assert delivered.acked
    assert body["type"] == "block_actions"
    assert body["user"]["id"] == BOB
    assert body["container"] == {
        "type": "message", "message_ts": ts, "channel_id": OPS, "is_ephemeral": False,
    }  # fmt: skip
    (action,) = body["actions"]
    assert (action["action_id"], action["block_id"], action["value"], action["type"]) == (
        "promote", "b1", "7", "button",
    )  # fmt: skip
    assert action["action_ts"] > ts
    assert body["api_app_id"] == "A0CDM"
    assert body["team"]["id"] == "T0CDM"
    with pytest.raises(NotOnScreen):
        await slack.people.click(BOB, OPS, ts, "promote")


async def test_an_ephemeral_is_replaced_and_deleted_through_the_response_url_of_a_click_on_it(
    slack: Stand, run: Run
) -> None:
    app = bolt(slack)

    @app.action("next")
    async def on_next(ack: Any, respond: Any) -> None:
        await ack()
        await respond(text="sure?", blocks=[actions(button("done"))], replace_original=True)

    @app.action("done")
    async def on_done(ack: Any, respond: Any) -> None:
        await ack()
        await respond(delete_original=True)

    await slack.web().chat_postEphemeral(channel=OPS, user=BOB, text="step 1", blocks=[actions(button("next"))])
    (first,) = await slack.people.ephemerals(BOB)
    async with run(app):
        await slack.people.click(BOB, OPS, first.ts, "next")
        second = await slack.people.wait_for_ephemeral(BOB, lambda e: e.text == "sure?")
        await slack.people.click(BOB, OPS, second.ts, "done")
        await eventually(lambda: slack.sandbox.workspace.ephemerals[0].deleted)

    assert second.ts == first.ts
    assert await slack.people.ephemerals(BOB) == []


async def test_a_modal_opens_shows_its_errors_and_closes_when_the_submission_is_acked(slack: Stand, run: Run) -> None:
    app = bolt(slack)
    submitted: list[dict[str, Any]] = []

    @app.command("/cdm")
    async def cdm(ack: Any, body: dict[str, Any], client: Any) -> None:
        await ack()
        view = await client.views_open(trigger_id=body["trigger_id"], view=modal(callback_id="new"))
        await client.views_update(
            view_id=view["view"]["id"],
            hash=view["view"]["hash"],
            view=modal(text_input("version", "value"), callback_id="new", private_metadata="r7"),
        )

    @app.view("new")
    async def new(ack: Any, view: dict[str, Any]) -> None:
        submitted.append(view)
        if view["state"]["values"]["version"]["value"]["value"] == "1":
            await ack(response_action="errors", errors={"version": "too old"})
        else:
            await ack()

    async with run(app):
        await slack.people.slash(BOB, OPS, "/cdm", "new")
        shown = await slack.people.wait_for_modal(BOB, lambda v: v.private_metadata == "r7")
        with pytest.raises(NotOnScreen):
            await slack.people.submit_view(BOB)
        await slack.people.submit_view(BOB, {"version": "1"})
        refused = await slack.people.modal(BOB)
        await slack.people.submit_view(BOB, {"version": "2"})

    assert (shown.title, shown.errors) == ("Roll out", {})
    assert refused is not None
    assert refused.errors == {"version": "too old"}
    assert await slack.people.modal(BOB) is None
    assert [v["private_metadata"] for v in submitted] == ["r7", "r7"]


async def test_a_submission_can_update_push_and_clear_views(slack: Stand, run: Run) -> None:
    app = bolt(slack)

    @app.action("open")
    async def on_open(ack: Any, body: dict[str, Any], client: Any) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=modal(callback_id="one", title="One"))

    @app.view("one")
    async def one(ack: Any) -> None:
        await ack(response_action="update", view=modal(actions(button("more")), callback_id="two", title="Two"))

    @app.action("more")
    async def more(ack: Any, body: dict[str, Any], client: Any) -> None:
        await ack()
        await client.views_push(trigger_id=body["trigger_id"], view=modal(callback_id="three", title="Three"))

    @app.view("three")
    async def three(ack: Any) -> None:
        await ack(response_action="clear")

    ts = await slack.post("x", blocks=[actions(button("open"))])
    async with run(app):
        await slack.people.click(BOB, OPS, ts, "open")
        await slack.people.wait_for_modal(BOB, lambda v: v.title == "One")
        await slack.people.submit_view(BOB)
        await slack.people.wait_for_modal(BOB, lambda v: v.title == "Two")
        await slack.people.click_in_view(BOB, "more")
        await slack.people.wait_for_modal(BOB, lambda v: v.title == "Three")
        await slack.people.submit_view(BOB)

    assert await slack.people.modal(BOB) is None


async def test_opening_the_home_tab_and_a_mention_reach_the_app_as_events(slack: Stand, run: Run) -> None:
    app = bolt(slack)

    @app.event("app_home_opened")
    async def home(event: dict[str, Any], client: Any) -> None:
        view = {"type": "home", "blocks": [section("your tenants"), actions(button("refresh"))]}
        await client.views_publish(user_id=event["user"], view=view)

    @app.event("app_mention")
    async def mention(event: dict[str, Any], say: Any) -> None:
        await say(text=f"heard {event['user']}", thread_ts=event["ts"])

    @app.action("refresh")
    async def refresh(ack: Any, body: dict[str, Any], client: Any) -> None:
        await ack()
        view = {"type": "home", "blocks": [section("fresh")]}
        await client.views_publish(user_id=body["user"]["id"], view=view, hash=body["view"]["hash"])

    async with run(app):
        await slack.people.open_home(BOB)
        await eventually(lambda: BOB in slack.sandbox.workspace.homes)
        first = await slack.people.home(BOB)
        await slack.people.click_in_view(BOB, "refresh", home=True)
        await eventually(lambda: slack.sandbox.workspace.homes[BOB].state()["shown"] == "fresh")
        await slack.people.post(BOB, OPS, "<@U0CDMBOT> status?")
        reply = await slack.people.wait_for(OPS, lambda m: m.text == f"heard {BOB}")
        await slack.people.post(BOB, QUIET, "<@U0CDMBOT> are you here?")

    assert first is not None
    assert first.shown == "your tenants\n[Promote]"
    assert reply.thread_ts == (await slack.people.messages(OPS))[0].ts
    assert len(slack.sandbox.courier.deliveries) == 3


async def test_the_same_payload_brought_twice_runs_the_handler_twice(slack: Stand, run: Run) -> None:
    app = bolt(slack)
    triggers: list[str] = []

    @app.action("promote")
    async def promote(ack: Any, body: dict[str, Any]) -> None:
        await ack()
        triggers.append(body["trigger_id"])

    ts = await slack.post("x", blocks=[actions(button())])
    async with run(app):
        delivered = await slack.people.click(BOB, OPS, ts, "promote")
        again = await slack.people.replay(delivered.id)
        await eventually(lambda: len(triggers) == 2)

    assert again.acked
    assert triggers[0] == triggers[1]


async def test_a_silent_app_leaves_the_user_with_an_error_and_no_second_try(slack: Stand, run: Run) -> None:
    slack.sandbox.courier.ack_timeout_s = 0.3
    app = bolt(slack)
    heard: list[str] = []

    @app.command("/cdm")
    async def cdm(command: dict[str, Any]) -> None:
        heard.append(command["text"])

    async with run(app):
        delivered = await slack.people.slash(BOB, OPS, "/cdm", "stuck")

    (notice,) = await slack.people.ephemerals(BOB)
    assert (delivered.acked, delivered.error) == (False, "operation_timeout")
    assert notice.error is True
    assert notice.text == '/cdm failed with the error "operation_timeout"'
    assert heard == ["stuck"]


async def test_a_respond_after_five_or_after_thirty_minutes_is_lost_without_an_exception(
    slack: Stand, run: Run
) -> None:
    slack.sandbox.rates.enabled = False
    app = bolt(slack)
    statuses: list[int] = []

    @app.command("/cdm")
    async def cdm(ack: Any, respond: Any, command: dict[str, Any]) -> None:
        await ack()
        if command["text"] == "late":
            slack.clock.turn(1_801)
        for n in range(6):
            statuses.append((await respond(f"{n}")).status_code)

    async with run(app):
        await slack.people.slash(BOB, OPS, "/cdm", "six")
        await eventually(lambda: len(statuses) == 6)
        await slack.people.slash(BOB, OPS, "/cdm", "late")
        await eventually(lambda: len(statuses) == 12)

    assert statuses == [200] * 5 + [404] * 7
    assert [e.text for e in await slack.people.ephemerals(BOB)] == ["0", "1", "2", "3", "4"]


async def test_a_trigger_opens_one_view_within_three_seconds(slack: Stand, run: Run) -> None:
    app = bolt(slack)
    errors: list[str] = []

    @app.command("/cdm")
    async def cdm(ack: Any, body: dict[str, Any], client: Any, command: dict[str, Any]) -> None:
        await ack()
        if command["text"] == "late":
            slack.clock.turn(3.1)
        for _ in range(1 if command["text"] == "late" else 2):
            try:
                await client.views_open(trigger_id=body["trigger_id"], view=modal())
                errors.append("")
            except SlackApiError as refused:
                errors.append(refused.response["error"])

    async with run(app):
        await slack.people.slash(BOB, OPS, "/cdm", "twice")
        await eventually(lambda: len(errors) == 2)
        await slack.people.slash(BOB, OPS, "/cdm", "late")
        await eventually(lambda: len(errors) == 3)

    assert errors == ["", "exchanged_trigger_id", "expired_trigger_id"]
