"""The bot's linking pages on the wire, in front of the Keycloak stand-in, with a store and a Slack of the
test's own."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from core.access import Link
from core.errors import Unavailable
from core.ids import DEFAULT_REALM, Channel, Realm, SlackUser
from core.members import Member
from flows.linking.browser import PREFIX, STATE_LIFE_S, Linking
from flows.linking.codes import CodeDesk
from flows.linking.door import LinkDoor
from flows.linking.notary import Notary
from flows.linking.ports import Place
from flows.trips import Trips
from handlers.link.router import build_router
from integrations.clock import SystemClock
from integrations.keycloak.login import KeycloakLogin
from integrations.store.people import LinkBook
from sandbox.wire import WireServer, free_port
from tests.conftest import ManualClock
from tests.keycloak.realm import CLIENT_ID, CLIENT_SECRET
from tests.keycloak.standin import StandInRealm

ALICE, BOB, MALLORY = SlackUser("T1", "UALICE"), SlackUser("T1", "UBOB"), SlackUser("T1", "UMALLORY")


PLACE = Place(Channel("C1"), None)


class States:
    """Notes with a life, on the test's clock."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.kept: dict[str, tuple[float, dict[str, str]]] = {}

    async def put(self, state: str, payload: Mapping[str, str], ttl_s: int) -> None:
        self.kept[state] = (self._clock.monotonic() + ttl_s, dict(payload))

    async def take(self, state: str) -> dict[str, str] | None:
        until, payload = self.kept.pop(state, (0.0, {}))
        return payload if self._clock.monotonic() < until else None


class Codes(States):
    """Notes with a life too, and the tries of each Slack user."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self._tries: dict[SlackUser, tuple[float, int]] = {}

    async def may_try(self, user: SlackUser, most: int, ttl_s: int) -> bool:
        until, tried = self._tries.get(user, (0.0, 0))
        tried = tried if self._clock.monotonic() < until else 0
        if tried >= most:
            return False
        self._tries[user] = (self._clock.monotonic() + ttl_s, tried + 1)
        return True

    async def forget_tries(self, user: SlackUser) -> None:
        self._tries.pop(user, None)


class Links:
    def __init__(self) -> None:
        self.written: dict[SlackUser, Link] = {}
        self.turn = 0
        self.meanwhile: tuple[SlackUser, Link] | None = None

    async def of(self, user: SlackUser) -> dict[Realm, Link]:
        return {DEFAULT_REALM: self.written[user]} if user in self.written else {}

    async def book(self) -> LinkBook:
        return LinkBook(str(self.turn), tuple(self.written.items()))

    async def put(self, user: SlackUser, link: Link, turn: str) -> bool:
        if self.meanwhile is not None:
            other, self.meanwhile = self.meanwhile, None
            await self.put(*other, str(self.turn))
        if turn != str(self.turn):
            return False
        self.turn += 1
        self.written[user] = link
        return True


class AuditLines:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str, dict[str, Any]]] = []

    async def intent(self, actor: str, action: str, object: str, data: Mapping[str, Any] | None = None) -> str:
        self.lines.append(("intent", action, object, dict(data or {})))
        return "1"

    async def outcome(self, ref: str, actor: str, action: str, object: str, data: Mapping[str, Any]) -> str:
        self.lines.append(("outcome", action, object, dict(data)))
        return "2"

    async def note(self, actor: str, action: str, object: str, data: Mapping[str, Any] | None = None) -> str:
        self.lines.append(("note", action, object, dict(data or {})))
        return "3"


class Bot:
    """The bot's pages on the wire, and what it has written."""

    def __init__(self, keycloak: WireServer, clock: ManualClock, public_url: str = "") -> None:
        self.port = free_port()
        self.url = public_url or f"http://127.0.0.1:{self.port}"
        self.clock = clock
        self.states, self.links, self.audit = States(clock), Links(), AuditLines()
        self.outside: dict[str, Member | None] = {}
        self.slack_away = False
        self.emails = {ALICE: "Alice@CDM.example", BOB: "bob@customer-a.example", MALLORY: "mallory@evil.example"}
        self.login = KeycloakLogin(
            server_url=keycloak.url,
            realm="cdm",
            client_id=CLIENT_ID,
            client_secret=lambda: CLIENT_SECRET,
            clock=SystemClock(),
            timeout_s=2,
        )
        self.codes = Codes(clock)
        notary = Notary(links=self.links, audit=self.audit, members=self, team="T1", clock=clock)
        code_desk = CodeDesk(codes=self.codes, notary=notary)
        trips = Trips(
            prefix=PREFIX,
            states=self.states,
            logins={DEFAULT_REALM: self.login},
            public_url=self.url,
            life_s=STATE_LIFE_S,
        )
        self.linking = Linking(trips=trips, codes=code_desk, notary=notary, public_url=self.url)
        self.door = LinkDoor(
            ways={DEFAULT_REALM: self.linking}, names={DEFAULT_REALM: "cdm"}, codes=code_desk, notary=notary
        )
        self.app = FastAPI()
        self.app.include_router(build_router(self.linking, public_url=self.url))

    async def member(self, user: str, *, timeout_s: float) -> Member | None:
        if self.slack_away:
            raise Unavailable("Slack does not answer.", system="Slack")
        if user in self.outside:
            return self.outside[user]
        return Member(self.emails.get(SlackUser("T1", user), ""), frozenset({"T1"}))

    async def link_for(self, user: SlackUser) -> str:
        """The person types `/cdm link` and copies the address from the private answer."""
        text = await self.begins(user)
        found = re.search(rf"{re.escape(self.url)}/link/[\w-]+", text)
        assert found, text
        return found[0]

    async def begins(self, user: SlackUser) -> str:
        return str(await self.door.link(user, "", PLACE))

    @property
    def refusals(self) -> list[str]:
        return [data["reason"] for _, action, _, data in self.audit.lines if action == "refused:link"]


@asynccontextmanager
async def bot_at(keycloak: WireServer, clock: ManualClock) -> AsyncIterator[Bot]:
    made = Bot(keycloak, clock)
    await StandInRealm(keycloak.url).allow_redirect(f"{made.url}/oidc/callback")
    async with WireServer(made.app, port=made.port):
        yield made
    await made.login.aclose()
