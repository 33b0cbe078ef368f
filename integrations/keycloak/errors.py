"""What can go wrong between the bot and Keycloak. Each one means no: nothing here is ever read as a right.

KeycloakError
  KeycloakUnavailable   not reached, too late, or 5xx
  KeycloakBusy          429
  SlowDown              a device grant polled earlier than Keycloak wants
  BotNotAllowed         the bot's own account: wrong secret, disabled, or without `view-users`
    DeviceGrantOff      its client may not begin a login with a code
  RealmNotFound         the address or the realm's name in the settings is wrong
  OddAnswer             200, but not what Keycloak says: a proxy's page, missing or wrong fields
  NotASubject           the id asked for is not a Keycloak user id
  LoginRefused          a code or an ID token that does not prove who logged in
"""

from __future__ import annotations

from core.errors import NotAllowed, OutsideError, RateLimited, Refused, Unavailable


class KeycloakError(OutsideError):
    reason = "keycloak_failed"


class KeycloakUnavailable(KeycloakError, Unavailable):
    reason = "unavailable"
    retryable = True


class KeycloakBusy(KeycloakError, RateLimited):
    reason = "rate_limited"
    retryable = True


class SlowDown(KeycloakError, RateLimited):
    reason = "slow_down"
    retryable = True


class BotNotAllowed(KeycloakError, NotAllowed):
    reason = "not_allowed"


class DeviceGrantOff(BotNotAllowed):
    reason = "device_grant_off"


class RealmNotFound(KeycloakError, NotAllowed):
    reason = "realm_not_found"


class OddAnswer(KeycloakError):
    reason = "odd_answer"


class NotASubject(KeycloakError, Refused):
    reason = "not_a_subject"


class LoginRefused(KeycloakError, Refused):
    reason = "login_refused"


def by_status(status: int, body: bytes, what: str) -> KeycloakError:
    """The error for an HTTP status other than the wanted one. The body is looked at, never repeated."""
    if status in (401, 403):
        return BotNotAllowed(
            f"Keycloak refused the bot's own account ({status}) when {what}: an administrator must check the client's "
            "secret and that its service account has the role view-users."
        )
    if status == 429:
        return KeycloakBusy(f'Keycloak answered "too many requests" when {what}. Try again in a minute.')
    if status >= 500:
        return KeycloakUnavailable(f"Keycloak answered {status} when {what}. Try again in a minute.")
    if status == 404 and b"ealm" in body:
        return RealmNotFound("Keycloak does not know the configured realm: an administrator must check the settings.")
    return OddAnswer(f"Keycloak answered {status} when {what}, which the bot does not understand.")
