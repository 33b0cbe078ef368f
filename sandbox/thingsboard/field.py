"""The device side: what devices send over HTTP, the activity kept of them, and calls waiting for their answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.thingsboard.buckets import Buckets
from sandbox.thingsboard.engine import Engine
from sandbox.thingsboard.entities import Device, Json, ref
from sandbox.thingsboard.messages import Message
from sandbox.thingsboard.world import World, compact

INACTIVITY_TIMEOUT_MS = 600_000
INACTIVITY_CHECK_S = 60.0
MIN_RPC_TIMEOUT_S = 5.0
DEFAULT_RPC_TIMEOUT_S = 10.0


@dataclass(slots=True)
class _Calls:
    """Calls to one device: `asked` waits for its long poll, `answers` for its replies."""

    asked: asyncio.Queue[Json] = field(default_factory=asyncio.Queue)
    answers: dict[int, asyncio.Future[Any]] = field(default_factory=dict)
    listening: int = 0
    count: int = 0


class Field:
    """Devices as the server meets them."""

    def __init__(self, world: World, engine: Engine, pace: float) -> None:
        self.world = world
        self.engine = engine
        self.pace = pace
        self.persistent: dict[str, Json] = {}
        self._calls: dict[str, _Calls] = {}

    # telemetry and attributes

    def limited(self, device: Device) -> bool:
        """True: over the tenant profile's device limit, answered with 500 and an empty body (measured)."""
        written = self.world.tenants[device.tenant].telemetry_limits
        if not written:
            return False
        if device.limits is None:
            device.limits = Buckets.parse(written, self.world.clock())
        return not device.limits.take(self.world.clock())

    def post_telemetry(self, device: Device, body: Any) -> None:
        """One message for each timestamp. Nulls never reach the rule engine, so the old value stays (measured)."""
        now = self.world.now()
        self.touch(device)
        for part in body if isinstance(body, list) else [body]:
            stamped = "ts" in part and "values" in part
            ts, values = (int(part["ts"]), part["values"]) if stamped else (now, part)
            kept = {k: v for k, v in values.items() if v is not None}
            if kept:
                metadata = {**self._named(device), "ts": str(ts)}
                self._send(device, "POST_TELEMETRY_REQUEST", metadata, kept)

    def post_attributes(self, device: Device, body: Mapping[str, Any]) -> None:
        self.touch(device)
        kept = {k: v for k, v in body.items() if v is not None}
        self._send(device, "POST_ATTRIBUTES_REQUEST", self._named(device) | {"notifyDevice": "false"}, kept)

    def write_attributes(self, device: Device, scope: str, body: Mapping[str, Any], who: Mapping[str, str]) -> None:
        now = self.world.now()
        device.attributes[scope].update({k: (now, v) for k, v in body.items()})
        self._attributes_changed(device, "ATTRIBUTES_UPDATED", {**who, "scope": scope}, body)

    def _attributes_changed(
        self, device: Device, msg_type: str, metadata: Mapping[str, str], body: Mapping[str, Any]
    ) -> None:
        message = Message(msg_type, device.tenant, ("DEVICE", device.id), metadata, dict(body))
        self.engine.send(message)
        self.engine.on_attributes(device, message)

    def _send(self, device: Device, msg_type: str, metadata: Mapping[str, str], data: Any) -> None:
        self.engine.send(Message(msg_type, device.tenant, ("DEVICE", device.id), metadata, data))

    def _named(self, device: Device) -> dict[str, str]:
        return {"deviceName": device.name, "deviceType": self.world.profiles[device.profile].name}

    # activity

    def touch(self, device: Device) -> None:
        """Any message is activity: `lastActivityTime` moves, and `active` turns true if it was not."""
        now = self.world.now()
        device.attributes["SERVER_SCOPE"]["lastActivityTime"] = (now, now)
        if not device.active:
            self._set_active(device, True)

    def check_inactivity(self) -> None:
        """Runs every 60 s on the real server, so a short timeout fires late (5 s fired after 58 s, measured)."""
        now = self.world.now()
        for device in self.world.devices.values():
            server = device.attributes["SERVER_SCOPE"]
            timeout_ms = float(server.get("inactivityTimeout", (0, INACTIVITY_TIMEOUT_MS))[1]) * self.pace
            if device.active and now - int(server["lastActivityTime"][1]) > timeout_ms:
                server["inactivityAlarmTime"] = (now, now)
                self._set_active(device, False)

    def _set_active(self, device: Device, active: bool) -> None:
        device.attributes["SERVER_SCOPE"]["active"] = (self.world.now(), active)
        metadata = self._named(device) | {"scope": "SERVER_SCOPE"}
        if device.label:
            metadata["deviceLabel"] = device.label
        kind = "ACTIVITY_EVENT" if active else "INACTIVITY_EVENT"
        last = device.attributes["SERVER_SCOPE"]["lastActivityTime"][1]
        self._attributes_changed(device, kind, metadata, {"active": active, "lastActivityTime": last})

    # calls to devices

    async def call(self, device: Device, body: Json, *, oneway: bool) -> Any:
        """The device's answer, or TimeoutError. A timeout below 5 s is raised to 5 s (measured). A one-way call is done
        once the device was given it."""
        calls = self._calls.setdefault(device.id, _Calls())
        asked_s = float(body.get("timeout") or DEFAULT_RPC_TIMEOUT_S * 1000) / 1000
        wait_s = max(asked_s, MIN_RPC_TIMEOUT_S) * self.pace
        if not calls.listening:
            await asyncio.sleep(wait_s)
            raise TimeoutError
        calls.count += 1
        number = calls.count
        answer = calls.answers[number] = asyncio.get_running_loop().create_future()
        calls.asked.put_nowait({"id": number, "method": body["method"], "params": body.get("params")})
        if oneway:
            answer.set_result(None)
        try:
            return await asyncio.wait_for(answer, wait_s)
        finally:
            del calls.answers[number]

    async def next_call(self, device: Device, timeout_ms: float) -> Json | None:
        """The device's long poll."""
        calls = self._calls.setdefault(device.id, _Calls())
        self.touch(device)
        calls.listening += 1
        try:
            return await asyncio.wait_for(calls.asked.get(), timeout_ms / 1000)
        except TimeoutError:
            return None
        finally:
            calls.listening -= 1

    def answer_call(self, device: Device, number: int, body: Any) -> None:
        answer = self._calls.setdefault(device.id, _Calls()).answers.get(number)
        if answer is not None and not answer.done():
            answer.set_result(body)

    def keep_call(self, device: Device, body: Json, *, oneway: bool) -> str:
        """A persistent call: queued until the device asks, and shown by its id."""
        rpc_id, now = self.world.new_id(), self.world.now()
        until = int(body.get("expirationTime") or now + int(DEFAULT_RPC_TIMEOUT_S * 1000))
        asked = {"method": body["method"], "params": body.get("params") or {}}
        owner = {"tenantId": ref("TENANT", device.tenant), "deviceId": ref("DEVICE", device.id)}
        self.persistent[rpc_id] = {
            "id": ref("RPC", rpc_id),
            "createdTime": now,
            **owner,
            "expirationTime": until,
            "request": {
                "id": rpc_id,
                **owner,
                "oneway": oneway,
                "expirationTime": until,
                "body": {"method": asked["method"], "params": compact(asked["params"])},
                "persisted": True,
                "retries": body.get("retries"),
            },
            "response": None,
            "status": "QUEUED",
            "additionalInfo": body.get("additionalInfo"),
        }
        return rpc_id


def shown_attributes(device: Device, scopes: Iterable[str], keys: set[str] | None) -> list[Json]:
    return [
        {"lastUpdateTs": at, "key": key, "value": value}
        for scope in scopes
        for key, (at, value) in device.attributes[scope].items()
        if keys is None or key in keys
    ]
