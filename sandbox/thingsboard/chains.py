"""Rule chains: the JSON an operator imports, checked and read into nodes and connections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.thingsboard.entities import Json, ref
from sandbox.thingsboard.errors import ApiError, NotModelled
from sandbox.thingsboard.world import World

PREFIX = "org.thingsboard.rule.engine."
PROFILE = PREFIX + "profile.TbDeviceProfileNode"
SWITCH = PREFIX + "filter.TbMsgTypeSwitchNode"
SAVE_TELEMETRY = PREFIX + "telemetry.TbMsgTimeseriesNode"
SAVE_ATTRIBUTES = PREFIX + "telemetry.TbMsgAttributesNode"
CHECKPOINT = PREFIX + "flow.TbCheckpointNode"
TRANSFORM = PREFIX + "transform.TbTransformMsgNode"
REST = PREFIX + "rest.TbRestApiCallNode"
LOG = PREFIX + "action.TbLogNode"
SEND_RPC = PREFIX + "rpc.TbSendRPCRequestNode"
MODELLED = frozenset({PROFILE, SWITCH, SAVE_TELEMETRY, SAVE_ATTRIBUTES, CHECKPOINT, TRANSFORM, REST, LOG, SEND_RPC})

ENVELOPE = (
    'return {msg: {"msgType": msgType, "metadata": metadata, "alarm": msg}, metadata: metadata, msgType: msgType};'
)
IDENTITY = "return {msg: msg, metadata: metadata, msgType: msgType};"

RELATIONS = {
    "POST_TELEMETRY_REQUEST": "Post telemetry",
    "POST_ATTRIBUTES_REQUEST": "Post attributes",
    "TO_SERVER_RPC_REQUEST": "RPC Request from Device",
    "RPC_CALL_FROM_SERVER_TO_DEVICE": "RPC Request to Device",
    "ACTIVITY_EVENT": "Activity Event",
    "INACTIVITY_EVENT": "Inactivity Event",
    "CONNECT_EVENT": "Connect Event",
    "ENTITY_CREATED": "Entity Created",
    "ENTITY_UPDATED": "Entity Updated",
    "ATTRIBUTES_UPDATED": "Attributes Updated",
    "ALARM_ACK": "Alarm Acknowledged",
    "ALARM_CLEAR": "Alarm Cleared",
    "ALARM_ASSIGNED": "Alarm Assigned",
    "ALARM_UNASSIGNED": "Alarm Unassigned",
    "COMMENT_CREATED": "Comment Created",
    "COMMENT_UPDATED": "Comment Updated",
    "ALARM_CREATED": "Alarm Created",
    "ALARM_UPDATED": "Alarm Updated",
    "ALARM_SEVERITY_UPDATED": "Alarm Severity Updated",
}
"""Message type -> output of Message Type Switch; everything else leaves by `Other` (ALARM_DELETE does, measured)."""


@dataclass(slots=True)
class Node:
    type: str
    name: str
    configuration: Json
    queue: str | None
    body: Json


@dataclass(slots=True)
class Chain:
    id: str
    tenant: str
    name: str
    created: int
    version: int = 1
    first: int | None = None
    nodes: list[Node] = field(default_factory=list)
    connections: list[tuple[int, int, str]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)

    def after(self, index: int, relation: str) -> list[int]:
        return [to for start, to, kind in self.connections if start == index and kind == relation]

    def json(self, root: bool) -> Json:
        first = ref("RULE_NODE", self.ids[self.first]) if self.first is not None else None
        return {
            "id": ref("RULE_CHAIN", self.id),
            "createdTime": self.created,
            "tenantId": ref("TENANT", self.tenant),
            "name": self.name,
            "type": "CORE",
            "firstRuleNodeId": first,
            "root": root,
            "debugMode": False,
            "externalId": None,
            "version": self.version,
            "configuration": None,
            "additionalInfo": None,
        }

    def metadata_json(self) -> Json:
        nodes = [
            {"id": ref("RULE_NODE", node_id), "createdTime": self.created, "ruleChainId": ref("RULE_CHAIN", self.id)}
            | node.body
            for node_id, node in zip(self.ids, self.nodes, strict=True)
        ]
        links = [{"fromIndex": a, "toIndex": b, "type": kind} for a, b, kind in self.connections]
        return {
            "ruleChainId": ref("RULE_CHAIN", self.id),
            "version": self.version,
            "firstNodeIndex": self.first,
            "nodes": nodes,
            "connections": links,
            "ruleChainConnections": None,
        }

    def load(self, metadata: Json, world: World) -> None:
        """Replace nodes and connections. A relation name that no node emits is accepted, and never fires (measured)."""
        nodes = [_read_node(node) for node in metadata["nodes"]]
        links = [(c["fromIndex"], c["toIndex"], str(c["type"])) for c in metadata.get("connections") or []]
        if any(not 0 <= end < len(nodes) for a, b, _ in links for end in (a, b)):
            raise ApiError(2, "Index out of bounds for rule node connections")
        self.nodes, self.connections, self.first = nodes, links, metadata.get("firstNodeIndex")
        self.ids = [world.new_id() for _ in nodes]
        self.version += 1


def _read_node(body: Json) -> Node:
    kind, configuration = body["type"], dict(body.get("configuration") or {})
    if kind not in MODELLED:
        raise NotModelled(f"rule node {kind}")
    if kind == TRANSFORM and script_of(configuration) not in (_words(ENVELOPE), _words(IDENTITY)):
        raise NotModelled("this transformation script")
    if kind == REST and configuration.get("credentials", {}).get("type", "anonymous") not in ("anonymous", "basic"):
        raise NotModelled("client certificates in REST nodes")
    queue = body.get("queueName")
    if queue is None and not body.get("configurationVersion"):
        queue = configuration.get("queueName")  # how a Checkpoint was written before node version 1
    return Node(kind, str(body["name"]), configuration, queue, dict(body))


def _words(script: str) -> str:
    return "".join(script.split())


def script_of(configuration: Json) -> str:
    language = configuration.get("scriptLang", "JS")
    return _words(str(configuration.get("tbelScript" if language == "TBEL" else "jsScript", "")))


def is_envelope(configuration: Json) -> bool:
    return script_of(configuration) == _words(ENVELOPE)


def without_nulls(value: Any) -> Any:
    """What a TBEL script does to its result: null fields are gone (measured on 4.2.1)."""
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [without_nulls(v) for v in value]
    return value


def default_metadata(*, with_profile_node: bool) -> Json:
    """The root chain of a new tenant: on 4.2 a Device Profile node comes first, on 4.3 there is none (measured)."""
    kinds: Sequence[tuple[str, str]] = [
        (SAVE_TELEMETRY, "Save Timeseries"),
        (SAVE_ATTRIBUTES, "Save Client Attributes"),
        (SWITCH, "Message Type Switch"),
        (LOG, "Log RPC from Device"),
        (LOG, "Log Other"),
        (SEND_RPC, "RPC Call Request"),
    ]
    if with_profile_node:
        kinds = [*kinds, (PROFILE, "Device Profile Node")]
    outputs = [
        (0, "Post telemetry"),
        (1, "Post attributes"),
        (3, "RPC Request from Device"),
        (4, "Other"),
        (5, "RPC Request to Device"),
    ]
    links = [{"fromIndex": 2, "toIndex": to, "type": kind} for to, kind in outputs]
    if with_profile_node:
        links.append({"fromIndex": 6, "toIndex": 2, "type": "Success"})
    return {
        "firstNodeIndex": 6 if with_profile_node else 2,
        "nodes": [{"type": kind, "name": name, "configuration": {}} for kind, name in kinds],
        "connections": links,
    }
