"""A whole sandbox with the real bot and the page, as `cdm run` has them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from core.commands import FORMS
from sandbox.cast import PEOPLE, channel_id
from sandbox.controls import Controls
from sandbox.page.app import PageServer, page_app
from sandbox.slack.views import push_view
from tests.scenario.people import Office, office

COMPLETIONS = [(form.usage, form.does) for form in FORMS]


@dataclass(frozen=True, slots=True)
class House:
    """`url` is where the page is."""

    office: Office
    controls: Controls
    url: str

    async def posts(self, channel: str, text: str, blocks: Sequence[Mapping[str, Any]] = ()) -> str:
        """The bot's account says so, over the Web API; the message's ts."""
        body = {"channel": channel_id(channel), "text": text, "blocks": list(blocks)}
        return str((await self._asks("chat.postMessage", body))["ts"])

    async def edits(self, channel: str, ts: str, text: str, blocks: Sequence[Mapping[str, Any]] = ()) -> None:
        body = {"channel": channel_id(channel), "ts": ts, "text": text, "blocks": list(blocks)}
        await self._asks("chat.update", body)

    async def _asks(self, method: str, body: Mapping[str, Any]) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {self.office.world.slack.bot_token}"}
        async with httpx.AsyncClient(base_url=self.office.world.url("slack"), trust_env=False, headers=headers) as http:
            said: dict[str, Any] = (await http.post(f"/api/{method}", json=body)).json()
        assert said["ok"], said
        return said

    def shows_form(self, person: str, view: Mapping[str, Any], errors: Mapping[str, str]) -> None:
        """Put a form on somebody's screen as if the app had opened it and refused what was sent."""
        push_view(self.office.world.slack.workspace, PEOPLE[person].id, dict(view)).errors.update(errors)

    async def close_forms(self) -> None:
        """Those left open on anybody's screen: they would come up again on that person's next page."""
        for person, open_forms in list(self.office.world.slack.workspace.modals.items()):
            for _ in list(open_forms):
                await self.office.slack.close_view(person)


@asynccontextmanager
async def house(*, linked: Sequence[str] = (), **more: Any) -> AsyncIterator[House]:
    """`linked`: who has linked Slack with Keycloak already. `more` is for `SandboxWorld`."""
    async with office(**more) as here:
        controls = Controls(here.world)
        app = page_app(here.world.slack, controls, COMPLETIONS)
        async with PageServer(app, 0) as page:
            pages = await asyncio.gather(*(here.world.login(PEOPLE[name].id, name) for name in linked))
            assert all("is now linked" in shown for shown in pages), pages
            yield House(here, controls, page.url)
