"""The REST API: each recorded answer again, and what the facts say beyond them (4.2.1)."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import Any

import pytest

from sandbox.thingsboard import ThingsboardSandbox
from sandbox.thingsboard.buckets import Buckets
from tests.contract.thingsboard.recordings import differences, recorded, reproduces
from tests.contract.thingsboard.rules import OTA_42, TEMPERATURE_42
from tests.contract.thingsboard.site import Account, Customized
from tests.contract.thingsboard.test_alarm_events import settled

NOT_IMITATED = {
    "audit logs": "the bot keeps its own audit log and never reads ThingsBoard's",
    "entities query: find alarms": "the bot lists alarms by /api/v2/alarms; the query language is not needed",
}
UNKNOWN = "00000000-0000-0000-0000-000000000001"


async def world_of_the_recordings(tenant: Customized) -> tuple[Account, Account, str]:
    """Three devices, the alarms of the recorded run, Ada the administrator and a customer's user; the manual alarm."""
    admin = tenant.admin
    await tenant.profile([OTA_42, TEMPERATURE_42])
    for number in (1, 2, 3):
        await tenant.device(f"sim-device-00{number}")
    plant = await admin.ok("POST", "/api/customer", {"title": "Plant 7"})
    second = tenant.device_id("sim-device-002")
    await admin.ok("POST", f"/api/customer/{plant['id']['id']}/device/{second}")
    domain = admin.email.split("@")[1]
    names = {"authority": "TENANT_ADMIN", "firstName": "Ada", "lastName": "Admin"}
    tenant_id = {"tenantId": {"entityType": "TENANT", "id": tenant.id}}
    ada = await tenant.site.person(tenant.site.sysadmin, f"admin@{domain}", names | tenant_id)
    worker_of = {"authority": "CUSTOMER_USER", "customerId": plant["id"]}
    worker = await tenant.site.person(admin, f"worker@{domain}", worker_of)
    failure, success = {"ota_status": "failure"}, {"ota_status": "success", "ota_error": None}

    async def reach(device: str, values: Any, count: int, query: str) -> None:
        await tenant.telemetry(device, values)
        await tenant.wait_alarms(count, query)

    first, second, third = ("sim-device-001", "sim-device-002", "sim-device-003")
    await reach(first, failure | {"ota_error": "again", "cpu_percent": 13}, 1, "&typeList=OTA%20Failure")
    await reach(first, success | {"sw_version": "1.1.1", "rauc_slot": "A"}, 1, "&statusList=CLEARED")
    await reach(first, failure, 2, "&typeList=OTA%20Failure")
    await reach(second, {"temperature_c": 95}, 1, "&typeList=High%20Temperature")
    await reach(second, {"temperature_c": 50}, 2, "&statusList=CLEARED")
    await reach(third, failure, 3, "&typeList=OTA%20Failure")
    manual = {
        "type": "Device Offline",
        "severity": "MAJOR",
        "originator": {"entityType": "DEVICE", "id": tenant.device_id(third)},
        "details": {"reason": "manual"},
    }
    alarm = str((await admin.ok("POST", "/api/alarm", manual))["id"]["id"])
    return ada, worker, alarm


def translated(path: str, tenant: Customized, alarm: str) -> str:
    """The recorded path with this run's ids."""
    swaps = {
        "5edbcff0-e7ca-11f1-a347-8513dc0a27d7": tenant.device_id("sim-device-001"),
        "f5f571d2-884c-4dc6-ad27-f4acccfb6437": alarm,
        "5e963b70-e7ca-11f1-a347-8513dc0a27d7": tenant.profile_id,
        "startTime=1795498706441&endTime=1795499306441": "startTime=1000000000000&endTime=9999999999999",
        "endTs=1795499307303": "endTs=9999999999999",
    }
    for old, new in swaps.items():
        path = path.replace(old, new)
    return path


