"""What one ThingsBoard server keeps, one record for each kind of entity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sandbox.thingsboard.buckets import Buckets

Version = Literal["4.2.1", "4.3.1.1"]
Authority = Literal["SYS_ADMIN", "TENANT_ADMIN", "CUSTOMER_USER"]
Json = dict[str, Any]

NO_CUSTOMER = "13814000-1dd2-11b2-8080-808080808080"
"""ThingsBoard's null UUID, shown where a device or user belongs to no customer."""
SEVERITIES = ("CRITICAL", "MAJOR", "MINOR", "WARNING", "INDETERMINATE")


def ref(entity_type: str, entity_id: str) -> dict[str, str]:
    return {"entityType": entity_type, "id": entity_id}


@dataclass(slots=True)
class Tenant:
    """`rest_limits` and `telemetry_limits` are as in a tenant profile ("20:1,600:60"); unlimited by default."""

    id: str
    title: str
    created: int
    root_chain: str = ""
    rest_limits: Buckets = field(default_factory=Buckets)
    telemetry_limits: str = ""

    def json(self) -> Json:
        return {"id": ref("TENANT", self.id), "createdTime": self.created, "title": self.title, "name": self.title}


@dataclass(slots=True)
class Customer:
    id: str
    tenant: str
    title: str
    created: int

    def json(self) -> Json:
        return {
            "id": ref("CUSTOMER", self.id),
            "createdTime": self.created,
            "tenantId": ref("TENANT", self.tenant),
            "title": self.title,
            "name": self.title,
        }


@dataclass(slots=True)
class User:
    """`password` is None until the user was activated."""

    id: str
    tenant: str
    customer: str
    email: str
    authority: Authority
    created: int
    first: str = ""
    last: str = ""
    password: str | None = None
    activate_token: str = ""

    @property
    def shown_name(self) -> str:
        return f"{self.first} {self.last}".strip() or self.email

    def json(self) -> Json:
        return {
            "id": ref("USER", self.id),
            "createdTime": self.created,
            "tenantId": ref("TENANT", self.tenant),
            "customerId": ref("CUSTOMER", self.customer),
            "email": self.email,
            "authority": self.authority,
            "firstName": self.first or None,
            "lastName": self.last or None,
            "phone": None,
            "version": 1,
            "name": self.email,
            "additionalInfo": None,
        }

    def assignee_json(self) -> Json:
        return {
            "id": ref("USER", self.id),
            "firstName": self.first or None,
            "lastName": self.last or None,
            "email": self.email,
        }


@dataclass(slots=True)
class Profile:
    """A device profile: the JSON as it was posted, with what the server filled in."""

    id: str
    tenant: str
    created: int
    body: Json

    @property
    def name(self) -> str:
        return str(self.body["name"])

    @property
    def alarm_rules(self) -> list[Json]:
        return list((self.body.get("profileData") or {}).get("alarms") or [])

    @property
    def chain(self) -> str | None:
        wanted = self.body.get("defaultRuleChainId")
        return wanted["id"] if wanted else None

    def json(self) -> Json:
        return {
            "id": ref("DEVICE_PROFILE", self.id),
            "createdTime": self.created,
            "tenantId": ref("TENANT", self.tenant),
            **self.body,
        }


@dataclass(slots=True)
class Device:
    """A device. `latest`, `history` and `attributes` hold (ts, value); attribute scopes are CLIENT, SERVER, SHARED."""

    id: str
    tenant: str
    customer: str
    name: str
    label: str | None
    profile: str
    token: str
    created: int
    version: int = 1
    latest: dict[str, tuple[int, Any]] = field(default_factory=dict)
    history: dict[str, list[tuple[int, Any]]] = field(default_factory=dict)
    attributes: dict[str, dict[str, tuple[int, Any]]] = field(
        default_factory=lambda: {"CLIENT_SCOPE": {}, "SERVER_SCOPE": {}, "SHARED_SCOPE": {}}
    )
    limits: Buckets | None = None

    def store(self, ts: int, values: Mapping[str, Any]) -> None:
        """Keep telemetry: a late value goes into the history and is not the latest."""
        for key, value in values.items():
            self.history.setdefault(key, []).append((ts, value))
            if key not in self.latest or self.latest[key][0] <= ts:
                self.latest[key] = (ts, value)

    @property
    def active(self) -> bool:
        return bool(self.attributes["SERVER_SCOPE"].get("active", (0, False))[1])


@dataclass(slots=True)
class Alarm:
    id: str
    tenant: str
    customer: str
    type: str
    originator: tuple[str, str]
    severity: str
    created: int
    start: int
    end: int
    details: Any
    acknowledged: bool = False
    cleared: bool = False
    ack: int = 0
    clear: int = 0
    assign: int = 0
    assignee: str | None = None
    propagate: bool = False
    propagate_to_owner: bool = False
    propagate_to_tenant: bool = False
    relation_types: list[str] = field(default_factory=list)

    @property
    def status(self) -> str:
        return f"{'CLEARED' if self.cleared else 'ACTIVE'}_{'ACK' if self.acknowledged else 'UNACK'}"

    def has_status(self, wanted: Iterable[str]) -> bool:
        """Search statuses are ANDed; ANY and none at all match everything (measured)."""
        words = {"CLEARED" if self.cleared else "ACTIVE", "ACK" if self.acknowledged else "UNACK", "ANY"}
        return words.issuperset(wanted)


@dataclass(slots=True)
class Comment:
    id: str
    alarm: str
    user: str | None
    kind: Literal["SYSTEM", "OTHER"]
    body: Json
    created: int
