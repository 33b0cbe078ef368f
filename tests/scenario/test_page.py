"""The page over HTTP, with an app behind the workspace: people act on it, and it follows what happens."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from slack_bolt.adapter.asgi.async_handler import AsyncSlackRequestHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from sandbox.page.app import PageServer, page_app
from sandbox.slack import SlackSandbox
from sandbox.wire import WireServer

OPS, BOB, ALICE = "C0OPS", "U0BOB", "U0ALICE"


def plain(text: str) -> dict[str, str]:
    return {"type": "plain_text", "text": text}


PROMOTE = {"type": "button", "action_id": "promote", "text": plain("Promote"), "value": "7"}
MENU = {
    "type": "overflow",
    "action_id": "more",
    "options": [{"text": plain("Pause"), "value": "pause:7"}, {"text": plain("Stop"), "value": "stop:7"}],
}
WHY = {"type": "plain_text_input", "action_id": "why"}
ASKING = {
    "type": "modal",
    "title": plain("Stop"),
    "submit": plain("Stop it"),
    "blocks": [{"type": "input", "block_id": "reason", "label": plain("Why"), "element": WHY}],
}


class Tried:
    """A page on a workspace, and the app whose buttons are on it. `heard` is what reached the app."""

    def __init__(self, slack: SlackSandbox, web: AsyncWebClient, page: httpx.AsyncClient) -> None:
        self.slack = slack
        self.web = web
        self.page = page
        self.heard: list[Any] = []

    async def post(self, text: str, **more: Any) -> str:
        return str((await self.web.chat_postMessage(channel=OPS, text=text, **more))["ts"])

    async def act(self, name: str, **body: Any) -> dict[str, Any]:
        answer = await self.page.post(f"/api/act/{name}", json={"user": BOB, **body})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def seq(self) -> int:
        return int((await self.page.get("/api/workspace", params={"user": BOB})).json()["seq"])

    @asynccontextmanager
    async def stream(self, user: str = BOB, since: int | None = None, **headers: str) -> AsyncIterator[Stream]:
        asked: dict[str, str | int] = {"user": user, "since": await self.seq() if since is None else since}
        async with self.page.stream("GET", "/api/stream", params=asked, headers=headers) as answer:
            yield Stream(answer)


class Stream:
    """Events as a browser's EventSource gets them: (name, data), and the last id."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.aiter_lines()
        self.last_id = ""

    async def next(self) -> tuple[str, dict[str, Any]]:
        name = data = ""
        async for line in self._lines:
            field, _, value = line.partition(": ")
            if field == "id":
                self.last_id = value
            elif field == "event":
                name = value
            elif field == "data":
                data = value
            elif not line and name:
                return name, json.loads(data)
        raise AssertionError("the stream has ended")

    async def until(self, part: str, holds: str = "") -> Any:
        """That part of the first batch which has it, and in which `holds` occurs."""
        async with asyncio.timeout(10):
            while True:
                name, batch = await self.next()
                if name == "batch" and batch.get(part) and holds in json.dumps(batch[part]):
                    return batch[part]


@pytest.fixture
async def tried() -> AsyncIterator[Tried]:
    slack = SlackSandbox()
    for name in ("bob", "alice"):
        slack.workspace.add_user(name)
    slack.workspace.add_channel("ops", id=OPS, members=(BOB, ALICE))
    async with (
        WireServer(slack.app) as server,
        PageServer(page_app(slack, None), 0) as page,
        httpx.AsyncClient(base_url=page.url, headers={"X-Requested-With": "cdm"}, trust_env=False) as client,
    ):
        web = AsyncWebClient(token=slack.bot_token, base_url=f"{server.url}/api/")
        made = Tried(slack, web, client)
        async with WireServer(AsyncSlackRequestHandler(_app(made))) as app:  # type: ignore[arg-type]
            slack.courier.use_http(f"{app.url}/slack/events")
            yield made
    await slack.close()


def _app(tried: Tried) -> AsyncApp:
    app = AsyncApp(client=tried.web, signing_secret=tried.slack.signing_secret)

    @app.command("/cdm")
    async def cdm(ack: Any, command: dict[str, Any]) -> None:
        await ack(f"you said {command['text']}")

    @app.action("promote")
    async def promote(ack: Any, action: dict[str, Any], body: dict[str, Any]) -> None:
        await ack()
        tried.heard.append(("promote", action["value"], body["user"]["id"]))
        await tried.web.chat_update(channel=OPS, ts=body["message"]["ts"], text="promoted")

    @app.action("more")
    async def more(ack: Any, action: dict[str, Any], body: dict[str, Any]) -> None:
        await ack()
        tried.heard.append(("more", action["selected_option"]["value"], body["user"]["id"]))
        await tried.web.views_open(trigger_id=body["trigger_id"], view=ASKING)

    @app.view("")
    async def submitted(ack: Any, view: dict[str, Any]) -> None:
        why = view["state"]["values"]["reason"]["why"]["value"]
        tried.heard.append(("why", why))
        if len(why) < 5:
            await ack(response_action="errors", errors={"reason": "Say more."})
        else:
            await ack()

    @app.event("app_home_opened")
    async def home(event: dict[str, Any]) -> None:
        blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "*Your* incidents"}}]
        await tried.web.views_publish(user_id=event["user"], view={"type": "home", "blocks": blocks})

    return app


