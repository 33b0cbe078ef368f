"""The ThingsBoard client over a real wire: its ports, its logins, and what each failure becomes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from core.alarms.facts import AlarmReport, Severity, Source
from core.errors import NotAllowed, OutcomeUnknown, OutsideError, RateLimited, Refused, Unavailable
from core.ids import AlarmId, DeviceName, Tenant
from core.ports import Alarms, Devices
from integrations.thingsboard.errors import InvalidId, ServerError, UnexpectedAnswer
from integrations.thingsboard.session import ApiKey, Credentials, Password
from integrations.thingsboard.tenant import ThingsboardTenant
from sandbox.thingsboard import ThingsboardSandbox
from sandbox.thingsboard.buckets import Buckets
from sandbox.thingsboard.entities import Device, User
from sandbox.thingsboard.entities import Tenant as SandboxTenant
from sandbox.wire import WireServer

EMAIL, SECRET = "bot@acme.example", "secret-1"
UNKNOWN = AlarmId("00000000-0000-0000-0000-000000000001")


@dataclass(slots=True)
class Bench:
    """A stand-in with one tenant, whose clock the test moves, and a client for it."""

    sandbox: ThingsboardSandbox
    server: WireServer
    acme: SandboxTenant
    bot: User
    now_s: list[float]
    logins: list[Password | ApiKey] = field(default_factory=lambda: [Password(EMAIL, SECRET)])
    clients: list[ThingsboardTenant] = field(default_factory=list)

    def client(self, *, page_size: int = 1000, timeout_s: float = 5.0, url: str = "") -> ThingsboardTenant:
        credentials: Credentials = lambda: self.logins[-1]  # noqa: E731
        made = ThingsboardTenant(
            url or self.server.url,
            Tenant("acme"),
            credentials,
            system="ThingsBoard test",
            timeout_s=timeout_s,
            page_size=page_size,
        )
        self.clients.append(made)
        return made

    def raise_alarm(self, device: Device, kind: str = "OTA Failure", severity: str = "CRITICAL") -> AlarmId:
        body = {"type": kind, "severity": severity, "details": {"data": "OTA failed: failure"}}
        return AlarmId(self.sandbox.engine.alarms.create(body, device, self.bot).id)

    def forward(self, seconds: float) -> None:
        self.now_s[0] += seconds


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    now = [datetime(2026, 11, 24, 3, 0, tzinfo=UTC).timestamp()]
    sandbox = ThingsboardSandbox(clock=lambda: now[0], pace=0.01, stalls=False)
    acme = sandbox.add_tenant("acme")
    bot = sandbox.add_user(acme, EMAIL, SECRET, first="ChatOps", last="Bot")
    running = asyncio.create_task(sandbox.run())
    async with WireServer(sandbox.app) as server:
        made = Bench(sandbox, server, acme, bot, now)
        yield made
        for client in made.clients:
            await client.aclose()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


def both_ports(client: ThingsboardTenant) -> tuple[Alarms, Devices]:
    return client, client


# Alarms


async def test_active_lists_every_open_alarm_over_all_pages(bench: Bench) -> None:
    device = bench.sandbox.add_device(bench.acme, "sim-device-001", label="Press 7")
    ids = [bench.raise_alarm(device, f"Kind {n}") for n in range(7)]
    alarms, _ = both_ports(bench.client(page_size=2))
    await alarms.clear(ids[3])
    found = await alarms.active()
    assert {a.alarm_id for a in found} == set(ids) - {ids[3]}
    assert {(a.device, a.label, a.source) for a in found} == {(DeviceName("sim-device-001"), "Press 7", Source.READ)}


async def test_alarm_tells_all_that_is_known_of_one(bench: Bench) -> None:
    device = bench.sandbox.add_device(bench.acme, "sim-device-001")
    alarm = bench.raise_alarm(device)
    client = bench.client()
    created = int(bench.now_s[0] * 1000)
    bench.forward(60)
    await client.acknowledge(alarm)
    report = await client.alarm(alarm)
    assert isinstance(report, AlarmReport)
    assert (report.type, report.severity, report.originator_id) == ("OTA Failure", Severity.CRITICAL, device.id)
    assert (report.acknowledged, report.cleared) == (True, False)
    assert (report.created_ms, report.ack_ms, report.at_ms) == (created, created + 60_000, created + 60_000)
    assert report.details == {"data": "OTA failed: failure"}
    assert report.deleted is False


async def test_a_deleted_alarm_is_none(bench: Bench) -> None:
    assert await bench.client().alarm(UNKNOWN) is None


async def test_a_repeated_act_is_success(bench: Bench) -> None:
    alarm = bench.raise_alarm(bench.sandbox.add_device(bench.acme, "d1"))
    client = bench.client()
    for _ in range(2):
        await client.acknowledge(alarm)
        await client.clear(alarm)
    report = await client.alarm(alarm)
    assert report is not None
    assert report.acknowledged
    assert report.cleared


async def test_acting_on_an_unknown_alarm_says_not_found(bench: Bench) -> None:
    with pytest.raises(OutsideError) as caught:
        await bench.client().clear(UNKNOWN)
    assert (caught.value.reason, caught.value.retryable) == ("not_found", False)


@pytest.mark.parametrize("given", ["../../tenant", "", "abc", "5edbcff0-e7ca-11f1-a347-8513dc0a27d7/clear"])
async def test_an_id_that_is_no_uuid_is_never_sent(bench: Bench, given: str) -> None:
    watch = bench.server.faults.add("status", status=418)
    for act in (bench.client().acknowledge, bench.client().clear, bench.client().alarm):
        with pytest.raises(InvalidId):
            await act(AlarmId(given))
    assert watch.hits == 0


async def test_own_user_id_follows_a_rotation_to_another_account(bench: Bench) -> None:
    other = bench.sandbox.add_user(bench.acme, "bot2@acme.example", SECRET)
    client = bench.client()
    assert await client.own_user_id() == bench.bot.id
    bench.logins.append(Password("bot2@acme.example", SECRET))
    bench.forward(700_000)  # both tokens expire: the next call logs in again
    assert await client.active() == ()
    assert await client.own_user_id() == other.id


# Devices


async def test_device_facts_come_from_telemetry_and_server_attributes(bench: Bench) -> None:
    sandbox = bench.sandbox
    attributes = {"wireguard_ip": "10.9.0.7", "rack": 3, "spare": False}
    device = sandbox.add_device(bench.acme, "sim-device-001", label="Press 7", attributes=attributes)
    sandbox.field.post_telemetry(device, {"sw_version": "1.1.0", "cpu": 3, "ota_error": "sig invalid"})
    first = datetime.fromtimestamp(bench.now_s[0], UTC)
    sandbox.field.post_attributes(device, {"wireguard_ip": "10.9.0.66"})
    while "sw_version" not in device.latest:
        await asyncio.sleep(0.005)
    bench.forward(30)
    sandbox.field.post_telemetry(device, {"ota_status": "success", "ota_error": None})
    while "ota_status" not in device.latest:
        await asyncio.sleep(0.005)
    _, devices = both_ports(bench.client())
    facts = await devices.device(
        DeviceName("sim-device-001"), ["sw_version", "cpu", "ota_error", "ota_status", "nokey"]
    )
    assert facts is not None
    assert (facts.name, facts.id, facts.label, facts.tenant) == ("sim-device-001", device.id, "Press 7", "acme")
    assert facts.active is True
    assert facts.last_activity_at == first + timedelta(seconds=30)
    assert {k: r.value for k, r in facts.readings.items()} == {
        "sw_version": "1.1.0",
        "cpu": "3",
        "ota_error": "sig invalid",
        "ota_status": "success",
    }
    assert facts.readings["ota_error"].at == first < facts.readings["ota_status"].at
    told = {k: facts.attributes[k] for k in attributes}
    assert told == {"wireguard_ip": "10.9.0.7", "rack": "3", "spare": "false"}


async def test_a_device_that_never_connected_is_inactive_and_has_no_last_activity(bench: Bench) -> None:
    bench.sandbox.add_device(bench.acme, "new")
    facts = await bench.client().device(DeviceName("new"), [])
    assert facts is not None
    assert (facts.active, facts.last_activity_at, facts.readings) == (False, None, {})


@pytest.mark.parametrize("name", ["nope", "sim-device-00", "SIM-DEVICE-001", "a b&page=1", "ü/../x"])
async def test_a_device_is_found_by_its_exact_name_only(bench: Bench, name: str) -> None:
    bench.sandbox.add_device(bench.acme, "sim-device-001")
    other = bench.sandbox.add_tenant("other")
    bench.sandbox.add_device(other, "nope")
    assert await bench.client().device(DeviceName(name), ["x"]) is None


async def test_names_are_listed_up_to_the_limit(bench: Bench) -> None:
    for number in range(9):
        bench.sandbox.add_device(bench.acme, f"d{number}")
    client = bench.client(page_size=4)
    assert await client.names(limit=5) == ["d0", "d1", "d2", "d3", "d4"]
    assert len(await client.names(limit=100)) == 9


async def test_a_customers_account_sees_its_customers_devices_and_alarms(bench: Bench) -> None:
    plant = bench.sandbox.add_customer(bench.acme, "Plant 7")
    mine = bench.sandbox.add_device(bench.acme, "mine", customer=plant)
    foreign = bench.sandbox.add_device(bench.acme, "mine-not", customer=None)
    alarm, other = bench.raise_alarm(mine), bench.raise_alarm(foreign)
    bench.sandbox.add_user(bench.acme, "plant@acme.example", SECRET, authority="CUSTOMER_USER", customer=plant)
    bench.logins.append(Password("plant@acme.example", SECRET))
    client = bench.client()
    assert await client.names(limit=10) == ["mine"]
    assert await client.device(DeviceName("mine-not"), []) is None
    facts = await client.device(DeviceName("mine"), [])
    assert facts is not None
    assert facts.id == mine.id
    assert [a.alarm_id for a in await client.active()] == [alarm]
    with pytest.raises(NotAllowed):
        await client.acknowledge(other)


# logins


async def test_an_expired_token_is_refreshed_once_for_many_calls_at_a_time(bench: Bench) -> None:
    client = bench.client()
    await client.active()
    bench.forward(10_000)  # past 9,000 s: code 11
    logins = bench.server.faults.add("late_answer", "POST /api/auth/login")
    refreshes = bench.server.faults.add("late_answer", "POST /api/auth/token", delay_s=0.05)
    await asyncio.gather(*(client.active() for _ in range(8)))
    assert (refreshes.hits, logins.hits) == (1, 0)


async def test_an_expired_refresh_token_leads_to_a_new_login_with_the_newest_secret(bench: Bench) -> None:
    client = bench.client()
    await client.active()
    bench.bot.password = "secret-2"
    bench.logins.append(Password(EMAIL, "secret-2"))
    bench.forward(700_000)
    assert await client.active() == ()


async def test_a_token_that_is_no_longer_known_leads_to_a_new_login(bench: Bench) -> None:
    client = bench.client()
    await client.active()
    fault = bench.server.faults.add(
        "status", "GET /api/v2/alarms", status=401, body={"errorCode": 10, "message": "x"}, times=1
    )
    assert await client.active() == ()
    assert fault.hits == 1


async def test_a_wrong_password_is_told_as_a_refused_login_without_the_password(bench: Bench) -> None:
    bench.logins.append(Password(EMAIL, "wrong-one"))
    with pytest.raises(NotAllowed) as caught:
        await bench.client().active()
    assert caught.value.reason == "login_refused"
    assert "wrong-one" not in repr(caught.value) + repr(bench.logins)


async def test_an_api_key_is_used_as_it_is_and_a_disabled_one_is_refused(bench: Bench) -> None:
    sandbox = ThingsboardSandbox(version="4.3.1.1", stalls=False)
    tenant = sandbox.add_tenant("acme")
    key = sandbox.auth.add_key(sandbox.add_user(tenant, EMAIL, SECRET), "chatops", 0)
    bench.logins.append(ApiKey(key.value))
    async with WireServer(sandbox.app) as server:
        client = bench.client(url=server.url)
        assert await client.active() == ()
        key.enabled = False
        calls = server.faults.add("late_answer", "GET")
        with pytest.raises(NotAllowed):
            await client.active()
        assert calls.hits == 1
    assert key.value not in repr(bench.logins)


# failures


async def test_a_read_that_fails_is_unavailable_and_may_be_repeated(bench: Bench) -> None:
    client = bench.client(timeout_s=0.3)
    await client.active()
    for kind, more in (("lost_answer", {}), ("status", {"status": 503}), ("late_answer", {"delay_s": 1.0})):
        fault = bench.server.faults.add(kind, "GET /api/v2/alarms", times=1, **more)  # type: ignore[arg-type]
        with pytest.raises(Unavailable) as caught:
            await client.active()
        assert caught.value.retryable
        assert fault.hits == 1


@pytest.mark.parametrize("kind", ["lost_answer", "late_answer", "status_after"])
async def test_a_write_without_an_answer_is_unknown_and_is_sent_once(bench: Bench, kind: str) -> None:
    alarm = bench.raise_alarm(bench.sandbox.add_device(bench.acme, "d1"))
    client = bench.client(timeout_s=0.3)
    await client.active()
    fault = bench.server.faults.add(kind, "POST .*/ack", delay_s=1.0, status=504)  # type: ignore[arg-type]
    with pytest.raises(OutcomeUnknown) as caught:
        await client.acknowledge(alarm)
    assert caught.value.unknown_outcome
    assert not caught.value.retryable
    assert fault.hits == 1
    report = await client.alarm(alarm)
    assert report is not None
    assert report.acknowledged


async def test_a_write_that_met_no_server_did_not_happen(bench: Bench) -> None:
    client = bench.client()
    await client.active()
    await bench.server.stop()
    with pytest.raises(Unavailable):
        await client.acknowledge(UNKNOWN)
    await bench.server.start()


async def test_a_500_is_never_repeated(bench: Bench) -> None:
    client = bench.client()
    await client.active()
    body = {"status": 500, "errorCode": 2, "message": "Required request parameter 'pageSize' is not present"}
    fault = bench.server.faults.add("status", "GET /api/v2/alarms", status=500, body=body)
    with pytest.raises(ServerError) as caught:
        await client.active()
    assert fault.hits == 1
    assert not caught.value.retryable
    assert "pageSize" in caught.value.user_text


async def test_a_rate_limit_is_told_as_one(bench: Bench) -> None:
    client = bench.client()
    await client.active()
    bench.acme.rest_limits = Buckets.parse("1:60", bench.now_s[0])
    await client.active()
    with pytest.raises(RateLimited) as caught:
        await client.active()
    assert (caught.value.retryable, caught.value.retry_after_s) == (True, None)


async def test_a_bad_request_is_refused_with_the_servers_reason(bench: Bench) -> None:
    client = bench.client(page_size=0)
    with pytest.raises(Refused, match="Page size must be greater than zero"):
        await client.active()


@pytest.mark.parametrize(
    "body",
    [
        "not json",
        {"data": []},
        {"data": [{"id": {}}], "hasNext": False},
        {"data": [], "hasNext": True},
        [1],
    ],
)
async def test_an_answer_of_another_shape_is_an_error_and_no_endless_loop(bench: Bench, body: object) -> None:
    client = bench.client()
    await client.own_user_id()
    bench.server.faults.add("status", "GET /api/v2/alarms", status=200, body=body)
    with pytest.raises(UnexpectedAnswer):
        await client.active()


async def test_redirects_are_not_followed(bench: Bench) -> None:
    client = bench.client()
    await client.active()
    elsewhere = {"Location": f"{bench.server.url}/api/auth/user"}
    bench.server.faults.add("status", "GET /api/v2/alarms", status=302, headers=elsewhere)
    followed = bench.server.faults.add("status", "GET /api/auth/user", status=200, body={})
    with pytest.raises(OutsideError):
        await client.active()
    assert followed.hits == 0
