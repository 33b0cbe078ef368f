"""The names by which the systems know each other's things. Systems are joined by device name (= certificate CN)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType, TypeAlias

Stack = NewType("Stack", str)
Tenant = NewType("Tenant", str)
DeviceName = NewType("DeviceName", str)
RolloutId = NewType("RolloutId", int)
GroupId = NewType("GroupId", int)
AlarmId = NewType("AlarmId", str)
IncidentId = NewType("IncidentId", str)
Subject = NewType("Subject", str)
"""A Keycloak user id (`sub`), of another realm than the default one with its name before it (`south:<id>`): so it is
never that of somebody else. Approver and requester are compared on this, never on a name."""
ApprovalId = NewType("ApprovalId", str)
Channel = NewType("Channel", str)
Realm = NewType("Realm", str)
"""A Keycloak realm by its name in the settings. Two may hold the same user ids."""
DEFAULT_REALM = Realm("")
"""The realm of the settings' own `keycloak`, whatever it is called there."""


def subject_in(realm: Realm, id: str) -> Subject:
    """The account that the realm calls `id`. ValueError where the id could pass for one of another realm."""
    if ":" in id:
        raise ValueError("a colon in the id of a Keycloak account")
    return Subject(f"{realm}:{id}" if realm else id)


def realm_of(subject: Subject) -> Realm:
    return Realm(subject.partition(":")[0]) if ":" in subject else DEFAULT_REALM


def id_of(subject: Subject) -> str:
    """What its own realm calls it."""
    return subject.rpartition(":")[2]


@dataclass(frozen=True, slots=True, order=True)
class SlackUser:
    """A Slack person. Slack ids are unique per workspace only, so the team is part of the name."""

    team: str
    user: str

    def __str__(self) -> str:
        return f"{self.team}/{self.user}"


@dataclass(frozen=True, slots=True, order=True)
class CliUser:
    """Somebody at the command line who has just proven to be this Keycloak account. No Slack user stands behind it."""

    subject: Subject

    def __str__(self) -> str:
        return f"cli/{self.subject}"


Caller: TypeAlias = SlackUser | CliUser
"""Who asks for something, before it is known what they may do."""


def caller_of(text: str) -> Caller:
    """The caller that was written down as `str(caller)`."""
    where, _, name = text.partition("/")
    return CliUser(Subject(name)) if where == "cli" else SlackUser(where, name)
