"""`GET /link/{state}`, `GET /confirm/{state}`, `GET /oidc/callback`, `POST /link/confirm`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

import structlog
from fastapi import APIRouter, Request, Response

from core.errors import OutsideError
from flows.linking.browser import STATE_LIFE_S, Linking, Waiting
from flows.linking.refusals import LinkReason, LinkRefused
from handlers.link.confirm import Confirming
from handlers.link.pages import away_page, code_page, confirm_page, linked_page, off_to_keycloak, refused_page

log = structlog.get_logger(__name__)

MAX_FORM_BYTES = 4096
_GONE = 410


def build_router(linking: Linking, *, public_url: str, confirming: Confirming | None = None) -> APIRouter:
    """Every login comes back to one address. `public_url` is the bot as browsers reach it; its scheme decides whether
    cookies are marked Secure."""
    router = APIRouter(include_in_schema=False)
    secure = public_url.startswith("https://")

    @router.get("/link/{state}")
    async def leave(state: str) -> Response:
        async def to_keycloak() -> Response:
            return off_to_keycloak(await linking.leave(state), secure=secure, life_s=STATE_LIFE_S)

        return await _shown(to_keycloak)

    @router.get("/oidc/callback")
    async def arrive(request: Request) -> Response:
        if confirming is not None and confirming.is_mine(request):
            return await confirming.arrived(request)

        async def to_confirm() -> Response:
            proposal = await linking.arrive(request.query_params, request.cookies)
            return confirm_page(proposal, f"{public_url.rstrip('/')}/link/confirm")

        return await _shown(to_confirm)

    @router.post("/link/confirm")
    async def confirm(request: Request) -> Response:
        async def to_linked() -> Response:
            form = dict(parse_qsl((await _body(request)).decode("ascii", "replace")))
            done = await linking.confirm(form.get("token", ""), request.cookies)
            return code_page(done) if isinstance(done, Waiting) else linked_page(done)

        return await _shown(to_linked)

    if confirming is not None:

        @router.get("/confirm/{state}")
        async def leave_to_confirm(state: str) -> Response:
            return await confirming.left(state, secure=secure)

    return router


async def _shown(step: Callable[[], Awaitable[Response]]) -> Response:
    """One step of the linking, or the page that says why it went no further."""
    try:
        return await step()
    except LinkRefused as refused:
        return refused_page(refused.text, _GONE if refused.reason is LinkReason.EXPIRED else 403)
    except OutsideError as error:
        log.warning("linking_failed", reason=error.reason, system=error.system)
        return away_page(error.user_text) if error.retryable else refused_page(f"{error.user_text} Nothing was linked.")


async def _body(request: Request) -> bytes:
    """The form, or nothing where it is larger than ours can be."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            return b""
    return body