@reproduces("rest-answers")
async def test_every_recorded_answer_has_the_same_status_and_shape(tenant: Customized) -> None:
    ada, worker, alarm = await world_of_the_recordings(tenant)
    done = {"login", "refresh", "refresh reused", "Authorization: Bearer instead of X-Authorization"}
    done |= {"login bad password", "login unknown user", "garbage token", "no token"}  # in the tests below
    rpc_id = ""
    for entry in recorded("rest-answers"):
        name = entry["name"]
        if name in done or name in NOT_IMITATED:
            continue
        request = entry["request"]
        who = worker if name.startswith("customer user") else ada
        path = translated(request["path"], tenant, alarm)
        if name == "rpc persistent state":
            path = f"/api/rpc/persistent/{rpc_id}"
        body = request.get("json")
        if name == "comment 10k":
            body = {"comment": {"text": "x" * 10_001}}
        made = await who.send(request["method"], path, body)
        assert made.status_code == entry["status"], f"{name}: {made.text}"
        if not entry["body"]:
            assert made.content == b"", name
            continue
        if name == "rpc persistent":
            rpc_id = made.json()["rpcId"]
        ordered = "sortProperty" in path or not path.startswith("/api/v2/")
        assert differences(entry["body"], made.json(), exact=ordered) == [], name
        if entry["status"] >= 400:
            assert made.json()["message"] == entry["body"]["message"], name
            assert made.json()["errorCode"] == entry["body"]["errorCode"], name


@reproduces("rest-answers")
async def test_login_refresh_and_the_two_header_names(tenant: Customized) -> None:
    entries = {entry["name"]: entry for entry in recorded("rest-answers")}
    http, admin = tenant.site.http, tenant.admin
    pair = (await http.post("/api/auth/login", json={"username": admin.email, "password": admin.password})).json()
    assert pair.keys() == entries["login"]["body"].keys()
    for token, claims in (("token", "token_claims"), ("refreshToken", "refresh_claims")):
        assert differences(entries["login"][claims], _claims(pair[token])) == []
    for _ in ("once", "again"):  # a refresh token can be used again
        made = await http.post("/api/auth/token", json={"refreshToken": pair["refreshToken"]})
        assert (made.status_code, sorted(made.json())) == (200, ["refreshToken", "token"])
    bearer = {"Authorization": f"Bearer {made.json()['token']}"}
    assert (await http.get("/api/auth/user", headers=bearer)).status_code == 200

    for name, headers in (("garbage token", {"X-Authorization": "Bearer nonsense"}), ("no token", {})):
        made = await http.get("/api/auth/user", headers=headers)
        assert (made.status_code, made.json()["message"]) == (401, entries[name]["body"]["message"]), name
        assert differences(entries[name]["body"], made.json()) == []
    for name, email in (("login bad password", admin.email), ("login unknown user", "nobody@x.example")):
        made = await http.post("/api/auth/login", json={"username": email, "password": "wrong"})
        assert (made.status_code, made.json()["errorCode"]) == (401, 10), name
        assert differences(entries[name]["body"], made.json()) == []


def _claims(token: str) -> Any:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


async def test_logout_ends_the_session_with_code_11(tenant: Customized) -> None:
    assert (await tenant.admin.send("POST", "/api/auth/logout")).status_code == 200
    made = await tenant.admin.send("GET", "/api/auth/user")
    assert (made.status_code, made.json()["errorCode"]) == (401, 11)


async def test_an_expired_token_is_code_11_and_the_refresh_token_still_works(
    tenant: Customized, stand_in: ThingsboardSandbox
) -> None:
    stand_in.auth.jwt_lifetime_s = -1
    http, admin = tenant.site.http, tenant.admin
    login = {"username": admin.email, "password": admin.password}
    pair = (await http.post("/api/auth/login", json=login)).json()
    made = await admin.send("GET", "/api/auth/user", token=pair["token"])
    assert (made.status_code, made.json()["errorCode"]) == (401, 11)
    stand_in.auth.jwt_lifetime_s = 9000
    renewed = (await http.post("/api/auth/token", json={"refreshToken": pair["refreshToken"]})).json()
    assert (await admin.send("GET", "/api/auth/user", token=renewed["token"])).status_code == 200


