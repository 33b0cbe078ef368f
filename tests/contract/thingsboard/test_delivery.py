"""How webhooks are delivered, lost, repeated and reordered, queue by queue (4.2.1)."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from sandbox.thingsboard import ThingsboardSandbox
from tests.contract.thingsboard.recordings import recorded, reproduces
from tests.contract.thingsboard.rules import OTA_42
from tests.contract.thingsboard.site import Customized, Heard, Webhook
from tests.contract.thingsboard.test_alarm_events import settled

pytestmark = pytest.mark.alone

FAILURE, SUCCESS = {"ota_status": "failure"}, {"ota_status": "success"}
RETRY_QUEUE = {
    "topic": "tb_rule_engine.under_test",
    "pollInterval": 25,
    "partitions": 10,
    "consumerPerPartition": True,
    "packProcessingTimeout": 10000,
    "submitStrategy": {"type": "SEQUENTIAL_BY_ORIGINATOR", "batchSize": 100},
    "processingStrategy": {
        "type": "RETRY_FAILED_AND_TIMED_OUT",
        "retries": 0,
        "failurePercentage": 0,
        "pauseBetweenRetries": 2,
        "maxPauseBetweenRetries": 60,
    },
}


async def wired(tenant: Customized, base: str, queue: str | None, devices: int = 1, **more: Any) -> list[str]:
    """Devices with the OTA rule, whose alarms go to `base` by `queue`."""
    await tenant.profile([OTA_42])
    names = [f"device-{n}" for n in range(devices)]
    await asyncio.gather(*(tenant.device(name) for name in names))
    if queue == "own":
        queue = f"Own{tenant.id[:8]}"
        await tenant.site.sysadmin.ok("POST", "/api/queues?serviceType=TB-RULE-ENGINE", RETRY_QUEUE | {"name": queue})
    await tenant.wire(base, queue=queue, **more)
    return names


def waits(heard: list[Heard], pace: float) -> list[float]:
    """Seconds between attempts, in the server's own time."""
    return [(b.at - a.at) / pace for a, b in pairwise(heard)]


def about(wanted: list[float], measured: list[float], pace: float) -> bool:
    """Never earlier than the strategy's pause; later by what a busy machine adds (0.4 s of real time)."""
    return len(wanted) == len(measured) and all(
        w * 0.95 <= m <= w + 0.4 / pace for w, m in zip(wanted, measured, strict=True)
    )


@reproduces("failures-main-queue")
async def test_main_queue_tries_once_whatever_the_webhook_answers(
    tenant: Customized, webhook: tuple[Webhook, str]
) -> None:
    listener, base = webhook
    names = await wired(tenant, base, None, devices=6)
    statuses = dict(zip(names, (500, 503, 429, 404, 302, 204), strict=True))
    listener.reply = lambda heard: (statuses[heard.body["alarm"]["originatorName"]], None)
    listener.headers = {"Retry-After": "2", "Location": "/other"}
    for name in names:
        await tenant.telemetry(name, FAILURE)
    await listener.wait_for(6)
    await asyncio.sleep(15 * tenant.site.pace)
    assert len(listener.heard) == 6
    if tenant.site.sandbox is not None:
        assert sorted(tenant.site.sandbox.failed_calls) == ["302", "404", "429", "500", "503"]


async def test_main_queue_loses_what_meets_a_refused_connection(tenant: Customized) -> None:
    await wired(tenant, "http://127.0.0.1:9", None)
    await tenant.telemetry("device-0", FAILURE)
    assert len(await tenant.wait_alarms(1)) == 1
    await settled(tenant.site)
    if tenant.site.sandbox is not None:
        assert len(tenant.site.sandbox.failed_calls) == 1


@reproduces("failures-retry-queues")
@pytest.mark.parametrize("pace", [0.06])
async def test_high_priority_retries_every_five_seconds_until_it_is_taken(
    tenant: Customized, webhook: tuple[Webhook, str]
) -> None:
    listener, base = webhook
    listener.reply = lambda _: (500 if len(listener.of("NEW")) < 5 else 200, {})
    await wired(tenant, base, "HighPriority")
    await tenant.telemetry("device-0", FAILURE)
    await listener.wait_for(1)
    await tenant.telemetry("device-0", SUCCESS)
    heard = await listener.wait_for(6, within_s=40 * tenant.site.pace + 5)
    assert [h.what for h in heard] == ["NEW"] * 5 + ["CLR"]
    assert about([5.0] * 4, waits(heard[:5], tenant.site.pace), tenant.site.pace)


