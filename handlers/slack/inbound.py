"""Slack's two doors (signed HTTP, Socket Mode) into one durable queue. Nothing is decided here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from fastapi import APIRouter, Request, Response
from prometheus_client import Counter
from slack_bolt.adapter.fastapi.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient

from core.ports import Clock
from integrations.store.connection import STORE_DOWN, StoreTimeout
from integrations.store.work import WorkQueue

log = structlog.get_logger(__name__)

HEARD = Counter("cdm_slack_heard", "Commands and clicks heard", ["kind", "outcome"])

STORE_AWAY = "Nothing was done: the bot cannot reach its store, so it takes no orders. Try again in a minute."
STORE_SILENT = (
    "The bot's store did not answer in time. What you asked for may still be carried out within the next minutes: "
    "look at how things are before you ask again."
)


def build_app(*, client: AsyncWebClient, token: Callable[[], str], queue: WorkQueue, clock: Clock) -> AsyncApp:
    """The bolt app. Listeners only hand over, so the answer may wait for them (that avoids bolt's 10 ms polling).

    Signatures are checked before it (`build_router`), with a secret that may rotate; Socket Mode has none.
    """

    async def authorize() -> AuthorizeResult:
        """Without asking Slack (bolt would call auth.test within the first request). Only commands and clicks are
        listened to, and the bot makes neither, so it need not know its own user to pass over them."""
        return AuthorizeResult(enterprise_id=None, team_id=None, bot_token=token(), bot_id=None, bot_user_id=None)

    app = AsyncApp(client=client, authorize=authorize, request_verification_enabled=False, process_before_response=True)

    @app.command(re.compile(r".*"))
    async def command(ack: AsyncAck, body: dict[str, Any]) -> None:
        item = {**_command(body), "heard_at": clock.now().isoformat()}
        problem = await _keep(queue, item, once=body["trigger_id"])
        await (ack(problem) if problem else ack())

    @app.action(re.compile(r".*"))
    async def action(ack: AsyncAck, respond: AsyncRespond, body: dict[str, Any]) -> None:
        pressed = body["actions"][0]
        item = {**_click(body, pressed), "heard_at": clock.now().isoformat()}
        problem = None
        if not pressed.get("url"):
            problem = await _keep(queue, item, once=f"{body['trigger_id']}/{pressed.get('action_ts', '')}")
        await ack()
        if problem:  # an ack of a click cannot carry a text
            await respond(problem, response_type="ephemeral", replace_original=False)

    return app


def build_router(app: AsyncApp, signing_secret: Callable[[], str]) -> APIRouter:
    """`POST /slack/events`: refuses what Slack did not sign within the last five minutes, then hands it to bolt."""
    router = APIRouter()
    handler = AsyncSlackRequestHandler(app)

    @router.post("/slack/events")
    async def events(request: Request) -> Response:
        body = await request.body()
        if not signed(signing_secret(), body, request.headers):
            HEARD.labels("http", "bad_signature").inc()
            return Response("the request is not signed by Slack, or too old", status_code=401)
        return await handler.handle(request)

    return router


def signed(secret: str, body: bytes, headers: Mapping[str, str]) -> bool:
    """slack_sdk's verifier raises on a timestamp that is no number (measured on 3.47); that is a no here."""
    if not headers.get("x-slack-request-timestamp", "").isdecimal():
        return False
    return SignatureVerifier(secret).is_valid_request(body, dict(headers))


async def _keep(queue: WorkQueue, item: dict[str, Any], *, once: str) -> str | None:
    """Keep it durably. What to tell the person where that did not work, or where nobody can say whether it did."""
    try:
        fresh = await queue.put(item, once=once)
    except StoreTimeout:  # the command may lie in a frozen store's socket, to be run when it goes on
        HEARD.labels(item["kind"], "store_silent").inc()
        log.exception("order_perhaps_kept", kind=item["kind"])
        return STORE_SILENT
    except STORE_DOWN:
        HEARD.labels(item["kind"], "store_away").inc()
        log.exception("order_not_kept", kind=item["kind"])
        return STORE_AWAY
    HEARD.labels(item["kind"], "kept" if fresh else "replay").inc()
    return None


def _command(body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "kind": "command",
        "team": body.get("team_id", ""),
        "user": body["user_id"],
        "channel": body["channel_id"],
        "text": body.get("text", ""),
        "response_url": body.get("response_url", ""),
    }


def _click(body: Mapping[str, Any], pressed: Mapping[str, Any]) -> dict[str, Any]:
    user, container = body["user"], body.get("container", {})
    return {
        "kind": "click",
        "team": user.get("team_id") or body.get("team", {}).get("id", ""),
        "user": user["id"],
        "channel": container.get("channel_id") or body.get("channel", {}).get("id", ""),
        "message_ts": container.get("message_ts", ""),
        "action": pressed["action_id"],
        "value": pressed.get("value", ""),
        "response_url": body.get("response_url", ""),
    }