@reproduces("comment-validation")
async def test_comments_that_look_like_markup_are_refused(tenant: Customized) -> None:
    device = await tenant.device("d1")
    body = {"type": "Manual", "severity": "MAJOR", "originator": {"entityType": "DEVICE", "id": device}}
    alarm = (await tenant.admin.ok("POST", "/api/alarm", body))["id"]["id"]
    for case in recorded("comment-validation"):
        made = await tenant.admin.send("POST", f"/api/alarm/{alarm}/comment", {"comment": case["comment"]})
        assert made.status_code == case["status"], case["comment"]
        if case["status"] == 200:
            assert made.json()["comment"] == case["answer"]
        else:
            assert made.json()["message"] == case["answer"]["message"]


async def test_a_deleted_comment_turns_into_a_system_comment(tenant: Customized) -> None:
    device = await tenant.device("d1")
    body = {"type": "Manual", "severity": "MAJOR", "originator": {"entityType": "DEVICE", "id": device}}
    admin = tenant.admin
    path = f"/api/alarm/{(await admin.ok('POST', '/api/alarm', body))['id']['id']}/comment"
    first = await admin.ok("POST", path, {"comment": {"text": "one", "slack_ts": "1.2"}})
    edited = await admin.ok("POST", path, {"id": first["id"], "comment": {"text": "two"}})
    assert (edited["id"], edited["comment"]["text"]) == (first["id"], "two")
    await admin.send("DELETE", f"{path}/{first['id']['id']}")
    listed = (await admin.ok("GET", f"{path}?pageSize=10&page=0"))["data"]
    assert [c["type"] for c in listed] == ["SYSTEM"]


async def test_repeats_of_acts_are_400_with_code_31(tenant: Customized) -> None:
    device, admin = await tenant.device("d1"), tenant.admin
    body = {"type": "Manual", "severity": "MAJOR", "originator": {"entityType": "DEVICE", "id": device}}
    alarm = (await admin.ok("POST", "/api/alarm", body))["id"]["id"]
    acts = {
        "ack": "Alarm was already acknowledged!",
        "clear": "Alarm was already cleared!",
        f"assign/{admin.user_id}": "Alarm was already assigned to this user!",
    }
    for act, message in acts.items():
        assert (await admin.send("POST", f"/api/alarm/{alarm}/{act}")).status_code == 200
        again = await admin.send("POST", f"/api/alarm/{alarm}/{act}")
        assert (again.status_code, again.json()["errorCode"]) == (400, 31)
        assert again.json()["message"] == message
    assert (await admin.send("POST", f"/api/alarm/{UNKNOWN}/ack")).status_code == 404


async def test_json_of_the_wrong_shape_is_a_500(tenant: Customized) -> None:
    for body in ([1], {"type": "x"}, {"type": "x", "severity": "LOUD", "originator": {"id": UNKNOWN}}):
        made = await tenant.admin.send("POST", "/api/alarm", body)
        assert (made.status_code, made.json()["errorCode"]) == (500, 2), made.text


async def test_statuses_are_anded_and_paging_ends_with_has_next(tenant: Customized) -> None:
    device, admin = await tenant.device("d1"), tenant.admin
    origin = {"entityType": "DEVICE", "id": device}
    ids = []
    for number in range(5):
        body = {"type": f"Manual {number}", "severity": "MAJOR", "originator": origin}
        ids.append((await admin.ok("POST", "/api/alarm", body))["id"]["id"])
    await admin.ok("POST", f"/api/alarm/{ids[0]}/ack")
    await admin.ok("POST", f"/api/alarm/{ids[0]}/clear")
    await admin.ok("POST", f"/api/alarm/{ids[1]}/ack")
    found = await tenant.alarms("&statusList=ACTIVE,ACK")
    assert [a["id"]["id"] for a in found] == [ids[1]]
    pages = []
    order = "sortProperty=createdTime&sortOrder=ASC"
    for page in range(3):
        pages.append(await admin.ok("GET", f"/api/v2/alarms?pageSize=2&page={page}&{order}"))
    assert [p["hasNext"] for p in pages] == [True, True, False]
    assert [row["id"]["id"] for p in pages for row in p["data"]] == ids