@pytest.mark.parametrize("pace", [0.06])
async def test_sequential_by_originator_gives_up_after_four_attempts_and_then_sends_the_clear_alone(
    tenant: Customized, webhook: tuple[Webhook, str]
) -> None:
    listener, base = webhook
    listener.reply = lambda heard: (500 if heard.what == "NEW" else 200, {})
    await wired(tenant, base, "SequentialByOriginator")
    await tenant.telemetry("device-0", FAILURE)
    await listener.wait_for(1)
    await tenant.telemetry("device-0", SUCCESS)
    await listener.wait_for(1, what="CLR", within_s=40 * tenant.site.pace + 5)
    await settled(tenant.site)
    assert [h.what for h in listener.heard] == ["NEW"] * 4 + ["CLR"]


@reproduces("custom-queue")
@pytest.mark.parametrize("pace", [0.05])
async def test_own_retry_queue_tries_at_0_2_6_14_30_s_and_sends_created_before_cleared(
    tenant: Customized, webhook: tuple[Webhook, str]
) -> None:
    listener, base = webhook
    listener.reply = lambda _: (500 if len(listener.of("NEW")) < 5 else 200, {})
    await wired(tenant, base, "own")
    await tenant.telemetry("device-0", FAILURE)
    await listener.wait_for(1)
    await tenant.telemetry("device-0", SUCCESS)
    heard = await listener.wait_for(6, within_s=40 * tenant.site.pace + 5)
    assert [h.what for h in heard] == ["NEW"] * 5 + ["CLR"]
    assert about([2.0, 4.0, 8.0, 16.0], waits(heard[:5], tenant.site.pace), tenant.site.pace)
    recording = recorded("custom-queue")
    assert len(recording) == 1


@reproduces("duplicates-slow-webhook")
@pytest.mark.parametrize("pace", [0.06])
async def test_a_webhook_slower_than_the_pack_timeout_hears_it_again_although_it_answered_200(
    tenant: Customized, webhook: tuple[Webhook, str]
) -> None:
    listener, base = webhook
    listener.delay_s = 3.0 * tenant.site.pace
    await wired(tenant, base, "HighPriority")
    await tenant.telemetry("device-0", FAILURE)
    heard = await listener.wait_for(4, within_s=30 * tenant.site.pace + 5)
    assert len({h.body["alarm"]["id"]["id"] for h in heard}) == 1
    assert about([7.0] * 3, waits(heard[:4], tenant.site.pace), tenant.site.pace)


@pytest.mark.parametrize("pace", [0.06])
async def test_sequential_by_originator_repeats_a_slow_delivery_four_times_in_all(
    tenant: Customized, webhook: tuple[Webhook, str]
) -> None:
    listener, base = webhook
    listener.delay_s = 3.0 * tenant.site.pace
    await wired(tenant, base, "SequentialByOriginator")
    await tenant.telemetry("device-0", FAILURE)
    await listener.wait_for(4, within_s=30 * tenant.site.pace + 5)
    await asyncio.sleep(9 * tenant.site.pace)
    assert len(listener.heard) == 4


@pytest.mark.parametrize("pace", [0.06])
async def test_own_queue_delivers_once_to_a_webhook_that_takes_three_seconds(
    tenant: Customized, webhook: tuple[Webhook, str]
) -> None:
    listener, base = webhook
    listener.delay_s = 3.0 * tenant.site.pace
    await wired(tenant, base, "own")
    await tenant.telemetry("device-0", FAILURE)
    await listener.wait_for(1)
    await asyncio.sleep(14 * tenant.site.pace)
    assert len(listener.heard) == 1


@pytest.mark.parametrize("pace", [0.06])
async def test_wiring_the_failure_output_ends_the_retries(tenant: Customized, webhook: tuple[Webhook, str]) -> None:
    listener, base = webhook
    listener.reply = lambda _: (500, {})
    await wired(tenant, base, "HighPriority", failure_wired=True)
    await tenant.telemetry("device-0", FAILURE)
    await listener.wait_for(1)
    await asyncio.sleep(15 * tenant.site.pace)
    assert len(listener.heard) == 1


@reproduces("burst-2000")
async def test_main_queue_loses_part_of_a_burst_and_the_database_has_it_all(
    tenant: Customized, webhook: tuple[Webhook, str]
) -> None:
    listener, base = webhook
    listener.delay_s = 0.5
    names = await wired(tenant, base, None, devices=100)
    await asyncio.gather(*(tenant.telemetry(name, FAILURE) for name in names))
    await tenant.wait_alarms(100, within_s=20)
    await asyncio.sleep(1.6)
    heard = [h.body["alarm"]["id"]["id"] for h in listener.heard]
    assert 16 + 32 <= len(heard) <= 95
    assert len(set(heard)) == len(heard)
    if tenant.site.sandbox is not None:
        assert len(tenant.site.sandbox.failed_calls) == 100 - len(heard)
        assert "Pending acquire queue has reached its maximum size of 32" in tenant.site.sandbox.failed_calls[0]


