"""Who changes the bot itself, by a command that works while no bot does: an admin of every tenant, or, in a disaster,
whoever holds the machine, by name and reason."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from bot.acting import note_refusal, without_relays
from bot.adapters import build_adapters
from bot.identity import proven, shell_user
from bot.realms import access_rules
from bot.settings import Settings
from core.access import Action, Verdict, decide_access
from core.access_path import decision
from core.errors import NotAllowed, OutsideError
from core.messages.text import plain
from core.ports import Clock

REASON = 300


@dataclass(frozen=True, slots=True)
class Maintainer:
    """`actor` as the audit log calls them; `name` for people. `reason`: why nobody logged in, if nobody did."""

    actor: str
    name: str
    reason: str = ""


def unproven(reason: str) -> Maintainer:
    """For the case that Keycloak cannot be asked. Proves nothing; what is done so says so."""
    who = shell_user()
    return Maintainer(who, who, plain(reason, REASON))


async def maintainer(
    settings: Settings, clock: Clock, command: str, *, service_account: bool, say: Callable[[str], None]
) -> Maintainer:
    """Somebody who may maintain the bot, by a login in each realm that owns tenants, and their live answers; the first
    of these accounts is who did it. Raises OutsideError where not; that is in the audit log of the store at hand, if
    there is one."""
    object, rules = f"command:{command}", access_rules(settings)
    realms = sorted({rules.realm_of(tenant) for tenant in rules.tenant_groups})
    try:
        callers = [
            await proven(settings, clock, service_account=service_account, say=say, realm=realm) for realm in realms
        ]
    except OutsideError as error:
        await note_refusal(settings, clock, shell_user(), "login", object, error.reason)
        raise
    async with AsyncExitStack() as stack:
        adapters = await build_adapters(without_relays(settings), clock, stack)
        authority = await adapters.roles.authority([caller.subject for caller in callers])
    tenants = frozenset(rules.tenant_groups)
    access = decide_access(Action.MAINTAIN, tenants, authority, rules) if authority else None
    if authority is None or access is None or access.verdict is not Verdict.ALLOW:
        reason = access.reason.value if access else "account_gone"
        await note_refusal(settings, clock, callers[0].subject, Action.MAINTAIN, object, reason)
        verdict = decision(Action.MAINTAIN, object, tenants, authority, rules)[-1] if authority else reason
        raise NotAllowed(f"Nothing was done: cdm {command} takes an admin of every tenant. {verdict}")
    return Maintainer(authority.subject, authority.username)