async def test_null_telemetry_is_not_stored_so_an_old_error_stays(tenant: Customized) -> None:
    device = await tenant.device("d1")
    await tenant.telemetry("d1", {"ota_status": "failure", "ota_error": "sig invalid"})
    await tenant.telemetry("d1", {"ota_status": "success", "ota_error": None})
    path = f"/api/plugins/telemetry/DEVICE/{device}/values/timeseries?keys=ota_status,ota_error"
    for _ in range(100):
        latest = await tenant.admin.ok("GET", path)
        if latest["ota_status"][0]["value"] == "success":
            break
        await asyncio.sleep(0.01)
    assert latest["ota_error"][0]["value"] == "sig invalid"
    assert latest["ota_error"][0]["ts"] <= latest["ota_status"][0]["ts"]


@reproduces("rpc")
@pytest.mark.parametrize("pace", [0.02])
async def test_calls_to_devices(tenant: Customized) -> None:
    device, http = await tenant.device("d1"), tenant.site.http
    asked, answered, silent, offline, _ = recorded("rpc")
    body = {"method": "getLogs", "params": {"unit": "rauc-hawkbit-updater", "n": 50}, "timeout": 2000}

    started = time.monotonic()
    made = await tenant.admin.send("POST", f"/api/rpc/oneway/{device}", body)
    wanted = next(iter(offline.values()))
    assert (made.status_code, made.content) == (wanted["status"], b"")
    assert time.monotonic() - started >= 5.0 * tenant.site.pace  # not the 2 s asked for

    url = f"/api/v1/{tenant.tokens['d1']}/rpc"
    poll = asyncio.create_task(http.get(f"{url}?timeout=20000"))
    await settled(tenant.site)
    call = asyncio.create_task(tenant.admin.send("POST", f"/api/rpc/twoway/{device}", body | {"timeout": 60_000}))
    told = (await poll).json()
    assert differences(next(iter(asked.values()))["body"], told) == []
    reply = next(iter(answered.values()))["body"]
    await http.post(f"{url}/{told['id']}", json=reply)
    made = await call
    assert (made.status_code, made.json()) == (200, reply)

    poll = asyncio.create_task(http.get(f"{url}?timeout=20000"))
    await settled(tenant.site)
    made = await tenant.admin.send("POST", f"/api/rpc/twoway/{device}", body)
    assert made.status_code == next(iter(silent.values()))["status"]
    await poll


@reproduces("rate-limits")
async def test_rate_limits_answer_429_without_retry_after_and_devices_a_bare_500(
    tenant: Customized, stand_in: ThingsboardSandbox
) -> None:
    record, limited = recorded("rate-limits"), stand_in.world.tenants[tenant.id]
    await tenant.device("d1")
    limited.rest_limits = Buckets.parse("20:1,600:60", stand_in.world.clock())
    made = [await tenant.admin.send("GET", "/api/auth/user") for _ in range(40)]
    refused = [m for m in made if m.status_code == 429]
    assert 40 - 20 >= len(refused) > 0
    assert differences(record["429"]["body"], refused[0].json()) == []
    assert "retry-after" not in refused[0].headers
    limited.telemetry_limits = "5:1,60:60"
    statuses = [await tenant.telemetry("d1", {"x": 1}) for _ in range(15)]
    assert set(statuses) == {200, 500}