@pytest.mark.parametrize("pace", [0.12])
async def test_a_retry_queue_loses_nothing_of_the_same_burst(tenant: Customized, webhook: tuple[Webhook, str]) -> None:
    listener, base = webhook
    listener.delay_s = 0.3 * tenant.site.pace
    names = await wired(tenant, base, "own", devices=100)
    await asyncio.gather(*(tenant.telemetry(name, FAILURE) for name in names))
    await listener.wait_for(100, within_s=60 * tenant.site.pace + 10)
    assert len({h.body["alarm"]["id"]["id"] for h in listener.heard}) == 100


async def test_a_limit_of_parallel_calls_without_a_read_timeout_fails_at_once_when_busy(
    tenant: Customized, webhook: tuple[Webhook, str]
) -> None:
    listener, base = webhook
    listener.delay_s = 2.0 * tenant.site.pace
    names = await wired(tenant, base, None, devices=60, maxParallelRequestsCount=5, readTimeoutMs=0)
    await asyncio.gather(*(tenant.telemetry(name, FAILURE) for name in names))
    await tenant.wait_alarms(60, within_s=10)
    await settled(tenant.site)
    assert 5 <= len(listener.heard) < 60


async def test_with_a_read_timeout_the_same_limit_waits_and_loses_nothing(
    tenant: Customized, webhook: tuple[Webhook, str]
) -> None:
    listener, base = webhook
    listener.delay_s = 0.3 * tenant.site.pace
    limits = {"maxParallelRequestsCount": 5, "readTimeoutMs": 20_000}
    names = await wired(tenant, base, None, devices=40, **limits)
    await asyncio.gather(*(tenant.telemetry(name, FAILURE) for name in names))
    await listener.wait_for(40, within_s=20)


async def test_a_webhook_slower_than_the_read_timeout_is_a_failure(
    tenant: Customized, webhook: tuple[Webhook, str]
) -> None:
    listener, base = webhook
    listener.delay_s = 5.0 * tenant.site.pace
    await wired(tenant, base, "own", readTimeoutMs=1500)
    await tenant.telemetry("device-0", FAILURE)
    await listener.wait_for(2, within_s=20 * tenant.site.pace + 5)


@reproduces("ordering-flapping")
@pytest.mark.parametrize("pace", [0.15])
@pytest.mark.parametrize(
    ("queue", "ordered"), [(None, False), ("HighPriority", False), ("SequentialByOriginator", True)]
)
async def test_only_sequential_queues_keep_created_before_cleared(
    tenant: Customized, webhook: tuple[Webhook, str], queue: str | None, ordered: bool
) -> None:
    listener, base = webhook
    names = await wired(tenant, base, queue, devices=8)

    async def flap(name: str) -> None:
        for number in range(12):
            await tenant.telemetry(name, SUCCESS if number % 2 else FAILURE)

    await asyncio.gather(*map(flap, names))
    heard = await listener.wait_for(96, within_s=20)
    first: dict[str, str] = {}
    for one in heard:
        first.setdefault(one.body["alarm"]["id"]["id"], one.what)
    inverted = sum(what == "CLR" for what in first.values())
    assert len(first) == 48
    assert (inverted == 0) if ordered else (0 < inverted < 48)


async def test_a_restart_loses_what_was_in_flight_and_the_alarm_is_never_told_as_created_again(
    tenant: Customized, webhook: tuple[Webhook, str], stand_in: ThingsboardSandbox
) -> None:
    listener, base = webhook
    listener.reply = lambda _: (500, {})
    await wired(tenant, base, "HighPriority", events=("Alarm Created", "Alarm Severity Updated", "Alarm Cleared"))
    await tenant.telemetry("device-0", FAILURE)
    await listener.wait_for(2)
    stand_in.restart()
    listener.reply = lambda _: (200, {})
    listener.heard.clear()
    await asyncio.sleep(12 * tenant.site.pace)
    await tenant.telemetry("device-0", FAILURE)
    await settled(tenant.site)
    assert listener.heard == []
    assert [a["status"] for a in await tenant.alarms("&statusList=ACTIVE")] == ["ACTIVE_UNACK"]


async def test_an_own_act_comes_back_as_event_and_as_system_comment(
    tenant: Customized, webhook: tuple[Webhook, str]
) -> None:
    listener, base = webhook
    person = ("Alarm Acknowledged", "Alarm Cleared", "Comment Created")
    await wired(tenant, base, "own", person_events=person)
    await tenant.telemetry("device-0", FAILURE)
    alarm = (await tenant.wait_alarms(1))[0]["id"]["id"]
    await listener.wait_for(1)
    await tenant.admin.ok("POST", f"/api/alarm/{alarm}/ack")
    heard = (await listener.wait_for(3))[1:]
    assert {h.body["msgType"] for h in heard} == {"ALARM_ACK", "COMMENT_CREATED"}
    assert {h.body["metadata"]["userId"] for h in heard} == {tenant.admin.user_id}
    assert all("deviceName" not in h.body["metadata"] for h in heard)
