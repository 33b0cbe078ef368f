"""One request in, its private answers out."""

from __future__ import annotations

from core.ids import Channel
from handlers.slack.clicks import Clicks
from handlers.slack.commands import Commands
from handlers.slack.requests import Request, Typed
from integrations.store.outbox import Outbox


class SlackDesk:
    def __init__(self, commands: Commands, clicks: Clicks, outbox: Outbox) -> None:
        self._commands = commands
        self._clicks = clicks
        self._outbox = outbox

    async def handle(self, request: Request) -> None:
        """Carry it out and answer. Raises Denied or OutsideError."""
        if isinstance(request, Typed):
            answers = await self._commands.answer(request)
        else:
            answers = await self._clicks.answer(request)
        for answer in answers:
            await self._outbox.tell(
                Channel(request.channel), request.user.user, answer, response_url=request.response_url
            )
