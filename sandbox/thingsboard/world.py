"""Every entity of one ThingsBoard server by id, and how those look as JSON that need more than one record."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable
from typing import Any

from sandbox.thingsboard.entities import (
    NO_CUSTOMER,
    Alarm,
    Comment,
    Customer,
    Device,
    Json,
    Profile,
    Tenant,
    User,
    Version,
    ref,
)
from sandbox.thingsboard.errors import not_found


class World:
    """Every entity of one server by id. Ids come from a seeded generator; instants (ms) from the given clock."""

    def __init__(self, version: Version, clock: Callable[[], float], seed: int) -> None:
        self.version = version
        self.clock = clock
        self.rng = random.Random(seed)
        self.tenants: dict[str, Tenant] = {}
        self.customers: dict[str, Customer] = {}
        self.users: dict[str, User] = {}
        self.profiles: dict[str, Profile] = {}
        self.devices: dict[str, Device] = {}
        self.by_token: dict[str, Device] = {}
        self.alarms: dict[str, Alarm] = {}
        self.comments: dict[str, Comment] = {}
        self.fields: dict[str, Json] = {}
        self._active: dict[tuple[str, str], str] = {}

    @property
    def is_43(self) -> bool:
        return self.version.startswith("4.3")

    def now(self) -> int:
        return int(self.clock() * 1000)

    def new_id(self) -> str:
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    def new_token(self) -> str:
        return "".join(self.rng.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", k=20))

    def user_by_email(self, email: str) -> User | None:
        return next((u for u in self.users.values() if u.email == email.lower()), None)

    def device_by_name(self, tenant: str, name: str) -> Device | None:
        return next((d for d in self.devices.values() if d.tenant == tenant and d.name == name), None)

    def device(self, device_id: str) -> Device:
        if device_id not in self.devices:
            raise not_found(f"Device with id [{device_id}] is not found")
        return self.devices[device_id]

    def alarm(self, alarm_id: str) -> Alarm:
        if alarm_id not in self.alarms:
            raise not_found(f"Alarm with id [{alarm_id}] is not found")
        return self.alarms[alarm_id]

    def active_alarm(self, originator: str, alarm_type: str) -> Alarm | None:
        """The one alarm of this type that is not cleared: there is at most one per originator (measured)."""
        alarm = self.alarms.get(self._active.get((originator, alarm_type), ""))
        return alarm if alarm is not None and not alarm.cleared else None

    def keep_alarm(self, alarm: Alarm) -> None:
        self.alarms[alarm.id] = alarm
        self._active[(alarm.originator[1], alarm.type)] = alarm.id

    def profile_named(self, tenant: str, name: str) -> Profile | None:
        return next((p for p in self.profiles.values() if p.tenant == tenant and p.name == name), None)

    # JSON that needs more than one entity

    def device_json(self, device: Device, *, info: bool = False) -> Json:
        profile = self.profiles[device.profile]
        shown: Json = {
            "id": ref("DEVICE", device.id),
            "createdTime": device.created,
            "tenantId": ref("TENANT", device.tenant),
            "customerId": ref("CUSTOMER", device.customer),
            "name": device.name,
            "type": profile.name,
            "label": device.label,
            "deviceProfileId": ref("DEVICE_PROFILE", profile.id),
            "firmwareId": None,
            "softwareId": None,
            "externalId": None,
            "version": device.version,
        }
        if info:
            customer = self.customers.get(device.customer)
            shown |= {
                "customerTitle": customer.title if customer else None,
                "customerIsPublic": False,
                "deviceProfileName": profile.name,
                "active": device.active,
            }
        defaults = {"type": "DEFAULT"}
        return shown | {
            "additionalInfo": None,
            "deviceData": {"configuration": defaults, "transportConfiguration": dict(defaults)},
        }

    def alarm_json(self, alarm: Alarm) -> Json:
        """The bare Alarm, as `GET /api/alarm/{id}`, `POST /api/alarm` and the ALARM_DELETE message show it."""
        return {
            "tenantId": ref("TENANT", alarm.tenant),
            "customerId": None if alarm.customer == NO_CUSTOMER else ref("CUSTOMER", alarm.customer),
            "type": alarm.type,
            "originator": ref(*alarm.originator),
            "severity": alarm.severity,
            "acknowledged": alarm.acknowledged,
            "cleared": alarm.cleared,
            "assigneeId": ref("USER", alarm.assignee) if alarm.assignee else None,
            "startTs": alarm.start,
            "endTs": alarm.end,
            "ackTs": alarm.ack,
            "clearTs": alarm.clear,
            "assignTs": alarm.assign,
            "details": alarm.details,
            "propagate": alarm.propagate,
            "propagateToOwner": alarm.propagate_to_owner,
            "propagateToTenant": alarm.propagate_to_tenant,
            "propagateRelationTypes": list(alarm.relation_types),
            "id": ref("ALARM", alarm.id),
            "createdTime": alarm.created,
            "name": alarm.type,
            "status": alarm.status,
        }

    def alarm_info_json(self, alarm: Alarm) -> Json:
        """AlarmInfo: what lists, ack and clear answers and the other messages carry."""
        device = self.devices.get(alarm.originator[1])
        name, label = (device.name, device.label) if device else ("Deleted", "Deleted")
        assignee = self.users.get(alarm.assignee or "")
        shown = self.alarm_json(alarm) | {"originatorName": name, "originatorLabel": label}
        if self.is_43:
            shown["originatorDisplayName"] = label or name
        shown["assignee"] = assignee.assignee_json() if assignee else None
        return shown

    def comment_json(self, comment: Comment) -> Json:
        return {
            "alarmId": ref("ALARM", comment.alarm),
            "userId": ref("USER", comment.user) if comment.user else None,
            "type": comment.kind,
            "comment": comment.body,
            "id": {"id": comment.id},
            "createdTime": comment.created,
            "name": compact(comment.body),
        }


def compact(value: Any) -> str:
    """JSON as Jackson writes it: no spaces, no escapes for what is not ASCII."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
