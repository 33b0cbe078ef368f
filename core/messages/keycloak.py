"""Keycloak does not say who may do what, or does again: what that means for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from core.ids import Tenant
from core.messages.blocks import Message, compose, context, section
from core.messages.states import NOTICES, Notice
from core.messages.text import ago, at, count, literal

_MEANWHILE = (
    "Nobody's act is allowed{where} until it does. Looking and *Hold* work for those whose rights were confirmed "
    "within the last 12 hours. Alarms come in, and the scheduler goes on with its brakes."
)


def keycloak_away_message(
    realm: str, since: datetime, why: str, back_at: datetime | None, owns: Sequence[Tenant] = ()
) -> Message:
    """`owns`: the tenants that wait for it, where others have a realm of their own."""
    name = f"*Keycloak* (realm {literal(realm, 80)})"
    if back_at is not None:
        minutes = max(1, round((back_at - since).total_seconds() / 60))
        head = NOTICES[Notice.BACK].over(f"{name} answers again")
        what = (
            f"{head}\nIt was away from {at(since)} to {at(back_at)}, {count(minutes, 'minute')}. People can act again."
        )
        return compose(what, section(what))
    head = NOTICES[Notice.AWAY].over(f"{name} does not say who may do what")
    where = f" in {', '.join(literal(tenant, 60) for tenant in owns)}" if owns else ""
    what = f"{head}\nSince {at(since)} ({ago(since)}): {literal(why, 300)}"
    return compose(what, section(what), context(_MEANWHILE.format(where=where)))
