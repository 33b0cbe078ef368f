"""`POST /webhooks/thingsboard/{stack}`: one alarm message in, on disk, 202 out, in milliseconds.

A raw ASGI app, since each microsecond here is paid per alarm: ThingsBoard lost 964 of 2,000 webhooks to a receiver
that took 300 ms (measured on CE 4.2.1). Whose alarm it is comes from the secret alone, never from the body. ThingsBoard
signs nothing and sends no delivery id: repeats are the fold's to recognise.
"""

from __future__ import annotations

import asyncio
import binascii
import hmac
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import orjson
import structlog
from prometheus_client import Counter

from core.alarms.parse import EXPLAINED, check
from core.ids import Stack, Tenant
from core.ports import Clock
from integrations.store.intake import InDanger

log = structlog.get_logger(__name__)

PREFIX = "/webhooks/thingsboard"
MAX_BODY = 64 * 1024
"""ThingsBoard's own bodies have 0.7 to 2 kB; details of 20 kB pass there (measured)."""
DRAINED = 1 << 20
"""So much of a too large body is read and thrown away, so that its sender reads our answer instead of a reset."""
BODY_S = 5.0

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Secrets = Callable[[], Mapping[tuple[Stack, Tenant], tuple[str, ...]]]
"""The secrets now valid. Give a new mapping when they change; the same one costs nothing to look at."""

REFUSED = Counter("cdm_webhook_refused", "Webhooks not accepted, by reason", ["reason"])


class Refusal(StrEnum):
    """Why a webhook was not accepted, besides the reasons of `Unfit`."""

    WRONG_METHOD = "wrong_method"
    UNKNOWN_STACK = "unknown_stack"
    WRONG_SECRET = "wrong_secret"  # noqa: S105
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    STORE_IN_DANGER = "store_in_danger"


class Inbox(Protocol):
    """Where an accepted body goes. Raises InDanger within a second where it cannot be kept."""

    async def append(self, stack: Stack, tenant: Tenant, body: bytes, received_ms: int) -> None: ...


@dataclass(frozen=True, slots=True)
class _Answer:
    start: Message
    body: Message
    reason: str


def _answer(status: int, reason: str = "", text: str = "", *headers: tuple[bytes, bytes]) -> _Answer:
    raw = orjson.dumps({"error": text, "reason": reason}) if text else b""
    listed = [(b"content-length", str(len(raw)).encode()), *headers]
    if raw:
        listed.append((b"content-type", b"application/json"))
    start = {"type": "http.response.start", "status": status, "headers": listed}
    return _Answer(start, {"type": "http.response.body", "body": raw}, reason)


_CLOSE = (b"connection", b"close")
_KEPT = _answer(202)
_WRONG_METHOD = _answer(405, Refusal.WRONG_METHOD, "only POST is understood here", (b"allow", b"POST"), _CLOSE)
_UNKNOWN_STACK = _answer(404, Refusal.UNKNOWN_STACK, "the path is not /webhooks/thingsboard/<a stack of this bot>")
_WRONG_SECRET = _answer(
    401,
    Refusal.WRONG_SECRET,
    "send this tenant's secret as 'Authorization: Bearer <secret>', or as the password of Basic",
    (b"www-authenticate", b"Bearer"),
)
_TOO_LARGE = _answer(413, Refusal.TOO_LARGE, f"the body is larger than {MAX_BODY} bytes", _CLOSE)
_TOO_SLOW = _answer(408, Refusal.TOO_SLOW, f"the body did not arrive within {BODY_S:.0f} s", _CLOSE)
_UNFIT = {reason: _answer(400, reason, text) for reason, text in EXPLAINED.items()}


