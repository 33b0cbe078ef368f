"""Keeps the page to this machine's own browsers: no other host name, no posts from other sites, nothing fetched."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from sandbox.wire import App, Receive, Scope, Send, answer

HOSTS = {"127.0.0.1", "localhost", "[::1]"}
HEADERS = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}
MOST_BODY = 200_000
"""Bytes of a POST."""


class Guard:
    """ASGI middleware. A name that was pointed at 127.0.0.1 by somebody else fails at the Host header; a form or a
    script of another site at `X-Requested-With: cdm`, which it cannot send without asking."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if _without_port(headers.get("host", "")) not in HOSTS:
            await answer(send, 403, {"error": "This page is served as 127.0.0.1 or localhost only."}, HEADERS)
        elif scope["method"] == "POST" and headers.get("x-requested-with") != "cdm":
            await answer(send, 403, {"error": "Posts come from the page itself only."}, HEADERS)
        elif scope["method"] == "POST" and not headers.get("content-length", "0").isdecimal():
            await answer(send, 411, {"error": "A post says its length."}, HEADERS)
        elif scope["method"] == "POST" and int(headers.get("content-length", "0")) > MOST_BODY:
            await answer(send, 413, {"error": f"A post has at most {MOST_BODY} bytes."}, HEADERS)
        else:
            await self._app(scope, receive, _with_headers(send))


def _without_port(host: str) -> str:
    return host if host.endswith("]") else host.rsplit(":", 1)[0] if ":" in host else host


def _with_headers(send: Send) -> Send:
    more = [(name.encode(), value.encode()) for name, value in HEADERS.items()]

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *more]
        await send(message)

    return sending
