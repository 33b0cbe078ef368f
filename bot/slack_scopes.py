"""The scopes and events of the Slack app: what for, and what is lost without each. Manifest and probe use it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scope:
    """`vital`: without it the bot is of no use."""

    name: str
    why: str
    without: str
    vital: bool = False


SCOPES: tuple[Scope, ...] = (
    Scope("commands", "the slash command /cdm", "nobody can type /cdm, so nobody can link or ask", vital=True),
    Scope(
        "chat:write",
        "post, update and delete the bot's own messages, and answer in private",
        "no alarm and no rollout is shown",
        vital=True,
    ),
    Scope(
        "files:write",
        "runbook output and long device lists, complete as a file",
        "long output is cut and no file is shown",
    ),
    Scope(
        "channels:history",
        "in public channels: look whether a post whose answer was lost is there, before it is repeated",
        "after a lost answer in a public channel a message may be missing or stand there twice",
    ),
    Scope(
        "groups:history",
        "the same in private channels",
        "after a lost answer in a private channel a message may be missing or stand there twice",
    ),
    Scope(
        "users:read",
        "a person's profile, when they link their Keycloak account",
        "nobody can link an account, so nobody can do anything",
        vital=True,
    ),
    Scope(
        "users:read.email",
        "its e-mail address, which must be the one Keycloak verified",
        "nobody can link an account, so nobody can do anything",
        vital=True,
    ),
    Scope(
        "channels:read",
        "`cdm config check --probe`: is the bot in its public channels?",
        "the probe cannot say whether the bot can post to its public channels",
    ),
    Scope(
        "groups:read",
        "the same for private channels",
        "the probe cannot say whether the bot can post to its private channels",
    ),
)


@dataclass(frozen=True, slots=True)
class Event:
    """Something Slack tells the bot by itself. It needs no scope; forms (views.open) and home tabs need none either."""

    name: str
    why: str
    without: str


EVENTS: tuple[Event, ...] = (
    Event(
        "app_home_opened",
        "somebody opens the app's Home tab: it is read anew and shown",
        "the Home tab stays empty",
    ),
)
APP_SCOPE = "connections:write"
"""Of the app-level token in Socket Mode. A manifest cannot make that token."""
