"""What can go wrong between the bot and Slack's Web API.

SlackFailed
  TokenRefused         the bot's token is revoked, expired or wrong: a person must act
  ScopeMissing         the app lacks a scope: a person must reinstall it
  SlackRateLimited     this method (a post: this channel) has to wait
  ChannelGone          archived, unknown, or the bot is not in it
  MessageGone          deleted by somebody
  NotEditable          not ours, or too old for this workspace's edit window
  ThreadGone           the thread cannot be replied to
  BlocksRefused        Slack does not take these blocks
  TooLong              the text, or all text of the blocks together
  UrlSpent             a response_url after its 30 minutes or 5 uses
  UserUnreachable      the person is not in the channel, or no longer there
  TriggerSpent         a trigger_id after its 3 seconds, or unknown
  TriggerUsed          another delivery of the same click has used it
  ViewGone             the form was closed, or is not open yet
  ViewChanged          the form has changed since the hash given
  SlackUnavailable     could not be reached, or a read failed on Slack's side: nothing has happened
  SlackUnknown         a write was sent and its outcome is not known
  SlackRefused         any other refusal
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from core.errors import Conflict, NotAllowed, NotFound, OutcomeUnknown, OutsideError, RateLimited, Refused, Unavailable


class SlackFailed(OutsideError):
    """`code` is Slack's own word for it."""

    reason = "slack_failed"

    def __init__(self, code: str, user_text: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(user_text, system="Slack", retry_after_s=retry_after_s)
        self.code = code


class TokenRefused(SlackFailed, NotAllowed):
    reason = "token_refused"


class ScopeMissing(SlackFailed, NotAllowed):
    reason = "scope_missing"


class SlackRateLimited(SlackFailed, RateLimited):
    reason = "rate_limited"


class ChannelGone(SlackFailed, NotFound):
    reason = "channel_gone"


class MessageGone(SlackFailed, NotFound):
    reason = "message_gone"


class NotEditable(SlackFailed, Refused):
    reason = "not_editable"


class ThreadGone(SlackFailed, NotFound):
    reason = "thread_gone"


class BlocksRefused(SlackFailed, Refused):
    reason = "blocks_refused"


class TooLong(SlackFailed, Refused):
    reason = "too_long"


class UrlSpent(SlackFailed, NotFound):
    reason = "url_spent"


class UserUnreachable(SlackFailed, NotFound):
    reason = "user_unreachable"


class TriggerSpent(SlackFailed, Refused):
    reason = "trigger_spent"


class TriggerUsed(SlackFailed, Conflict):
    reason = "trigger_used"


class ViewGone(SlackFailed, NotFound):
    reason = "view_gone"


class ViewChanged(SlackFailed, Conflict):
    reason = "view_changed"


class SlackUnavailable(SlackFailed, Unavailable):
    reason = "unavailable"


class SlackUnknown(SlackFailed, OutcomeUnknown):
    reason = "outcome_unknown"


class SlackRefused(SlackFailed, Refused):
    reason = "refused"


_REINSTALL = "Slack refuses the bot's token ({code}). Install the app again and give the bot its new token."
_GONE = "Slack does not let the bot into the channel ({code}). Unarchive it, or invite the bot to it."

_WORDS: tuple[tuple[type[SlackFailed], str, str], ...] = (
    (
        TokenRefused,
        _REINSTALL,
        "invalid_auth not_authed token_revoked token_expired account_inactive not_allowed_token_type invalid_token "
        "team_access_not_granted org_login_required ekm_access_denied",
    ),
    (
        ScopeMissing,
        "The Slack app lacks a scope ({code}). Install it again with the manifest's scopes.",
        "missing_scope",
    ),
    (SlackRateLimited, "Slack asks the bot to slow down.", "ratelimited rate_limited message_limit_exceeded"),
    (
        ChannelGone,
        _GONE,
        "is_archived is_inactive channel_not_found not_in_channel messages_tab_disabled "
        "restricted_action restricted_action_read_only_channel",
    ),
    (MessageGone, "The message is not there any more ({code}).", "message_not_found"),
    (
        NotEditable,
        "Slack does not let the bot change the message ({code}).",
        "cant_update_message edit_window_closed cant_delete_message",
    ),
    (
        ThreadGone,
        "Slack does not take replies in the thread ({code}).",
        "thread_not_found cannot_reply_to_message restricted_action_thread_locked invalid_thread_ts "
        "restricted_action_non_threadable_channel",
    ),
    (
        BlocksRefused,
        "Slack does not take the blocks of the message ({code}).",
        "invalid_blocks invalid_blocks_format invalid_attachments",
    ),
    (TooLong, "The message is too long for Slack ({code}).", "msg_too_long msg_blocks_too_long"),
    (UrlSpent, "The answer's address is used up ({code}).", "used_url expired_url no_service"),
    (
        UserUnreachable,
        "The person cannot be reached in this channel ({code}).",
        "user_not_in_channel user_not_found users_not_found user_disabled",
    ),
    (
        TriggerSpent,
        "Slack opens a form within three seconds of the click only ({code}).",
        "expired_trigger_id invalid_trigger_id",
    ),
    (TriggerUsed, "The form was opened already ({code}).", "exchanged_trigger_id"),
    (ViewChanged, "The form has changed meanwhile ({code}).", "hash_conflict"),
)

BY_CODE: Mapping[str, tuple[type[SlackFailed], str]] = MappingProxyType(
    {code: (kind, text) for kind, text, codes in _WORDS for code in codes.split()}
)

DOUBTFUL = frozenset({"internal_error", "fatal_error", "request_timeout", "service_unavailable"})
"""By Slack's own word, part of the operation may have succeeded."""
