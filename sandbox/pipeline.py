"""A release pipeline at hawkBit: makes rollouts the way the bot can promote them, with PAUSE after every group."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Literal

import httpx

from sandbox.cast import SET_NAME

Json = dict[str, Any]
RELEASE = (5.0, 25.0, 70.0)
"""The groups of a release, in per cent."""


class Pipeline:
    """One hawkBit account. HTTPStatusError for every answer that is no success."""

    def __init__(self, url: str, username: str, password: str) -> None:
        self._http = httpx.AsyncClient(
            base_url=f"{url}/rest/v1", auth=(username, password), timeout=15, trust_env=False
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def release(
        self,
        version: str,
        *,
        query: str = "controllerId==*",
        groups: Sequence[float] = RELEASE,
        name: str = "",
        success_pct: int = 95,
        error_pct: int = 10,
    ) -> int:
        """Create a rollout of that version and wait until it is ready to start; its id."""
        body = {
            "name": name or f"{SET_NAME}-{version}",
            "targetFilterQuery": query,
            "distributionSetId": await self._set_id(version),
            "groups": [_group(number, pct, success_pct, error_pct) for number, pct in enumerate(groups, 1)],
        }
        rollout = int((await self._call("POST", "/rollouts", body))["id"])
        deadline = time.monotonic() + 60
        while (status := (await self.rollout(rollout))["status"]) != "ready":
            if time.monotonic() > deadline:
                raise TimeoutError(f"rollout {rollout} is still {status} after 60 s")
            await asyncio.sleep(0.05)
        return rollout

    async def order(self, rollout: int, verb: Literal["start", "pause", "resume", "stop"]) -> None:
        await self._call("POST", f"/rollouts/{rollout}/{verb}")

    async def rollout(self, rollout: int) -> Json:
        return dict(await self._call("GET", f"/rollouts/{rollout}"))

    async def groups(self, rollout: int) -> list[Json]:
        """In order, each with its counts (`totalTargetsPerStatus`)."""
        page = await self._call("GET", f"/rollouts/{rollout}/deploygroups?representation=full&limit=500&sort=id:ASC")
        return list(page["content"])

    async def members(self, rollout: int, group: int) -> list[str]:
        """Names of the devices of the group with this number, from 1."""
        found = (await self.groups(rollout))[group - 1]
        page = await self._call("GET", f"/rollouts/{rollout}/deploygroups/{found['id']}/targets?limit=500")
        return sorted(target["controllerId"] for target in page["content"])

    async def started(self, rollout: int) -> int:
        """How many groups have begun."""
        return sum(group["status"] in ("running", "finished", "error") for group in await self.groups(rollout))

    async def _set_id(self, version: str) -> int:
        query = f"name=={SET_NAME};version=={version}"
        found = (await self._call("GET", f"/distributionsets?q={query}"))["content"]
        if not found:
            raise LookupError(f"hawkBit has no set {SET_NAME}:{version}")
        return int(found[0]["id"])

    async def _call(self, method: str, path: str, body: Json | None = None) -> Any:
        answer = await self._http.request(method, path, json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None


def _group(number: int, percentage: float, success_pct: int, error_pct: int) -> Json:
    return {
        "name": f"group-{number}",
        "targetPercentage": percentage,
        "successCondition": {"condition": "THRESHOLD", "expression": str(success_pct)},
        "successAction": {"action": "PAUSE", "expression": ""},
        "errorCondition": {"condition": "THRESHOLD", "expression": str(error_pct)},
        "errorAction": {"action": "PAUSE", "expression": ""},
    }