class ThingsBoardWebhook:
    """The ASGI app. Mount it at `/webhooks/thingsboard`, or put it in front of the others with `in_front_of`."""

    def __init__(self, inbox: Inbox, clock: Clock, secrets: Secrets) -> None:
        self._inbox = inbox
        self._clock = clock
        self._locks = _Locks(secrets)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        answer = await self._handle(scope, receive)
        if answer is None:
            return  # the sender has gone; nothing was kept
        if answer.reason:
            REFUSED.labels(answer.reason).inc()
        await send(answer.start)
        await send(answer.body)

    async def _handle(self, scope: Message, receive: Receive) -> _Answer | None:
        if scope["method"] != "POST":
            return _WRONG_METHOD
        stack = Stack(scope["path"].rpartition("/")[2])
        locks = self._locks.of(stack)
        if locks is None or not scope["path"].endswith(f"{PREFIX}/{stack}"):
            return _UNKNOWN_STACK
        authorization = length = b""
        for name, value in scope["headers"]:
            if name == b"authorization":
                authorization = value
            elif name == b"content-length":
                length = value
        tenant = _opened_by(locks, authorization)
        if tenant is None:
            return _WRONG_SECRET
        if length.isdigit() and len(length) < 10 and int(length) > DRAINED:
            return _TOO_LARGE
        try:
            async with asyncio.timeout(BODY_S):
                body = await _read(receive)
        except TimeoutError:
            return _TOO_SLOW
        if body is None:
            return None
        if len(body) > MAX_BODY:
            return _TOO_LARGE
        return await self._keep(stack, tenant, body)

    async def _keep(self, stack: Stack, tenant: Tenant, body: bytes) -> _Answer:
        unfit = check(body)
        if unfit is not None:
            return _UNFIT[unfit]
        try:
            await self._inbox.append(stack, tenant, body, int(self._clock.now().timestamp() * 1000))
        except InDanger as danger:
            after = str(max(1, round(danger.retry_after_s or 1))).encode()
            return _answer(503, Refusal.STORE_IN_DANGER, danger.user_text, (b"retry-after", after))
        return _KEPT


def in_front_of(app: Any, webhook: ThingsBoardWebhook) -> Any:
    """One ASGI app of both: the webhook's path goes straight to it, past the middleware and routing of `app`."""

    async def front(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (scope["path"] + "/").startswith(PREFIX + "/"):
            await webhook(scope, receive, send)
        else:
            await app(scope, receive, send)

    return front


async def _read(receive: Receive) -> bytes | None:
    """The body, cut soon after MAX_BODY where it is larger; None where its sender has gone away."""
    message = await receive()
    body: bytes = message.get("body", b"")
    seen = len(body)
    while message["type"] == "http.request" and message.get("more_body") and seen <= DRAINED:
        message = await receive()
        part = message.get("body", b"")
        seen += len(part)
        if len(body) <= MAX_BODY:
            body += part
    return None if message["type"] == "http.disconnect" else body


_Opens = dict[bytes, tuple[Tenant, bytes]]


class _Locks:
    """Which secret opens which tenant. A secret is found by its hash (Python's is keyed anew in each process) and then
    compared in constant time: neither how many there are nor how much of one was guessed shows in the time taken."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._seen: Mapping[tuple[Stack, Tenant], tuple[str, ...]] | None = None
        self._stacks: dict[Stack, _Opens] = {}

    def of(self, stack: Stack) -> _Opens | None:
        current = self._secrets()
        if current is not self._seen:
            if current != self._seen:
                self._stacks = _locks(current)
            self._seen = current
        return self._stacks.get(stack)


def _opened_by(locks: _Opens, authorization: bytes) -> Tenant | None:
    secret = authorization[7:] if authorization[:7] == b"Bearer " else _secret(authorization)
    tenant, known = locks.get(secret, (None, b""))
    return tenant if hmac.compare_digest(secret, known) else None


def _locks(current: Mapping[tuple[Stack, Tenant], tuple[str, ...]]) -> dict[Stack, _Opens]:
    stacks: dict[Stack, _Opens] = {}
    twice: set[tuple[Stack, bytes]] = set()
    for (stack, tenant), valid in current.items():
        opens = stacks.setdefault(stack, {})
        for secret in {one.encode() for one in valid if one}:
            if secret in opens:
                twice.add((stack, secret))
            opens[secret] = (tenant, secret)
    for stack, secret in twice:  # nobody could say whose alarm it is
        del stacks[stack][secret]
        log.error("webhook_secret_shared", stack=stack)
    return stacks


def _secret(authorization: bytes) -> bytes:
    scheme, _, value = authorization.partition(b" ")
    scheme = scheme.lower()
    if scheme == b"bearer":
        return value.strip()
    if scheme == b"basic":
        try:
            return b64decode(value.strip(), validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return b""
