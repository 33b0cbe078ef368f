"""A hawkBit as the contract tests use it: people with rights, devices on the DDI, and a scheduler to wait for.

On the stand-in the scheduler stands still until a test asks for a pass. On a real server the same calls wait.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from integrations.hawkbit import HawkbitAccount, HawkbitActions, HawkbitReleases, HawkbitRollouts
from sandbox.hawkbit import HawkbitSandbox

Json = Any
TLS = ssl.create_default_context()
REAL_TICK_S = 2.5
DEADLINE_S = 20.0
PASSES = 6


class Device:
    """One device at the DDI."""

    def __init__(self, http: httpx.AsyncClient, name: str) -> None:
        self.http = http
        self.name = name
        self.path = f"/DEFAULT/controller/v1/{quote(name, safe='')}"

    async def poll(self) -> dict[str, str]:
        """The links the server offers, by name."""
        answer = await self.http.get(self.path)
        assert answer.status_code == 200, answer.text
        return {name: link["href"] for name, link in answer.json().get("_links", {}).items()}

    async def report(
        self,
        action: int,
        finished: str = "success",
        *,
        execution: str = "closed",
        details: Sequence[str] = (),
        code: int | None = None,
        timestamp: int | None = None,
        on: str = "deploymentBase",
    ) -> int:
        status: Json = {"execution": execution, "result": {"finished": finished}, "details": list(details)}
        if code is not None:
            status["code"] = code
        body: Json = {"status": status}
        if timestamp is not None:
            body["timestamp"] = timestamp
        return (await self.http.post(f"{self.path}/{on}/{action}/feedback", json=body)).status_code

    async def confirm_cancel(self) -> None:
        """Poll, be told of the cancellation, confirm it."""
        links = await self.poll()
        assert "cancelAction" in links, links
        await self.http.get(links["cancelAction"])
        action = int(links["cancelAction"].split("?")[0].rsplit("/", 1)[1])
        assert await self.report(action, "success", on="cancelAction", details=["cancelled"]) == 200


class Person:
    """Somebody with an account on the Management API."""

    def __init__(self, url: str, name: str, password: str) -> None:
        self.name = name
        self.http = httpx.AsyncClient(base_url=url + "/rest/v1", auth=(name, password), timeout=30, verify=TLS)

    async def get(self, path: str, **params: Any) -> httpx.Response:
        return await self.http.get(path, params=params or None)

    async def read(self, path: str, **params: Any) -> Json:
        answer = await self.get(path, **params)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    async def post(self, path: str, body: Json = None, **params: Any) -> httpx.Response:
        return await self.http.post(path, json=body, params=params or None)

    async def put(self, path: str, body: Json) -> httpx.Response:
        return await self.http.put(path, json=body)

    async def delete(self, path: str, body: Json = None, **params: Any) -> httpx.Response:
        return await self.http.request("DELETE", path, json=body, params=params or None)


class World:
    def __init__(self, url: str, sandbox: HawkbitSandbox | None, user: str, password: str) -> None:
        self.url = url
        self.sandbox = sandbox
        self.tag = "" if sandbox else f"-{int(time.time() * 1000):x}"
        self.admin = Person(url, user, password)
        self.bot = Person(url, "bot", "bot") if sandbox else self.admin
        self._people = [self.admin, self.bot]
        self.rollouts = HawkbitRollouts(
            url,
            self._account("bot", user, password),
            self._account("brake", user, password),
            release=self._account("release", user, password),
            timeout_s=30,
            verify=TLS,
        )
        self.fleet = HawkbitActions(self.rollouts.access)
        self.releases = HawkbitReleases(self.rollouts.access, upload_timeout_s=30)
        self._devices: httpx.AsyncClient | None = None
        self._numbers = itertools.count(1)

    def _account(self, name: str, user: str, password: str) -> HawkbitAccount:
        """On a real server one account is all there is."""
        return HawkbitAccount(name, lambda: name) if self.sandbox else HawkbitAccount(user, lambda: password)

    async def close(self) -> None:
        await self.rollouts.aclose()
        for person in self._people:
            await person.http.aclose()
        if self._devices is not None:
            await self._devices.aclose()

    # people

    def person(self, name: str) -> Person:
        """Another account of the stand-in; its password is its name."""
        if self.sandbox is None:
            pytest.skip("needs accounts that only the stand-in has")
        person = Person(self.url, name, name)
        self._people.append(person)
        return person

    def two_people(self) -> tuple[Person, Person]:
        if self.bot is self.admin:
            pytest.skip("needs two accounts")
        return self.bot, self.admin

    def stand_in(self) -> HawkbitSandbox:
        if self.sandbox is None:
            pytest.skip("a switch of the stand-in")
        return self.sandbox

    # time

    async def ticks(self, number: int = 1) -> None:
        if self.sandbox is None:
            await asyncio.sleep(REAL_TICK_S * number)
            return
        for _ in range(number):
            self.sandbox.tick()

    async def until(self, check: Callable[[], Awaitable[bool]], what: str) -> None:
        """Let the scheduler work until it is so."""
        if self.sandbox is not None:
            for _ in range(PASSES):
                if await check():
                    return
                self.sandbox.tick()
            assert await check(), f"{what}: not after {PASSES} passes"
            return
        deadline = time.monotonic() + DEADLINE_S
        while not await check():
            assert time.monotonic() < deadline, f"{what}: not within {DEADLINE_S} s"
            await asyncio.sleep(0.2)

    async def reaches(self, rollout: int, status: str) -> Json:
        async def there() -> bool:
            return bool((await self.rollout(rollout))["status"] == status)

        await self.until(there, f"rollout {rollout} {status}")
        return await self.rollout(rollout)

    # sets, targets, devices

    async def make_set(
        self, name: str, version: str, *, lock: bool = True, modules: bool = True, tagged: bool = True
    ) -> int:
        name = name + self.tag if tagged else name
        refs: list[Json] = []
        if modules:
            wanted = [{"name": f"{name}-os", "version": version, "type": "os", "vendor": "lab"}]
            made = await self.admin.post("/softwaremodules", wanted)
            assert made.status_code == 201, made.text
            refs = [{"id": made.json()[0]["id"]}]
        body = [{"name": name, "version": version, "type": "os", "modules": refs}]
        answer = await self.admin.post("/distributionsets", body)
        assert answer.status_code == 201, answer.text
        set_id = int(answer.json()[0]["id"])
        if lock:
            locked = await self.admin.put(f"/distributionsets/{set_id}", {"locked": True})
            assert locked.status_code == 200, locked.text
        return set_id

    async def make_targets(self, prefix: str, number: int, *, installed: int | None = None) -> list[str]:
        names = [f"{prefix}{self.tag}-{index:04}" for index in range(number)]
        answer = await self.admin.post("/targets", [{"controllerId": name, "name": name} for name in names])
        assert answer.status_code == 201, answer.text
        if installed is not None:
            body = [{"id": name, "type": "forced"} for name in names]
            given = await self.admin.post(f"/distributionsets/{installed}/assignedTargets", body, offline="true")
            assert given.status_code == 200, given.text
        return names

    async def device(self, name: str) -> Device:
        if self._devices is None:
            key = await self.admin.read("/system/configs/authentication.gatewaytoken.key")
            headers = {"Authorization": f"GatewayToken {key['value']}"}
            self._devices = httpx.AsyncClient(base_url=self.url, headers=headers, timeout=30, verify=TLS)
        return Device(self._devices, name)

    # rollouts

    def group(self, name: str, percent: float, action: str = "PAUSE", success: int = 95, error: int = 20) -> Json:
        return {
            "name": name,
            "targetPercentage": percent,
            "successCondition": {"condition": "THRESHOLD", "expression": str(success)},
            "successAction": {"action": action, "expression": ""},
            "errorCondition": {"condition": "THRESHOLD", "expression": str(error)},
            "errorAction": {"action": "PAUSE", "expression": ""},
        }

    def body(
        self,
        name: str,
        set_id: int,
        percents: Sequence[float] = (50, 50),
        *,
        prefix: str | None = None,
        action: str = "PAUSE",
        success: int = 95,
        error: int = 20,
        kind: str = "soft",
    ) -> Json:
        return {
            "name": name + self.tag,
            "distributionSetId": set_id,
            "targetFilterQuery": f"controllerId=={prefix or name}{self.tag}-*",
            "type": kind,
            "groups": [
                self.group(f"g{index}", percent, action, success, error) for index, percent in enumerate(percents, 1)
            ],
        }

    async def make_rollout(
        self, name: str, set_id: int, percents: Sequence[float] = (50, 50), *, by: Person | None = None, **more: Any
    ) -> int:
        """A rollout in `ready`."""
        answer = await (by or self.bot).post("/rollouts", self.body(name, set_id, percents, **more))
        assert answer.status_code == 201, answer.text
        rollout = int(answer.json()["id"])
        await self.reaches(rollout, "ready")
        return rollout

    async def run_rollout(self, name: str, devices: int, percents: Sequence[float] = (50, 50), **more: Any) -> int:
        """Fresh devices, a locked set nobody has, and a rollout of it whose first group runs."""
        set_id = more.pop("set_id", None) or await self.make_set(f"FW-{name}", "2.0.0")
        await self.make_targets(name, devices, installed=more.pop("installed", None))
        rollout = await self.make_rollout(name, set_id, percents, **more)
        await self.begin(rollout, by=more.get("by"))
        return rollout

    async def begin(self, rollout: int, *, by: Person | None = None) -> None:
        answer = await (by or self.bot).post(f"/rollouts/{rollout}/start")
        assert answer.status_code == 204, answer.text
        await self.reaches(rollout, "running")

    async def act(self, rollout: int, verb: str, *, by: Person | None = None) -> int:
        return (await (by or self.bot).post(f"/rollouts/{rollout}/{verb}")).status_code

    async def rollout(self, rollout: int) -> Json:
        return await self.admin.read(f"/rollouts/{rollout}")

    async def groups(self, rollout: int) -> list[Json]:
        page = await self.admin.read(
            f"/rollouts/{rollout}/deploygroups", representation="full", limit=500, sort="id:ASC"
        )
        found: list[Json] = page["content"]
        return found

    async def group_words(self, rollout: int) -> list[str]:
        return [group["status"] for group in await self.groups(rollout)]

    async def counts(self, rollout: int, index: int) -> Json:
        return (await self.groups(rollout))[index]["totalTargetsPerStatus"]

    async def actions(self, rollout: int, index: int, *, active: bool = True) -> list[tuple[str, int]]:
        """(device, action id) of one group, oldest first."""
        group = (await self.groups(rollout))[index]["id"]
        query = f"rollout.id=={rollout};rolloutgroup.id=={group}" + (";active==true" if active else "")
        page = await self.admin.read("/actions", q=query, limit=500, sort="id:ASC")
        return [
            (one["_links"]["self"]["href"].split("/targets/")[1].split("/")[0], one["id"]) for one in page["content"]
        ]

    async def finish(self, rollout: int, index: int, *, ok: int = 0, failed: int = 0) -> None:
        """That many devices of the group, among those still open, report success, then failure."""
        still_open = await self.actions(rollout, index)
        assert len(still_open) >= ok + failed, "fewer devices are open than should report"
        for number, (name, action) in enumerate(still_open[: ok + failed]):
            device = await self.device(name)
            word = "success" if number < ok else "failure"
            assert await device.report(action, word, code=0 if number < ok else 1) == 200

    async def drop(self, name: str, action: int, *, by: Person | None = None) -> None:
        """Cancel an action and force-quit it: the device is given up."""
        person = by or self.admin
        assert (await person.delete(f"/targets/{name}/actions/{action}")).status_code == 204
        assert (await person.delete(f"/targets/{name}/actions/{action}", force="true")).status_code == 204

    async def target(self, name: str) -> Json:
        return await self.admin.read(f"/targets/{name}")

    async def set_of(self, name: str, which: str) -> int | None:
        """Id of the device's `assignedDS` or `installedDS`, None where the answer is 204."""
        answer = await self.admin.get(f"/targets/{name}/{which}")
        return None if answer.status_code == 204 else int(answer.json()["id"])
