"""What is different on 4.3.1.1: alarm rules as calculated fields, other message types, API keys."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.contract.thingsboard.recordings import differences, recorded, reproduces
from tests.contract.thingsboard.site import Customized, Webhook
from tests.contract.thingsboard.test_alarm_events import settled

pytestmark = pytest.mark.parametrize("version", ["4.3.1.1"])
RECORD = recorded("tb-4.3.1.1")


def ota_field() -> dict[str, Any]:
    body: dict[str, Any] = copy.deepcopy(RECORD["alarm rule = POST /api/calculatedField"]["request"])
    return body


@reproduces("tb-4.3.1.1")
async def test_the_recorded_run_of_4_3(tenant: Customized, webhook: tuple[Webhook, str]) -> None:
    listener, base = webhook
    await tenant.profile([ota_field()])
    await tenant.device("sim-device-001", label="SIM")
    every = ("Alarm Created", "Alarm Updated", "Alarm Severity Updated", "Alarm Cleared", "Alarm Acknowledged")
    await tenant.wire(base, events=every)
    admin = tenant.admin

    async def act(name: str) -> Any:
        alarm = (await tenant.alarms("&statusList=ACTIVE"))[0]["id"]["id"]
        return await admin.ok("POST", f"/api/alarm/{alarm}/{name}")

    steps: dict[str, Any] = {
        "failure": {"ota_status": "failure", "ota_error": "sig invalid"},
        "failure again": {"ota_status": "failure", "ota_error": "sig invalid 2"},
        "unrelated telemetry": {"cpu_percent": 3},
        "ack with API key": "ack",
        "success -> cleared by rule": {"ota_status": "success", "ota_error": None},
        "failure 3": {"ota_status": "failure"},
        "clear by user": "clear",
        "failure repeated after user clear": {"ota_status": "failure"},
    }
    for step in RECORD["alarm webhooks"]:
        listener.heard.clear()
        wanted = steps[step["step"]]
        if isinstance(wanted, str):
            await act(wanted)
        else:
            assert await tenant.telemetry("sim-device-001", wanted) == step["api_result"]
        await listener.wait_for(len(step["webhooks"]))
        await settled(tenant.site)
        assert len(listener.heard) == len(step["webhooks"]), step["step"]
        for call, heard in zip(step["webhooks"], listener.heard, strict=True):
            assert differences(call, heard.body) == [], step["step"]
            assert heard.body["alarm"]["details"] == call["alarm"]["details"], step["step"]


async def test_a_field_waits_for_its_arguments_and_details_keep_a_stale_error(
    tenant: Customized, webhook: tuple[Webhook, str]
) -> None:
    listener, base = webhook
    field = ota_field()
    del field["configuration"]["arguments"]["ota_error"]["defaultValue"]
    await tenant.profile([field])
    await tenant.device("d1")
    await tenant.wire(base)
    await tenant.telemetry("d1", {"ota_status": "failure"})
    await settled(tenant.site)
    assert listener.heard == []
    await tenant.telemetry("d1", {"ota_error": "sig invalid"})
    heard = await listener.wait_for(1)
    assert heard[0].body["alarm"]["details"] == {"data": "OTA failure: sig invalid"}


async def test_the_default_root_chain_has_no_device_profile_node(tenant: Customized) -> None:
    chains = await tenant.admin.ok("GET", "/api/ruleChains?pageSize=10&page=0")
    root = next(c for c in chains["data"] if c["root"])
    metadata = await tenant.admin.ok("GET", f"/api/ruleChain/{root['id']['id']}/metadata")
    kinds = [n["type"].rsplit(".", 1)[1] for n in metadata["nodes"]]
    assert sorted(kinds) == sorted(RECORD["default root chain nodes"])


async def test_api_keys(tenant: Customized) -> None:
    admin, http = tenant.admin, tenant.site.http
    user = {"entityType": "USER", "id": admin.user_id}
    body = {"userId": user, "description": "chatops", "enabled": True, "expirationTime": 0}
    key = await admin.ok("POST", "/api/apiKey", body)
    assert differences(RECORD["POST /api/apiKey"]["body"], key) == []
    value = key["value"]
    for title, headers in {
        "X-Authorization: ApiKey <key>": {"X-Authorization": f"ApiKey {value}"},
        "Authorization: ApiKey <key>": {"Authorization": f"ApiKey {value}"},
        "X-Authorization: Bearer <key>": {"X-Authorization": f"Bearer {value}"},
        "X-Authorization: ApiKey wrong": {"X-Authorization": "ApiKey tb_wrong"},
    }.items():
        assert (await http.get("/api/auth/user", headers=headers)).status_code == RECORD[title]["status"], title
    listed = await admin.ok("GET", f"/api/apiKeys/{admin.user_id}?pageSize=10&page=0")
    assert "value" not in listed["data"][0]
    assert (await admin.send("PUT", f"/api/apiKey/{key['id']['id']}/enabled/false")).status_code == 200
    made = await http.get("/api/auth/user", headers={"X-Authorization": f"ApiKey {value}"})
    assert (made.status_code, made.json()["message"]) == (401, "User account is not active")
