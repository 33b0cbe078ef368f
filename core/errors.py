"""The root of each integration's error tree: what flows may know of another system's failure."""

from __future__ import annotations


class OutsideError(Exception):
    """Another system failed, refused or did not answer.

    `system`           which one, in a person's words ("hawkBit eu1")
    `reason`           a short stable word, also the metric label ("timeout", "forbidden", "rate_limited")
    `user_text`        what happened, why, and what to do: fit to be shown to a person as it is
    `retryable`        the same call may succeed later
    `retry_after_s`    how long the system asked us to wait, if it did
    `unknown_outcome`  the effect may or may not have happened: read before any repeat
    Each class fixes its own `reason`, `retryable` and `unknown_outcome`.
    """

    reason = "failed"
    retryable = False
    unknown_outcome = False

    def __init__(self, user_text: str, *, system: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(user_text)
        self.system = system
        self.user_text = user_text
        self.retry_after_s = retry_after_s


class Unavailable(OutsideError):
    """Could not be reached, or answered 5xx: nothing is known to have happened."""

    reason = "unavailable"
    retryable = True


class OutcomeUnknown(OutsideError):
    """A write was sent and its answer did not come: the effect may stand. Never repeat it blindly."""

    reason = "outcome_unknown"
    unknown_outcome = True


class Refused(OutsideError):
    """The system understood and said no: a wrong state, a missing right, a bad parameter."""

    reason = "refused"


class NotFound(OutsideError):
    """The thing named does not exist there (any more)."""

    reason = "not_found"


class RateLimited(OutsideError):
    """Too many calls: wait `retry_after_s` if given."""

    reason = "rate_limited"
    retryable = True


class NotAllowed(OutsideError):
    """The bot's own account may not do this: its rights or its credentials need a person."""

    reason = "not_allowed"


class Conflict(Refused):
    """The thing is no longer in the state the call needs: somebody or something was first. Read again."""

    reason = "conflict"
