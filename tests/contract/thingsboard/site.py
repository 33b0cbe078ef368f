"""One ThingsBoard under test, the stand-in or a real server, driven over HTTP alone, and a webhook that listens."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from sandbox.thingsboard import ThingsboardSandbox
from sandbox.wire import Receive, Scope, Send, WireServer, answer, read_body

Json = dict[str, Any]
PREFIX = "org.thingsboard.rule.engine."
ENVELOPE = (
    'return {msg: {"msgType": msgType, "metadata": metadata, "alarm": msg}, metadata: metadata, msgType: msgType};'
)


@dataclass(slots=True)
class Heard:
    """One webhook as it arrived. `at` is on the monotonic clock; header names are in lower case."""

    at: float
    method: str
    path: str
    headers: Mapping[str, str]
    body: Any

    @property
    def what(self) -> str:
        """NEW, CLR, or the message's type."""
        metadata = self.body.get("metadata", {})
        if metadata.get("isNewAlarm") == "true":
            return "NEW"
        if metadata.get("isClearedAlarm") == "true":
            return "CLR"
        return str(self.body.get("msgType"))


Reply = Callable[[Heard], tuple[int, Any]]


@dataclass(slots=True)
class Webhook:
    """An ASGI app that keeps what it hears. It answers after `delay_s` with what `reply` says, 200 at first."""

    heard: list[Heard] = field(default_factory=list)
    delay_s: float = 0.0
    reply: Reply = lambda _: (200, {})
    headers: dict[str, str] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = await read_body(receive)
        headers = {k.decode(): v.decode() for k, v in scope["headers"]}
        heard = Heard(time.monotonic(), scope["method"], scope["path"], headers, json.loads(raw))
        self.heard.append(heard)
        status, body = self.reply(heard)
        await asyncio.sleep(self.delay_s)
        await answer(send, status, body, self.headers)

    def of(self, what: str) -> list[Heard]:
        return [h for h in self.heard if h.what == what]

    async def wait_for(self, count: int, *, what: str | None = None, within_s: float = 5.0) -> list[Heard]:
        """Until so many were heard (of one kind); fails after `within_s`."""
        end = time.monotonic() + within_s
        while True:
            found = self.heard if what is None else self.of(what)
            if len(found) >= count:
                return list(found)
            assert time.monotonic() < end, f"heard {[h.what for h in self.heard]}, waited for {count} {what or ''}"
            await asyncio.sleep(0.005)


@dataclass(slots=True)
class Account:
    """A login, and requests with it."""

    site: Site
    email: str
    password: str
    token: str = ""
    user_id: str = ""

    async def login(self) -> Account:
        body = {"username": self.email, "password": self.password}
        made = await self.site.http.post("/api/auth/login", json=body)
        assert made.status_code == 200, made.text
        self.token = made.json()["token"]
        self.user_id = (await self.ok("GET", "/api/auth/user"))["id"]["id"]
        return self

    async def send(self, method: str, path: str, body: Any = None, token: str | None = None) -> httpx.Response:
        headers = {"X-Authorization": f"Bearer {token or self.token}"}
        return await self.site.http.request(method, path, json=body, headers=headers)

    async def ok(self, method: str, path: str, body: Any = None) -> Any:
        made = await self.send(method, path, body)
        assert made.status_code == 200, f"{method} {path}: {made.status_code} {made.text}"
        return made.json() if made.content else None


@dataclass(slots=True)
class Site:
    """`pace` is how fast the server's own waits go: 1 on a real server."""

    http: httpx.AsyncClient
    version: str
    pace: float
    sysadmin: Account = field(init=False)
    sandbox: ThingsboardSandbox | None = None
    servers: list[WireServer] = field(default_factory=list)

    @property
    def release(self) -> str:
        return self.version[:3]

    async def tenant(self) -> Customized:
        """A fresh tenant with an administrator named ChatOps Bot, as in the recordings."""
        name = uuid.uuid4().hex[:12]
        made = await self.sysadmin.ok("POST", "/api/tenant", {"title": f"acme-{name}"})
        email = f"bot@{name}.example"
        user = {"authority": "TENANT_ADMIN", "tenantId": made["id"], "firstName": "ChatOps", "lastName": "Bot"}
        admin = await self.person(self.sysadmin, email, user)
        return Customized(self, made["id"]["id"], admin)

    async def person(self, by: Account, email: str, user: Json) -> Account:
        made = await by.ok("POST", "/api/user?sendActivationMail=false", user | {"email": email})
        link = (await by.send("GET", f"/api/user/{made['id']['id']}/activationLink")).text
        token = urlsplit(link).query.removeprefix("activateToken=")
        body = {"activateToken": token, "password": "secret-1"}
        activated = await self.http.post("/api/noauth/activate?sendActivationMail=false", json=body)
        assert activated.status_code == 200, activated.text
        return await Account(self, email, "secret-1").login()


