"""The receiver over the wire: whose alarm it is, what is refused and why, and that 202 means on disk."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY
from redis.exceptions import RedisError

from core.ids import Stack, Tenant
from handlers.webhooks import thingsboard
from handlers.webhooks.thingsboard import MAX_BODY, PREFIX, ThingsBoardWebhook, in_front_of
from integrations.store import intake as intake_module
from integrations.store.connection import Store, connect
from integrations.store.embedded import EmbeddedStore
from integrations.store.intake import STREAM, Intake
from sandbox.wire import WireServer
from tests.conftest import ManualClock

RECORDED = Path(__file__).parents[1] / "recorded" / "thingsboard"
EU1, EU2, A, B = Stack("eu1"), Stack("eu2"), Tenant("customer-a"), Tenant("customer-b")
Keys = dict[tuple[Stack, Tenant], tuple[str, ...]]


def envelope(**alarm: Any) -> bytes:
    found = json.loads((RECORDED / "webhook-01-telemetry-ota-status-failure-alarm-created.json").read_text())
    body = next(w["body"] for w in found["webhooks"] if "msgType" in w["body"])
    body["alarm"] |= alarm
    return json.dumps(body).encode()


def fresh() -> bytes:
    return envelope(id={"entityType": "ALARM", "id": str(uuid.uuid4())})


@dataclass
class Receiver:
    """What a sender sees, and what the store holds."""

    url: str
    port: int
    store: Store
    intake: Intake
    keys: list[Keys]
    http: httpx.AsyncClient

    async def post(self, body: Any, *, secret: str | None = "secret-a", path: str = "eu1", **headers: str) -> Any:
        if secret is not None:
            headers["Authorization"] = f"Bearer {secret}"
        return await self.http.post(f"{self.url}{PREFIX}/{path}", content=body, headers=headers)

    async def kept(self) -> list[tuple[str, str, bytes]]:
        return [(e.stack, e.tenant, e.body) for e in await self.intake.take(count=100_000, wait_ms=1)]


@pytest.fixture(params=["in front", "mounted"])
def assembled(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def receiver(assembled: str, store: Store, clock: ManualClock) -> AsyncIterator[Receiver]:
    keys: list[Keys] = [{(EU1, A): ("secret-a",), (EU1, B): ("secret-b",), (EU2, A): ("secret-2",)}]
    intake = Intake(store)
    webhook = ThingsBoardWebhook(intake, clock, lambda: keys[-1])
    app: Any = FastAPI()
    if assembled == "mounted":
        app.mount(PREFIX, webhook)
    else:
        app = in_front_of(app, webhook)
    async with WireServer(app) as server, httpx.AsyncClient(timeout=10) as http:
        yield Receiver(server.url, server.port, store, intake, keys, http)


only_in_front = pytest.mark.parametrize("assembled", ["in front"], indirect=True)


def refused(reason: str) -> float:
    return REGISTRY.get_sample_value("cdm_webhook_refused_total", {"reason": reason}) or 0.0


async def test_a_good_alarm_is_answered_202_and_kept_as_it_came(receiver: Receiver) -> None:
    body = fresh()
    answer = await receiver.post(body)
    assert (answer.status_code, answer.content) == (202, b"")
    assert await receiver.kept() == [("eu1", "customer-a", body)]


@only_in_front
async def test_every_recorded_webhook_is_accepted(receiver: Receiver) -> None:
    files = sorted(RECORDED.glob("webhook-[0-9]*.json"))
    bodies = [w["body"] for file in files for w in json.loads(file.read_text()).get("webhooks", [])]
    assert len(bodies) > 30
    for body in bodies:
        assert (await receiver.post(json.dumps(body).encode())).status_code == 202


@only_in_front
async def test_the_tenant_is_the_secrets_whatever_the_body_says(receiver: Receiver) -> None:
    of_b = envelope(tenantId={"entityType": "TENANT", "id": str(uuid.uuid4())}, originatorName="device-of-b")
    assert (await receiver.post(of_b, secret="secret-a")).status_code == 202
    assert (await receiver.post(of_b, secret="secret-b")).status_code == 202
    assert [tenant for _, tenant, _ in await receiver.kept()] == ["customer-a", "customer-b"]


@only_in_front
async def test_a_wrong_or_missing_secret_is_refused_and_keeps_nothing(receiver: Receiver) -> None:
    wrong: list[Any] = [
        None,
        "",
        "Bearer",
        "Bearer wrong",
        "Bearer secret-a ,",
        "Bearer secret-2",  # of this tenant, but another stack
        "secret-a",
        "Digest secret-a",
        "Basic !!!",
        "Basic " + base64.b64encode(b"tb:wrong").decode(),
        "Basic " + base64.b64encode(b"secret-a").decode(),
        "Bearer \xfc".encode("latin-1"),
    ]
    before = refused("wrong_secret")
    for authorization in wrong:
        headers = {} if authorization is None else {"Authorization": authorization}
        answer = await receiver.http.post(f"{receiver.url}{PREFIX}/eu1", content=fresh(), headers=headers)
        assert answer.status_code == 401, authorization
    assert refused("wrong_secret") == before + len(wrong)
    assert await receiver.kept() == []


@only_in_front
async def test_the_secret_may_be_the_password_of_basic(receiver: Receiver) -> None:
    basic = "Basic " + base64.b64encode(b"thingsboard:secret-b").decode()
    answer = await receiver.http.post(f"{receiver.url}{PREFIX}/eu1", content=fresh(), headers={"Authorization": basic})
    assert answer.status_code == 202
    assert [tenant for _, tenant, _ in await receiver.kept()] == ["customer-b"]


@only_in_front
async def test_two_secrets_are_valid_while_one_is_rotated(receiver: Receiver) -> None:
    receiver.keys.append({(EU1, A): ("secret-a", "secret-new")})
    assert [(await receiver.post(fresh(), secret=s)).status_code for s in ("secret-a", "secret-new")] == [202, 202]
    receiver.keys.append({(EU1, A): ("secret-new",)})
    assert [(await receiver.post(fresh(), secret=s)).status_code for s in ("secret-a", "secret-new")] == [401, 202]


@only_in_front
async def test_a_secret_given_to_two_tenants_opens_neither(receiver: Receiver) -> None:
    receiver.keys.append({(EU1, A): ("same", "own-a"), (EU1, B): ("same",), (EU2, A): ("",)})
    assert (await receiver.post(fresh(), secret="same")).status_code == 401
    assert (await receiver.post(fresh(), secret="own-a")).status_code == 202
    empty = {"Authorization": "Basic " + base64.b64encode(b"tb:").decode()}
    assert (await receiver.post(fresh(), secret=None, path="eu2", **empty)).status_code == 401


async def test_an_unknown_stack_is_not_found(receiver: Receiver) -> None:
    for path in ("eu9", "eu1/", "eu1/x", "x/eu1", "EU1", "eu%201", ""):
        assert (await receiver.post(fresh(), path=path)).status_code == 404, path
    assert await receiver.kept() == []


async def test_only_post_is_understood(receiver: Receiver) -> None:
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS"):
        answer = await receiver.http.request(method, f"{receiver.url}{PREFIX}/eu1")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST"), method


async def test_other_paths_go_to_the_app(receiver: Receiver) -> None:
    assert (await receiver.http.get(f"{receiver.url}/openapi.json")).status_code == 200


def chunks(size: int) -> Any:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(size // 8192):
            yield b"x" * 8192

    return body()


@only_in_front
async def test_a_body_of_64_kb_is_taken_and_a_larger_one_is_not(receiver: Receiver) -> None:
    filling = MAX_BODY - len(envelope(details={"data": ""}))
    fits, over = (envelope(details={"data": "x" * (filling + n)}) for n in (0, 1))
    assert [len(fits), len(over)] == [MAX_BODY, MAX_BODY + 1]
    assert (await receiver.post(fits)).status_code == 202
    for large in (over, b"x" * 900_000, chunks(900_000)):
        answer = await receiver.post(large)
        assert (answer.status_code, answer.json()["reason"]) == (413, "too_large")
    assert len(await receiver.kept()) == 1


@only_in_front
async def test_an_endless_body_is_cut_off_and_costs_no_memory(receiver: Receiver) -> None:
    before = refused("too_large")
    for endless in (b"x" * (8 << 20), chunks(64 << 20)):
        with contextlib.suppress(httpx.TransportError):  # closed while the sender was still sending
            assert (await receiver.post(endless)).status_code == 413
    assert refused("too_large") == before + 2
    assert (await receiver.post(fresh())).status_code == 202


@only_in_front
async def test_what_is_no_alarm_is_answered_400_and_says_what_is_wrong(receiver: Receiver) -> None:
    bodies = [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"\xff\xfe\x00", "not_json"),
        (b"[" * 20_000, "not_json"),
        (b"[]", "not_an_object"),
        (b"{}", "no_alarm"),
        (b'{"ota_status":"failure","ota_error":"x"}', "no_alarm"),
        (envelope(severity="FATAL"), "bad_severity"),
        (envelope(id={"entityType": "ALARM", "id": "1"}), "bad_id"),
    ]
    for body, reason in bodies:
        before = refused(reason)
        answer = await receiver.post(body)
        assert (answer.status_code, answer.json()["reason"]) == (400, reason)
        assert len(answer.json()["error"]) > 20
        assert refused(reason) == before + 1
    assert await receiver.kept() == []


@only_in_front
async def test_any_text_is_kept_byte_for_byte(receiver: Receiver) -> None:
    nasty = [
        "<!channel> <@U1> *b*",
        "'; DROP TABLE x; --",
        "$(reboot)`reboot`",
        "\x00\x1b[31m\r\n",
        "🔥\u202e過熱",
        "${x}y",
    ]
    bodies = [envelope(type=text, originatorName=text, details={text: text}) for text in nasty]
    for body in bodies:
        assert (await receiver.post(body)).status_code == 202
    assert [body for _, _, body in await receiver.kept()] == bodies


@only_in_front
async def test_a_sender_that_goes_away_in_the_middle_leaves_nothing(receiver: Receiver) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
    head = f"POST {PREFIX}/eu1 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer secret-a\r\ncontent-length: 900\r\n\r\n"
    writer.write(head.encode() + fresh()[:100])
    await writer.drain()
    writer.close()
    assert (await receiver.post(fresh())).status_code == 202
    assert len(await receiver.kept()) == 1


@only_in_front
async def test_a_body_that_does_not_arrive_is_given_up(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thingsboard, "BODY_S", 0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
    head = f"POST {PREFIX}/eu1 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer secret-a\r\ncontent-length: 900\r\n\r\n"
    writer.write(head.encode())
    answer = await asyncio.wait_for(reader.read(), 5)
    assert answer.startswith(b"HTTP/1.1 408")
    writer.close()


@only_in_front
async def test_many_at_once_are_each_kept_once(receiver: Receiver) -> None:
    bodies = [fresh() for _ in range(300)]
    answers = await asyncio.gather(*(receiver.post(body) for body in bodies))
    assert {answer.status_code for answer in answers} == {202}
    assert sorted(body for _, _, body in await receiver.kept()) == sorted(bodies)


@only_in_front
async def test_a_store_that_does_not_answer_is_said_within_a_second_or_so(
    receiver: Receiver, embedded: EmbeddedStore
) -> None:
    assert embedded.pid is not None
    assert (await receiver.post(fresh())).status_code == 202
    os.kill(embedded.pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        answers = await asyncio.gather(*(receiver.post(fresh()) for _ in range(20)))
        took = time.monotonic() - started
    finally:
        os.kill(embedded.pid, signal.SIGCONT)
    assert {answer.status_code for answer in answers} == {503}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
    assert took < 2  # ThingsBoard's queue gives up after 2 s (measured on CE 4.2.1)
    assert (await receiver.post(fresh())).status_code == 202


@only_in_front
async def test_a_full_inbox_refuses_until_there_is_room(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "MAX_BACKLOG", 3)
    monkeypatch.setattr(intake_module, "MEASURED_EVERY_S", 0.05)
    statuses = []
    async with asyncio.timeout(10):
        while 503 not in statuses:
            statuses.append((await receiver.post(fresh())).status_code)
    assert statuses.count(202) >= 3
    await receiver.store.delete(STREAM)
    async with asyncio.timeout(10):
        while (await receiver.post(fresh())).status_code != 202:
            await asyncio.sleep(0.01)


@only_in_front
async def test_a_store_that_cannot_write_its_file_is_said(receiver: Receiver) -> None:
    """MISCONF, OOM and the like: the store itself says that it will not keep it."""
    await receiver.store.config_set("maxmemory", "1")
    answer = await receiver.post(fresh())
    assert (answer.status_code, answer.json()["reason"]) == (503, "store_in_danger")
    await receiver.store.config_set("maxmemory", "0")
    assert (await receiver.post(fresh())).status_code == 202


@only_in_front
async def test_what_was_answered_202_is_there_after_kill_9_of_the_store(
    receiver: Receiver, embedded: EmbeddedStore
) -> None:
    accepted: list[bytes] = []
    refusals = 0

    async def send() -> None:
        nonlocal refusals
        while True:
            body = fresh()
            if (await receiver.post(body)).status_code == 202:
                accepted.append(body)
            else:
                refusals += 1

    senders = [asyncio.create_task(send()) for _ in range(16)]
    for kill in range(2):
        async with asyncio.timeout(20):
            while len(accepted) < 150 * (kill + 1):
                await asyncio.sleep(0.001)
        assert embedded.pid is not None
        os.kill(embedded.pid, signal.SIGKILL)
    async with asyncio.timeout(20):
        while not refusals or len(accepted) < 400:
            await asyncio.sleep(0.01)
    for sender in senders:
        sender.cancel()
    await asyncio.gather(*senders, return_exceptions=True)
    store = connect(embedded.url)
    async with asyncio.timeout(10):
        while True:
            try:
                kept = {body for _, body in [(e.id, e.body) for e in await Intake(store).take(count=10**6, wait_ms=1)]}
                break
            except RedisError:
                await asyncio.sleep(0.05)
    await store.aclose()
    assert set(accepted) <= kept