async def test_a_command_is_answered_to_its_author_alone(tried: Tried) -> None:
    async with tried.stream() as bobs, tried.stream(ALICE) as alices:
        assert await tried.act("slash", channel=OPS, command="/cdm", text="rollout status") == {}
        [answer] = await bobs.until("messages", "you said rollout status")
        assert answer["ephemeral"] is True

        await tried.post("the next one")
        seen = await alices.until("messages")
        assert "the next one" in json.dumps(seen)
        assert "you said" not in json.dumps(seen)


async def test_a_press_reaches_the_app_and_the_message_changes_in_place(tried: Tried) -> None:
    ts = await tried.post("ready", blocks=[{"type": "actions", "elements": [PROMOTE]}])
    async with tried.stream() as stream:
        await tried.act("click", channel=OPS, ts=ts, action_id="promote", value="7")
        [changed] = await stream.until("messages", "promoted")

    assert tried.heard == [("promote", "7", BOB)]
    assert changed["ts"] == ts
    assert "data-act" not in changed["html"]


async def test_a_menu_opens_a_modal_that_is_corrected_and_sent(tried: Tried) -> None:
    ts = await tried.post("ready", blocks=[{"type": "actions", "elements": [MENU]}])
    async with tried.stream() as stream:
        await tried.act("click", channel=OPS, ts=ts, action_id="more", value="stop:7")
        [modal] = await stream.until("modals")
        assert 'data-type="plain_text_input"' in modal["html"]

        await tried.act("submit_view", values={"reason": "bad"})
        [corrected] = await stream.until("modals", "Say more.")
        assert (corrected["id"], corrected["errors"]) == (modal["id"], {"reason": "Say more."})

        await tried.act("submit_view", values={"reason": "it falls back"})
        async with asyncio.timeout(5):
            while (await stream.next())[1].get("modals") != []:
                pass
    assert tried.heard == [("more", "stop:7", BOB), ("why", "bad"), ("why", "it falls back")]


async def test_the_home_is_what_the_app_publishes_when_it_is_opened(tried: Tried) -> None:
    async with tried.stream() as stream:
        await tried.act("open_home")
        home = await stream.until("home")

    assert "<strong>Your</strong> incidents" in home["html"]


async def test_an_app_that_is_away_is_told_in_words_beside_slacks_own_notice(tried: Tried) -> None:
    tried.slack.courier.use_http("http://127.0.0.1:9/nobody")
    async with tried.stream() as stream:
        told = await tried.act("slash", channel=OPS, command="/cdm")
        [notice] = await stream.until("messages", "dispatch_failed")

    assert told["error"] == "That did not work."
    assert "could not reach the bot" in told["why"]
    assert notice["error"] is True


async def test_a_message_and_a_reply_of_a_person_appear_to_the_others(tried: Tried) -> None:
    async with tried.stream(ALICE) as stream:
        await tried.act("post", channel=OPS, text="who is on call?")
        [question] = await stream.until("messages")
        await tried.act("post", channel=OPS, text="I am", thread_ts=question["ts"])
        told = {message["ts"]: message for message in await stream.until("messages", "I am")}

    assert question["author"] == {"id": BOB, "name": "bob", "bot": False}
    assert told[question["ts"]]["replies"]["count"] == 1


async def test_a_stream_that_broke_goes_on_after_its_last_id(tried: Tried) -> None:
    async with tried.stream() as stream:
        await tried.post("one")
        await stream.until("messages", "one")
        last_id = stream.last_id
    await tried.post("two")

    async with tried.stream(since=0, **{"Last-Event-ID": last_id}) as again:
        seen = json.dumps(await again.until("messages"))
    assert "two" in seen
    assert "one" not in seen


async def test_fifty_updates_a_second_are_followed_without_falling_behind(tried: Tried) -> None:
    """Each batch shows a state of the last fifth of a second, and far fewer batches than updates come."""
    message = tried.slack.workspace.messages[OPS][await tried.post("0")]
    began = time.monotonic()

    async def update() -> None:
        for number in range(150):
            message.text = f"at {time.monotonic() - began:.6f} s, {number} done"
            tried.slack.workspace.changed(message)
            await asyncio.sleep(0.02)

    async with tried.stream() as stream:
        updating = asyncio.create_task(update())
        lags, batches = [], 0
        while not updating.done() or batches == 0:
            [shown] = await stream.until("messages")
            batches += 1
            lags.append(time.monotonic() - began - float(shown["html"].split("at ")[1].split(" s")[0]))
            if "149 done" in shown["html"]:
                break
        await updating

    assert batches < 100
    assert sorted(lags)[len(lags) // 2] < 0.2


async def test_a_taken_port_is_no_obstacle(tried: Tried) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        async with PageServer(page_app(tried.slack, None), port) as server:
            assert server.port != port
            async with httpx.AsyncClient(trust_env=False) as client:
                assert (await client.get(server.url)).status_code == 200


async def test_open_streams_do_not_keep_the_server_from_ending() -> None:
    slack = SlackSandbox()
    slack.workspace.add_user("bob")
    server = PageServer(page_app(slack, None), 0)
    await server.__aenter__()
    async with (
        httpx.AsyncClient(base_url=server.url, trust_env=False) as client,
        client.stream("GET", "/api/stream", params={"user": BOB}) as answer,
    ):
        assert "hello" in await anext(answer.aiter_text())
        began = time.monotonic()
        await server.__aexit__()
        assert time.monotonic() - began < 1.5
