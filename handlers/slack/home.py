"""The app's Home tab: asked for when somebody opens it, read live, and it says what could not be read."""

from __future__ import annotations

import asyncio

import structlog

from core.access import Action
from core.approvals import digest_for
from core.errors import OutsideError
from core.ids import SlackUser, Tenant
from core.messages.blocks import Message, compose
from core.messages.home import HomeView, RolloutShown, home
from core.messages.rights import Rights
from core.messages.text import literal
from core.ports import Clock
from flows.approvals.desk import Approvals
from flows.gate import Denied, Gate, Profile
from flows.incident_desk import IncidentDesk
from flows.orders import RolloutOrders
from handlers.slack.answers import Answers
from handlers.slack.keep import Keeper
from integrations.store.homes import Homes, Shown
from runbooks import Catalog

log = structlog.get_logger(__name__)

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
        approvals: Approvals,
        catalog: Catalog,
        homes: Homes,
        answers: Answers,
        clock: Clock,
    ) -> None:
        self._gate = gate
        self._incidents = incidents
        self._orders = orders
        self._approvals = approvals
        self._catalog = catalog
        self._homes = homes
        self._answers = answers
        self._clock = clock

    async def show(self, user: SlackUser, said: Message | None = None) -> None:
        """For somebody who looks, or has just decided something there, which `said` tells the outcome of. Without a
        live answer about the person, nothing of any tenant is shown."""
        await self._homes.looked(user, self._clock.now())
        if said is not None:
            await self._homes.rest(user)  # so that what is said stays for a while
        try:
            await self._publish(user, said)
        except Denied as denied:
            await self._answers.in_home(user, said or compose(f"⛔ {denied.text}"))
        except OutsideError as error:
            why = literal(error.user_text, 500)
            text = f"⚠️ Your rights cannot be checked, so nothing is shown. {why} Press Refresh in a minute."
            await self._answers.in_home(user, said or compose(text))

    async def follow(self, user: SlackUser) -> None:
        """For somebody who looked lately, since something has changed. Who may not look any more sees that; where
        nobody can say, what was shown stays."""
        try:
            await self._gate.admit(user, "home", noted=False)
            await self._publish(user, None)
        except Denied as denied:
            live = await self._approvals.book.live()
            await self._homes.show(user, Shown(frozenset(), digest_for(live, frozenset(), user)))
            await self._answers.in_home(user, compose(f"⛔ {denied.text}"))
        except OutsideError as error:
            log.info("home_not_followed", user=str(user), reason=error.reason)

    async def _publish(self, user: SlackUser, said: Message | None) -> None:
        profile = await self._gate.profile(user)
        visible = profile.able[Action.VIEW]
        live = await self._approvals.book.live()
        await self._homes.show(user, Shown(visible, digest_for(live, visible, user)))
        await self._answers.publish(user, home(await self._read(user, profile), said))

    async def _read(self, user: SlackUser, profile: Profile) -> HomeView:
        visible = profile.able[Action.VIEW]
        incidents = await self._incidents.open_in(visible)
        found, missing = await self._orders.under_way(visible)
        rollouts = []
        for stack, facts in found:
            record = await self._orders.record(stack.name, facts.id)
            rollouts.append(RolloutShown(facts, record.progress))
        waiting, mine, reviews = await self._approvals.listed(user, profile)
        return HomeView(
            username=profile.authority.username,
            email=profile.authority.email,
            roles=profile.roles,
            rights={tenant: _rights(profile, tenant) for tenant in profile.roles},
            waiting=waiting,
            mine=mine,
            reviews=reviews,
            incidents=incidents,
            rollouts=rollouts,
            missing=missing,
            runbooks=self._runbooks(profile),
            read_at=self._clock.now(),
        )

    def _runbooks(self, profile: Profile) -> list[tuple[str, str, bool]]:
        """Those the person may run somewhere."""
        needs = {"read": Action.RUN_READ_ONE, "change": Action.RUN_CHANGE_ONE}
        books = [book for name in self._catalog.names() if (book := self._catalog.get(name)) is not None]
        return [(b.name, b.description, b.risk == "change") for b in books if profile.able[needs[b.risk]]]


def _rights(profile: Profile, tenant: Tenant) -> Rights:
    parts = (profile.able, profile.asks, profile.approves)
    return Rights(*(frozenset(action for action, where in part.items() if tenant in where) for part in parts))
