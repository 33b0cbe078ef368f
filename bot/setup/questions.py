"""The questions of `cdm init`, in their order, each with why it is asked and where its answer goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from bot.settings import ChannelId, GroupPath
from bot.settings_base import Name

Place = tuple[str | int, ...]
"""A key in the settings file: ("stacks", 0, "hawkbit", "url")."""
Check = Callable[[str], str | None]
"""Why a value will not do, if so."""

LATER = "later"
_STACK: Place = ("stacks", 0)
_TENANT: Place = (*_STACK, "tenants", 0)


@dataclass(frozen=True, slots=True)
class Question:
    """`key` is its name in an answers file. With `file` it asks for a secret, which goes into the file of that name in
    secrets/, and its place refers to it. `opens`: answered "later", the rest of its system is not asked."""

    key: str
    text: str
    why: str
    places: tuple[Place, ...]
    default: str = ""
    check: Check = lambda value: None
    file: str = ""
    opens: bool = False
    only_if: tuple[str, str] | None = None

    @property
    def secret(self) -> bool:
        return bool(self.file)

    @property
    def system(self) -> str:
        return self.key.partition(".")[0]


TITLES = {
    "server": "This machine",
    "slack": "Slack (make the app first: `cdm slack manifest` prints what to paste)",
    "stack": "One stack, and its first tenant",
    "thingsboard": "ThingsBoard",
    "hawkbit": "hawkBit",
    "brake": "hawkBit: the brake account",
    "keycloak": "Keycloak",
    "relay": "The relay, by which devices are reached",
}


def _starts(*prefixes: str) -> Check:
    def check(value: str) -> str | None:
        return None if value.startswith(prefixes) else f"it begins with {' or '.join(prefixes)}"

    return check


def _one_of(*words: str) -> Check:
    return lambda value: None if value in words else f"one of {', '.join(words)}"


def _fits(kind: Any, what: str) -> Check:
    adapter = TypeAdapter(kind)

    def check(value: str) -> str | None:
        try:
            adapter.validate_python(value)
        except ValidationError:
            return what
        return None

    return check


def _url(value: str) -> str | None:
    parts = urlsplit(value)
    fine = parts.scheme in ("http", "https") and parts.hostname and not parts.username
    return None if fine else "an address: https://name or http://name:port, without a login in it"


def _network(value: str) -> str | None:
    try:
        ip_network(value)
    except ValueError:
        return "a network, such as 10.66.1.0/24"
    return None


def _port(value: str) -> str | None:
    return None if value.isdecimal() and 0 < int(value) < 65536 else "a port, 1 to 65535"


def _some(value: str) -> str | None:
    return None if value.strip() else "it must not be empty"


CHANNEL_PLACES: tuple[Place, ...] = (
    ("slack", "fallback_channel"),
    ("slack", "admin_channel"),
    (*_STACK, "rollout_channel"),
    (*_TENANT, "channel"),
)

QUESTIONS: tuple[Question, ...] = (
    Question(
        "server.public_url",
        "The bot's address for browsers and ThingsBoard",
        "The link to connect a person's accounts goes there, and so do ThingsBoard's alarms.",
        (("server", "public_url"),),
        "http://127.0.0.1:8080",
        _url,
    ),
    Question(
        "slack.mode",
        "socket or http",
        "With socket the bot calls Slack and needs no address of its own outside; http needs a public https address.",
        (("slack", "mode"),),
        "socket",
        _one_of("socket", "http"),
    ),
    Question(
        "slack.bot_token",
        "Bot User OAuth Token",
        "Shown under OAuth & Permissions once the app is installed.",
        (("slack", "bot_token"),),
        check=_starts("xoxb-"),
        file="slack-bot-token",
    ),
    Question(
        "slack.app_token",
        "App-level token",
        "Basic Information, App-Level Tokens, scope connections:write: with it the bot opens its connection.",
        (("slack", "app_token"),),
        check=_starts("xapp-"),
        file="slack-app-token",
        only_if=("slack.mode", "socket"),
    ),
    Question(
        "slack.signing_secret",
        "Signing Secret",
        "Basic Information: it proves that a request comes from Slack.",
        (("slack", "signing_secret"),),
        check=_some,
        file="slack-signing-secret",
        only_if=("slack.mode", "http"),
    ),
    Question(
        "slack.team",
        "The workspace's id",
        "It begins with T and stands in the address of Slack in a browser; people are known by it and their own id.",
        (("slack", "team"),),
        check=_starts("T", "E"),
    ),
    Question(
        "slack.channel",
        "The first channel's id",
        "At the bottom of the channel's details; everything goes there until cdm.yaml names others.",
        CHANNEL_PLACES,
        check=_fits(ChannelId, "an id such as C0123456789, not the channel's name"),
    ),
    Question(
        "stack.name",
        "A short name for this installation",
        "It is in every address and message: small letters, digits, hyphens.",
        ((*_STACK, "name"),),
        "main",
        _fits(Name, "small letters, digits and hyphens"),
    ),
    Question(
        "stack.tenant",
        "The first tenant's id",
        "Whose devices they are; people see alarms and act by tenant.",
        ((*_TENANT, "id"),),
        "customer-a",
        _fits(Name, "small letters, digits and hyphens"),
    ),
    Question(
        "stack.keycloak_group",
        "The tenant's group in Keycloak",
        "Its members belong to the tenant.",
        ((*_TENANT, "keycloak_group"),),
        "/customer-a",
        _fits(GroupPath, "a path such as /customer-a"),
    ),
    Question(
        "stack.wireguard_range",
        "The VPN range of the tenant's devices",
        "The bot connects to no address outside it, whatever an attribute says.",
        ((*_TENANT, "wireguard_range"),),
        "10.66.1.0/24",
        _network,
    ),
    Question(
        "thingsboard.url",
        "Address",
        "Alarms come from there.",
        ((*_STACK, "thingsboard_url"),),
        check=_url,
        opens=True,
    ),
    Question(
        "thingsboard.username",
        "The bot's user there",
        "A tenant administrator of this tenant (or a user of one customer): with it alarms are read and acknowledged.",
        ((*_TENANT, "thingsboard", "username"),),
        "cdm-bot@example.com",
        _some,
    ),
    Question(
        "thingsboard.password",
        "Its password",
        "Kept in a file of its own.",
        ((*_TENANT, "thingsboard", "password"),),
        check=_some,
        file="thingsboard-{tenant}",
    ),
    Question(
        "hawkbit.url", "Address", "Rollouts are watched there.", ((*_STACK, "hawkbit", "url"),), check=_url, opens=True
    ),
    Question(
        "hawkbit.username",
        "The everyday account",
        "READ_ROLLOUT READ_TARGET READ_DISTRIBUTION_SET HANDLE_ROLLOUT CREATE_ROLLOUT; with more it could skip groups.",
        ((*_STACK, "hawkbit", "username"),),
        "cdm-bot",
        _some,
    ),
    Question(
        "hawkbit.password",
        "Its password",
        "Kept in a file of its own.",
        ((*_STACK, "hawkbit", "password"),),
        check=_some,
        file="hawkbit-password",
    ),
    Question(
        "brake.username",
        "The brake account",
        "READ_DISTRIBUTION_SET UPDATE_ROLLOUT UPDATE_TARGET: only to stop a rollout and to assign a set to a device.",
        ((*_STACK, "hawkbit", "brake_username"),),
        check=_some,
        opens=True,
    ),
    Question(
        "brake.password",
        "Its password",
        "Kept in a file of its own.",
        ((*_STACK, "hawkbit", "brake_password"),),
        check=_some,
        file="hawkbit-brake-password",
    ),
    Question(
        "keycloak.url",
        "Address",
        "Who may do what is asked there, at each click. Until it is there nobody may do anything.",
        (("keycloak", "url"),),
        check=_url,
        opens=True,
    ),
    Question("keycloak.realm", "Realm", "Where your people are.", (("keycloak", "realm"),), "cdm", _some),
    Question(
        "keycloak.client_id",
        "The bot's client",
        "deploy/keycloak/apply.py makes it.",
        (("keycloak", "client_id"),),
        "cdm-bot",
        _some,
    ),
    Question(
        "keycloak.client_secret",
        "Its secret",
        "Shown under Credentials of the client.",
        (("keycloak", "client_secret"),),
        check=_some,
        file="keycloak-client-secret",
    ),
    Question(
        "relay.host",
        "Address",
        "Runbooks reach the devices through this one host by SSH.",
        ((*_STACK, "relay", "host"),),
        check=_some,
        opens=True,
    ),
    Question("relay.port", "Port", "Of its SSH server.", ((*_STACK, "relay", "port"),), "22", _port),
    Question(
        "relay.username",
        "The bot's account there",
        "It needs no shell, only forwarding to the devices.",
        ((*_STACK, "relay", "username"),),
        "cdm-bot",
        _some,
    ),
    Question(
        "relay.name",
        "The relay's name in known_hosts",
        "Host keys are looked up by name, never by address, so a reused address is noticed.",
        ((*_STACK, "relay", "relay_name"),),
        "relay-main",
        _some,
    ),
)
"""`brake` is a system of its own here: that account may come later than hawkBit."""
