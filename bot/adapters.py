"""Settings to adapters: the one place that names an implementation of each port."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from bot.policy_book import PolicyBook
from bot.realms import RealmAdapters, access_rules, realm_adapters
from bot.secrets import Secret
from bot.settings import Settings, StackSection, TenantSection
from core.access import Action, Role
from core.approvals import Rule
from core.ids import Channel, Realm, Stack, Tenant
from core.ports import Clock
from core.rollouts.alarmed import AlarmKinds
from flows.realms import Realms
from flows.rollouts.site import Site
from flows.rollouts.slot_reader import SlotReader
from flows.world import StackWorld, TenantWorld
from integrations.hawkbit import HawkbitAccount, HawkbitActions, HawkbitReleases, HawkbitRollouts
from integrations.relay import RelaySettings, SshRelay
from integrations.slack.client import SlackPosts
from integrations.thingsboard.session import ApiKey, Credentials, Password
from integrations.thingsboard.tenant import ThingsboardTenant


@dataclass(frozen=True, slots=True)
class Adapters:
    """One of each system, ready to be used. Nothing has been opened yet. `roles` asks the realms that it concerns."""

    stacks: tuple[StackWorld, ...]
    sites: Mapping[Stack, Site]
    roles: Realms
    realms: Mapping[Realm, RealmAdapters]
    posts: SlackPosts
    policies: PolicyBook


async def build_adapters(settings: Settings, clock: Clock, stack: AsyncExitStack) -> Adapters:
    """Close them by closing `stack`. Raises SecretMissing where a secret cannot be read, Refused where a calendar
    cannot."""
    worlds, sites, book = [], {}, PolicyBook(settings, clock)
    await book.load()
    for section in settings.stacks:
        world = _stack_world(section, stack)
        policies = book.of(world.name)
        worlds.append(world)
        sites[world.name] = Site(
            stack=world.name,
            rollouts=world.rollouts,
            actions=world.actions,
            releases=world.releases,
            devices={t.id: t.devices for t in world.tenants.values()},
            policy=policies.default,
            rules=policies.rules,
            channel=world.channel,
            account=section.hawkbit.username,
            slots=_slot_reader(section, world, clock),
        )
    realms = {realm: realm_adapters(settings, realm, clock) for realm in settings.realms()}
    posts = SlackPosts(settings.slack.bot_token.read, base_url=settings.slack.api_url)
    for close in (*(one.aclose for one in realms.values()), posts.aclose):
        stack.push_async_callback(close)
    roles = Realms(
        {realm: one.roles for realm, one in realms.items()},
        {realm: one.section.called for realm, one in realms.items()},
        access_rules(settings),
    )
    return Adapters(tuple(worlds), sites, roles, realms, posts, book)


def approval_rules(settings: Settings) -> dict[Action, Rule]:
    """Only what the settings name; everything else is by the table alone."""
    return {
        Action(name): Rule(**{**given.model_dump(), "least": Role(given.least)})
        for name, given in settings.approvals.items()
    }


def alarm_kinds(settings: Settings) -> AlarmKinds:
    return AlarmKinds(settings.alarms.ota_failure)


def _stack_world(section: StackSection, stack: AsyncExitStack) -> StackWorld:
    hawkbit = section.hawkbit
    rollouts = HawkbitRollouts(
        hawkbit.url,
        HawkbitAccount(hawkbit.username, hawkbit.password.read),
        _account(hawkbit.brake_username, hawkbit.brake_password),
        release=_account(hawkbit.release_username, hawkbit.release_password),
        system=f"hawkBit {section.name}",
        timeout_s=hawkbit.timeout_s,
    )
    stack.push_async_callback(rollouts.aclose)
    return StackWorld(
        name=Stack(section.name),
        rollouts=rollouts,
        actions=HawkbitActions(rollouts.access),
        releases=HawkbitReleases(rollouts.access, upload_timeout_s=hawkbit.upload_timeout_s),
        relay=_relay(section, stack),
        tenants={Tenant(t.id): _tenant_world(section, t, stack) for t in section.tenants},
        channel=Channel(section.rollout_channel),
        address_attribute=section.address_attribute,
        device_user=section.relay.device_user if section.relay else "cdm",
        device_port=section.relay.device_port if section.relay else 22,
    )


def _account(username: str | None, password: Secret | None) -> HawkbitAccount | None:
    return HawkbitAccount(username, password.read) if username and password else None


def _tenant_world(section: StackSection, tenant: TenantSection, stack: AsyncExitStack) -> TenantWorld:
    client = ThingsboardTenant(
        section.thingsboard_url,
        Tenant(tenant.id),
        thingsboard_credentials(tenant),
        system=f"ThingsBoard {section.name}",
        timeout_s=section.thingsboard_timeout_s,
    )
    stack.push_async_callback(client.aclose)
    return TenantWorld(
        id=Tenant(tenant.id),
        alarms=client,
        devices=client,
        wireguard=tenant.wireguard_range,
        channel=Channel(tenant.channel),
        target_filter=tenant.target_filter,
    )


def thingsboard_credentials(tenant: TenantSection) -> Credentials:
    """Read at each login, so that a rotated secret needs no restart."""
    thingsboard = tenant.thingsboard
    key, username, password = thingsboard.api_key, thingsboard.username, thingsboard.password
    if key is not None:
        return lambda: ApiKey(key.read())
    assert username is not None and password is not None  # noqa: PT018 - the settings refuse one without the other
    return lambda: Password(username, password.read())


def _slot_reader(section: StackSection, world: StackWorld, clock: Clock) -> SlotReader | None:
    if section.relay is None or world.relay is None:
        return None
    return SlotReader(world, world.relay, clock, timeout_s=section.relay.look_timeout_s)


def _relay(section: StackSection, stack: AsyncExitStack) -> SshRelay | None:
    relay = section.relay
    if relay is None:
        return None
    client = SshRelay(
        RelaySettings(
            name=relay.relay_name,
            host=relay.host,
            port=relay.port,
            user=relay.username,
            key_file=relay.key_file,
            known_hosts=relay.known_hosts,
            relay_timeout_s=relay.connect_timeout_s,
            device_timeout_s=relay.connect_timeout_s,
            max_devices=relay.concurrency,
        )
    )
    stack.push_async_callback(client.aclose)
    return client
