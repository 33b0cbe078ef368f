"""A proxy in front of a real Keycloak: it writes down what is asked, and `WireServer`'s faults let it misbehave."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.wire import WireServer

_HOP = {"connection", "content-encoding", "content-length", "transfer-encoding", "keep-alive"}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it was passed on."""

    method: str
    target: str
    authorization: str


@dataclass(slots=True)
class Proxy:
    """`server.url` stands for Keycloak, tokens are issued in its name; `asked` is all that came through."""

    server: WireServer
    asked: list[Asked] = field(default_factory=list)

    def count(self, method: str, ending: str) -> int:
        return sum(one.method == method and one.target.endswith(ending) for one in self.asked)


@asynccontextmanager
async def proxy_to(url: str, *, below: str = "") -> AsyncIterator[Proxy]:
    """Keycloak follows the Host header (`hostname-strict=false`), which is passed on as it came. `below` is the path
    under which alone the proxy serves it, e.g. "/auth"."""

    async def forward(request: Request) -> Response:
        target = request.url.path.removeprefix(below) + (f"?{request.url.query}" if request.url.query else "")
        proxy.asked.append(Asked(request.method, target, request.headers.get("authorization", "")))
        kept = [(k, v) for k, v in request.headers.items() if k not in _HOP]
        try:
            answer = await http.request(request.method, target, headers=kept, content=await request.body())
        except httpx.TransportError:
            return Response(status_code=502)
        response = Response(answer.content, answer.status_code)
        response.raw_headers += [(k.lower(), v) for k, v in answer.headers.raw if k.lower().decode() not in _HOP]
        return response

    every = ["GET", "POST", "PUT", "DELETE"]
    app = Starlette(routes=[Route(f"{below}/{{path:path}}", forward, methods=every)])
    async with (
        httpx.AsyncClient(base_url=url, timeout=30, trust_env=False, verify=False) as http,
        WireServer(app) as server,
    ):
        proxy = Proxy(server)
        yield proxy
