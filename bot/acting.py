"""How a command that changes something begins: who is it, then the store, and what decides there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

from bot.adapters import build_adapters
from bot.audit_keys import keyring
from bot.deciding import Deciding, build_deciding
from bot.identity import proven, shell_user
from bot.realms import realm_called
from bot.settings import Settings
from bot.store_access import opened_store
from core.errors import OutsideError
from core.ids import CliUser
from core.ports import Clock
from integrations.store.audit import AuditLog
from integrations.store.connection import check_schema


@dataclass(frozen=True, slots=True)
class Acting:
    """`caller` has just proven who they are; nothing is decided yet."""

    caller: CliUser
    parts: Deciding


@asynccontextmanager
async def acting(
    settings: Settings,
    clock: Clock,
    command: str,
    *,
    service_account: bool,
    say: Callable[[str], None],
    realm: str = "",
) -> AsyncIterator[Acting]:
    """For the block: who asks for `command`, by a login in the realm called so, and what decides and acts. Raises
    OutsideError; a refused login is in the audit log. The store is opened after the login: one at rest, once opened,
    refuses a bot that starts."""
    where = realm_called(settings, realm)
    try:
        caller = await proven(settings, clock, service_account=service_account, say=say, realm=where)
    except OutsideError as error:
        await note_refusal(settings, clock, shell_user(), "login", f"command:{command}", error.reason)
        raise
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(opened_store(settings))
        await check_schema(store)
        adapters = await build_adapters(without_relays(settings), clock, stack)
        parts = build_deciding(settings, adapters, store, clock)
        how = "service account" if service_account else "login"
        await parts.audit.note(caller.subject, "login", f"command:{command}", {"by": how, "shell": shell_user()})
        yield Acting(caller, parts)


async def note_refusal(settings: Settings, clock: Clock, actor: str, action: str, object: str, reason: str) -> None:
    """Write a refusal down, if there is a store; where there is none, it still counts."""
    with suppress(OutsideError):
        async with opened_store(settings) as store:
            log = AuditLog(store, clock, keyring(settings))
            await log.note(actor, f"refused:{action}", object, {"reason": reason})


def without_relays(settings: Settings) -> Settings:
    """For a command that runs nothing on devices, so that it needs no key and no known hosts."""
    return settings.model_copy(update={"stacks": [s.model_copy(update={"relay": None}) for s in settings.stacks]})
