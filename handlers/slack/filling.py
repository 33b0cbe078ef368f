"""A form that was opened as loading, filled once what it shows is known."""

from __future__ import annotations

from datetime import timedelta

from core.errors import Conflict, NotFound
from core.messages.views import View
from core.ports import Clock, Views
from handlers.slack.answers import VIEW_S
from handlers.slack.requests import Click, Typed

OPENS_LATE_S = 8.0
"""A form whose opening was not answered is looked for so long."""


async def filled(views: Views, clock: Clock, request: Typed | Click, view: View) -> bool:
    """False where no form has come up. One that was closed, or filled by an earlier life of this process, is left as it
    is."""
    assert request.form is not None
    until = request.heard_at + timedelta(seconds=OPENS_LATE_S)
    while True:
        try:
            await views.update_view(request.form, view, timeout_s=VIEW_S)
        except Conflict:
            return True
        except NotFound:
            if request.form.id is not None:
                return True
        else:
            return True
        if clock.now() >= until:
            return False
        await clock.sleep(0.5)
