"""Which messages an alarm's life sends, step by step as they were recorded (4.2.1)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.contract.thingsboard.recordings import FOLDER, differences, recorded, reproduces
from tests.contract.thingsboard.rules import CPU_42, OFFLINE_42, OTA_42, TEMPERATURE_42
from tests.contract.thingsboard.site import (
    PROFILE_NODE,
    SAVE,
    Customized,
    Heard,
    Site,
    Webhook,
    node,
    rest_body,
    script,
)

HEADERS = {
    "Content-Type": "application/json",
    "X-TB-Device-Name": "${deviceName}",
    "X-TB-Device-Type": "${deviceType}",
    "X-TB-Ts": "${ts}",
    "X-TB-IsNew": "${isNewAlarm}",
    "X-TB-Alarm-Id": "$[id.id]",
    "X-TB-Severity": "$[severity]",
    "X-TB-Missing": "${noSuchKey}",
}
PROFILE_EVENTS = ("Alarm Created", "Alarm Updated", "Alarm Severity Updated", "Alarm Cleared")
SWITCH_EVENTS = (
    "Alarm Acknowledged",
    "Alarm Cleared",
    "Alarm Assigned",
    "Alarm Unassigned",
    "Comment Created",
)


async def recorded_wiring(tenant: Customized, base: str) -> None:
    """Both ways at once, as recorded: one plain REST node for each event, and an envelope for all."""
    nodes = [
        node("filter.TbMsgTypeSwitchNode", "switch", {"version": 0}),
        node("telemetry.TbMsgTimeseriesNode", "save", SAVE),
        node("telemetry.TbMsgAttributesNode", "attributes", {"scope": "CLIENT_SCOPE"}, version=3),
        node("profile.TbDeviceProfileNode", "profile", PROFILE_NODE, version=1),
        node("transform.TbTransformMsgNode", "envelope", script()),
        node("rest.TbRestApiCallNode", "call", rest_body(f"{base}/b/alarm"), version=3),
    ]
    links = [(3, 0, "Success"), (0, 1, "Post telemetry"), (0, 2, "Post attributes"), (4, 5, "Success")]
    basic = {"type": "basic", "username": "tb", "password": "s3cret"}
    for start, place, events in ((3, "profile", PROFILE_EVENTS), (0, "switch", SWITCH_EVENTS)):
        for event in events:
            path = f"{base}/a/{place}/{event.lower().replace(' ', '-')}"
            credentials = basic if place == "profile" else {"type": "anonymous"}
            body = rest_body(path, headers=HEADERS, credentials=credentials)
            nodes.append(node("rest.TbRestApiCallNode", path, body, version=3))
            links += [(start, len(nodes) - 1, event), (start, 4, event)]
    await tenant.chain(nodes, links, first=3)


def key(path: str, body: Any) -> str:
    return f"{path} {body.get('msgType', '')}"


def compare(wanted: list[dict[str, Any]], heard: list[Heard], step: str) -> None:
    """The same calls in any order; each with the same headers and the same shape of body."""
    by_key = {key(h.path, h.body): h for h in heard}
    assert sorted(key(w["path"], w["body"]) for w in wanted) == sorted(by_key), step
    assert len(heard) == len(wanted), step
    for call in wanted:
        made = by_key[key(call["path"], call["body"])]
        headers = {k.lower(): v for k, v in call["headers"].items()}
        assert made.method == call["method"]
        assert made.headers.keys() == headers.keys(), step
        same = {"user-agent", "accept", "content-type", "authorization", "x-tb-severity"}
        literal = {k for k, v in headers.items() if v.startswith("${")}
        for name in (same & headers.keys()) | literal:
            assert made.headers[name] == headers[name], f"{step}: {name}"
        for name in headers.keys() - literal:
            assert not made.headers[name].startswith("${"), f"{step}: {name}"
        assert differences(call["body"], made.body) == [], step


STEPS = sorted(p.stem for p in FOLDER.glob("webhook-[0-9]*.json"))


@reproduces(*STEPS)
async def test_every_step_of_an_alarms_life_sends_what_was_recorded(
    tenant: Customized, webhook: tuple[Webhook, str]
) -> None:
    listener, base = webhook
    await tenant.profile([OTA_42, TEMPERATURE_42, OFFLINE_42])
    plant = await tenant.admin.ok("POST", "/api/customer", {"title": "Plant 7"})
    for name in ("sim-device-001", "sim-device-002", "sim-device-003"):
        await tenant.device(name)
    second = tenant.device_id("sim-device-002")
    await tenant.admin.ok("POST", f"/api/customer/{plant['id']['id']}/device/{second}")
    await recorded_wiring(tenant, base)
    admin = tenant.admin

    def sends(name: str, values: Any) -> Callable[[], Awaitable[Any]]:
        return lambda: tenant.telemetry(name, values)

    def acts(method: str, act: str, body: Any = None) -> Callable[[], Awaitable[Any]]:
        async def act_on_active() -> Any:
            found = await tenant.alarms("&sortProperty=createdTime&sortOrder=DESC")
            made = await admin.send(method, f"/api/alarm/{found[0]['id']['id']}{act}", body)
            body_made = made.json()
            return body_made if made.status_code == 200 else {"status": made.status_code, "body": body_made}

        return act_on_active

    first, one, three = "sim-device-001", {"ota_status": "failure"}, tenant.device_id("sim-device-003")
    remark = {"comment": {"text": "Taken from Slack by @maria: rollback requested"}}
    manual = {
        "type": "Device Offline",
        "severity": "MAJOR",
        "originator": {"entityType": "DEVICE", "id": three},
        "details": {"reason": "manual"},
    }
    late = {"ts": 1795000000000, "values": {"ota_status": "failure", "ota_error": "explicit ts"}}
    steps: list[Callable[[], Awaitable[Any]]] = [
        sends(first, {"ota_status": "idle", "cpu_percent": 10}),
        sends(first, {"ota_status": "failure", "ota_error": "sig invalid", "sw_version": "1.1.0"}),
        sends(first, {"ota_status": "failure", "ota_error": "again"}),
        sends(first, {"cpu_percent": 13}),
        acts("POST", "/ack"),
        acts("POST", "/ack"),
        acts("POST", f"/assign/{admin.user_id}"),
        acts("POST", f"/assign/{admin.user_id}"),
        acts("DELETE", "/assign"),
        acts("POST", "/comment", remark),
        sends(first, {"ota_status": "success", "ota_error": None, "sw_version": "1.1.1"}),
        sends(first, one),
        acts("POST", "/clear"),
        acts("POST", "/clear"),
        sends(first, one),
        acts("DELETE", ""),
        sends(first, one),
        sends("sim-device-002", {"temperature_c": 75}),
        sends("sim-device-002", {"temperature_c": 85}),
        sends("sim-device-002", {"temperature_c": 95}),
        sends("sim-device-002", {"temperature_c": 75}),
        sends("sim-device-002", {"temperature_c": 50}),
        sends("sim-device-003", late),
        lambda: tenant.attributes("sim-device-003", {"ota_status": "failure"}),
        lambda: admin.ok("POST", "/api/alarm", manual),
    ]
    for name, step in zip(STEPS, steps, strict=True):
        record = recorded(name)
        listener.heard.clear()
        made = await step()
        assert differences(record["api_result"], made) == [], record["step"]
        await listener.wait_for(len(record["webhooks"]))
        await settled(tenant.site)
        compare(record["webhooks"], listener.heard, record["step"])


async def settled(site: Site) -> None:
    """Long enough for a message too many to arrive: two hops through queues."""
    await asyncio.sleep(3.0 * site.pace)


@reproduces("webhook-other-relations")
async def test_a_rest_made_alarm_is_told_as_entity_created_and_its_deletion_leaves_by_other(
    tenant: Customized, webhook: tuple[Webhook, str]
) -> None:
    listener, base = webhook
    await tenant.profile([])
    device = await tenant.device("sim-device-003")
    events = (
        *SWITCH_EVENTS,
        "Entity Created",
        "Entity Updated",
        "Other",
    )
    await tenant.wire(f"{base}/b/alarm", events=(), person_events=events)
    admin, record = tenant.admin, recorded("webhook-other-relations")
    body: dict[str, Any] = {
        "type": "Manual Incident",
        "originator": {"entityType": "DEVICE", "id": device},
        "severity": "MAJOR",
        "details": {"reason": "x"},
    }
    made = await admin.ok("POST", "/api/alarm", body)
    alarm = made["id"]["id"]

    async def repeated() -> Any:
        return await admin.ok("POST", "/api/alarm", body | {"severity": "CRITICAL", "details": {"reason": "y"}})

    async def updated() -> Any:
        return await admin.ok("POST", "/api/alarm", made | {"severity": "MINOR"})

    steps: list[Callable[[], Awaitable[Any]]] = [
        repeated,
        updated,
        lambda: admin.ok("POST", f"/api/alarm/{alarm}/ack"),
        lambda: admin.ok("DELETE", f"/api/alarm/{alarm}"),
    ]
    answers: list[Any] = [made]
    for index, (title, wanted) in enumerate(record.items()):
        if index:
            listener.heard.clear()
            answers.append(await steps[index - 1]())
        if isinstance(wanted["api"], dict):
            told = {k: v for k, v in answers[index].items() if k in wanted["api"]}
            assert differences(wanted["api"], told) == [], title
            assert told["id"]["id"] == alarm
        await listener.wait_for(len(wanted["webhooks"]))
        await settled(tenant.site)
        calls = {w["msgType"]: w for w in wanted["webhooks"]}
        assert {h.body["msgType"] for h in listener.heard} == calls.keys(), title
        for heard in listener.heard:
            call = calls[heard.body["msgType"]]
            shape = {"msgType": call["msgType"], "metadata": call["metadata"], "alarm": call["alarm_or_msg"]}
            assert differences(shape, heard.body) == [], title


@reproduces("webhook-offline-and-repeating", "webhook-offline")
@pytest.mark.parametrize("pace", [0.02])
async def test_inactivity_raises_and_activity_clears_without_a_ts_and_repeats_are_counted(
    tenant: Customized, webhook: tuple[Webhook, str]
) -> None:
    listener, base = webhook
    await tenant.profile([OFFLINE_42, CPU_42])
    device = await tenant.device("sim-device-003", label="SIM-DEVICE-003")
    await tenant.wire(f"{base}/b/alarm")
    repeating, cleared = recorded("webhook-offline-and-repeating")
    _, created, _ = recorded("webhook-offline")

    for cpu in (96, 97, 97):
        assert not listener.heard
        assert await tenant.telemetry("sim-device-003", {"cpu_percent": cpu}) == 200
        await settled(tenant.site)
    heard = (await listener.wait_for(1))[0]
    assert differences(repeating, heard.body) == []
    assert heard.body["metadata"]["alarmConditionRepeats"] == "3"
    assert heard.body["alarm"]["details"] == {"data": "cpu=97 err=${ota_error}"}

    listener.heard.clear()
    path = f"/api/plugins/telemetry/DEVICE/{device}/attributes/SERVER_SCOPE"
    await tenant.admin.ok("POST", path, {"inactivityTimeout": 5000})
    heard = (await listener.wait_for(1, within_s=200 * tenant.site.pace + 5))[0]
    assert differences(created, heard.body) == []
    infos = await tenant.admin.ok("GET", "/api/tenant/deviceInfos?pageSize=10&page=0&active=false")
    assert [row["name"] for row in infos["data"]] == ["sim-device-003"]

    listener.heard.clear()
    assert await tenant.telemetry("sim-device-003", {"ram_percent": 5}) == 200
    heard = (await listener.wait_for(1))[0]
    assert differences(cleared | {"alarm": cleared["alarm"] | {"details": {}}}, heard.body) == []


async def test_a_rest_node_alone_gets_the_alarm_with_nulls_and_an_envelope_without(
    tenant: Customized, webhook: tuple[Webhook, str]
) -> None:
    listener, base = webhook
    await tenant.profile([OTA_42])
    await tenant.device("d1")
    await recorded_wiring(tenant, base)
    await tenant.telemetry("d1", {"ota_status": "failure"})
    bodies = {h.path: h.body for h in await listener.wait_for(2)}
    bare, enveloped = bodies["/a/profile/alarm-created"], bodies["/b/alarm"]["alarm"]
    assert bare["customerId"] is None
    assert bare["assignee"] is None
    assert not {"customerId", "assigneeId", "assignee"} & enveloped.keys()


async def test_alarm_updated_fires_on_each_matching_message(tenant: Customized, webhook: tuple[Webhook, str]) -> None:
    listener, base = webhook
    await tenant.profile([OTA_42])
    await tenant.device("d1")
    await tenant.wire(base, events=("Alarm Created", "Alarm Updated"))
    for _ in range(50):
        await tenant.telemetry("d1", {"ota_status": "failure"})
    heard = await listener.wait_for(50)
    await settled(tenant.site)
    assert len(listener.heard) == 50
    assert len({h.body["alarm"]["id"]["id"] for h in heard}) == 1


@reproduces("misc")
async def test_a_batch_raises_an_alarm_for_each_failure_and_a_late_failure_still_raises(
    tenant: Customized, webhook: tuple[Webhook, str]
) -> None:
    listener, base = webhook
    await tenant.profile([OTA_42])
    await tenant.device("d1")
    await tenant.wire(base, events=("Alarm Created",))
    now = 1795500943334
    batch = [
        {"ts": now - 2000, "values": {"ota_status": "failure"}},
        {"ts": now - 1000, "values": {"ota_status": "success"}},
        {"ts": now, "values": {"ota_status": "failure"}},
    ]
    assert await tenant.telemetry("d1", batch) == 200
    await listener.wait_for(2)
    await tenant.telemetry("d1", {"ts": now + 1, "values": {"ota_status": "success"}})
    await tenant.telemetry("d1", {"ts": now - 5000, "values": {"ota_status": "failure"}})
    heard = await listener.wait_for(3)
    assert len({h.body["alarm"]["id"]["id"] for h in heard}) == 3
    assert heard[-1].body["alarm"]["startTs"] == now - 5000
    wanted = recorded("misc")["one post with failure,success,failure batch (Cleared not wired)"][0]
    assert differences(wanted, heard[0].body["metadata"]) == []


async def test_types_with_markup_and_long_details_pass_unchanged(
    tenant: Customized, webhook: tuple[Webhook, str]
) -> None:
    listener, base = webhook
    device = await tenant.device("d1")
    await tenant.wire(base, events=(), person_events=("Entity Created",))
    body = {
        "type": 'Bündel <x> & "q"',
        "severity": "MINOR",
        "originator": {"entityType": "DEVICE", "id": device},
        "details": {"long": "ü" * 20_000},
    }
    made = await tenant.admin.ok("POST", "/api/alarm", body)
    assert made["type"] == body["type"]
    heard = (await listener.wait_for(1))[0]
    assert heard.body["alarm"]["type"] == body["type"]
    assert heard.body["alarm"]["details"] == body["details"]


@reproduces("duplicates-concurrency")
async def test_parallel_identical_failures_make_one_alarm(tenant: Customized, webhook: tuple[Webhook, str]) -> None:
    listener, base = webhook
    await tenant.profile([OTA_42])
    device = await tenant.device("d1")
    await tenant.wire(base, events=("Alarm Created",))
    await asyncio.gather(*(tenant.telemetry("d1", {"ota_status": "failure"}) for _ in range(10)))
    await listener.wait_for(1)
    await settled(tenant.site)
    assert len(listener.heard) == 1
    body = {"type": "Manual", "severity": "MAJOR", "originator": {"entityType": "DEVICE", "id": device}}
    made = await asyncio.gather(*(tenant.admin.ok("POST", "/api/alarm", body) for _ in range(10)))
    assert len({m["id"]["id"] for m in made}) == 1
    assert len(await tenant.alarms("&typeList=Manual")) == 1


async def test_without_a_rule_or_without_a_profile_node_nothing_is_raised(
    tenant: Customized, webhook: tuple[Webhook, str]
) -> None:
    listener, base = webhook
    await tenant.device("plain")
    await tenant.wire(base)
    await tenant.telemetry("plain", {"ota_status": "failure"})

    await tenant.profile([OTA_42])
    await tenant.device("d1")
    nodes = [
        node("filter.TbMsgTypeSwitchNode", "switch", {"version": 0}),
        node("telemetry.TbMsgTimeseriesNode", "save", SAVE),
        node("rest.TbRestApiCallNode", "call", rest_body(base), version=3),
    ]
    await tenant.chain(nodes, [(0, 1, "Post telemetry"), (0, 2, "Post telemetry"), (0, 2, "Post connect")])
    await tenant.telemetry("d1", {"ota_status": "failure", "sw_version": "1.1.0"})
    heard = (await listener.wait_for(1))[0]
    assert heard.body == {"ota_status": "failure", "sw_version": "1.1.0"}
    await settled(tenant.site)
    assert await tenant.alarms() == []


@pytest.mark.parametrize("version", ["4.3.1.1"])
async def test_profile_alarms_do_nothing_in_the_default_chain_of_4_3(tenant: Customized) -> None:
    body = {
        "name": "old way",
        "profileData": {
            "configuration": {"type": "DEFAULT"},
            "transportConfiguration": {"type": "DEFAULT"},
            "alarms": [OTA_42],
        },
        "type": "DEFAULT",
        "transportType": "DEFAULT",
        "provisionType": "DISABLED",
    }
    tenant.profile_id = (await tenant.admin.ok("POST", "/api/deviceProfile", body))["id"]["id"]
    await tenant.device("d1")
    await tenant.telemetry("d1", {"ota_status": "failure"})
    await settled(tenant.site)
    assert await tenant.alarms() == []
