"""Keycloak, for the command line: can a person log in there, and does the service account of the settings?"""

from __future__ import annotations

from collections.abc import AsyncIterator

from bot.identity import service_account_of
from bot.probe.finding import Finding, fail, ok, warn
from bot.realms import device_grant
from bot.settings import Settings
from core.ids import DEFAULT_REALM, Realm
from integrations.keycloak.errors import DeviceGrantOff, LoginRefused

SYSTEM = "Keycloak"


async def look(settings: Settings, realm: Realm) -> AsyncIterator[Finding]:
    """Begins a login that nobody completes: Keycloak forgets it after minutes."""
    keycloak = settings.realms()[realm]
    grant = device_grant(keycloak)
    try:
        await grant.begin()
        yield ok(SYSTEM, "People can log in at the command line.")
    except DeviceGrantOff:
        yield warn(
            SYSTEM,
            "Nobody can log in at the command line, so cdm rollout, links and restore are refused.",
            f"Turn on the OAuth 2.0 Device Authorization Grant of the client {keycloak.client_id}.",
        )
    finally:
        await grant.aclose()
    account = service_account_of(settings) if realm == DEFAULT_REALM else None
    if account is None:
        return
    try:
        subject = await account.prove()
        yield ok(SYSTEM, f"The service account of the command line is the subject {subject}.")
    except LoginRefused as refused:
        yield fail(SYSTEM, "The service account of the command line cannot log in.", refused.user_text)
    finally:
        await account.aclose()
