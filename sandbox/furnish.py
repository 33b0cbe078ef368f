"""Fills the stand-ins with what the cast says: people, channels, rights, devices, and the wiring that ships."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from sandbox import cast, wiring
from sandbox.cast import TENANTS
from sandbox.fleet import SimulatedDevice
from sandbox.hawkbit import HawkbitSandbox
from sandbox.hawkbit.control import seed_set, seed_target
from sandbox.keycloak.realm import Realm
from sandbox.settings_file import ADDRESS, BOT
from sandbox.slack import SlackSandbox
from sandbox.thingsboard import SYSADMIN, ThingsboardSandbox
from sandbox.wiring import ThingsboardAccount


def fill_slack(slack: SlackSandbox) -> None:
    for person in cast.PEOPLE.values():
        slack.workspace.add_user(person.name, id=person.id, email=person.email)
    for name, members in cast.CHANNELS.items():
        slack.workspace.add_channel(name, members=tuple(cast.PEOPLE[member].id for member in members))


def fill_realm(realm: Realm, callback: str) -> None:
    """The bot's callback, and the admins in every tenant's group, so that they are admins there."""
    realm.clients[BOT].redirect_uris = [callback]
    for name in cast.ADMIN_NAMES:
        admin = realm.by_username(name)
        assert admin is not None
        admin.groups = [group for group in realm.groups if group.parent is None]


@dataclass(frozen=True, slots=True)
class Wired:
    """What ThingsBoard is told: the bot's address, and by tenant how many devices there are, the login (e-mail and
    password) and the webhook secret. `silence_ms`: without a word for so long a device counts as inactive."""

    bot_url: str
    counts: Mapping[str, int]
    logins: Mapping[str, tuple[str, str]]
    secrets: Mapping[str, str]
    silence_ms: int


async def fill_thingsboard(thingsboard: ThingsboardSandbox, http: httpx.AsyncClient, wired: Wired) -> None:
    """Tenants and accounts as they come; alarms only by the wiring that ships with the bot."""
    text = wiring.DOCUMENTS.read_text()
    queued = False
    for tenant in TENANTS:
        made = thingsboard.add_tenant(tenant.id)
        email, password = wired.logins[tenant.id]
        thingsboard.add_user(made, email, password, first="ChatOps", last="Bot")
        documents = wiring.filled_in(text, bot_url=wired.bot_url, secret=wired.secrets[tenant.id])
        if not queued:
            await wiring.make_queue(await ThingsboardAccount.login(http, *SYSADMIN), documents)
            queued = True
        await wiring.install(await ThingsboardAccount.login(http, email, password), documents, tenant.id)
        profile = thingsboard.world.profile_named(made.id, documents["device_profile"]["name"])
        assert profile is not None
        for number in range(1, wired.counts[tenant.id] + 1):
            name = tenant.device(number)
            attributes = {ADDRESS: tenant.address(number), "inactivityTimeout": wired.silence_ms}
            thingsboard.add_device(made, name, profile=profile, token=f"token-{name}", attributes=attributes)


def fill_hawkbit(hawkbit: HawkbitSandbox, counts: Mapping[str, int]) -> list[SimulatedDevice]:
    """The fleet. Every device runs the oldest set, as hawkBit was told by an offline assignment."""
    repo = hawkbit.tenant().repo
    sets = [seed_set(repo, cast.SET_NAME, version) for version in cast.SETS]
    devices = []
    for tenant in TENANTS:
        for number in range(1, counts[tenant.id] + 1):
            name = tenant.device(number)
            seed_target(repo, name, installed=sets[0], attributes={"tenant": tenant.id})
            devices.append(SimulatedDevice(name, tenant.id, tenant.address(number), f"token-{name}", cast.SETS[0]))
    return devices
