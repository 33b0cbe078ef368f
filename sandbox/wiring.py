"""An operator at ThingsBoard: imports the wiring that ships with the bot, over REST, as the documents say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

DOCUMENTS = Path(__file__).parents[1] / "deploy" / "thingsboard" / "wiring-4.2.json"
_BOT = "https://chatops.example.com"
_SECRET = "REPLACE-WITH-THE-WEBHOOK-SECRET"

Json = dict[str, Any]


class ThingsboardAccount:
    """One login. HTTPStatusError for every answer that is no success."""

    def __init__(self, http: httpx.AsyncClient, token: str) -> None:
        self._http = http
        self._headers = {"X-Authorization": f"Bearer {token}"}

    @classmethod
    async def login(cls, http: httpx.AsyncClient, email: str, password: str) -> ThingsboardAccount:
        answer = await http.post("/api/auth/login", json={"username": email, "password": password})
        answer.raise_for_status()
        return cls(http, answer.json()["token"])

    async def get(self, path: str) -> Any:
        answer = await self._http.get(path, headers=self._headers)
        answer.raise_for_status()
        return answer.json()

    async def post(self, path: str, body: Any = None) -> Any:
        answer = await self._http.post(path, json=body, headers=self._headers)
        answer.raise_for_status()
        return answer.json() if answer.content else None


def filled_in(text: str, *, bot_url: str, secret: str) -> Json:
    """The documents with the bot's address and one tenant's webhook secret in their places. ValueError if a place is
    not there."""
    for mark, value in ((_BOT, bot_url), (_SECRET, secret)):
        if mark not in text:
            raise ValueError(f"the wiring has no {mark}")
        text = text.replace(mark, value)
    filled: Json = json.loads(text)
    return filled


async def make_queue(sysadmin: ThingsboardAccount, documents: Json) -> None:
    """Once for the whole server."""
    await sysadmin.post("/api/queues?serviceType=TB-RULE-ENGINE", documents["queue"])


async def install(admin: ThingsboardAccount, documents: Json, tenant: str) -> None:
    """One tenant's device profile with the alarm rule, and its root rule chain."""
    await admin.post("/api/deviceProfile", documents["device_profile"])
    parts = documents["rule_chain"]
    chain = await admin.post("/api/ruleChain", parts["ruleChain"] | {"name": f"Root with alarms to chat ({tenant})"})
    linked = {"ruleChainId": chain["id"], "version": chain["version"]}
    await admin.post("/api/ruleChain/metadata", parts["metadata"] | linked)
    await admin.post(f"/api/ruleChain/{chain['id']['id']}/root")
