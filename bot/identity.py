"""Who is at the command line: a person, by a login in a browser, or a client of the realm, by its secret.

Asked for by every command that changes something, once per command. Nothing of the login is kept: a file that held it
would be the person's rights for whoever copies it.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable
from contextlib import AsyncExitStack

from bot.realms import device_grant, keycloak_login
from bot.settings import Settings
from core.errors import Refused
from core.ids import DEFAULT_REALM, CliUser, Realm
from core.messages.text import plain
from core.ports import Clock
from integrations.keycloak.device_grant import DeviceCode, DeviceGrant
from integrations.keycloak.errors import LoginRefused, SlowDown
from integrations.keycloak.service_account import ServiceAccount


async def proven(
    settings: Settings, clock: Clock, *, service_account: bool, say: Callable[[str], None], realm: Realm = DEFAULT_REALM
) -> CliUser:
    """Who it is, as that realm attests now; what they may do is the gate's to say. `say` gets the lines for the person.

    Raises LoginRefused (with the reason), Refused where the settings name no service account in it, or another
    OutsideError where Keycloak cannot be asked.
    """
    if not service_account:
        return await _person(settings, realm, clock, say)
    if realm != DEFAULT_REALM:
        raise Refused(
            f"A service account acts in the Keycloak realm {settings.keycloak.called} alone, and this takes a login in "
            f"the realm {settings.realms()[realm].called}. Nothing was done. Log in yourself, without it."
        )
    return await _client(settings)


def shell_user() -> str:
    """Who started the command, as the audit log names those who have proven nothing."""
    return f"shell:{getpass.getuser()}"


def service_account_of(settings: Settings) -> ServiceAccount | None:
    """The client that may act at the command line, if the settings name one. To be closed after use."""
    account, keycloak = settings.cli.service_account, settings.keycloak
    if account is None:
        return None
    return ServiceAccount(
        server_url=keycloak.url,
        realm=keycloak.realm,
        client_id=account.client_id,
        client_secret=account.client_secret.read,
    )


async def _client(settings: Settings) -> CliUser:
    client = service_account_of(settings)
    if client is None:
        raise Refused(
            "There is no service account in cdm.yaml: add cli.service_account with client_id and client_secret, or "
            "leave --service-account away and log in yourself."
        )
    try:
        return CliUser(await client.prove())
    finally:
        await client.aclose()


async def _person(settings: Settings, realm: Realm, clock: Clock, say: Callable[[str], None]) -> CliUser:
    section = settings.realms()[realm]
    grant, login = device_grant(section), keycloak_login(section, realm, clock)
    where = f" in to the Keycloak realm {plain(section.called, 80)}" if len(settings.realms()) > 1 else " in"
    async with AsyncExitStack() as stack:
        for one in (grant, login):
            stack.push_async_callback(one.aclose)
        code = await grant.begin()
        say(
            f"Log{where} to go on: open {plain(code.verification_uri_complete, 500)}\n"
            f"and check that it shows the code {plain(code.user_code, 40)}. "
            f"Waiting for {code.expires_in_s // 60} minutes; Ctrl-C gives up."
        )
        who = await login.verify(await _approved(grant, code, clock), nonce=code.nonce)
    if not who.email_verified:
        raise LoginRefused(
            f"Nothing was done: the e-mail address of the account {plain(who.username, 80)} is not verified in "
            "Keycloak. Verify it there, then try again."
        )
    say(f"Logged in as {plain(who.username, 80)}.")
    return CliUser(who.subject)


async def _approved(grant: DeviceGrant, code: DeviceCode, clock: Clock) -> str:
    """The ID token, once somebody has approved in the browser."""
    until, pause_s = clock.monotonic() + code.expires_in_s, float(code.interval_s)
    while clock.monotonic() < until:
        await clock.sleep(pause_s)
        try:
            token = await grant.poll(code)
        except SlowDown as slower:
            pause_s += slower.retry_after_s or 0.0
            continue
        if token is not None:
            return token
    raise LoginRefused("The login was not confirmed in time. Nothing was done. Begin again.")
