"""How hawkBit fails, in one tree. Statuses and codes as measured on hawkBit 1.1.0.

OutsideError
├── Unavailable         HawkbitUnavailable, BadAnswer
├── OutcomeUnknown      WriteUnanswered
├── NotAllowed          Unauthorized (401), Forbidden (403), NoBrakeAccount, NoReleaseAccount
├── NotFound            Missing (404 with entityNotFound)
├── RateLimited         Flooded (429 without a body)
└── Refused             Rejected (other 4xx), QuotaExceeded (429 with a body)
    └── Conflict        IllegalState (400 rollout.illegalState), AlreadyExists (409),
                        ActionState (405 action.notCancelable, action.notForceQuitable)
"""

from __future__ import annotations

from core.errors import (
    Conflict,
    NotAllowed,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Refused,
    Unavailable,
)


class HawkbitUnavailable(Unavailable):
    """Not reached, or a read that was answered 5xx or not in time."""


class BadAnswer(Unavailable):
    """A read answered, but not as a hawkBit does: a wrong address, a proxy's page, an unknown version."""

    reason = "bad_answer"


class WriteUnanswered(OutcomeUnknown):
    """A write that was sent and not answered in time, cut off, or answered 5xx or by something else than hawkBit."""


class Unauthorized(NotAllowed):
    """401: the account's name or password is wrong, or Basic is switched off."""

    reason = "unauthorized"


class Forbidden(NotAllowed):
    """403: the account lacks a permission. Also: a set never used before that nobody has locked."""

    reason = "forbidden"


class NoBrakeAccount(NotAllowed):
    """An act that takes the second, named account, and none is configured."""

    reason = "no_brake_account"


class NoReleaseAccount(NotAllowed):
    """An act that takes the third, named account, and none is configured."""

    reason = "no_release_account"


class Missing(NotFound):
    """404 by hawkBit itself. A 404 by anything else is a BadAnswer: it says nothing about the thing."""


class Flooded(RateLimited):
    """The flood filter: an empty 429 without Retry-After. Nothing was handled."""


class QuotaExceeded(Refused):
    """A quota of hawkBit's: waiting does not help."""

    reason = "quota"


class Rejected(Refused):
    """hawkBit understood the request and refuses it."""


class IllegalState(Conflict):
    """The rollout is not in the state the act needs: somebody or something was first."""

    reason = "illegal_state"


class AlreadyExists(Conflict):
    """409: a thing of this name exists."""

    reason = "already_exists"


class ActionState(Conflict):
    """405: the action is not in the state that a cancel, or a force-quit, needs."""

    reason = "action_state"
