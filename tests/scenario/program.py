"""The whole program under test: a world for one test, alarms that ThingsBoard holds, and what Slack then shows."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from core.audit import Keyring
from core.messages.fold import unfold
from sandbox.bot_process import BotProcess
from sandbox.cast import STACK, TENANTS
from sandbox.fleet import Pace
from sandbox.slack.seen import SeenFile, SeenMessage
from sandbox.thingsboard.chains import without_nulls
from sandbox.thingsboard.entities import NO_CUSTOMER, Alarm
from sandbox.world import SandboxWorld

STILL = Pace(poll_s=600, telemetry_s=600)
"""Devices that only stand there: nothing but the test raises alarms."""
WEBHOOK = f"/webhooks/thingsboard/{STACK}"
CHANNEL = {tenant.id: tenant.channel for tenant in TENANTS}
_INCIDENT = re.compile(r"`(i[0-9a-f]{20})`")
_MONO = re.compile(r"`([^`\n]+)`")


@asynccontextmanager
async def still_world(**more: Any) -> AsyncIterator[SandboxWorld]:
    """A world whose devices do nothing by themselves. The directory's path is short: a Unix socket lies in it."""
    directory = Path(tempfile.mkdtemp(prefix="cdm-"))
    given: dict[str, Any] = {"devices": 3, "pace": STILL, "thingsboard_pace": 0.2, "slack_rate": 20.0}
    try:
        async with SandboxWorld(directory, **(given | more)) as world:
            yield world
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@asynccontextmanager
async def running(world: SandboxWorld, *, start: bool = True) -> AsyncIterator[BotProcess]:
    """The real bot on that world. The end of its log is shown where a test fails."""
    process = BotProcess(world.config, world.bot_url, world.directory / "bot.log")
    try:
        if start:
            await process.start()
        yield process
    finally:
        await process.stop()
        print(process.log_text()[-8_000:])


async def until(holds: Callable[[], Awaitable[Any]], what: str, within_s: float = 15.0, look_s: float = 0.05) -> Any:
    """The first answer that counts as true; AssertionError with the last answer where there is none in time."""
    deadline = time.monotonic() + within_s
    while not (answer := await holds()):
        assert time.monotonic() < deadline, f"{what}: not within {within_s:.0f} s, the last answer was {answer!r}"
        await asyncio.sleep(look_s)
    return answer


@dataclass(frozen=True, slots=True)
class Raised:
    """An active alarm in ThingsBoard, and the webhook it sends for it."""

    tenant: str
    device: str
    alarm: Alarm
    body: bytes

    @property
    def id(self) -> str:
        return self.alarm.id


def raised(
    world: SandboxWorld,
    tenant: str,
    device: str,
    type: str = "OTA Failure",
    *,
    severity: str = "CRITICAL",
    details: Any = None,
    age_s: float = 0.0,
) -> Raised:
    """Raise an alarm in the ThingsBoard stand-in without anybody being told: the test brings its webhook, or nobody."""
    server = world.thingsboard.world
    owner = next(t for t in server.tenants.values() if t.title == tenant)
    known = server.device_by_name(owner.id, device) or world.thingsboard.add_device(owner, device)
    at = server.now() - int(age_s * 1000)
    alarm = Alarm(
        server.new_id(),
        owner.id,
        NO_CUSTOMER,
        type,
        ("DEVICE", known.id),
        severity,
        at,
        at,
        at,
        {"data": f"OTA failed: {device}"} if details is None else details,
    )
    server.keep_alarm(alarm)
    metadata = {"deviceType": "cdm-x509", "deviceName": device, "isNewAlarm": "true", "ts": str(at)}
    envelope = {"msgType": "ALARM", "metadata": metadata, "alarm": server.alarm_info_json(alarm)}
    body = json.dumps(without_nulls(envelope), ensure_ascii=False).encode()
    return Raised(tenant, device, alarm, body)


def secret_of(world: SandboxWorld, tenant: str) -> str:
    return (world.directory / "secrets" / f"webhook-{tenant}").read_text()


def audit_keys(world: SandboxWorld) -> Keyring:
    """What the world's bot seals its audit with."""
    return Keyring((world.directory / "secrets" / "audit-key").read_bytes().strip())


def bearer(world: SandboxWorld, tenant: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret_of(world, tenant)}"}


async def ready(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/readyz")).status_code == 200
    except httpx.TransportError:
        return False


def incident_of(message: SeenMessage) -> str | None:
    """The id of the incident whose state a message shows; None for a pointer and for other messages."""
    found = _INCIDENT.search(message.shown)
    return found[1] if found and not is_pointer(message) else None


def is_pointer(message: SeenMessage) -> bool:
    """It only says which incident took it over."""
    return message.shown.startswith("🔗")


def marked(message: SeenMessage) -> set[str]:
    """What stands in code spans, unfolded: names of devices, ids."""
    return {name for span in _MONO.findall(message.shown) for name in unfold(span)}


def files_of(files: Mapping[str, SeenFile], message: SeenMessage) -> list[SeenFile]:
    """Lists of devices in the message's thread, oldest first."""
    return [files[id] for reply in message.replies for id in reply.files if files[id].name.startswith("devices-")]


def alarms_in(file: SeenFile) -> list[str]:
    """Ids of the alarms a list of devices names."""
    return [row["alarm id"] for row in csv.DictReader(io.StringIO(file.content))]


async def metric(http: httpx.AsyncClient, name: str, **labels: str) -> float:
    """A counter or gauge at /metrics; 0 where it was never touched."""
    told = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    wanted = f"{name}{{{told}}}" if told else name
    for line in (await http.get("/metrics")).text.splitlines():
        sample, _, value = line.rpartition(" ")
        if sample == wanted:
            return float(value)
    return 0.0


async def ended_at_start(config: Path, within_s: float = 30.0) -> tuple[int, str]:
    """Run `cdm serve` where it is expected to give up: its exit status and all it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "serve", "--config", str(config)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), within_s)
    except TimeoutError:
        process.kill()
        said, _ = await process.communicate()
        raise AssertionError(f"it did not give up; it said {said.decode()}") from None
    assert process.returncode is not None
    return process.returncode, said.decode()
