"""Who is at the command line: a person, by a login in a browser, or a client of the realm, by its secret.

Asked for by every command that changes something, once per command. Nothing of the login is kept: a file that held it
would be the person's rights for whoever copies it.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable
from contextlib import AsyncExitStack

from bot.settings import Settings
from core.errors import Refused
from core.ids import CliUser
from core.messages.text import plain
from core.ports import Clock
from integrations.keycloak.device_grant import DeviceCode, DeviceGrant
from integrations.keycloak.errors import LoginRefused, SlowDown
from integrations.keycloak.login import KeycloakLogin
from integrations.keycloak.service_account import ServiceAccount


async def proven(settings: Settings, clock: Clock, *, service_account: bool, say: Callable[[str], None]) -> CliUser:
    """Who it is, as Keycloak attests now; what they may do is the gate's to say. `say` gets the lines for the person.

    Raises LoginRefused (with the reason), Refused where the settings name no service account, or another OutsideError
    where Keycloak cannot be asked.
    """
    if service_account:
        return await _client(settings)
    return await _person(settings, clock, say)


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


async def _person(settings: Settings, clock: Clock, say: Callable[[str], None]) -> CliUser:
    keycloak = settings.keycloak
    url, realm, secret = keycloak.url, keycloak.realm, keycloak.client_secret.read
    grant = DeviceGrant(server_url=url, realm=realm, client_id=keycloak.client_id, client_secret=secret)
    login = KeycloakLogin(server_url=url, realm=realm, client_id=keycloak.client_id, client_secret=secret, clock=clock)
    async with AsyncExitStack() as stack:
        for one in (grant, login):
            stack.push_async_callback(one.aclose)
        code = await grant.begin()
        say(
            f"Log in to go on: open {plain(code.verification_uri_complete, 500)}\n"
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
