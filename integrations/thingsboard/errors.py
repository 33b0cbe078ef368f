"""ThingsBoard's failures, drawn from its status and `errorCode` (measured on 4.2.1 and 4.3.1.1)."""

from __future__ import annotations

from typing import Any

import httpx

from core.errors import (
    NotAllowed,
    NotFound,
    OutcomeUnknown,
    OutsideError,
    RateLimited,
    Refused,
    Unavailable,
)

TOKEN_EXPIRED = 11
ALREADY_DONE = 31
ALREADY = ("Alarm was already acknowledged!", "Alarm was already cleared!")


class ThingsboardError(OutsideError):
    """Root of this tree, beside the kinds of `core.errors` each class also is."""


class Unreachable(ThingsboardError, Unavailable):
    """No connection, no answer in time to a read, or a proxy's 502, 503 or 504."""


class WriteUnanswered(ThingsboardError, OutcomeUnknown):
    """A write was sent and no answer came."""


class LoginRefused(ThingsboardError, NotAllowed):
    """Code 10: user name, password or API key are wrong, or the account is disabled."""

    reason = "login_refused"


class Forbidden(ThingsboardError, NotAllowed):
    """Code 20: the bot's account may not do this."""

    reason = "forbidden"


class Missing(ThingsboardError, NotFound):
    """Code 32."""


class TooMany(ThingsboardError, RateLimited):
    """Code 33. ThingsBoard names no time to wait."""


class BadRequest(ThingsboardError, Refused):
    """Code 31, or any other 4xx."""

    reason = "bad_request"


class AlreadyDone(BadRequest):
    """Code 31 with one of the sentences that mean the alarm is in the wanted state already."""

    reason = "already_done"


class ServerError(ThingsboardError):
    """A 500. ThingsBoard answers bad parameters with it too, so it is never repeated."""

    reason = "server_error"


class UnexpectedAnswer(ThingsboardError):
    """A 2xx whose body is not what this version of the client knows."""

    reason = "unexpected_answer"


class InvalidId(ThingsboardError, Refused):
    """An id that is no UUID: never sent, since it would become part of a path."""

    reason = "invalid_id"


def error_body(answer: httpx.Response) -> tuple[int, str]:
    """(errorCode, message); (0, "") where the body is not ThingsBoard's."""
    try:
        body: Any = answer.json()
    except ValueError:
        return 0, ""
    if not isinstance(body, dict):
        return 0, ""
    code, message = body.get("errorCode"), body.get("message")
    return (code if isinstance(code, int) else 0), (message if isinstance(message, str) else "")


def of_answer(answer: httpx.Response, system: str, *, write: bool) -> OutsideError:
    """The error an answer other than 2xx stands for. The server's own text is quoted, cut to 200 characters."""
    code, message = error_body(answer)
    status, said = answer.status_code, f" ({message[:200]})" if message else ""
    if status == 401:
        text = f"{system} refuses the bot's login{said}. Check the account and its secret in the settings."
        return LoginRefused(text, system=system)
    if status == 403:
        text = f"{system} does not allow this to the bot's account{said}. Its rights need a person."
        return Forbidden(text, system=system)
    if status == 404:
        return Missing(f"{system} does not know this{said}.", system=system)
    if status == 429:
        return TooMany(f"{system} limits the number of calls. It is tried again later.", system=system)
    if code == ALREADY_DONE and message in ALREADY:
        return AlreadyDone(f"{system}: {message}", system=system)
    if 400 <= status < 500 or status < 300:
        return BadRequest(f"{system} refuses the request{said}.", system=system)
    if status in (502, 504) and write:
        return WriteUnanswered(f"{system} did not answer. Whether it was done is read next.", system=system)
    if status in (502, 503, 504):
        return Unreachable(f"{system} is not available at the moment.", system=system)
    return ServerError(f"{system} failed with status {status}{said}.", system=system)


def of_transport(error: Exception, system: str, *, write: bool) -> OutsideError:
    """The error a failed connection stands for: before a connection stood, a write cannot have happened."""
    before = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    if write and not before:
        text = f"{system} did not answer in time. Whether it was done is read next."
        return WriteUnanswered(text, system=system)
    return Unreachable(f"{system} could not be reached or did not answer in time.", system=system)
