"""A crowd at the bot at once: one person of each role and standing, what each asks for, and what each is told."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from core.access import Link
from core.ids import SlackUser, Subject
from integrations.store.connection import connect
from integrations.store.people import Links
from sandbox.cast import ROLLOUTS, TEAM
from sandbox.slack.delivery import Delivery
from sandbox.slack.seen import SeenMessage
from tests.keycloak.realm import AdminRealm
from tests.scenario.people import Office
from tests.scenario.security.oracle import REALM_ROLES, ROLES, Standing

SILENCE = "nothing"


@dataclass(frozen=True, slots=True)
class Somebody:
    """One person: `id` in Slack, `subject` and `username` in Keycloak."""

    role: str
    standing: Standing
    id: str
    subject: str
    username: str

    @property
    def actor(self) -> str:
        """In the audit log."""
        return f"slack:{TEAM}/{self.id}" if self.standing is Standing.UNLINKED else self.subject


@dataclass(slots=True)
class Ears:
    """Brings each person what the workspace shows them, as it comes: private answers, and the ends of their runs."""

    office: Office
    by_user: dict[str, asyncio.Queue[tuple[bool, str]]] = field(default_factory=dict)
    by_name: dict[str, str] = field(default_factory=dict)

    def listen(self, person: Somebody) -> None:
        self.by_user[person.id] = asyncio.Queue()
        self.by_name[person.username] = person.id

    async def run(self) -> None:
        workspace = self.office.world.slack.workspace
        seen = len(workspace.changes)
        while True:
            for change in await workspace.changes_since(seen, 10):
                seen += 1
                if change.kind == "ephemeral" and change.user in self.by_user:
                    self.by_user[change.user].put_nowait((True, read(change.data["shown"])))
                elif change.kind in ("message_posted", "message_updated"):
                    self._run_ended(read(change.data["shown"]))

    def _run_ended(self, shown: str) -> None:
        """A run's message tells by whom it was."""
        by = re.search(r"By (\S+),", shown)
        if by is not None and by[1] in self.by_name and ("DONE" in shown or "FAILED" in shown):
            self.by_user[self.by_name[by[1]]].put_nowait((False, shown))

    async def answer(self, person: Somebody, run_on: str, within_s: float) -> str:
        """The next private answer or, where `run_on` names a device, the end of a run on it."""
        try:
            async with asyncio.timeout(within_s):
                while True:
                    private, said = await self.by_user[person.id].get()
                    if private or (run_on and run_on in said):
                        return said
        except TimeoutError:
            return SILENCE

    def forget(self, person: Somebody) -> None:
        heard = self.by_user[person.id]
        while not heard.empty():
            heard.get_nowait()


@asynccontextmanager
async def listening(office: Office, people: Sequence[Somebody]) -> AsyncIterator[Ears]:
    ears = Ears(office)
    for person in people:
        ears.listen(person)
    hearing = asyncio.create_task(ears.run())
    try:
        yield ears
    finally:
        hearing.cancel()


def read(shown: str) -> str:
    """As a person reads it: without what only formats."""
    return shown.replace("\u200b", "").replace("*", "").replace("`", "")


@dataclass(slots=True)
class Realm:
    """Makes accounts and links in a world whose realm is a real server's. All accounts made here end in `tail`."""

    office: Office
    realm: AdminRealm
    tail: str
    made: list[str] = field(default_factory=list)

    async def somebody(
        self, name: str, role: str, standing: Standing, groups: Sequence[str], *channels: str
    ) -> Somebody:
        """In Slack and in Keycloak; linked, where the standing says so. A login's page is not what is tested here, so
        the link is written to the store as a completed login would."""
        username = f"{name}-{self.tail}"
        held = ROLES[role]
        roles = [REALM_ROLES[held]] if held is not None else []
        subject = await self.realm.create_user(username, roles=roles, groups=[f"/{group}" for group in groups])
        self.made.append(subject)
        person = await self.office.newcomer(username, f"{username}@cdm.example", *channels)
        found = Somebody(role, standing, person.id, subject, username)
        if standing is not Standing.UNLINKED:
            await self.link(found)
        if standing is Standing.DISABLED:
            await self.realm.set_enabled(subject, False)
        if standing is Standing.UNVERIFIED:
            await self.realm.call("PUT", f"/users/{subject}", json={"emailVerified": False})
        return found

    async def link(self, person: Somebody) -> None:
        store = connect(f"unix://{self.office.world.directory / 'data' / 'store' / 'store.sock'}")
        try:
            links, user = Links(store), SlackUser(TEAM, person.id)
            link = Link(Subject(person.subject), person.username, f"{person.username}@cdm.example", datetime.now(UTC))
            while not await links.put(user, link, (await links.book()).turn):
                pass
        finally:
            await store.aclose()

    async def crowd(self, group: str) -> list[Somebody]:
        """One of each role and standing."""
        wanted = [(role, standing) for role in ROLES for standing in Standing]
        return [await self.somebody(f"{role}-{standing}", role, standing, [group]) for role, standing in wanted]

    async def leave(self) -> None:
        for subject in self.made:
            await self.realm.delete_user(subject)


@dataclass(frozen=True, slots=True)
class Hands:
    """What people do in Slack, in the channel of rollouts."""

    office: Office

    async def types(self, person: Somebody, text: str) -> None:
        _acked(await self.office.world.slack.people.slash(person.id, ROLLOUTS, "/cdm", text))

    async def presses(self, person: Somebody, message: SeenMessage, action: str, value: str) -> None:
        people = self.office.world.slack.people
        _acked(await people.click(person.id, ROLLOUTS, message.ts, action, value))

    async def presses_and_says_why(self, person: Somebody, message: SeenMessage, action: str, value: str) -> None:
        """The button opens a form for a reason."""
        await self.presses(person, message, action, value)
        _acked(await self.office.world.slack.people.submit_view(person.id, {"reason": "because of the matrix"}))


def _acked(delivered: Delivery) -> None:
    assert delivered.acked, delivered.attempts


async def posted(office: Office, channel: str, buttons: Sequence[tuple[str, str]]) -> SeenMessage:
    """A message of the bot's with these buttons (action and value): what anybody can make Slack bring to the bot."""
    elements: list[dict[str, Any]] = [
        {"type": "button", "action_id": action, "text": {"type": "plain_text", "text": action}, "value": value}
        for action, value in buttons
    ]
    rows = [{"type": "actions", "elements": [element]} for element in elements]
    body = {"channel": channel, "text": "made by hand", "blocks": rows}
    headers = {"authorization": f"Bearer {office.world.slack.bot_token}"}
    async with httpx.AsyncClient(base_url=office.world.url("slack"), trust_env=False, headers=headers) as http:
        said = (await http.post("/api/chat.postMessage", json=body)).json()
    assert said["ok"], said
    return await office.slack.wait_for(channel, lambda message: message.ts == said["ts"])
