"""The wiring the bot ships, imported as docs/thingsboard-wiring.md says: an OTA Failure reaches the bot."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.thingsboard.session import Password, Session
from integrations.thingsboard.wired import rest_calls
from integrations.thingsboard.wiring import Release, wiring
from tests.contract.thingsboard.site import Customized, Webhook
from tests.contract.thingsboard.test_alarm_events import settled

BOTH = pytest.mark.parametrize(("version", "release"), [("4.2.1", "4.2"), ("4.3.1.1", "4.3")])


async def install(tenant: Customized, documents: dict[str, Any]) -> None:
    """The steps of the document, call by call."""
    site, admin = tenant.site, tenant.admin
    await site.sysadmin.ok("POST", "/api/queues?serviceType=TB-RULE-ENGINE", documents["queue"])
    if "device_profile" in documents:
        profile = await admin.ok("POST", "/api/deviceProfile", documents["device_profile"])
    else:
        body = {"name": "cdm-x509", "type": "DEFAULT", "transportType": "DEFAULT", "provisionType": "DISABLED"}
        data = {"configuration": {"type": "DEFAULT"}, "transportConfiguration": {"type": "DEFAULT"}}
        profile = await admin.ok("POST", "/api/deviceProfile", body | {"profileData": data})
        await admin.ok("POST", "/api/calculatedField", documents["calculated_field"] | {"entityId": profile["id"]})
    tenant.profile_id = profile["id"]["id"]
    chain = await admin.ok("POST", "/api/ruleChain", documents["rule_chain"]["ruleChain"])
    metadata = documents["rule_chain"]["metadata"] | {"ruleChainId": chain["id"], "version": chain.get("version")}
    await admin.ok("POST", "/api/ruleChain/metadata", metadata)
    await admin.ok("POST", f"/api/ruleChain/{chain['id']['id']}/root")


@BOTH
async def test_an_ota_failure_is_told_from_created_to_cleared(
    tenant: Customized, webhook: tuple[Webhook, str], release: Release
) -> None:
    listener, base = webhook
    queue = f"CdmAlarms{tenant.id[:8]}"
    await install(tenant, wiring(release, base, "s3cret", "customer-a", stack="eu1", queue=queue))
    device = await tenant.device("sim-device-001")
    await tenant.telemetry("sim-device-001", {"ota_status": "idle"})
    await tenant.telemetry("sim-device-001", {"ota_status": "failure", "ota_error": "sig invalid"})
    heard = (await listener.wait_for(1))[0]
    assert (heard.method, heard.path) == ("POST", "/webhooks/thingsboard/eu1")
    assert heard.headers["authorization"] == "Bearer s3cret"
    alarm = heard.body["alarm"]
    assert heard.body["metadata"]["isNewAlarm"] == "true"
    assert (alarm["type"], alarm["severity"], alarm["originator"]["id"]) == ("OTA Failure", "CRITICAL", device)
    details = {"4.2": "OTA failed: failure", "4.3": "OTA failure: sig invalid"}
    assert alarm["details"] == {"data": details[release]}

    await tenant.telemetry("sim-device-001", {"ota_status": "failure"})
    await settled(tenant.site)
    assert len(listener.heard) == 1  # Alarm Updated is not wired

    await tenant.admin.ok("POST", f"/api/alarm/{alarm['id']['id']}/ack")
    await tenant.admin.ok("POST", f"/api/alarm/{alarm['id']['id']}/comment", {"comment": {"text": "looking"}})
    await listener.wait_for(4)
    await tenant.telemetry("sim-device-001", {"ota_status": "success"})
    await listener.wait_for(5)
    kinds = [h.body["msgType"] for h in listener.heard]
    assert kinds.count("ALARM_ACK") == 1
    assert kinds.count("COMMENT_CREATED") == 2
    assert listener.heard[-1].body["alarm"]["status"] == "CLEARED_ACK"


@BOTH
async def test_where_the_root_chain_sends_alarms_can_be_read_back(tenant: Customized, release: Release) -> None:
    admin, http = tenant.admin, tenant.site.http

    def credentials() -> Password:
        return Password(admin.email, admin.password)

    session = Session(str(http.base_url), credentials, system="ThingsBoard", timeout_s=10, http=http)
    assert [call.url for call in await rest_calls(session)] == [], "a new tenant's own chain"
    queue = f"CdmAlarms{tenant.id[:8]}"
    await install(tenant, wiring(release, "https://bot.example.com", "s3cret", "customer-a", stack="eu1", queue=queue))
    (call,) = await rest_calls(session)
    assert (call.url, call.authorization) == ("https://bot.example.com/webhooks/thingsboard/eu1", "Bearer s3cret")
    assert "s3cret" not in repr(call)


@BOTH
async def test_an_outage_of_the_bot_loses_nothing_and_keeps_the_order(
    tenant: Customized, webhook: tuple[Webhook, str], release: Release
) -> None:
    listener, base = webhook
    listener.reply = lambda _: (503 if len(listener.heard) < 4 else 200, {})
    queue = f"CdmAlarms{tenant.id[:8]}"
    await install(tenant, wiring(release, base, "s3cret", "customer-a", stack="eu1", queue=queue))
    await tenant.device("d1")
    await tenant.telemetry("d1", {"ota_status": "failure", "ota_error": "x"})
    await listener.wait_for(1)
    await tenant.telemetry("d1", {"ota_status": "success"})
    heard = await listener.wait_for(5, within_s=40 * tenant.site.pace + 5)
    assert [h.what for h in heard] == ["NEW"] * 4 + ["CLR"]
