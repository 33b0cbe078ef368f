"""Who and what there is in the sandbox: people, tenants, channels, and how devices are named and shared out."""

from __future__ import annotations

from dataclasses import dataclass

STACK = "eu1"
TEAM = "T0CDM"
PASSWORD = "lab-only-pw"
"""Of every person in the sandbox's Keycloak realm."""
SETS = ("1.0.0", "1.1.0", "1.2.0")
SET_NAME = "edge"
PIPELINE = "ci"
"""The hawkBit account of the release pipeline: its rollouts are the bot's to promote."""


@dataclass(frozen=True, slots=True)
class Person:
    """`email` is the same in Slack and in Keycloak, where the person has an account at all."""

    name: str
    email: str
    role: str
    linked: bool = True

    @property
    def id(self) -> str:
        """In Slack."""
        return f"U0{self.name.upper()}"


def channel_id(name: str) -> str:
    return "C0" + "".join(letter for letter in name.upper() if letter.isalnum())


@dataclass(frozen=True, slots=True)
class Tenant:
    """`share` of the fleet in per cent; `operator` is the person who may act on its devices."""

    id: str
    letter: str
    number: int
    share: int
    operator: str

    @property
    def group(self) -> str:
        return f"/{self.id}"

    @property
    def channel_name(self) -> str:
        return f"alarms-{self.letter}"

    @property
    def channel(self) -> str:
        return channel_id(self.channel_name)

    @property
    def range(self) -> str:
        return f"10.66.{self.number}.0/24"

    def device(self, number: int) -> str:
        return f"{self.letter}-gw-{number:03}"

    def address(self, number: int) -> str:
        return f"10.66.{self.number}.{number}"


ADMIN_NAMES = ("alice", "heidi")
"""In Keycloak in the group of every tenant, with the role of an admin."""
PEOPLE = {
    person.name: person
    for person in (
        Person("alice", "alice@cdm.example", "admin of all tenants"),
        Person("bob", "bob@customer-a.example", "operator of customer-a"),
        Person("carol", "carol@customer-a.example", "viewer of customer-a and customer-b"),
        Person("erin", "erin@customer-c.example", "operator of customer-c"),
        Person("frank", "frank@customer-b.example", "operator of customer-b"),
        Person("heidi", "heidi@cdm.example", "second admin of all tenants, for approvals"),
        Person("mallory", "mallory@elsewhere.example", "a stranger without a Keycloak account", linked=False),
    )
}
TENANTS = (
    Tenant("customer-a", "a", 1, 40, "bob"),
    Tenant("customer-b", "b", 2, 30, "frank"),
    Tenant("customer-c", "c", 3, 30, "erin"),
)
CHANNELS: dict[str, tuple[str, ...]] = {
    "alarms-a": ("alice", "bob", "carol", "heidi"),
    "alarms-b": ("alice", "carol", "frank", "heidi"),
    "alarms-c": ("alice", "erin", "heidi"),
    "rollouts": tuple(PEOPLE),
    "cdm-admin": ("alice", "heidi"),
    "cdm-fallback": tuple(PEOPLE),
}
"""Channel name -> who is in it, besides the bot."""
ROLLOUTS = channel_id("rollouts")
ADMINS = channel_id("cdm-admin")
FALLBACK = channel_id("cdm-fallback")
MOST_DEVICES = 600
"""More would not fit into the tenants' address ranges."""


def split(devices: int) -> dict[str, int]:
    """How many of `devices` each tenant has; the last takes what rounding left."""
    if not len(TENANTS) <= devices <= MOST_DEVICES:
        raise ValueError(f"between {len(TENANTS)} and {MOST_DEVICES} devices, not {devices}")
    counts = {tenant.id: round(devices * tenant.share / 100) for tenant in TENANTS[:-1]}
    return counts | {TENANTS[-1].id: devices - sum(counts.values())}
