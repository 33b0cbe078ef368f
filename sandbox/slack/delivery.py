"""How Slack brings things to the app: signed HTTP to its Request URL, or Socket Mode; and what becomes of each."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode

import httpx

if TYPE_CHECKING:
    from sandbox.slack.app import SlackSandbox

Kind = Literal["command", "interaction", "event"]
ENVELOPE = {"command": "slash_commands", "interaction": "interactive", "event": "events_api"}


@dataclass(slots=True)
class Attempt:
    """One try. `error` is empty when the app acked with 2xx in time; `reply` is the body of its ack."""

    at: float
    ack_ms: float | None = None
    status: int | None = None
    error: str = ""
    reason: str = ""
    no_retry: bool = False
    reply: dict[str, Any] | None = None


@dataclass(slots=True)
class Delivery:
    """One command, interaction or event, with every try to bring it."""

    id: int
    kind: Kind
    mode: str
    user: str
    payload: dict[str, Any]
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def acked(self) -> bool:
        return any(attempt.ack_ms is not None and not attempt.error for attempt in self.attempts)

    def state(self) -> dict[str, Any]:
        return asdict(self) | {"acked": self.acked}


class Courier:
    """Delivers for one app. Commands and interactions are tried once; events `1 + len(event_retry_s)` times."""

    def __init__(self, sandbox: SlackSandbox) -> None:
        self.sandbox = sandbox
        self.mode: Literal["socket", "http"] = "socket"
        self.request_url = ""
        self.commands_url = ""
        self.events_url = ""
        self.ack_timeout_s = 3.0
        self.event_retry_s: tuple[float, ...] = (0.0, 60.0, 300.0)
        self.deliveries: list[Delivery] = []

    def use_http(self, request_url: str, *, commands_url: str = "", events_url: str = "") -> None:
        """Bring everything to `request_url`, or commands and events to URLs of their own."""
        self.mode = "http"
        self.request_url, self.commands_url, self.events_url = request_url, commands_url, events_url

    async def once(self, kind: Kind, payload: dict[str, Any], user: str) -> tuple[Delivery, Attempt]:
        delivery = self._new(kind, payload, user)
        attempt = await self._try(delivery, None)
        self._note(delivery)
        return delivery, attempt

    async def with_retries(self, payload: dict[str, Any], user: str) -> Delivery:
        """An event, until it is acked, refused for good (x-slack-no-retry), or tried often enough."""
        delivery = self._new("event", payload, user)
        attempt = await self._try(delivery, None)
        for number, pause in enumerate(self.event_retry_s, start=1):
            if not attempt.error or attempt.no_retry:
                break
            await asyncio.sleep(pause)
            attempt = await self._try(delivery, (number, attempt.reason))
        self._note(delivery)
        return delivery

    def _new(self, kind: Kind, payload: dict[str, Any], user: str) -> Delivery:
        delivery = Delivery(len(self.deliveries) + 1, kind, self.mode, user, payload)
        self.deliveries.append(delivery)
        return delivery

    def _note(self, delivery: Delivery) -> None:
        self.sandbox.workspace.note(
            "delivery", {"id": delivery.id, "kind": delivery.kind, "acked": delivery.acked}, user=delivery.user
        )

    async def _try(self, delivery: Delivery, retry: tuple[int, str] | None) -> Attempt:
        attempt = Attempt(self.sandbox.workspace.clock())
        delivery.attempts.append(attempt)
        began = time.monotonic()
        try:
            if self.mode == "socket":
                said = await self.sandbox.sockets.deliver(
                    ENVELOPE[delivery.kind], delivery.payload, self.ack_timeout_s, retry
                )
                attempt.reply = said.get("payload") or None
            else:
                async with asyncio.timeout(self.ack_timeout_s):
                    await self._post(delivery, attempt, retry)
            attempt.ack_ms = (time.monotonic() - began) * 1000
        except (TimeoutError, httpx.TimeoutException):
            attempt.error, attempt.reason = "operation_timeout", "http_timeout"
        except (ConnectionError, httpx.HTTPError):
            attempt.error, attempt.reason = "dispatch_failed", "connection_failed"
        return attempt

    async def _post(self, delivery: Delivery, attempt: Attempt, retry: tuple[int, str] | None) -> None:
        if delivery.kind == "event":
            body, content_type = json.dumps(delivery.payload), "application/json"
        else:
            fields = delivery.payload if delivery.kind == "command" else {"payload": json.dumps(delivery.payload)}
            body, content_type = urlencode(fields), "application/x-www-form-urlencoded"
        headers = self.sandbox.signed(body.encode()) | {
            "content-type": content_type,
            "user-agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
        }
        if retry is not None:
            headers |= {"x-slack-retry-num": str(retry[0]), "x-slack-retry-reason": retry[1]}
        own = {"event": self.events_url, "command": self.commands_url}.get(delivery.kind)
        async with httpx.AsyncClient(trust_env=False, timeout=self.ack_timeout_s) as client:
            answer = await client.post(own or self.request_url, content=body, headers=headers)
        attempt.status = answer.status_code
        if not answer.is_success:
            attempt.error, attempt.reason = "dispatch_failed", "http_error"
            attempt.no_retry = answer.headers.get("x-slack-no-retry") == "1"
        elif answer.text.strip():
            attempt.reply = _reply(answer)


def _reply(answer: httpx.Response) -> dict[str, Any]:
    if "json" in answer.headers.get("content-type", ""):
        said = answer.json()
        if isinstance(said, dict):
            return said
    return {"text": answer.text}


def sign(secret: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Slack's v0 signature over the raw body."""
    base = b"v0:%d:" % timestamp + body
    digest = hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()
    return {"x-slack-request-timestamp": str(timestamp), "x-slack-signature": f"v0={digest}"}
