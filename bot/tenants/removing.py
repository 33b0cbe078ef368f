"""Taking a tenant out: who may not be at work meanwhile, what speaks against it, and the steps in their order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.audit_keys import keyring
from bot.maintaining import Maintainer
from bot.settings import Settings, StackSection, TenantSection
from bot.store_access import is_locked, opened_store, store_directory
from bot.tenants.about import REMOVE, About, Known, gathered
from bot.tenants.settings_text import Edit, without_tenant
from bot.tenants.store_data import Search, copy_out, counted, search, take_out
from core.errors import NotFound, Refused
from core.ids import Stack, Tenant
from core.ports import Clock
from integrations.store.audit import AuditLog
from integrations.store.connection import Store, check_schema
from integrations.store.replicas import ALIVE_S, Replicas

_ADVICE = "Stop every bot of this installation, run this again, and start them with the new cdm.yaml."


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be taken out: `section` is None where cdm.yaml has the tenant no more (a removal was broken off),
    `held` what the store holds, by family."""

    section: TenantSection | None
    about: About
    held: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Removed:
    """`kept`: where the old settings are, if they were changed. `proof`: what a look at every key found afterwards."""

    kept: Path | None
    taken: Mapping[str, int]
    proof: Search


def refuse_beside_a_bot(settings: Settings) -> None:
    """As far as it can be seen without opening the store."""
    if settings.store.url is None and is_locked(store_directory(settings)):
        raise Refused(
            f"A bot is at work on {store_directory(settings)}: with the old settings it would write the tenant's data "
            f"again. {_ADVICE}",
            system="store",
        )


@asynccontextmanager
async def alone(settings: Settings) -> AsyncIterator[Store]:
    """The store while no bot is at work on it: one with the old settings would write the tenant's data again. An
    embedded one is ours alone for as long. Raises Refused, NotFound."""
    refuse_beside_a_bot(settings)
    async with opened_store(settings, alone=True) as store:
        others = await Replicas(store, REMOVE).count() - 1
        if others and settings.store.url is not None:
            raise Refused(
                f"{others} bot processes are at work on this store: with the old settings they would write the "
                f"tenant's data again. {_ADVICE} One that was killed counts for {ALIVE_S} s more.",
                system="store",
            )
        await check_schema(store)
        yield store


async def plan(
    store: Store, settings: Settings, stack: StackSection, tenant: str, clock: Clock, *, force: bool
) -> Plan:
    """Raises Refused where something speaks against it, NotFound where there never was such a tenant."""
    section = next((one for one in stack.tenants if one.id == tenant), None)
    if section is not None:
        not_the_last(stack, tenant)
    known, log = _known(settings, stack, section, tenant), AuditLog(store, clock)
    about = await gathered(store, Stack(stack.name), Tenant(tenant), known, log)
    held = await counted(store, about)
    if section is None and not held and not about.removals:
        raise unknown(stack, tenant)
    under_way = [
        f"{count} {what}"
        for count, what in ((about.open_incidents, "open incidents"), (len(about.active), "rollouts under way"))
        if count
    ]
    if section is not None and under_way and not force:
        raise Refused(
            f"{tenant} has {' and '.join(under_way)}. Nothing was changed. End them first (clear the alarms, stop or "
            "finish the rollouts), or add --force: then nobody is told any more how they go on.",
            system="cdm.yaml",
        )
    return Plan(section, about, held)


def not_the_last(stack: StackSection, tenant: str) -> None:
    if len(stack.tenants) == 1:
        raise Refused(
            f"{tenant} is the last tenant of stack {stack.name}, and a stack without any serves nobody. Nothing was "
            "changed. Take the whole stack out of cdm.yaml instead.",
            system="cdm.yaml",
        )


def unknown(stack: StackSection, tenant: str) -> NotFound:
    known = ", ".join(one.id for one in stack.tenants)
    return NotFound(f"Stack {stack.name} has no tenant {tenant}, and the store knows none. There are: {known}.")


async def remove(
    store: Store, settings: Settings, made: Plan, config: Path, clock: Clock, by: Maintainer, export: Path | None
) -> Removed:
    """Copy out, write down, take out of cdm.yaml, then out of the store; then look into every key. Broken off, it is
    finished by doing it again. Raises CannotEdit, BadConfig, Refused, OSError."""
    about, log = made.about, AuditLog(store, clock, keyring(settings))
    edit = None
    if made.section is not None:
        edit = Edit(config, without_tenant(config, about.stack, about.tenant))
    if export is not None:
        await copy_out(store, about, export)
    object, channel = f"tenant:{about.scope}", made.section.channel if made.section is not None else ""
    told = {"name": by.name, "tenant": about.tenant, "channel": channel, "exported": export is not None}
    ref = await log.intent(by.actor, REMOVE, object, told)
    kept = edit.write() if edit is not None else None
    taken = await take_out(store, about)
    proof = await search(store, about)
    await log.outcome(ref, by.actor, REMOVE, object, {**told, "taken": taken, "left": proof.left_count})
    return Removed(kept, taken, proof)


def _known(settings: Settings, stack: StackSection, section: TenantSection | None, tenant: str) -> Known:
    others = [(s, t) for s in settings.stacks for t in s.tenants if not (s is stack and t.id == tenant)]
    channels = {settings.slack.fallback_channel, settings.slack.admin_channel, "files"}
    if settings.audit.anchor_channel:
        channels.add(settings.audit.anchor_channel)
    channels |= {s.rollout_channel for s in settings.stacks} | {t.channel for _, t in others}
    shared = any(t.id == tenant for _, t in others) or any(s.name == tenant for s in settings.stacks)
    return Known(section.channel if section is not None else None, channels, shared)
