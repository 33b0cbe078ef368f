"""What changes an alarm, by rule or by a person, and the messages each change sends into the rule engine.

Names of message types, metadata and the order of comment and event are as measured on 4.2.1 and 4.3.1.1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.thingsboard.entities import SEVERITIES, Alarm, Comment, Device, Json, User
from sandbox.thingsboard.errors import bad_request
from sandbox.thingsboard.messages import Message, Send, user_metadata
from sandbox.thingsboard.rules import AlarmRule, Condition, Key
from sandbox.thingsboard.world import World, compact

_TAG = re.compile(r"<[A-Za-z/!?]")
_TEMPLATE = re.compile(r"\{\{.*\}\}", re.DOTALL)
COMMENT_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class RuleEvent:
    """What a rule did to an alarm. `relation` is the rule node's output; `flags` go into the message's metadata."""

    relation: str
    alarm: Alarm
    flags: Mapping[str, str]


class Alarms:
    """All changes of alarms go through here."""

    def __init__(self, world: World, send: Send) -> None:
        self.world = world
        self.send = send
        self._repeated: dict[tuple[str, str, str], int] = {}

    def forget_counters(self) -> None:
        """Repeat counters are not kept over a restart."""
        self._repeated.clear()

    # by rule

    def apply_rule(
        self, rule: AlarmRule, device: Device, changed: frozenset[Key], values: Mapping[Key, Any], ts: int
    ) -> RuleEvent | None:
        """Evaluate one rule for one message. Highest severity first; the clear rule only if no create rule holds."""
        current = self.world.active_alarm(device.id, rule.alarm_type)
        for condition in rule.creates:
            if rule.concerns(condition, changed) and self._holds(rule, condition, device, values):
                return self._raise(rule, condition, device, values, ts, current)
        clear = rule.clear
        if current is None or clear is None or not rule.concerns(clear, changed) or not clear.holds(values):
            return None
        current.cleared, current.clear = True, self.world.now()
        details = rule.details(clear, values)
        if details is not None:
            current.details = details
        for condition in rule.creates:
            self._repeated.pop((device.id, rule.id, str(condition.severity)), None)
        return RuleEvent("Alarm Cleared", current, {"isClearedAlarm": "true"})

    def _holds(self, rule: AlarmRule, condition: Condition, device: Device, values: Mapping[Key, Any]) -> bool:
        counter = (device.id, rule.id, str(condition.severity))
        if not condition.holds(values):
            self._repeated.pop(counter, None)
            return False
        self._repeated[counter] = self._repeated.get(counter, 0) + 1
        return self._repeated[counter] >= condition.repeats

    def _raise(
        self,
        rule: AlarmRule,
        condition: Condition,
        device: Device,
        values: Mapping[Key, Any],
        ts: int,
        current: Alarm | None,
    ) -> RuleEvent | None:
        severity = str(condition.severity)
        flags: dict[str, str] = {}
        if condition.repeats > 1:
            flags["alarmConditionRepeats"] = str(self._repeated[(device.id, rule.id, severity)])
        details = rule.details(condition, values)
        if current is None:
            alarm = self._new_by_rule(rule, severity, device, {} if details is None else details, ts)
            return RuleEvent("Alarm Created", alarm, flags | {"isNewAlarm": "true"})
        before = current.severity
        if SEVERITIES.index(severity) > SEVERITIES.index(before):
            return None  # a lower severity changes nothing and tells nobody (measured)
        current.end, current.severity = self.world.now(), severity
        if details is not None:
            current.details = details
        flags |= {"isExistingAlarm": "true"}
        if before == severity:
            return RuleEvent("Alarm Updated", current, flags)
        self._severity_comment(current, before, None)
        return RuleEvent("Alarm Severity Updated", current, flags | {"isSeverityUpdated": "true"})

    def _new_by_rule(self, rule: AlarmRule, severity: str, device: Device, details: Any, ts: int) -> Alarm:
        now = self.world.now()
        start = ts if 0 < ts <= now else now
        alarm = Alarm(
            self.world.new_id(),
            device.tenant,
            device.customer,
            rule.alarm_type,
            ("DEVICE", device.id),
            severity,
            now,
            start,
            start,
            details,
            propagate=rule.propagate,
            propagate_to_owner=rule.propagate_to_owner,
            propagate_to_tenant=rule.propagate_to_tenant,
        )
        self.world.keep_alarm(alarm)
        return alarm

    # by a person

    def acknowledge(self, alarm: Alarm, user: User) -> None:
        if alarm.acknowledged:
            raise bad_request("Alarm was already acknowledged!")
        alarm.acknowledged, alarm.ack = True, self.world.now()
        self._system_comment(alarm, user, f"Alarm was acknowledged by user {user.shown_name}", "ACK")
        self._tell("ALARM_ACK", alarm, user)

    def clear(self, alarm: Alarm, user: User) -> None:
        if alarm.cleared:
            raise bad_request("Alarm was already cleared!")
        alarm.cleared, alarm.clear = True, self.world.now()
        self._system_comment(alarm, user, f"Alarm was cleared by user {user.shown_name}", "CLEAR")
        self._tell("ALARM_CLEAR", alarm, user)

    def assign(self, alarm: Alarm, user: User, assignee: User) -> None:
        if alarm.assignee == assignee.id:
            raise bad_request("Alarm was already assigned to this user!")
        alarm.assignee, alarm.assign = assignee.id, self.world.now()
        text = f"Alarm was assigned by user {user.shown_name} to user {assignee.shown_name}"
        self._system_comment(alarm, user, text, "ASSIGN", {"assigneeId": assignee.id})
        self._tell("ALARM_ASSIGNED", alarm, user)

    def unassign(self, alarm: Alarm, user: User) -> None:
        if alarm.assignee is None:
            raise bad_request("Alarm was already unassigned!")
        alarm.assignee, alarm.assign = None, self.world.now()
        self._system_comment(alarm, user, f"Alarm was unassigned by user {user.shown_name}", "ASSIGN")
        self._tell("ALARM_UNASSIGNED", alarm, user)

    def delete(self, alarm: Alarm, user: User) -> None:
        del self.world.alarms[alarm.id]
        for comment in [c for c in self.world.comments.values() if c.alarm == alarm.id]:
            del self.world.comments[comment.id]
        self._tell("ALARM_DELETE", alarm, user, self.world.alarm_json(alarm))

    def create(self, body: Json, device: Device, user: User) -> Alarm:
        """`POST /api/alarm` without an id: new, or an update of the active alarm of that type."""
        now = self.world.now()
        current = self.world.active_alarm(device.id, body["type"])
        if current is None:
            start = int(body.get("startTs") or now)
            current = Alarm(
                self.world.new_id(),
                device.tenant,
                device.customer,
                body["type"],
                ("DEVICE", device.id),
                body["severity"],
                now,
                start,
                int(body.get("endTs") or start),
                body.get("details"),
            )
            self.world.keep_alarm(current)
        else:
            before, current.severity = current.severity, body["severity"]
            current.start = int(body.get("startTs") or now)
            current.end, current.details = int(body.get("endTs") or now), body.get("details")
            if before != current.severity:
                self._severity_comment(current, before, user)
        self._tell("ENTITY_CREATED", current, user)
        return current

    def update(self, alarm: Alarm, body: Json, user: User) -> None:
        before, alarm.severity = alarm.severity, body["severity"]
        alarm.details = body.get("details", alarm.details)
        self._tell("ENTITY_UPDATED", alarm, user)
        if before != alarm.severity:
            self._severity_comment(alarm, before, None)

    # comments

    def comment(self, alarm: Alarm, user: User, body: Json) -> Comment:
        check_comment(body)
        made = self._keep_comment(alarm, user.id, "OTHER", body)
        self._tell_comment("COMMENT_CREATED", alarm, made, user)
        return made

    def edit_comment(self, alarm: Alarm, comment: Comment, user: User, body: Json) -> None:
        check_comment(body)
        comment.body = body | {"edited": "true", "editedOn": self.world.now()}
        self._tell_comment("COMMENT_UPDATED", alarm, comment, user)

    def delete_comment(self, comment: Comment, user: User) -> None:
        """A deleted comment stays as a SYSTEM comment that says so (measured)."""
        text = f"User {user.shown_name} deleted his comment"
        comment.kind = "SYSTEM"
        comment.body = {"text": text, "subtype": "DELETED", "userId": user.id, "userName": user.shown_name}

    def _keep_comment(self, alarm: Alarm, user: str | None, kind: Any, body: Json) -> Comment:
        made = Comment(self.world.new_id(), alarm.id, user, kind, body, self.world.now())
        self.world.comments[made.id] = made
        return made

    def _severity_comment(self, alarm: Alarm, before: str, user: User | None) -> None:
        text = f"Alarm severity was updated from {before} to {alarm.severity}"
        made = self._keep_comment(alarm, user.id if user else None, "SYSTEM", {"text": text})
        self._tell_comment("COMMENT_CREATED", alarm, made, None)

    def _system_comment(
        self, alarm: Alarm, user: User, text: str, subtype: str, more: Mapping[str, str] | None = None
    ) -> None:
        body = {"text": text, "subtype": subtype, "userId": user.id, **(more or {})}
        made = self._keep_comment(alarm, user.id, "SYSTEM", body)
        self._tell_comment("COMMENT_CREATED", alarm, made, user)

    # messages

    def _tell(self, msg_type: str, alarm: Alarm, user: User, data: Json | None = None) -> None:
        metadata = user_metadata(user, alarm.type, alarm.originator[0], alarm.customer)
        data = self.world.alarm_info_json(alarm) if data is None else data
        self.send(Message(msg_type, alarm.tenant, alarm.originator, metadata, data))

    def _tell_comment(self, msg_type: str, alarm: Alarm, comment: Comment, user: User | None) -> None:
        metadata = user_metadata(user, alarm.type, "ALARM", alarm.customer)
        metadata["comment"] = compact(self.world.comment_json(comment))
        info = self.world.alarm_info_json(alarm)
        self.send(Message(msg_type, alarm.tenant, ("ALARM", alarm.id), metadata, info))


def check_comment(body: Json) -> None:
    """ThingsBoard refuses what looks like HTML or a template, Slack links too (measured)."""
    written = compact(body)
    if _TAG.search(written) or _TEMPLATE.search(written):
        raise bad_request("Validation error: comment is malformed")
    if len(written) > COMMENT_LIMIT:
        raise bad_request(f"Validation error: comment length must be equal or less than {COMMENT_LIMIT}")
