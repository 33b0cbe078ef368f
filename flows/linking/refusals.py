"""Why nothing was linked, in words for the person in front of the browser or of Slack."""

from __future__ import annotations

from enum import StrEnum


class LinkReason(StrEnum):
    EXPIRED = "expired"
    OTHER_BROWSER = "other_browser"
    OTHER_ISSUER = "other_issuer"
    LOGIN_CANCELLED = "login_cancelled"
    NO_MEMBER = "no_member"
    EMAIL_UNVERIFIED = "email_unverified"
    LINKED_ALREADY = "linked_already"
    ACCOUNT_TAKEN = "account_taken"
    CODE_UNKNOWN = "code_unknown"
    CODE_FOREIGN = "code_foreign"
    TRIES_OVER = "tries_over"
    NO_SLACK_EMAIL = "no_slack_email"
    EMAIL_MISMATCH = "email_mismatch"
    GRANT_OVER = "grant_over"
    ANSWERED = "answered"
    NOT_YOURS = "not_yours"
    DECLINED = "declined"


AGAIN = "Nothing was linked. Type /cdm link in Slack to start again."
_TEXTS = {
    LinkReason.EXPIRED: f"This link was used before, or its ten minutes are over. {AGAIN}",
    LinkReason.OTHER_BROWSER: f"This is not the browser in which the linking was opened. {AGAIN}",
    LinkReason.OTHER_ISSUER: f"The answer did not come from the configured Keycloak. {AGAIN}",
    LinkReason.LOGIN_CANCELLED: f"The login at Keycloak was not completed. {AGAIN}",
    LinkReason.NO_MEMBER: (
        "The person who started this is not a full member of the Slack workspace. Nothing was linked. Guests, bots, "
        "deactivated users and people of other workspaces cannot be linked."
    ),
    LinkReason.EMAIL_UNVERIFIED: (
        "The e-mail address of this Keycloak account is not verified. Nothing was linked. Verify it in Keycloak, then "
        "type /cdm link in Slack again."
    ),
    LinkReason.LINKED_ALREADY: (
        "The Slack user who started this is linked with another Keycloak account. Nothing was changed. Whoever owns "
        "that Slack user types /cdm unlink there first, then /cdm link; or an administrator types /cdm links revoke."
    ),
    LinkReason.ACCOUNT_TAKEN: (
        "This Keycloak account is linked with another Slack user. Nothing was changed. Type /cdm unlink as that Slack "
        "user first; if you cannot, an administrator types /cdm links revoke. If you know of no such Slack user, tell "
        "an administrator."
    ),
    LinkReason.CODE_UNKNOWN: (
        "No linking waits for this code: it is mistyped, was used before, or its ten minutes are over. Nothing was "
        "linked by it. Look at the browser's page once more, or type /cdm link to start again."
    ),
    LinkReason.CODE_FOREIGN: (
        "This code belongs to a linking that another Slack user began. Nothing was linked, and the code is void now. "
        "If somebody sent you a link to log in with, it was an attempt to act in your name: tell an administrator. "
        "To link your own Slack user, type /cdm link."
    ),
    LinkReason.TRIES_OVER: (
        "Too many wrong codes were typed by this Slack user, so none is taken from it for ten minutes. Nothing was "
        "linked. After that, type /cdm link to start again."
    ),
    LinkReason.NO_SLACK_EMAIL: (
        "Slack shows no e-mail address for you, so it cannot be compared with the account's. Nothing was linked. Ask "
        "an administrator."
    ),
    LinkReason.EMAIL_MISMATCH: (
        "The account that logged in has another e-mail address than your Slack profile. Nothing was linked. Log in "
        "with your own account, or have one of the two addresses corrected; then type /cdm link again."
    ),
    LinkReason.GRANT_OVER: f"Nobody logged in to Keycloak in time. {AGAIN}",
    LinkReason.ANSWERED: (
        "This was answered before, or its ten minutes are over. `/cdm whoami` says whether you are linked."
    ),
    LinkReason.NOT_YOURS: "Another Slack user began this linking, so only that one may answer. Nothing was linked.",
    LinkReason.DECLINED: f"You said that this account is not yours. {AGAIN}",
}


class LinkRefused(Exception):
    """Nothing was linked. `text` says why and what to do, without naming anybody."""

    def __init__(self, reason: LinkReason) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.text = _TEXTS[reason]
