"""The app's Home tab: asked for when somebody opens it, read live, and it says what could not be read."""

from __future__ import annotations

import asyncio

from core.access import Action
from core.errors import OutsideError
from core.ids import SlackUser
from core.messages.blocks import compose
from core.messages.home import HomeView, RolloutShown, home
from core.messages.text import literal
from core.ports import Clock, Views
from flows.gate import Denied, Gate, Profile
from flows.incident_desk import IncidentDesk
from flows.orders import RolloutOrders
from handlers.slack.answers import VIEW_S, Answers
from handlers.slack.keep import Keeper
from handlers.slack.requests import HomeOpened

EVERY_S = 2
"""Openings of one person within so many seconds are one."""


class HomeDoor:
    """What listeners do with openings of the Home tab."""

    def __init__(self, *, keeper: Keeper, answers: Answers, clock: Clock) -> None:
        self._keeper = keeper
        self._answers = answers
        self._clock = clock
        self._aside: set[asyncio.Task[None]] = set()

    async def ask(self, user: SlackUser) -> None:
        """Have it read and shown. A lost one is harmless: the next opening asks again."""
        span = int(self._clock.now().timestamp()) // EVERY_S
        item = {"kind": "home", "team": user.team, "user": user.user, "channel": ""}
        if problem := await self._keeper.keep(item, once=f"home/{user}/{span}"):
            self.say(user, problem)

    def say(self, user: SlackUser, text: str) -> None:
        """In the tab's place, while Slack gets its answer."""
        task = asyncio.create_task(self._answers.in_home(user, compose(text)))
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)


class HomeDesk:
    def __init__(
        self,
        *,
        gate: Gate,
        incidents: IncidentDesk,
        orders: RolloutOrders,
        views: Views,
        answers: Answers,
        clock: Clock,
    ) -> None:
        self._gate = gate
        self._incidents = incidents
        self._orders = orders
        self._views = views
        self._answers = answers
        self._clock = clock

    async def show(self, request: HomeOpened) -> None:
        """Without a live answer about the person, nothing of any tenant is shown."""
        try:
            profile = await self._gate.profile(request.user)
        except Denied as denied:
            await self._answers.in_home(request.user, compose(f"⛔ {denied.text}"))
        except OutsideError as error:
            why = literal(error.user_text, 500)
            text = f"⚠️ Your rights cannot be checked, so nothing is shown. {why} Press Refresh in a minute."
            await self._answers.in_home(request.user, compose(text))
        else:
            view = home(await self._read(profile))
            await self._views.publish_home(request.user.user, view, timeout_s=VIEW_S)

    async def _read(self, profile: Profile) -> HomeView:
        visible = profile.able[Action.VIEW]
        incidents = await self._incidents.open_in(visible)
        found, missing = await self._orders.under_way(visible)
        rollouts = []
        for stack, facts in found:
            record = await self._orders.record(stack.name, facts.id)
            rollouts.append(RolloutShown(facts, record.progress))
        return HomeView(
            username=profile.authority.username,
            email=profile.authority.email,
            roles=profile.roles,
            incidents=incidents,
            rollouts=rollouts,
            missing=missing,
            may_run=bool(profile.able[Action.RUN_READ_ONE] or profile.able[Action.RUN_CHANGE_ONE]),
            read_at=self._clock.now(),
        )
