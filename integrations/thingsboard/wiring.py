"""What an operator imports so that ThingsBoard raises *OTA Failure* and sends alarm events to the bot.

Pure functions: settings in, JSON documents out. Each document is the body of one REST call; the order and the accounts
are in docs/thingsboard-wiring.md. The shape is the one that lost nothing on the real servers (measured on 4.2.1 and
4.3.1.1): an own retry queue, sequential by originator, and a REST node whose `Failure` output is not wired, because
wiring it counts as handled and ends the retries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

Document = dict[str, Any]
Release = Literal["4.2", "4.3"]

ALARM_TYPE = "OTA Failure"
QUEUE = "CdmAlarms"
ENVELOPE = (
    'return {msg: {"msgType": msgType, "metadata": metadata, "alarm": msg}, metadata: metadata, msgType: msgType};'
)
PACK_TIMEOUT_MS = 10_000
READ_TIMEOUT_MS = 8_000
"""Below the pack's time-out: a hanging call fails and is retried, instead of being retried while it still runs."""

_PREFIX = "org.thingsboard.rule.engine."
_RULE_EVENTS = ("Alarm Created", "Alarm Severity Updated", "Alarm Cleared")
"""Never `Alarm Updated`: it fires on each telemetry message that still matches."""
_PERSON_EVENTS = (
    "Alarm Acknowledged",
    "Alarm Cleared",
    "Alarm Assigned",
    "Alarm Unassigned",
    "Comment Created",
    "Comment Updated",
)


def wiring(
    release: Release,
    bot_url: str,
    secret_placeholder: str,
    tenant: str,
    *,
    stack: str,
    profile: str = "cdm-x509",
    queue: str = QUEUE,
) -> Document:
    """All documents for one tenant of a ThingsBoard of this release.

    `bot_url` is the bot's public base address; `secret_placeholder` stands where the operator puts the tenant's webhook
    secret. Keys: `queue`, `device_profile` (4.2) or `calculated_field` (4.3), `rule_chain` with `ruleChain` and
    `metadata` as the user interface imports them.
    """
    url = f"{bot_url.rstrip('/')}/webhooks/thingsboard/{stack}"
    documents: Document = {"release": release, "queue": retry_queue(queue)}
    if release == "4.2":
        documents["device_profile"] = device_profile(profile)
    else:
        documents["calculated_field"] = calculated_field()
    documents["rule_chain"] = rule_chain(release, url, secret_placeholder, tenant, queue)
    return documents


def example(release: Release) -> Document:
    """The documents kept in deploy/thingsboard, with placeholders for what differs by installation."""
    return wiring(release, "https://chatops.example.com", "REPLACE-WITH-THE-WEBHOOK-SECRET", "customer-a", stack="eu1")


def retry_queue(name: str) -> Document:
    """Retries for ever after 2, 4, 8 ... 60 s and keeps the order of one device's alarms."""
    return {
        "name": name,
        "topic": f"tb_rule_engine.{name.lower()}",
        "pollInterval": 25,
        "partitions": 10,
        "consumerPerPartition": True,
        "packProcessingTimeout": PACK_TIMEOUT_MS,
        "submitStrategy": {"type": "SEQUENTIAL_BY_ORIGINATOR", "batchSize": 100},
        "processingStrategy": {
            "type": "RETRY_FAILED_AND_TIMED_OUT",
            "retries": 0,
            "failurePercentage": 0,
            "pauseBetweenRetries": 2,
            "maxPauseBetweenRetries": 60,
        },
        "additionalInfo": {"description": "Alarm events on their way to the chat bot"},
    }


def device_profile(name: str) -> Document:
    """A device profile whose `profileData.alarms` holds the *OTA Failure* rule (4.2)."""
    rule = {
        "id": "cdm-ota-failure",
        "alarmType": ALARM_TYPE,
        "createRules": {"CRITICAL": _profile_rule("failure", "OTA failed: ${ota_status}")},
        "clearRule": _profile_rule("success", None),
        "propagate": False,
        "propagateToOwner": False,
        "propagateToTenant": False,
        "propagateRelationTypes": None,
    }
    return {
        "name": name,
        "description": "CDM devices, with the OTA Failure alarm rule",
        "type": "DEFAULT",
        "transportType": "DEFAULT",
        "provisionType": "DISABLED",
        "profileData": {
            "configuration": {"type": "DEFAULT"},
            "transportConfiguration": {"type": "DEFAULT"},
            "provisionConfiguration": {"type": "DISABLED", "provisionDeviceSecret": None},
            "alarms": [rule],
        },
    }


def _profile_rule(status: str, details: str | None) -> Document:
    """Details may name only keys of the condition itself: any other `${...}` stays literal (measured on 4.2.1)."""
    predicate = {
        "type": "STRING",
        "operation": "EQUAL",
        "value": {"defaultValue": status, "userValue": None, "dynamicValue": None},
        "ignoreCase": False,
    }
    key_filter = {
        "key": {"type": "TIME_SERIES", "key": "ota_status"},
        "valueType": "STRING",
        "value": None,
        "predicate": predicate,
    }
    return {
        "condition": {"condition": [key_filter], "spec": {"type": "SIMPLE"}},
        "schedule": None,
        "alarmDetails": details,
        "dashboardId": None,
    }


