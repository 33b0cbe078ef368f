"""The browser's way through a fresh login: off to Keycloak, and back with what it confirmed."""

from __future__ import annotations

import structlog
from fastapi import Request, Response

from core.errors import OutsideError
from flows.approvals.desk import Approvals
from flows.approvals.login import AGAIN, FreshLogin, LoginRefused
from flows.gate import Denied
from flows.trips import LIFE_S
from handlers.link.pages import confirmed_page, not_confirmed_page, off_to_keycloak

log = structlog.get_logger(__name__)


class Confirming:
    """What a fresh login is for is done by `approvals`."""

    def __init__(self, fresh: FreshLogin, approvals: Approvals) -> None:
        self._fresh = fresh
        self._approvals = approvals

    def is_mine(self, request: Request) -> bool:
        """Does this come back from a fresh login?"""
        return self._fresh.is_mine(request.query_params)

    async def left(self, state: str, *, secure: bool) -> Response:
        """The state is used up; the browser is marked, and sent to log in anew."""
        try:
            leaving = await self._fresh.leave(state)
        except LoginRefused as refused:
            return not_confirmed_page(refused.text, 410 if refused.expired else 403)
        return off_to_keycloak(leaving, secure=secure, life_s=LIFE_S)

    async def arrived(self, request: Request) -> Response:
        """Whoever logged in anew, and what for: done now, or refused with the reason."""
        try:
            confirmed = await self._fresh.arrive(request.query_params, request.cookies)
            return confirmed_page(_plain(await self._approvals.confirmed(confirmed)))
        except LoginRefused as refused:
            return not_confirmed_page(refused.text, 410 if refused.expired else 403)
        except Denied as denied:
            return not_confirmed_page(_plain(denied.text))
        except OutsideError as error:
            log.warning("confirming_failed", reason=error.reason, system=error.system)
            return not_confirmed_page(f"{error.user_text} {AGAIN}", 503 if error.retryable else 403)


def _plain(mrkdwn: str) -> str:
    """Slack's marks mean nothing in a browser."""
    return mrkdwn.replace("*", "").replace("`", "")
