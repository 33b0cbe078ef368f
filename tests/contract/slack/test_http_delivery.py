"""The Request URL: signatures, time limits, and the retries that events get and clicks do not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import pytest
import pytest_asyncio
from slack_sdk.signature import SignatureVerifier

from sandbox.wire import Receive, Scope, Send, WireServer, answer, free_port, read_body
from tests.contract.slack.conftest import BOB, OPS, Stand, actions, button, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(slots=True)
class Receiver:
    """An app that notes every request and answers with what is next in `answers`, else 200."""

    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.bodies.append(await read_body(receive))
        self.headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
        status, headers = self.answers.pop(0) if self.answers else (200, {})
        await answer(send, status, None, headers)


@pytest_asyncio.fixture(loop_scope="module")
async def receiver(slack: Stand) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with WireServer(receiver) as server:
        slack.sandbox.courier.use_http(f"{server.url}/slack/events")
        yield receiver


async def test_every_request_is_signed_over_its_raw_body(slack: Stand, receiver: Receiver) -> None:
    ts = await slack.post("x", blocks=[actions(button())])
    await slack.people.slash(BOB, OPS, "/cdm", 'why "ä" & <b>')
    await slack.people.click(BOB, OPS, ts, "promote")
    await slack.people.open_home(BOB)
    await eventually(lambda: len(receiver.bodies) == 3)

    ours, other = SignatureVerifier("sandbox-signing-secret"), SignatureVerifier("another")
    pairs = list(zip(receiver.bodies, receiver.headers, strict=True))
    assert [ours.is_valid_request(body, headers) for body, headers in pairs] == [True] * 3
    assert [other.is_valid_request(body, headers) for body, headers in pairs] == [False] * 3
    assert not ours.is_valid_request(receiver.bodies[0] + b" ", receiver.headers[0])
    assert [headers["content-type"] for headers in receiver.headers] == [
        "application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded",
        "application/json",
    ]
    assert parse_qs(receiver.bodies[0].decode())["text"] == ['why "ä" &amp; &lt;b&gt;']
    assert receiver.bodies[1].startswith(b"payload=")


async def test_an_event_is_brought_again_with_the_same_id_until_it_is_taken(slack: Stand, receiver: Receiver) -> None:
    slack.sandbox.courier.event_retry_s = (0.0, 0.01, 0.02)
    receiver.answers = [(500, {}), (503, {})]

    await slack.people.open_home(BOB)
    await eventually(lambda: len(receiver.bodies) == 3)

    assert len(set(receiver.bodies)) == 1
    assert [headers.get("x-slack-retry-num") for headers in receiver.headers] == [None, "1", "2"]
    assert [headers.get("x-slack-retry-reason") for headers in receiver.headers] == [
        None,
        "http_error",
        "http_error",
    ]


async def test_no_retry_is_honoured(slack: Stand, receiver: Receiver) -> None:
    slack.sandbox.courier.event_retry_s = (0.0, 0.0, 0.0)
    receiver.answers = [(500, {"x-slack-no-retry": "1"})]

    await slack.people.open_home(BOB)
    await eventually(lambda: any(change.kind == "delivery" for change in slack.sandbox.workspace.changes))

    (delivery,) = slack.sandbox.courier.deliveries
    assert (len(delivery.attempts), delivery.acked, len(receiver.bodies)) == (1, False, 1)


async def test_clicks_and_commands_that_fail_are_told_to_the_user_and_never_retried(
    slack: Stand, receiver: Receiver
) -> None:
    ts = await slack.post("x", blocks=[actions(button())])
    receiver.answers = [(500, {}), (404, {})]

    command = await slack.people.slash(BOB, OPS, "/cdm")
    click = await slack.people.click(BOB, OPS, ts, "promote")

    assert (command.error, command.status, click.error, click.status) == (
        "dispatch_failed", 500, "dispatch_failed", 404,
    )  # fmt: skip
    assert [e.text for e in await slack.people.ephemerals(BOB)] == [
        '/cdm failed with the error "dispatch_failed"',
        'promote failed with the error "dispatch_failed"',
    ]
    assert len(receiver.bodies) == 2


async def test_an_app_that_is_down_fails_the_dispatch(slack: Stand) -> None:
    slack.sandbox.courier.use_http(f"http://127.0.0.1:{free_port()}/slack/events")

    delivered = await slack.people.slash(BOB, OPS, "/cdm")

    assert (delivered.acked, delivered.error, delivered.ack_ms) == (False, "dispatch_failed", None)
