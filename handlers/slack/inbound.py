"""Slack's two doors (signed HTTP, Socket Mode) into one durable queue. Nothing is decided here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from slack_bolt.adapter.fastapi.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient

from core.ids import SlackUser
from core.messages.home import REFRESH
from core.messages.release_form import RELEASE_FORM
from core.messages.views import REASON_FORM, RUN_FORM
from handlers.slack.home import HomeDoor
from handlers.slack.keep import HEARD, Keeper
from handlers.slack.limit import RequestLimit
from handlers.slack.reasons import WITH_REASON, ReasonDoor
from handlers.slack.release_form import ReleaseDoor
from handlers.slack.views import FormDoor, is_menu, turned_away, wants_form


def build_app(
    *,
    client: AsyncWebClient,
    token: Callable[[], str],
    limit: RequestLimit,
    keeper: Keeper,
    forms: FormDoor,
    reasons: ReasonDoor,
    releases: ReleaseDoor,
    homes: HomeDoor,
) -> AsyncApp:
    """The bolt app. Listeners only hand over, so the answer may wait for them (that avoids bolt's 10 ms polling); forms
    alone are opened and checked here, since Slack gives three seconds for that. Too many of one person stop here.

    Signatures are checked before it (`build_router`), with a secret that may rotate; Socket Mode has none.
    """

    async def authorize() -> AuthorizeResult:
        """Without asking Slack (bolt would call auth.test within the first request). What is listened
        to is never made by the bot itself, so it need not know its own user to pass over that."""
        return AuthorizeResult(enterprise_id=None, team_id=None, bot_token=token(), bot_id=None, bot_user_id=None)

    app = AsyncApp(client=client, authorize=authorize, request_verification_enabled=False, process_before_response=True)

    @app.command(re.compile(r".*"))
    async def command(ack: AsyncAck, body: dict[str, Any]) -> None:
        item, once = _command(body), body["trigger_id"]
        problem: str | None
        if refused := limit.ask(SlackUser(item["team"], item["user"]), "command"):
            problem = refused.text if refused.tell else None
        elif loading := wants_form(item["text"]):
            problem = await forms.open(body["trigger_id"], item, once=once, loading=loading)
        else:
            problem = await keeper.keep(item, once=once)
        await (ack(problem) if problem else ack())

    @app.action(re.compile(r".*"))
    async def action(ack: AsyncAck, respond: AsyncRespond, body: dict[str, Any]) -> None:
        pressed = body["actions"][0]
        item = _click(body, pressed)
        user = SlackUser(item["team"], item["user"])
        once = f"{body['trigger_id']}/{pressed.get('action_ts', '')}"
        problem = None
        if refused := limit.ask(user, "click"):
            problem = refused.text if refused.tell else None
        elif is_menu(pressed) and body.get("view"):
            await forms.choose(body)
        elif item["action"] == RUN_FORM:
            problem = await forms.open(body["trigger_id"], item, once=once)
        elif item["action"] in WITH_REASON:
            problem = await reasons.open(body["trigger_id"], item)
        elif item["action"] == REFRESH:
            await homes.ask(user)
        elif not pressed.get("url"):
            problem = await keeper.keep(item, once=once)
        await ack()
        if problem and item["response_url"]:  # an ack of a click cannot carry a text
            await respond(problem, response_type="ephemeral", replace_original=False)
        elif problem:
            homes.say(user, problem)

    @app.view(re.compile(r".*"))
    async def sent(ack: AsyncAck, body: dict[str, Any]) -> None:
        if refused := limit.ask(SlackUser(_team(body), body["user"]["id"]), "form"):
            await ack(**turned_away(body["view"], refused.text))
            return
        doors = {REASON_FORM: reasons.submit, RELEASE_FORM: releases.submit}
        await ack(**await doors.get(body["view"].get("callback_id", ""), forms.submit)(body))

    @app.event("app_home_opened")
    async def home_opened(body: dict[str, Any]) -> None:
        event = body["event"]
        if event.get("tab") != "home":
            return
        user = SlackUser(body.get("team_id", ""), event["user"])
        refused = limit.ask(user, "home")
        if refused is None:
            await homes.ask(user)
        elif refused.tell:
            homes.say(user, refused.text)

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


def _command(body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "kind": "command",
        "team": body.get("team_id", ""),
        "user": body["user_id"],
        "channel": body["channel_id"],
        "text": body.get("text", ""),
        "response_url": body.get("response_url", ""),
    }


def _team(body: Mapping[str, Any]) -> str:
    return str(body["user"].get("team_id") or body.get("team", {}).get("id", ""))


def _click(body: Mapping[str, Any], pressed: Mapping[str, Any]) -> dict[str, Any]:
    container = body.get("container", {})
    action, value = pressed["action_id"], pressed.get("value", "")
    if pressed.get("type") == "overflow":  # a choice says what button it stands for: "<action>:<value>"
        action, _, value = pressed["selected_option"]["value"].rpartition(":")
    return {
        "kind": "click",
        "team": _team(body),
        "user": body["user"]["id"],
        "channel": container.get("channel_id") or body.get("channel", {}).get("id", ""),
        "message_ts": container.get("message_ts", ""),
        "action": action,
        "value": value,
        "response_url": body.get("response_url", ""),
    }
