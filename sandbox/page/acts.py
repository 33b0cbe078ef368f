"""What people do on the page, brought to the stand-in as through its control door; what fails is told in words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import BaseModel, ConfigDict

from sandbox.page.views import Screens, Unseen
from sandbox.slack import SlackSandbox
from sandbox.slack.delivery import Delivery
from sandbox.slack.errors import SlackError
from sandbox.slack.inputs import NotOnScreen


class Act(BaseModel):
    model_config = ConfigDict(extra="forbid")
    user: str


class InChannel(Act):
    channel: str


class Slash(InChannel):
    command: str
    text: str = ""


class Post(InChannel):
    text: str
    thread_ts: str | None = None


class OnMessage(InChannel):
    ts: str


class Click(OnMessage):
    """`value` tells buttons of one action_id apart, or is what was chosen: text, several, or seconds since 1970."""

    action_id: str
    value: Any = None


class ClickInView(Act):
    """`values`: what the view's inputs hold meanwhile."""

    action_id: str
    value: Any = None
    home: bool = False
    values: dict[str, Any] = {}


class SubmitView(Act):
    values: dict[str, Any] = {}


class Trouble(Exception):
    """An act that cannot be done: what happened, why, and what to do."""

    def __init__(self, error: str, why: str, cure: str) -> None:
        super().__init__(error)
        self.as_json = {"error": error, "why": why, "cure": cure}


_SILENCE = {
    "operation_timeout": (
        "The bot did not answer within 3 seconds.",
        "Try again. If it goes on, look in the world panel whether Slack or another system is slow or down.",
    ),
    "dispatch_failed": (
        "Slack could not reach the bot: it is starting, restarting, or not connected.",
        "Wait some seconds and try again; its log says what it is doing.",
    ),
}
_STALE = "Look at what is on the screen now: it may have changed since. Then try again."


class Acts:
    """By name, as in the stand-in's own door. Each answers once the app has acked, or Slack's three seconds later."""

    def __init__(self, slack: SlackSandbox, screens: Screens) -> None:
        self._people = slack.people
        self._screens = screens
        self._acts: dict[str, tuple[type[Act], Callable[[Any], Awaitable[Delivery | None]]]] = {
            "slash": (Slash, self._slash),
            "post": (Post, self._post),
            "delete": (OnMessage, self._delete),
            "click": (Click, self._click),
            "click_in_view": (ClickInView, self._click_in_view),
            "submit_view": (SubmitView, self._submit_view),
            "close_view": (Act, self._close_view),
            "open_home": (Act, self._open_home),
        }

    async def do(self, name: str, body: bytes) -> dict[str, Any]:
        """Unseen for an unknown act, person or place, ValidationError for an unreadable body, Trouble for what cannot
        be done. `{}` or, where the app was silent, a Trouble's JSON."""
        if name not in self._acts:
            raise Unseen(f"There is no act {name!r}.")
        shape, act = self._acts[name]
        given = shape.model_validate_json(body)
        self._screens.check_person(given.user)
        if isinstance(given, InChannel):
            self._screens.check_member(given.user, given.channel)
        try:
            delivery = await act(given)
        except NotOnScreen as refused:
            raise Trouble("That could not be done.", f"{refused}.", _STALE) from refused
        except SlackError as refused:
            raise Trouble("That could not be done.", f"Slack says {refused.code}.", _STALE) from refused
        return {} if delivery is None else _outcome(delivery)

    async def _slash(self, given: Slash) -> Delivery:
        return await self._people.slash(given.user, given.channel, given.command, given.text)

    async def _post(self, given: Post) -> None:
        self._people.post(given.user, given.channel, given.text, given.thread_ts)

    async def _delete(self, given: OnMessage) -> None:
        self._people.delete(given.user, given.channel, given.ts)

    async def _click(self, given: Click) -> Delivery:
        return await self._people.click(given.user, given.channel, given.ts, given.action_id, given.value)

    async def _click_in_view(self, given: ClickInView) -> Delivery:
        return await self._people.click_in_view(
            given.user, given.action_id, given.value, home=given.home, values=given.values
        )

    async def _submit_view(self, given: SubmitView) -> Delivery:
        return await self._people.submit_view(given.user, given.values)

    async def _close_view(self, given: Act) -> Delivery | None:
        return await self._people.close_view(given.user)

    async def _open_home(self, given: Act) -> None:
        self._people.open_home(given.user)


def _outcome(delivery: Delivery) -> dict[str, Any]:
    """`{}` if the app acked, else the words for its silence."""
    last = delivery.attempts[-1]
    if not last.error:
        return {}
    why, cure = _SILENCE.get(last.error, (f"Slack says {last.error}.", "Try again."))
    return Trouble("That did not work.", why, cure).as_json
