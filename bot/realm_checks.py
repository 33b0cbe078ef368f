"""What must hold of the Keycloak realms in the settings, so that each tenant has one owner, which people can name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from core.ids import DEFAULT_REALM, Realm

if TYPE_CHECKING:
    from bot.settings import Keycloak, Settings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")


def check_realms(settings: Settings) -> None:
    """Raises ValueError."""
    sections = [settings.keycloak, *(stack.keycloak for stack in settings.stacks if stack.keycloak is not None)]
    for one in sections:
        for other in sections:
            if one.place == other.place and _alike(one) != _alike(other):
                raise ValueError(
                    f"the Keycloak realm {one.realm!r} of {one.place[0]} is written differently in two places; write "
                    "it alike, or leave `keycloak` away on the stacks that the first one owns"
                )
            if one.place != other.place and one.called.casefold() == other.called.casefold():
                raise ValueError(f"two Keycloak realms are called {one.called!r}; give one of them a `name` of its own")
    for realm in settings.realms():
        if realm != DEFAULT_REALM and not _NAME.fullmatch(realm):
            raise ValueError(f"give the Keycloak realm {realm!r} a `name` of letters and digits, to be typed")


def check_hawkbits(settings: Settings) -> None:
    """Rollouts that two stacks see alike are moved by the people of either. Raises ValueError."""
    seen: dict[tuple[str, str], tuple[str, Realm]] = {}
    for stack in settings.stacks:
        realm, account = settings.realm_of(stack), (stack.hawkbit.url.rstrip("/"), stack.hawkbit.username)
        first, owner = seen.setdefault(account, (stack.name, realm))
        if owner != realm:
            raise ValueError(
                f"the stacks {first} and {stack.name} have different Keycloak realms, but one hawkBit account: people "
                "of the one realm would move the other's rollouts. Give each a hawkBit, or a hawkBit tenant, of its own"
            )


def _alike(section: Keycloak) -> Keycloak:
    """As it is meant: the address with or without its last slash."""
    return section.model_copy(update={"url": section.place[0]})


def check_tenants(settings: Settings) -> None:
    """A tenant on two stacks is one tenant, with one group in one realm. Raises ValueError."""
    seen: dict[str, tuple[str, str, Realm]] = {}
    for stack in settings.stacks:
        realm = settings.realm_of(stack)
        for tenant in stack.tenants:
            first, group, owner = seen.setdefault(tenant.id, (stack.name, tenant.keycloak_group, realm))
            if group != tenant.keycloak_group:
                raise ValueError(
                    f"the tenant {tenant.id!r} is {group} on stack {first} and {tenant.keycloak_group} on stack "
                    f"{stack.name}; one tenant is one group, so give it the same on both, or another id"
                )
            if owner != realm:
                raise ValueError(
                    f"the tenant {tenant.id!r} belongs to different Keycloak realms on the stacks {first} and "
                    f"{stack.name}; one tenant has one owner, so give it another id on one of them"
                )
