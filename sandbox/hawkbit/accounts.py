"""Who may call the Management API: static users with fine permissions, as in `hawkbit.security.user.NAME`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

ROLLOUT = frozenset(
    {
        "READ_ROLLOUT",
        "CREATE_ROLLOUT",
        "UPDATE_ROLLOUT",
        "DELETE_ROLLOUT",
        "HANDLE_ROLLOUT",
        "APPROVE_ROLLOUT",
    }
)
TARGET = frozenset({"READ_TARGET", "CREATE_TARGET", "UPDATE_TARGET", "DELETE_TARGET"})
REPOSITORY = frozenset(
    {
        "READ_DISTRIBUTION_SET",
        "CREATE_DISTRIBUTION_SET",
        "UPDATE_DISTRIBUTION_SET",
        "DELETE_DISTRIBUTION_SET",
        "READ_SOFTWARE_MODULE",
        "CREATE_SOFTWARE_MODULE",
        "UPDATE_SOFTWARE_MODULE",
        "DELETE_SOFTWARE_MODULE",
    }
)
CONFIGURATION = frozenset({"READ_TENANT_CONFIGURATION", "TENANT_CONFIGURATION"})
_ROLES = {
    "ROLE_ROLLOUT_ADMIN": ROLLOUT,
    "ROLE_TARGET_ADMIN": TARGET,
    "ROLE_REPOSITORY_ADMIN": REPOSITORY,
    "ROLE_TENANT_ADMIN": ROLLOUT | TARGET | REPOSITORY | CONFIGURATION,
}
READS = frozenset({"READ_ROLLOUT", "READ_TARGET", "READ_DISTRIBUTION_SET"})
EVERYDAY = READS | {"CREATE_ROLLOUT", "HANDLE_ROLLOUT"}
BRAKE = READS | {"UPDATE_ROLLOUT", "UPDATE_TARGET"}
RELEASE = REPOSITORY - {"DELETE_DISTRIBUTION_SET", "DELETE_SOFTWARE_MODULE"}


@dataclass(frozen=True, slots=True)
class Account:
    """Fine permissions go in `permissions`. Words in `roles` get the prefix `ROLE_`: READ_ROLLOUT there is no right."""

    password: str
    permissions: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    tenant: str = "DEFAULT"

    @property
    def authorities(self) -> list[str]:
        return sorted(self.permissions | {f"ROLE_{role}" for role in self.roles})

    def may(self, permission: str) -> bool:
        return permission in self.permissions or any(
            permission in _ROLES.get(f"ROLE_{role}", ()) for role in self.roles
        )


DEFAULT_ACCOUNTS: Mapping[str, Account] = {
    "admin": Account("admin", roles=frozenset({"TENANT_ADMIN"})),
    "bot": Account("bot", permissions=EVERYDAY),
    "brake": Account("brake", permissions=BRAKE),
    "release": Account("release", permissions=RELEASE),
    "viewer": Account("viewer", permissions=READS),
}


def basic_credentials(header: str) -> tuple[str, str] | None:
    """Name and password of a Basic header, or None for anything else (a JWT is unknown here)."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return name, password
