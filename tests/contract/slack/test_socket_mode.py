"""Socket Mode with slack_sdk's aiohttp client: connections come, go, and any one of them gets the next envelope."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from sandbox.wire import WireServer
from tests.contract.slack.conftest import BOB, OPS, Stand, actions, button, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(slots=True)
class Listener:
    client: SocketModeClient
    requests: list[SocketModeRequest] = field(default_factory=list)
    raw: list[dict[str, Any]] = field(default_factory=list)
    silent: bool = False

    async def on_request(self, client: Any, request: SocketModeRequest) -> None:
        self.requests.append(request)
        if not self.silent:
            await client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))

    async def on_message(self, client: Any, message: dict[str, Any], raw: str | None) -> None:
        self.raw.append(message)


Connect = Callable[[], Awaitable[Listener]]


@pytest_asyncio.fixture(loop_scope="module")
async def connect(slack: Stand) -> AsyncIterator[Connect]:
    """Opens one more client on each call; all are closed at the end."""
    clients: list[SocketModeClient] = []

    async def one() -> Listener:
        client = SocketModeClient("xapp-sandbox", web_client=slack.web(token=""), ping_interval=0.5)
        listener = Listener(client)
        client.socket_mode_request_listeners.append(listener.on_request)
        client.message_listeners.append(listener.on_message)
        clients.append(client)
        await client.connect()
        await eventually(lambda: any(m.get("type") == "hello" for m in listener.raw))
        return listener

    yield one
    for client in clients:
        await client.close()


@asynccontextmanager
async def bare_socket(slack: Stand, more: str = "") -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    url = (await slack.web().apps_connections_open(app_token="xapp-sandbox"))["url"]
    async with aiohttp.ClientSession() as session, session.ws_connect(url + more) as socket:
        yield socket


async def test_hello_counts_the_connections_and_a_ticket_is_good_once(slack: Stand) -> None:
    url = (await slack.web().apps_connections_open(app_token="xapp-sandbox"))["url"]
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        hello = await socket.receive_json()
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(url)
        async with bare_socket(slack, "&debug_reconnects=true") as second:
            debug = await second.receive_json()

    assert (hello["type"], hello["num_connections"]) == ("hello", 1)
    assert hello["debug_info"]["approximate_connection_time"] == 18_060
    assert (debug["num_connections"], debug["debug_info"]["approximate_connection_time"]) == (2, 360)


async def test_an_ack_is_matched_by_envelope_id_and_may_carry_an_answer(slack: Stand) -> None:
    async with bare_socket(slack) as socket:
        await socket.receive_json()
        typing = asyncio.create_task(slack.people.slash(BOB, OPS, "/cdm", "x" * 70_000))
        envelope = await socket.receive_json()
        await socket.send_json({"envelope_id": "another"})
        await socket.send_json({"envelope_id": envelope["envelope_id"], "payload": {"text": "y" * 70_000}})
        delivered = await typing

    assert envelope["type"] == "slash_commands"
    assert envelope["accepts_response_payload"] is True
    assert len(envelope["payload"]["text"]) == 70_000
    assert delivered.acked
    (said,) = await slack.people.ephemerals(BOB)
    assert said.text == "y" * 40_000


async def test_each_envelope_goes_to_one_of_the_connections_at_random(slack: Stand, connect: Connect) -> None:
    first, second = await connect(), await connect()

    for n in range(20):
        assert (await slack.people.slash(BOB, OPS, "/cdm", f"{n}")).acked

    assert len(first.requests) + len(second.requests) == 20
    assert 0 < len(first.requests) < 20


async def test_without_a_connection_commands_fail_at_once_and_events_are_retried(
    slack: Stand, connect: Connect
) -> None:
    slack.sandbox.courier.event_retry_s = (0.0, 0.3, 0.3)

    command = await slack.people.slash(BOB, OPS, "/cdm")
    await slack.people.open_home(BOB)
    listener = await connect()
    await eventually(lambda: bool(listener.requests))

    assert command.error == "dispatch_failed"
    (event,) = listener.requests
    assert event.payload["event"]["type"] == "app_home_opened"
    assert event.retry_attempt in (1, 2, 3)
    assert event.retry_reason == "connection_failed"


async def test_an_event_without_an_ack_comes_again_with_the_same_id(slack: Stand, connect: Connect) -> None:
    slack.sandbox.courier.event_retry_s = (0.0, 0.0, 0.0)
    slack.sandbox.courier.ack_timeout_s = 0.2
    listener = await connect()
    listener.silent = True

    await slack.people.open_home(BOB)
    await eventually(lambda: len(listener.requests) == 2)
    listener.silent = False
    await eventually(lambda: slack.sandbox.courier.deliveries[0].acked)

    assert len({request.payload["event_id"] for request in listener.requests}) == 1
    assert [request.retry_attempt for request in listener.requests] == [0, 1, 2]
    assert listener.requests[1].retry_reason == "http_timeout"


async def test_an_envelope_may_come_twice(slack: Stand, connect: Connect) -> None:
    listener = await connect()
    await slack.people.set(duplicate_next=1)
    ts = await slack.post("x", blocks=[actions(button())])

    await slack.people.click(BOB, OPS, ts, "promote")
    await eventually(lambda: len(listener.requests) == 2)
    await slack.people.click(BOB, OPS, ts, "promote")

    assert listener.requests[0].envelope_id == listener.requests[1].envelope_id
    assert len(listener.requests) == 3


async def test_a_refresh_brings_every_client_back_on_a_new_connection(slack: Stand, connect: Connect) -> None:
    await slack.people.set(socket_grace_s=5)
    await connect()
    await connect()
    old = list(slack.sandbox.sockets.open)

    await slack.people.refresh_sockets()
    await eventually(lambda: not set(old) & set(slack.sandbox.sockets.open) and len(slack.sandbox.sockets.open) == 2)

    for n in range(10):
        assert (await slack.people.slash(BOB, OPS, "/cdm", f"{n}")).acked


async def test_a_refresh_cuts_a_client_that_does_not_go(slack: Stand) -> None:
    await slack.people.set(socket_grace_s=0.05)
    async with bare_socket(slack) as socket:
        await socket.receive_json()
        await slack.people.refresh_sockets()
        said = [await socket.receive() for _ in range(3)]

    assert [m.json()["reason"] for m in said[:2]] == ["warning", "refresh_requested"]
    assert said[2].type == aiohttp.WSMsgType.CLOSE


async def test_a_cut_connection_is_dialled_again(slack: Stand, connect: Connect) -> None:
    listener = await connect()

    await slack.people.drop_sockets()
    await eventually(lambda: slack.sandbox.sockets.opened == 2 and len(slack.sandbox.sockets.open) == 1)

    assert (await slack.people.slash(BOB, OPS, "/cdm")).acked
    assert len(listener.requests) == 1


async def test_the_eleventh_connection_is_turned_away(slack: Stand) -> None:
    slack.sandbox.limits.sockets = 1
    async with bare_socket(slack) as first, bare_socket(slack) as surplus:
        assert (await first.receive_json())["type"] == "hello"
        refused = await surplus.receive_json()
        closed = await surplus.receive()

    assert (refused["type"], refused["reason"]) == ("disconnect", "too_many_websockets")
    assert closed.type == aiohttp.WSMsgType.CLOSE


async def test_dialling_without_end_ends_in_a_429(slack: Stand) -> None:
    slack.sandbox.rates.per_minute["apps.connections.open"] = 5

    for _ in range(5):
        await slack.web().apps_connections_open(app_token="xapp-sandbox")

    with pytest.raises(Exception, match="ratelimited"):
        await slack.web().apps_connections_open(app_token="xapp-sandbox")


async def test_sockets_end_with_the_server(slack: Stand) -> None:
    server = await WireServer(slack.sandbox.app).start()
    web = AsyncWebClient(base_url=f"{server.url}/api/")
    url = (await web.apps_connections_open(app_token="xapp-sandbox"))["url"]
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        await socket.receive_json()
        await server.stop()
        ended = await asyncio.wait_for(socket.receive(), 5)

    assert ended.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
    assert slack.sandbox.sockets.open == []
