"""Who counts as one of the workspace: only its full members. Everybody else may neither be linked nor act."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outsider(StrEnum):
    """Why somebody is not one of the workspace."""

    UNKNOWN = "slack_unknown"
    DEACTIVATED = "slack_deactivated"
    BOT = "slack_bot"
    STRANGER = "foreign_team"
    GUEST = "slack_guest"


@dataclass(frozen=True, slots=True)
class Member:
    """What Slack says of a person now. `teams` are the workspaces they belong to, as far as it says (in an Enterprise
    organisation several); `email` is "" where the profile shows none."""

    email: str
    teams: frozenset[str] = frozenset()
    deactivated: bool = False
    bot: bool = False
    stranger: bool = False
    guest: bool = False


def outsider(member: Member | None, team: str) -> Outsider | None:
    """None for a full member of the workspace `team`. `member` is None where Slack knows nobody of that id."""
    if member is None:
        return Outsider.UNKNOWN
    if member.deactivated:
        return Outsider.DEACTIVATED
    if member.bot:
        return Outsider.BOT
    if member.stranger or (member.teams and team not in member.teams):
        return Outsider.STRANGER
    return Outsider.GUEST if member.guest else None
