"""A workspace with Bob and Alice in #ops and #quiet, and clients of it as the product makes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.async_handler import AsyncRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from sandbox.slack import SlackSandbox
from sandbox.slack.client import SlackPeople
from sandbox.wire import App, Receive, Scope, Send, WireServer

OPS, QUIET, BOB, ALICE = "C0OPS", "C0QUIET", "U0BOB", "U0ALICE"


class Dial:
    """A clock that stands unless turned."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now

    def turn(self, seconds: float) -> None:
        self.now += seconds


@dataclass(slots=True)
class Stand:
    """A running stand-in. `bob` and `alice` are in both channels, the bot in #ops alone."""

    sandbox: SlackSandbox
    server: WireServer
    people: SlackPeople
    clock: Dial

    @property
    def api(self) -> str:
        return f"{self.server.url}/api/"

    def web(self, *, retries: bool = False, timeout: int = 5, token: str = "xoxb-sandbox") -> AsyncWebClient:
        """`retries`: slack_sdk's own default handlers; else none, as for calls that must not repeat."""
        handlers: list[AsyncRetryHandler] | None = None if retries else []
        return AsyncWebClient(token=token, base_url=self.api, retry_handlers=handlers, timeout=timeout)

    async def post(self, text: str = "hello", **more: Any) -> str:
        return str((await self.web().chat_postMessage(channel=OPS, text=text, **more))["ts"])


class Switchboard:
    """The app of a server that outlives the stand-ins behind it: starting one takes a fifth of a second."""

    app: App

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def line() -> AsyncIterator[tuple[Switchboard, WireServer]]:
    board = Switchboard()
    async with WireServer(board) as server:
        yield board, server


@pytest_asyncio.fixture(loop_scope="module")
async def slack(line: tuple[Switchboard, WireServer]) -> AsyncIterator[Stand]:
    """With a clock that moves by `slack.clock.turn(seconds)` alone; it starts at the real time."""
    board, server = line
    dial = Dial()
    sandbox = SlackSandbox(clock=dial)
    sandbox.file_processing_s = 0.02
    sandbox.workspace.add_user("bob", id=BOB)
    sandbox.workspace.add_user("alice", id=ALICE)
    sandbox.workspace.add_channel("ops", id=OPS, members=(BOB, ALICE))
    sandbox.workspace.add_channel("quiet", id=QUIET, members=(BOB, ALICE), bot_in=False)
    board.app = sandbox.app
    async with SlackPeople(server.url) as people:
        yield Stand(sandbox, server, people, dial)
    server.faults.clear()
    await sandbox.close()


async def eventually(holds: Callable[[], bool], timeout_s: float = 5.0) -> None:
    """Return as soon as `holds()`; fail after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.005)


async def refusal(call: Awaitable[Any]) -> dict[str, Any]:
    """The body of the refusal `call` ends in."""
    with pytest.raises(SlackApiError) as refused:
        await call
    return dict(refused.value.response.data)


async def refused_as(call: Awaitable[Any]) -> str:
    return str((await refusal(call))["error"])


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def button(action_id: str = "promote", label: str = "Promote", value: str = "7", **more: Any) -> dict[str, Any]:
    text = {"type": "plain_text", "text": label}
    return {"type": "button", "action_id": action_id, "text": text, "value": value, **more}


def actions(*buttons: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "actions", "elements": list(buttons), **more}


def modal(*blocks: dict[str, Any], title: str = "Roll out", **more: Any) -> dict[str, Any]:
    def plain(text: str) -> dict[str, str]:
        return {"type": "plain_text", "text": text}

    shown = list(blocks) or [section("loading")]
    return {"type": "modal", "title": plain(title), "submit": plain("Go"), "blocks": shown, **more}


def text_input(block_id: str, action_id: str, *, optional: bool = False) -> dict[str, Any]:
    return {
        "type": "input",
        "block_id": block_id,
        "optional": optional,
        "label": {"type": "plain_text", "text": block_id},
        "element": {"type": "plain_text_input", "action_id": action_id},
    }
