"""`cdm tenant check`: what the probe says of one tenant, its webhook, and what the store holds of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from hmac import compare_digest

import httpx

from bot.adapters import thingsboard_credentials
from bot.probe import TIMEOUT_S, Finding, bounded, keycloak, slack, store, thingsboard
from bot.probe.finding import fail, ok, warn
from bot.secrets import SecretMissing
from bot.settings import Settings, StackSection, TenantSection
from bot.store_access import answers, opened_store, store_directory
from bot.tenants.about import gathered
from core.ids import Stack, Tenant
from integrations.store.embedded import EmbeddedStore
from integrations.thingsboard.models import Me
from integrations.thingsboard.session import Session
from integrations.thingsboard.wired import RestCall, rest_calls

SHORTEST = 20


async def look_at(
    settings: Settings, section: StackSection, tenant: TenantSection, *, timeout_s: float = TIMEOUT_S
) -> list[Finding]:
    """Every system at once, each bounded by `timeout_s`, and of each only what concerns this tenant."""
    alone = section.model_copy(update={"tenants": [tenant]})
    system = thingsboard.name_of(section, tenant)
    looks = (
        ("settings", _settings(settings, section, tenant)),
        (store.SYSTEM, _store(settings, section, tenant)),
        (slack.SYSTEM, slack.look_at_channel(settings, tenant.channel, f"alarms of {tenant.id}")),
        (keycloak.SYSTEM, keycloak.look(settings.model_copy(update={"stacks": [alone]}))),
        (system, thingsboard.look(settings, section, tenant)),
        (system, _wiring(settings, section, tenant)),
    )
    found = await asyncio.gather(*(bounded(name, look, timeout_s) for name, look in looks))
    every = [finding for findings in found for finding in findings]
    return list(dict.fromkeys(every))  # a login that fails is told once


async def _settings(settings: Settings, section: StackSection, tenant: TenantSection) -> AsyncIterator[Finding]:
    """The webhook's secret, and what else cdm.yaml alone can tell."""
    system = "settings"
    others = [t for s in settings.stacks for t in s.tenants if t is not tenant]
    values = [secret.read() for secret in tenant.webhook_secrets]
    for secret, value in zip(tenant.webhook_secrets, values, strict=True):
        if warning := secret.warning():
            yield warn(system, *_parted(warning))
        if len(value) < SHORTEST:
            yield fail(
                system,
                f"The webhook secret ({secret.where}) has {len(value)} characters, so it can be guessed.",
                "Write a random one of 32 and more there, and into ThingsBoard (docs/operations.md, Rotating secrets).",
            )
    shared = [other.id for other in others if _any_of(other, values)]
    if shared:
        yield fail(
            system,
            f"The webhook secret of {tenant.id} is also that of {', '.join(shared)}, so the bot takes no alarm of "
            "either: it could not tell whose it is.",
            "Give each tenant a secret of its own.",
        )
    else:
        yield ok(system, f"The webhook secret of {tenant.id} is there, and no other tenant's.")
    same = [other.id for other in others if other.channel == tenant.channel]
    if same:
        yield warn(
            system,
            f"The channel {tenant.channel} is also that of {', '.join(same)}: the people in it read the alarms of all.",
            "Give each tenant a channel of its own, unless the same people serve them.",
        )
    inside = tenant.wireguard_range
    yield ok(system, f"{inside} has {inside.num_addresses:,} addresses and overlaps no other range of {section.name}.")


def _parted(warning: str) -> tuple[str, str]:
    what, _, fix = warning.partition("; ")
    return f"{what}.", f"{fix[:1].upper()}{fix[1:]}"


def _any_of(other: TenantSection, values: list[str]) -> bool:
    for secret in other.webhook_secrets:
        try:
            theirs = secret.read().encode()
        except SecretMissing:  # the other tenant's trouble
            continue
        if any(compare_digest(theirs, value.encode()) for value in values):
            return True
    return False


async def _store(settings: Settings, section: StackSection, tenant: TenantSection) -> AsyncIterator[Finding]:
    system = store.SYSTEM
    if settings.store.url is None and not await answers(EmbeddedStore(store_directory(settings)).url):
        yield ok(system, "No bot is running here, so its store was not asked what it holds of the tenant.")
        return
    async with opened_store(settings) as opened:
        about = await gathered(opened, Stack(section.name), Tenant(tenant.id))
    yield ok(
        system,
        f"Of {tenant.id} it holds {len(about.incidents):,} incidents ({about.open_incidents:,} open), and knows "
        f"{len(about.devices):,} devices in {len(about.rollouts):,} rollouts ({len(about.active):,} under way).",
    )


async def _wiring(settings: Settings, section: StackSection, tenant: TenantSection) -> AsyncIterator[Finding]:
    """Whether the tenant's root rule chain sends alarms here, with the right secret."""
    system = thingsboard.name_of(section, tenant)
    steps = f"Run: cdm thingsboard wiring --stack {section.name} --tenant {tenant.id}"
    async with httpx.AsyncClient(follow_redirects=False) as http:
        session = Session(
            section.thingsboard_url,
            thingsboard_credentials(tenant),
            system=system,
            timeout_s=section.thingsboard_timeout_s,
            http=http,
        )
        me = Me.model_validate(await session.get("/api/auth/user"))
        if me.authority != "TENANT_ADMIN":
            yield ok(
                system, "The account is no tenant administrator, so whether alarms are sent here was not looked at."
            )
            return
        calls = await rest_calls(session)
    path = f"/webhooks/thingsboard/{section.name}"
    ours = [call for call in calls if call.url.rstrip("/").endswith(path)]
    if not ours:
        yield warn(
            system,
            f"Its root rule chain sends nothing to {path}: alarms are found by reading only, up to a minute late.",
            f"{steps}.",
        )
        return
    expected = f"{settings.server.public_url.rstrip('/')}{path}"
    if not any(call.url.rstrip("/") == expected for call in ours):
        yield warn(
            system,
            f"Its root rule chain sends alarms to {ours[0].url}, while server.public_url makes it {expected}.",
            "Correct the one that is wrong.",
        )
    if not any(_right(call, tenant) for call in ours):
        yield fail(
            system,
            "The secret in its rule chain is not the tenant's webhook secret, so the bot refuses its alarms.",
            f"Put the secret ({tenant.webhook_secrets[0].where}) into the header of the node that sends them. {steps}.",
        )
        return
    yield ok(system, "Its root rule chain sends alarms here, with the right secret.")


def _right(call: RestCall, tenant: TenantSection) -> bool:
    given = call.authorization.removeprefix("Bearer ").strip().encode()
    return any(compare_digest(given, secret.read().encode()) for secret in tenant.webhook_secrets)