async def test_a_customers_user_sees_its_own_devices_and_alarms_only(tenant: Customized) -> None:
    _, worker, alarm = await world_of_the_recordings(tenant)
    mine = await worker.ok("GET", "/api/v2/alarms?pageSize=10&page=0")
    assert [a["originatorName"] for a in mine["data"]] == ["sim-device-002"]
    foreign = tenant.device_id("sim-device-001")
    for method, path in (
        ("GET", f"/api/alarm/info/{alarm}"),
        ("POST", f"/api/alarm/{alarm}/ack"),
        ("GET", f"/api/plugins/telemetry/DEVICE/{foreign}/values/timeseries?keys=x"),
        ("GET", "/api/tenant/devices?pageSize=10&page=0"),
    ):
        made = await worker.send(method, path)
        assert (made.status_code, made.json()["errorCode"]) == (403, 20), path
    me = await worker.ok("GET", "/api/auth/user")
    listed = await worker.ok("GET", f"/api/customer/{me['customerId']['id']}/devices?pageSize=10&page=0")
    assert [d["name"] for d in listed["data"]] == ["sim-device-002"]


async def test_another_tenants_things_are_forbidden(tenant: Customized) -> None:
    device = await tenant.device("d1")
    other = await tenant.site.tenant()
    made = await other.admin.send("GET", f"/api/device/{device}")
    assert made.status_code == 403
    assert (await other.admin.send("GET", "/api/tenant/devices?deviceName=d1")).status_code == 404


async def test_an_administrator_can_act_as_a_person_of_the_tenant(tenant: Customized) -> None:
    ada, _, alarm = await world_of_the_recordings(tenant)
    found = await tenant.admin.ok("GET", f"/api/users?pageSize=10&page=0&textSearch={ada.email}")
    assert [u["id"]["id"] for u in found["data"]] == [ada.user_id]
    token = (await tenant.admin.ok("GET", f"/api/user/{ada.user_id}/token"))["token"]
    made = await tenant.admin.send("POST", f"/api/alarm/{alarm}/ack", token=token)
    assert made.status_code == 200
    comments = await tenant.admin.ok("GET", f"/api/alarm/{alarm}/comment?pageSize=10&page=0")
    assert comments["data"][0]["comment"]["text"] == "Alarm was acknowledged by user Ada Admin"


@reproduces("cdm-provisioning")
async def test_cdms_own_provisioning_fails_as_recorded(tenant: Customized) -> None:
    cases = {case["case"]: case for case in recorded("cdm-provisioning")}
    objects = {"ruleChains": {"name": "x"}, "metadata": {"nodes": []}}
    sysadmin, admin = tenant.site.sysadmin, tenant.admin
    imports = "/api/ruleChains/import?overwrite=true"
    assert (await admin.send("POST", imports, objects)).status_code == 500
    lists = {"ruleChains": [{"name": "CDM"}], "metadata": [{"firstNodeIndex": 0, "nodes": [], "connections": []}]}
    made = await admin.ok("POST", imports, lists)
    assert differences(json.loads(cases["tenant admin, list format"]["answer"]), made) == []
    body = {"name": "CDM X.509 Devices", "profileData": {"alarmRules": [{"type": "OTA Failure"}]}}
    refused = await sysadmin.send("POST", "/api/deviceProfile", body)
    wanted = json.loads(cases["profile as provision.sh posts it, by sysadmin"]["answer"])
    assert (refused.status_code, refused.json()["message"]) == (403, wanted["message"])
    kept = await admin.ok("POST", "/api/deviceProfile", body)
    assert kept["profileData"].get("alarms") is None
    chain = await admin.ok("POST", "/api/ruleChain", {"name": "CDM Device Provisioning"})
    assert differences(json.loads(cases["rule chain created the UI way"]["answer"]), chain) == []


async def test_queues_belong_to_the_system_administrator(tenant: Customized) -> None:
    made = await tenant.admin.send("POST", "/api/queues?serviceType=TB-RULE-ENGINE", {"name": "Mine"})
    assert (made.status_code, made.json()["errorCode"]) == (403, 20)
    listed = await tenant.site.sysadmin.ok("GET", "/api/queues?serviceType=TB-RULE-ENGINE&pageSize=10&page=0")
    assert {"Main", "HighPriority", "SequentialByOriginator"} <= {q["name"] for q in listed["data"]}
