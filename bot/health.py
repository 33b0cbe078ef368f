"""`/healthz`, `/readyz`, `/metrics`: is the process alive, may it be given work, and what has it been doing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

Check = Callable[[], Awaitable[str | None]]
"""Why this part is not ready, in words with the fix; None where it is."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """`must` decides readiness (a bot that cannot keep an alarm must not be given one); `told` is shown beside it:
    another system being away makes the bot late, not unready."""

    must: Mapping[str, Check]
    told: Mapping[str, Check]

    async def report(self) -> tuple[bool, dict[str, dict[str, str]]]:
        wrong = {name: why for name, check in self.must.items() if (why := await check())}
        late = {name: why for name, check in self.told.items() if (why := await check())}
        return not wrong, {"not_ready": wrong, "degraded": late}


def build_router(readiness: Readiness) -> APIRouter:
    router = APIRouter()

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @router.get("/readyz")
    async def readyz() -> JSONResponse:
        ready, report = await readiness.report()
        return JSONResponse({"ready": ready, **report}, status_code=200 if ready else 503)

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router