def calculated_field() -> Document:
    """The *OTA Failure* rule as an ALARM calculated field (4.3). `entityId.id` is to be set to the device profile."""
    arguments = {
        "ota_status": {"refEntityKey": {"key": "ota_status", "type": "TS_LATEST"}},
        "ota_error": {"refEntityKey": {"key": "ota_error", "type": "TS_LATEST"}, "defaultValue": "-"},
    }
    return {
        "entityId": {"entityType": "DEVICE_PROFILE", "id": None},
        "type": "ALARM",
        "name": ALARM_TYPE,
        "configurationVersion": 0,
        "configuration": {
            "type": "ALARM",
            "arguments": arguments,
            "createRules": {"CRITICAL": _field_rule("failure", "OTA ${ota_status}: ${ota_error}")},
            "clearRule": _field_rule("success", None),
            "propagate": False,
            "propagateToOwner": False,
            "propagateToTenant": False,
        },
    }


def _field_rule(status: str, details: str | None) -> Document:
    predicate = {
        "type": "STRING",
        "operation": "EQUAL",
        "value": {"staticValue": status},
        "ignoreCase": False,
    }
    filters = [
        {"argument": "ota_status", "valueType": "STRING", "operation": "AND", "predicates": [predicate]},
    ]
    expression = {"type": "SIMPLE", "filters": filters, "operation": "AND"}
    return {"condition": {"type": "SIMPLE", "expression": expression}, "alarmDetails": details}


def rule_chain(release: Release, url: str, secret: str, tenant: str, queue: str) -> Document:
    """A complete root rule chain: what the tenant's default one does, plus the way of alarm events to `url`."""
    nodes: list[Document] = [
        _node("filter.TbMsgTypeSwitchNode", "Message Type Switch", 0, {"version": 0}),
        _node("telemetry.TbMsgTimeseriesNode", "Save Timeseries", 1, _SAVE_TELEMETRY),
        _node("telemetry.TbMsgAttributesNode", "Save Client Attributes", 3, _SAVE_ATTRIBUTES),
        _node("rpc.TbSendRPCRequestNode", "RPC Call Request", 0, {"timeoutInSeconds": 60}),
        _node("flow.TbCheckpointNode", "Alarm events: own queue", 1, {}, queue=queue),
        _node("transform.TbTransformMsgNode", "Alarm events: envelope", 0, _ENVELOPE_CONFIGURATION),
        _node("rest.TbRestApiCallNode", "Alarm events: to the bot", 3, rest_call(url, secret)),
    ]
    links = [
        _link(0, 1, "Post telemetry"),
        _link(0, 2, "Post attributes"),
        _link(0, 3, "RPC Request to Device"),
        _link(4, 5, "Success"),
        _link(5, 6, "Success"),
        *_links(0, 4, _PERSON_EVENTS),
    ]
    if release == "4.2":
        settings = {"persistAlarmRulesState": False, "fetchAlarmRulesStateOnStart": False}
        nodes.append(_node("profile.TbDeviceProfileNode", "Device Profile Node", 1, settings))
        links += [_link(7, 0, "Success"), *_links(7, 4, _RULE_EVENTS)]
    else:
        links += _links(0, 4, [event for event in _RULE_EVENTS if event not in _PERSON_EVENTS])
    first = len(nodes) - 1 if release == "4.2" else 0
    chain = {"name": f"Root with alarms to chat ({tenant})", "type": "CORE", "root": False, "debugMode": False}
    metadata = {
        "firstNodeIndex": first,
        "nodes": [node | {"additionalInfo": _place(index)} for index, node in enumerate(nodes)],
        "connections": links,
        "ruleChainConnections": None,
    }
    return {"ruleChain": chain, "metadata": metadata}


def rest_call(url: str, secret: str) -> Document:
    """The REST node. maxParallelRequestsCount stays 0: above 0 it blocks rule-engine threads (measured on 4.2.1)."""
    return {
        "restEndpointUrlPattern": url,
        "requestMethod": "POST",
        "useSimpleClientHttpFactory": False,
        "parseToPlainText": False,
        "ignoreRequestBody": False,
        "enableProxy": False,
        "useSystemProxyProperties": False,
        "proxyScheme": None,
        "proxyHost": None,
        "proxyPort": 0,
        "proxyUser": None,
        "proxyPassword": None,
        "readTimeoutMs": READ_TIMEOUT_MS,
        "maxParallelRequestsCount": 0,
        "maxInMemoryBufferSizeInKb": 256,
        "headers": {"Content-Type": "application/json", "Authorization": f"Bearer {secret}"},
        "credentials": {"type": "anonymous"},
    }


_SAVE_TELEMETRY: Document = {
    "defaultTTL": 0,
    "useServerTs": False,
    "processingSettings": {"type": "ON_EVERY_MESSAGE"},
}
_SAVE_ATTRIBUTES: Document = {
    "scope": "CLIENT_SCOPE",
    "notifyDevice": False,
    "sendAttributesUpdatedNotification": False,
    "updateAttributesOnlyOnValueChange": True,
    "processingSettings": {"type": "ON_EVERY_MESSAGE"},
}
_ENVELOPE_CONFIGURATION: Document = {"scriptLang": "TBEL", "jsScript": ENVELOPE, "tbelScript": ENVELOPE}


def _node(kind: str, name: str, version: int, configuration: Document, queue: str | None = None) -> Document:
    return {
        "type": _PREFIX + kind,
        "name": name,
        "singletonMode": False,
        "queueName": queue,
        "configurationVersion": version,
        "configuration": configuration,
    }


def _link(start: int, end: int, relation: str) -> Document:
    return {"fromIndex": start, "toIndex": end, "type": relation}


def _links(start: int, end: int, relations: Sequence[str]) -> list[Document]:
    return [_link(start, end, relation) for relation in relations]


def _place(index: int) -> Document:
    return {"layoutX": 300 + 250 * (index % 4), "layoutY": 150 + 150 * (index // 4)}
