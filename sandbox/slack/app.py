"""The stand-in for Slack: one workspace, one app, every way in and out of it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import parse_qsl

from sandbox.slack import auth, chat, conversations, files, views  # noqa: F401  they register their methods
from sandbox.slack.calls import METHODS, Call
from sandbox.slack.control import Control
from sandbox.slack.delivery import Courier, sign
from sandbox.slack.errors import RateLimited, SlackError
from sandbox.slack.files import receive_upload
from sandbox.slack.limits import Limits, Rates
from sandbox.slack.people import People
from sandbox.slack.response_urls import ResponseUrl, post_to
from sandbox.slack.sockets import Sockets
from sandbox.slack.upgrade import upgraded, wants_upgrade
from sandbox.slack.views import Trigger
from sandbox.slack.workspace import Workspace
from sandbox.wire import Receive, Scope, Send, answer, read_body

MANIFEST_SCOPES = frozenset({
    "commands", "chat:write", "app_mentions:read", "users:read", "users:read.email", "files:write",
    "channels:read", "groups:read", "im:write", "channels:history", "groups:history",
})  # fmt: skip


class SlackSandbox:
    """Run it with `WireServer(sandbox.app)`; the Web API is then at `server.url + "/api/"`.

    Set at will: `scopes` (of the bot token), `token_error` (every call of the bot is refused with it),
    `refused_blocks` (block types this workspace does not know), `events` (subscriptions), `limits`, `rates`,
    `file_processing_s` (from completion to the message), `late_posts` ([seconds] each of the next posts waits before
    it is stored, while its client may long have given up), `workspace.history_delay_s`, `courier`, `sockets`.
    """

    def __init__(
        self,
        team_id: str = "T0CDM",
        bot_token: str = "xoxb-sandbox",  # noqa: S107
        app_token: str = "xapp-sandbox",  # noqa: S107
        signing_secret: str = "sandbox-signing-secret",  # noqa: S107
        clock: Callable[[], float] = time.time,
        seed: int = 1,
    ) -> None:
        self.bot_token = bot_token
        self.app_token = app_token
        self.signing_secret = signing_secret
        self.clock = clock
        self.host = "slack.invalid"  # where the app reaches us, learnt from its own calls
        self.scopes: set[str] = set(MANIFEST_SCOPES)
        self.token_error = ""
        self.refused_blocks: frozenset[str] = frozenset()
        self.events: set[str] = {"app_mention", "app_home_opened"}
        self.file_processing_s = 0.1
        self.late_posts: list[float] = []
        self.limits = Limits()
        self.rates = Rates(clock)
        self.workspace = Workspace(team_id, clock, seed)
        self.triggers: dict[str, Trigger] = {}
        self.response_urls: dict[str, ResponseUrl] = {}
        self.sockets = Sockets(self.workspace, self.limits, seed)
        self.courier = Courier(self)
        self.people = People(self)
        self._control = Control(self)
        self._tasks: set[asyncio.Task[None]] = set()

    def signed(self, body: bytes) -> dict[str, str]:
        return sign(self.signing_secret, int(self.clock()), body)

    def take_late_post(self) -> float:
        return self.late_posts.pop(0) if self.late_posts else 0.0

    def later(self, delay_s: float, act: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(delay_s, act)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Forget the events still being retried."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def send_event(self, subscription: str, scope: str, event: dict[str, Any]) -> None:
        """Bring an event to the app, in the background, if it subscribed and its scopes allow."""
        if subscription not in self.events or (scope and scope not in self.scopes):
            return
        payload = {
            "token": "sandbox-verification",
            "team_id": self.workspace.team_id,
            "api_app_id": self.workspace.app_id,
            "event": event,
            "type": "event_callback",
            "event_id": self.workspace.new_id("Ev"),
            "event_time": int(self.clock()),
            "authorizations": [
                {
                    "enterprise_id": None,
                    "team_id": self.workspace.team_id,
                    "user_id": self.workspace.bot_user,
                    "is_bot": True,
                    "is_enterprise_install": False,
                }
            ],
            "is_ext_shared_channel": False,
        }
        self.spawn(self.courier.with_retries(payload, event["user"]))

    def archive(self, channel: str, archived: bool = True) -> None:
        self.workspace.channels[channel].archived = archived
        self.workspace.note("channel", {"archived": archived}, channel=channel)

    def remove_bot(self, channel: str) -> None:
        self.workspace.channels[channel].members.discard(self.workspace.bot_user)
        self.workspace.note("channel", {"left": self.workspace.bot_user}, channel=channel)

    def invite_bot(self, channel: str) -> None:
        self.workspace.channels[channel].members.add(self.workspace.bot_user)
        self.workspace.note("channel", {"joined": self.workspace.bot_user}, channel=channel)

    def refuse_token(self, error: str) -> None:
        """`token_revoked`, `account_inactive`, `invalid_auth`; an empty string makes the token good again."""
        self.token_error = error
        self.workspace.note("token", {"error": error})

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self.sockets.serve(scope, receive, send)
        elif scope["type"] == "http" and scope["path"].startswith("/link/") and wants_upgrade(scope):
            await upgraded(scope, self.app)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        host = headers.get("host", self.host)
        if path.startswith("/api/"):
            self.host = host
            await self._web_api(path.removeprefix("/api/").strip("/"), host, headers, scope, receive, send)
        elif path.startswith("/upload/v1/") and scope["method"] == "POST":
            status, text = receive_upload(
                self.workspace.files, path.removeprefix("/upload/v1/"), await read_body(receive)
            )
            await answer(send, status, text, {"content-type": "text/plain"})
        elif path.startswith(("/commands/", "/actions/")) and scope["method"] == "POST":
            await answer(send, *post_to(self, path, await read_body(receive)))
        elif path.startswith("/_sandbox/slack/"):
            if self.host == "slack.invalid":
                self.host = host
            await self._control(path.removeprefix("/_sandbox/slack/"), scope, receive, send)
        else:
            await answer(send, 404, {"ok": False, "error": "not_found"})

    async def _web_api(
        self, name: str, host: str, headers: dict[str, str], scope: Scope, receive: Receive, send: Send
    ) -> None:
        more: dict[str, str] = {"x-slack-req-id": self.workspace.new_id("")}
        try:
            args = _arguments(scope, headers, await read_body(receive))
            said = await self._answer(name, host, headers, args, more)
        except RateLimited as refused:
            more["retry-after"] = str(refused.retry_after_s)
            await answer(send, 429, {"ok": False, "error": refused.code}, more)
        except SlackError as refused:
            await answer(send, 200, {"ok": False, "error": refused.code, **refused.more}, more)
        else:
            await answer(send, 200, said, more)

    async def _answer(
        self, name: str, host: str, headers: dict[str, str], args: dict[str, Any], more: dict[str, str]
    ) -> dict[str, Any]:
        method = METHODS.get(name)
        if method is None:
            raise SlackError("unknown_method", req_method=name)
        token = headers.get("authorization", "").removeprefix("Bearer ") or str(args.pop("token", ""))
        self._authenticate(token, method.takes)
        if method.takes == "bot":
            more["x-oauth-scopes"] = ",".join(sorted(self.scopes))
            more["x-accepted-oauth-scopes"] = ",".join(method.scopes)
        call = Call(self, name, args, host)
        call.need_scope(*method.scopes)
        self.rates.take(name)
        said = await method.handler(call)
        answered = {"ok": True, **said}
        if call.warnings:
            meta = {**said.get("response_metadata", {}), "warnings": call.warnings}
            answered |= {"warning": ",".join(call.warnings), "response_metadata": meta}
        return answered

    def _authenticate(self, token: str, wanted: str) -> None:
        if not token:
            raise SlackError("not_authed")
        if token not in (self.bot_token, self.app_token):
            raise SlackError("invalid_auth")
        if token != (self.bot_token if wanted == "bot" else self.app_token):
            raise SlackError("not_allowed_token_type")
        if self.token_error and token == self.bot_token:
            raise SlackError(self.token_error)


def _arguments(scope: Scope, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    """Query and body arguments in one; the body as a form or as a JSON object."""
    args: dict[str, Any] = dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
    if not body:
        return args
    content_type = headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type == "application/json":
        try:
            given = json.loads(body)
        except ValueError:
            raise SlackError("invalid_json") from None
        if not isinstance(given, dict):
            raise SlackError("json_not_object")
        return args | given
    if content_type == "application/x-www-form-urlencoded":
        return args | dict(parse_qsl(body.decode(), keep_blank_values=True))
    raise SlackError("invalid_post_type" if content_type else "missing_post_type")
