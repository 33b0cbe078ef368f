"""The rule engine: takes each message through the rule chain an operator imported, node by node."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from sandbox.thingsboard import chains
from sandbox.thingsboard.alarms import Alarms, RuleEvent
from sandbox.thingsboard.caller import Caller
from sandbox.thingsboard.chains import RELATIONS, Chain, Node
from sandbox.thingsboard.entities import Device, Json, Profile
from sandbox.thingsboard.messages import Message
from sandbox.thingsboard.queues import DEFAULTS, Broker, Entry, Place, Queue
from sandbox.thingsboard.rules import AlarmRule, Key, KeyKind, field_rule, profile_rules
from sandbox.thingsboard.world import World

Values = dict[Key, Any]
_ATTRIBUTE_TYPES = ("POST_ATTRIBUTES_REQUEST", "ATTRIBUTES_UPDATED", "ACTIVITY_EVENT", "INACTIVITY_EVENT")
_ACCEPTED = {
    chains.SAVE_TELEMETRY: "POST_TELEMETRY_REQUEST",
    chains.SAVE_ATTRIBUTES: "POST_ATTRIBUTES_REQUEST",
}
_MSG_TYPES_43 = {
    "Alarm Created": "ALARM_CREATED",
    "Alarm Updated": "ALARM_UPDATED",
    "Alarm Severity Updated": "ALARM_SEVERITY_UPDATED",
    "Alarm Cleared": "ALARM_CLEAR",
}


class Engine:
    """Alarms are raised here and nowhere else: on 4.2 by a Device Profile node a message passes, on 4.3 by the alarm
    calculated fields of the device's profile once telemetry was saved."""

    def __init__(self, world: World, pace: float) -> None:
        self.world = world
        self.chains: dict[str, Chain] = {}
        self.broker = Broker(self.handle, pace)
        self.caller = Caller(world.rng, pace)
        self.alarms = Alarms(world, self.send)
        for body in DEFAULTS:
            self.add_queue(dict(body))

    def add_queue(self, body: Json) -> Queue:
        queue = Queue.read(body, self.world.new_id(), self.world.now())
        self.broker.queues[queue.name] = queue
        return queue

    def send(self, message: Message) -> None:
        """A new message, into the queue its originator's profile names (Main unless set)."""
        profile = self._profile_of(message)
        self.broker.put(profile.body.get("defaultQueueName") if profile else None, Entry(message, None))

    def _profile_of(self, message: Message) -> Profile | None:
        device = self.world.devices.get(message.originator[1])
        return self.world.profiles[device.profile] if device else None

    async def handle(self, entry: Entry) -> bool:
        """True: handled. False: failed, the queue's strategy decides. A chain that is gone loses the message."""
        if entry.place is not None:
            chain = self.chains.get(entry.place.chain)
            return chain is None or await self._follow(chain, entry.place.index, entry.place.relation, entry.message)
        profile = self._profile_of(entry.message)
        wanted = profile.chain if profile and profile.chain else self.world.tenants[entry.message.tenant].root_chain
        chain = self.chains.get(wanted)
        if chain is None or chain.first is None:
            return True
        return await self._visit(chain, chain.first, entry.message)

    async def _follow(self, chain: Chain, index: int, relation: str, message: Message) -> bool:
        """On to every node wired to this output. A failure that nothing is wired to fails the message (measured)."""
        targets = chain.after(index, relation)
        if not targets:
            return relation != "Failure"
        if len(targets) == 1:
            return await self._visit(chain, targets[0], message)
        return all(await asyncio.gather(*(self._visit(chain, to, message) for to in targets)))

    async def _visit(self, chain: Chain, index: int, message: Message) -> bool:
        node = chain.nodes[index]
        relation = "Success"
        if node.type == chains.SWITCH:
            relation = RELATIONS.get(message.type, "Other")
        elif node.type == chains.CHECKPOINT:
            self.broker.put(node.queue, Entry(message, Place(chain.id, index, "Success")))
            return True
        elif node.type == chains.REST:
            succeeded, message = await self.caller.call(node, message)
            relation = "Success" if succeeded else "Failure"
        elif node.type == chains.TRANSFORM:
            message = self._transformed(node, message)
        elif message.type != _ACCEPTED.get(node.type, message.type):
            relation = "Failure"  # a save node accepts its own kind of message only (measured with CDM's chain)
        else:
            self._act(chain, index, node, message)
        return await self._follow(chain, index, relation, message)

    @staticmethod
    def _transformed(node: Node, message: Message) -> Message:
        if not chains.is_envelope(node.configuration):
            return message
        envelope = {"msgType": message.type, "metadata": dict(message.metadata), "alarm": message.data}
        return message.but(data=chains.without_nulls(envelope))

    def _act(self, chain: Chain, index: int, node: Node, message: Message) -> None:
        device = self.world.devices.get(message.originator[1])
        if device is None:
            return
        if node.type == chains.PROFILE:
            for event in self._profile_events(device, message):
                metadata = {**message.metadata, **event.flags}
                alarm = self.world.alarm_info_json(event.alarm)
                raised = Message("ALARM", message.tenant, message.originator, metadata, alarm)
                self.broker.put(None, Entry(raised, Place(chain.id, index, event.relation)))
        elif node.type == chains.SAVE_TELEMETRY:
            ts = int(message.metadata["ts"])
            device.store(ts, message.data)
            newest = frozenset(k for k in self._changed(message) if device.latest[k[1]][0] == ts)
            self._evaluate_fields(device, newest, message)
        elif node.type == chains.SAVE_ATTRIBUTES:
            now = self.world.now()
            device.attributes["CLIENT_SCOPE"].update({k: (now, v) for k, v in message.data.items()})
            self.on_attributes(device, message)

    def _profile_events(self, device: Device, message: Message) -> list[RuleEvent]:
        changed = self._changed(message)
        if not changed:
            return []
        values, ts = self._values(device, message), int(message.metadata.get("ts", "0"))
        rules = profile_rules(self.world.profiles[device.profile].body)
        events = (self.alarms.apply_rule(rule, device, changed, values, ts) for rule in rules)
        return [event for event in events if event is not None]

    def on_attributes(self, device: Device, message: Message) -> None:
        """A server-side attribute changed: calculated fields see it without a rule chain."""
        self._evaluate_fields(device, self._changed(message), message)

    def _evaluate_fields(self, device: Device, changed: frozenset[Key], message: Message) -> None:
        """4.3: the ALARM calculated fields of the device and of its profile; their events start at the root chain.
        Unlike a device profile's rules they know the latest values only and pass over a late one (upstream source)."""
        values = self._stored(device)
        for body in list(self.world.fields.values()):
            if body["entityId"]["id"] not in (device.id, device.profile):
                continue
            rule = field_rule(body)
            known = self._arguments(rule, values)
            if known is None:
                continue
            event = self.alarms.apply_rule(rule, device, changed, known, int(message.metadata.get("ts", "0")))
            if event is not None:
                alarm = self.world.alarm_info_json(event.alarm)
                kind = _MSG_TYPES_43[event.relation]
                self.send(Message(kind, device.tenant, ("DEVICE", device.id), dict(event.flags), alarm))

    @staticmethod
    def _arguments(rule: AlarmRule, values: Values) -> Values | None:
        """All arguments' values, or None while one has neither a value nor a default."""
        known: Values = dict(values)
        for name, key in (rule.arguments or {}).items():
            if key not in known:
                if name not in rule.defaults:
                    return None
                known[key] = rule.defaults[name]
        return known

    @staticmethod
    def _changed(message: Message) -> frozenset[Key]:
        if message.type == "POST_TELEMETRY_REQUEST":
            return frozenset(("TIME_SERIES", key) for key in message.data)
        if message.type in _ATTRIBUTE_TYPES:
            return frozenset(("ATTRIBUTE", key) for key in message.data)
        return frozenset()

    @staticmethod
    def _stored(device: Device) -> Values:
        values: Values = {("TIME_SERIES", key): value for key, (_, value) in device.latest.items()}
        for scope in ("CLIENT_SCOPE", "SHARED_SCOPE", "SERVER_SCOPE"):
            values |= {("ATTRIBUTE", key): value for key, (_, value) in device.attributes[scope].items()}
        return values

    def _values(self, device: Device, message: Message) -> Values:
        """What profile rules see: the stored values, overlaid by the message even when it is older (measured)."""
        data: Mapping[str, Any] = message.data
        kind: KeyKind = "TIME_SERIES" if message.type == "POST_TELEMETRY_REQUEST" else "ATTRIBUTE"
        return self._stored(device) | {(kind, key): value for key, value in data.items()}