@dataclass(slots=True)
class Customized:
    """One tenant, and what the tests do in it."""

    site: Site
    id: str
    admin: Account
    profile_id: str = ""
    chain_id: str = ""
    devices: dict[str, Json] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    async def profile(self, rules: Sequence[Json]) -> None:
        """A device profile "cdm-x509" with these rules: device-profile alarms on 4.2, calculated fields on 4.3."""
        on_42 = self.site.release == "4.2"
        body = profile_body("cdm-x509", rules if on_42 else [])
        self.profile_id = (await self.admin.ok("POST", "/api/deviceProfile", body))["id"]["id"]
        for rule in [] if on_42 else rules:
            entity = {"entityType": "DEVICE_PROFILE", "id": self.profile_id}
            await self.admin.ok("POST", "/api/calculatedField", rule | {"entityId": entity})

    async def device(self, name: str, *, label: str | None = None) -> str:
        token = uuid.uuid4().hex[:20]
        body: Json = {"name": name, "label": label or name.upper()}
        if self.profile_id:
            body["deviceProfileId"] = {"entityType": "DEVICE_PROFILE", "id": self.profile_id}
        made = await self.admin.ok("POST", f"/api/device?accessToken={token}", body)
        self.devices[name], self.tokens[name] = made, token
        return str(made["id"]["id"])

    def device_id(self, name: str) -> str:
        return str(self.devices[name]["id"]["id"])

    async def telemetry(self, name: str, values: Any) -> int:
        made = await self.site.http.post(f"/api/v1/{self.tokens[name]}/telemetry", json=values)
        return made.status_code

    async def attributes(self, name: str, values: Json) -> int:
        return (await self.site.http.post(f"/api/v1/{self.tokens[name]}/attributes", json=values)).status_code

    async def chain(self, nodes: Sequence[Json], links: Sequence[tuple[int, int, str]], first: int = 0) -> None:
        """Import a rule chain and make it the tenant's root."""
        made = await self.admin.ok("POST", "/api/ruleChain", {"name": "under test", "type": "CORE"})
        metadata = {
            "ruleChainId": made["id"],
            "version": made.get("version"),
            "firstNodeIndex": first,
            "nodes": list(nodes),
            "connections": [{"fromIndex": a, "toIndex": b, "type": kind} for a, b, kind in links],
            "ruleChainConnections": None,
        }
        await self.admin.ok("POST", "/api/ruleChain/metadata", metadata)
        await self.admin.ok("POST", f"/api/ruleChain/{made['id']['id']}/root")
        self.chain_id = made["id"]["id"]

    async def wire(
        self,
        url: str,
        *,
        queue: str | None = None,
        events: Sequence[str] = ("Alarm Created", "Alarm Severity Updated", "Alarm Cleared"),
        person_events: Sequence[str] = (),
        failure_wired: bool = False,
        **rest: Any,
    ) -> None:
        """Rule events (and those of persons) through an envelope to `url`, by `queue` if one is named."""
        nodes = [
            node("filter.TbMsgTypeSwitchNode", "switch", {"version": 0}),
            node("telemetry.TbMsgTimeseriesNode", "save", SAVE),
            node("transform.TbTransformMsgNode", "envelope", script()),
            node("rest.TbRestApiCallNode", "call", rest_body(url, **rest), version=3),
        ]
        links = [(0, 1, "Post telemetry"), (2, 3, "Success")]
        into = 2
        if queue is not None:
            nodes.append(node("flow.TbCheckpointNode", "queue", {}, version=1, queue=queue))
            into = len(nodes) - 1
            links.append((into, 2, "Success"))
        if failure_wired:
            nodes.append(node("action.TbLogNode", "failed", {"scriptLang": "TBEL", "tbelScript": "return 'x';"}))
            links.append((3, len(nodes) - 1, "Failure"))
        first = raising = 0
        if self.site.release == "4.2":
            nodes.append(node("profile.TbDeviceProfileNode", "profile", PROFILE_NODE, version=1))
            first = raising = len(nodes) - 1
            links.append((first, 0, "Success"))
        links += [(raising, into, event) for event in events]
        links += [(0, into, event) for event in person_events if (0, into, event) not in links]
        await self.chain(nodes, links, first)

    async def alarms(self, query: str = "") -> list[Json]:
        found = await self.admin.ok("GET", f"/api/v2/alarms?pageSize=10000&page=0{query}")
        return list(found["data"])

    async def wait_alarms(self, count: int, query: str = "", within_s: float = 5.0) -> list[Json]:
        end = time.monotonic() + within_s
        while len(found := await self.alarms(query)) < count:
            assert time.monotonic() < end, f"{len(found)} of {count} alarms"
            await asyncio.sleep(0.01)
        return found


PROFILE_NODE = {"persistAlarmRulesState": False, "fetchAlarmRulesStateOnStart": False}
SAVE = {"defaultTTL": 0, "useServerTs": False, "processingSettings": {"type": "ON_EVERY_MESSAGE"}}


def node(kind: str, name: str, configuration: Json, *, version: int = 0, queue: str | None = None) -> Json:
    return {
        "type": PREFIX + kind,
        "name": name,
        "queueName": queue,
        "configurationVersion": version,
        "configuration": configuration,
    }


def script() -> Json:
    return {"scriptLang": "TBEL", "jsScript": ENVELOPE, "tbelScript": ENVELOPE}


def rest_body(url: str, **more: Any) -> Json:
    return {
        "restEndpointUrlPattern": url,
        "requestMethod": "POST",
        "readTimeoutMs": 0,
        "maxParallelRequestsCount": 0,
        "headers": {"Content-Type": "application/json", "Authorization": "Bearer bot-shared-token"},
        "credentials": {"type": "anonymous"},
    } | more


def profile_body(name: str, alarms: Sequence[Json]) -> Json:
    return {
        "name": name,
        "type": "DEFAULT",
        "transportType": "DEFAULT",
        "provisionType": "DISABLED",
        "profileData": {
            "configuration": {"type": "DEFAULT"},
            "transportConfiguration": {"type": "DEFAULT"},
            "provisionConfiguration": {"type": "DISABLED"},
            "alarms": list(alarms),
        },
    }
