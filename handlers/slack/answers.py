"""Where a person's private answer goes: into their form, their Home tab, or beside what they typed or pressed."""

from __future__ import annotations

import structlog

from core.errors import OutsideError
from core.ids import Channel, SlackUser
from core.messages.blocks import Message
from core.messages.home import home_notice
from core.messages.views import RUN_TITLE, View, notice_form
from core.ports import Clock, ViewRef, Views
from handlers.slack.requests import HomeOpened, Request
from integrations.store.outbox import Outbox

log = structlog.get_logger(__name__)

VIEW_S = 5.0


class Answers:
    """A form that does not take its answer any more (closed, or Slack fails) leaves it to the channel."""

    def __init__(self, *, outbox: Outbox, views: Views, clock: Clock) -> None:
        self._outbox = outbox
        self._views = views
        self._clock = clock

    async def tell(self, request: Request, message: Message) -> None:
        form = None if isinstance(request, HomeOpened) else request.form
        if form is None or not await self._in_form(form, message):
            await self.beside(request, message)

    async def beside(self, request: Request, message: Message) -> None:
        """Not in the form: in the channel; where there is none, in the Home tab."""
        if request.channel:
            await self._outbox.tell(
                Channel(request.channel), request.user.user, message, response_url=request.response_url
            )
        else:
            await self.in_home(request.user, message)

    async def in_home(self, user: SlackUser, message: Message) -> None:
        """Words in the place of everything else there."""
        await self.publish(user, home_notice(message, self._clock.now()))

    async def publish(self, user: SlackUser, view: View) -> None:
        """Best effort: the next look at the tab reads everything anew."""
        try:
            await self._views.publish_home(user.user, view, timeout_s=VIEW_S)
        except OutsideError as error:
            log.warning("home_not_shown", user=str(user), reason=error.reason)

    async def _in_form(self, form: ViewRef, message: Message) -> bool:
        try:
            await self._views.update_view(form, notice_form(message, form.title or RUN_TITLE), timeout_s=VIEW_S)
        except OutsideError as error:
            log.info("form_not_told", reason=error.reason)
            return False
        return True
