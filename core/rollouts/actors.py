"""Who acts on a rollout: the scheduler by policy, or a person by right."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from core.ids import Subject


class ActorKind(StrEnum):
    SCHEDULER = "scheduler"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Actor:
    """`subject` is the person's Keycloak user id, "scheduler" for the scheduler; `name` is shown to people."""

    kind: ActorKind
    subject: Subject
    name: str

    @property
    def person(self) -> bool:
        return self.kind is ActorKind.PERSON


SCHEDULER = Actor(ActorKind.SCHEDULER, Subject("scheduler"), "the scheduler")


def person(subject: Subject, name: str) -> Actor:
    return Actor(ActorKind.PERSON, subject, name)
