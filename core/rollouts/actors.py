"""Who acts on a rollout: the scheduler by policy, or a person by right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from core.ids import Subject, Tenant


class ActorKind(StrEnum):
    SCHEDULER = "scheduler"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Actor:
    """`subject` is the person's Keycloak user id, "scheduler" for the scheduler; `name` is shown to people.
    `rights_at`: when the rights were read on which a person acts; `tenants`: those the act needs a right in."""

    kind: ActorKind
    subject: Subject
    name: str
    rights_at: datetime | None = None
    tenants: tuple[Tenant, ...] = ()

    @property
    def person(self) -> bool:
        return self.kind is ActorKind.PERSON

    def audit(self) -> Mapping[str, str]:
        """What an audit line holds of them beside the subject."""
        age = {"rights_read_at": self.rights_at.isoformat()} if self.rights_at is not None else {}
        return {"name": self.name, **age}


SCHEDULER = Actor(ActorKind.SCHEDULER, Subject("scheduler"), "the scheduler")


def person(subject: Subject, name: str, rights_at: datetime | None = None, tenants: Iterable[Tenant] = ()) -> Actor:
    return Actor(ActorKind.PERSON, subject, name, rights_at, tuple(sorted(tenants)))
