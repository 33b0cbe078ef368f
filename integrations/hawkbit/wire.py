"""One call to hawkBit's Management API: sent once, bounded in time, every failure one of `errors`."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from core.errors import OutsideError
from integrations.hawkbit import errors

NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)
"""Failures before the first byte of the request left: nothing can have happened."""
WORDS_SHOWN = 200
WORDS = {
    "rest.param.rsqlParamSyntax": "the filter is not well formed.",
    "rest.param.rsqlInvalidField": "the filter uses a field, or a word for it, that is not known there.",
}
"""What hawkBit means by an error that it gives no message with."""
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Stream:
    """A body of `size` bytes that is read while it is sent. Where nobody takes the next piece within the wire's own
    time-out, it is given up."""

    chunks: AsyncIterable[bytes]
    size: int
    content_type: str


@dataclass(frozen=True, slots=True)
class HawkbitAccount:
    """A static hawkBit user, Basic authentication. The password is read at each call, so it may be rotated."""

    user: str
    password: Callable[[], str] = field(repr=False)


class HawkbitWire:
    """`system` names this hawkBit to people ("hawkBit eu1"). `timeout_s` bounds a whole call, connecting included."""

    def __init__(self, url: str, *, system: str, timeout_s: float, verify: ssl.SSLContext | bool) -> None:
        self.system = system
        self.timeout_s = timeout_s
        self._http = httpx.AsyncClient(
            base_url=url.rstrip("/") + "/rest/v1",
            timeout=timeout_s,
            verify=verify,
            follow_redirects=False,
            trust_env=False,
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    async def read(self, account: HawkbitAccount, path: str, doing: str, **params: str | int) -> httpx.Response:
        """GET. `doing` completes "while ..." in the words for a person."""
        return await self._send(account, "GET", path, doing, params=params, timeout_s=self.timeout_s)

    async def act(
        self,
        account: HawkbitAccount,
        path: str,
        doing: str,
        *,
        method: str = "POST",
        body: Any = None,
        params: Mapping[str, str | int] | None = None,
        timeout_s: float | None = None,
    ) -> None:
        """A write that hawkBit answers 204: anything else that looks like success is a proxy's word."""
        answer = await self.write(account, path, doing, method=method, body=body, params=params, timeout_s=timeout_s)
        if answer.status_code != 204:
            raise self._unanswered(True, doing, f"answered {answer.status_code}, as no hawkBit does,")

    async def write(
        self,
        account: HawkbitAccount,
        path: str,
        doing: str,
        *,
        method: str = "POST",
        body: Any = None,
        params: Mapping[str, str | int] | None = None,
        timeout_s: float | None = None,
    ) -> httpx.Response:
        """Sent once. Nobody repeats a write: an unanswered one may still take effect. `body` is JSON or a Stream."""
        bound = self.timeout_s if timeout_s is None else timeout_s
        return await self._send(account, method, path, doing, body=body, params=params, timeout_s=bound)

    def parse_written(self, model: type[Model], answer: httpx.Response, doing: str) -> Model:
        """As `parse`: but where the answer to a write is not understood, the write may have happened."""
        try:
            return self.parse(model, answer, doing)
        except errors.BadAnswer as error:
            raise errors.WriteUnanswered(error.user_text, system=self.system) from error

    def parse(self, model: type[Model], answer: httpx.Response, doing: str) -> Model:
        try:
            return model.model_validate_json(answer.content)
        except ValidationError as error:
            raise errors.BadAnswer(
                f"{self.system} answered in a form the bot does not know while {doing}.", system=self.system
            ) from error

    async def _send(
        self,
        account: HawkbitAccount,
        method: str,
        path: str,
        doing: str,
        *,
        timeout_s: float,
        body: Any = None,
        params: Mapping[str, str | int] | None = None,
    ) -> httpx.Response:
        write = method != "GET"
        sent: dict[str, Any] = {"json": body}
        each_step = httpx.Timeout(timeout_s)
        if isinstance(body, Stream):
            head = {"content-type": body.content_type, "content-length": str(body.size)}
            sent = {"content": body.chunks, "headers": head}
            each_step = httpx.Timeout(self.timeout_s, read=timeout_s)
        too_late = asyncio.get_running_loop().time() + timeout_s

        async def traced(event: str, _: Any) -> None:
            """A process that was stopped after it decided to send, and continued later, sends nothing any more."""
            if event.endswith("send_request_headers.started") and asyncio.get_running_loop().time() > too_late:
                raise httpx.ConnectTimeout("the time for this request was over before it was sent")

        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._http.request(
                    method,
                    path,
                    params=params or None,
                    **sent,
                    auth=(account.user, account.password()),
                    timeout=each_step,
                    extensions={"trace": traced},
                )
        except NEVER_SENT as error:
            raise errors.HawkbitUnavailable(
                f"{self.system} could not be reached while {doing}.", system=self.system
            ) from error
        except (TimeoutError, httpx.HTTPError) as error:
            raise self._unanswered(write, doing, f"did not answer within {timeout_s:g} s") from error
        if answer.is_success:
            return answer
        raise self._failure(answer, write, doing)

    def _unanswered(self, write: bool, doing: str, what: str) -> OutsideError:
        text = f"{self.system} {what} while {doing}."
        if write:
            return errors.WriteUnanswered(f"{text} It may or may not have happened.", system=self.system)
        return errors.HawkbitUnavailable(text, system=self.system)

    def _failure(self, answer: httpx.Response, write: bool, doing: str) -> OutsideError:
        status, (code, words) = answer.status_code, _reason(answer)
        said = f"{self.system} refused while {doing}: {words}" if words else f"{self.system} refused while {doing}."
        kind: type[OutsideError]
        match status:
            case _ if status >= 500:
                return self._unanswered(write, doing, f"answered {status}")
            case 401:
                kind, said = errors.Unauthorized, f"{self.system} does not accept the bot's account ({doing})."
            case 403:
                kind, said = errors.Forbidden, f"The bot's account on {self.system} lacks a right ({doing})."
            case 404 if code.endswith(".entityNotFound"):
                kind = errors.Missing
            case 409:
                kind = errors.AlreadyExists
            case 429 if code:
                kind = errors.QuotaExceeded
            case 429:
                kind, said = errors.Flooded, f"{self.system} takes no more calls right now ({doing})."
            case 405 if code.endswith((".notCancelable", ".notForceQuitable")):
                kind = errors.ActionState
            case 400 if code.endswith(".illegalState"):
                kind = errors.IllegalState
            case _ if 400 <= status < 500 and code:
                kind = errors.Rejected
            case _ if write:
                return self._unanswered(write, doing, f"answered {status}, as no hawkBit does,")
            case _:
                return errors.BadAnswer(
                    f"{self.system} answered {status} while {doing}, as no hawkBit does: check its address.",
                    system=self.system,
                )
        return kind(said, system=self.system, retry_after_s=_retry_after(answer))


def _reason(answer: httpx.Response) -> tuple[str, str]:
    """hawkBit's error code and message, empty where the answer is not hawkBit's own."""
    try:
        body = answer.json()
    except ValueError:
        return "", ""
    if not isinstance(body, dict):
        return "", ""
    code = str(body.get("errorCode") or "")
    words = body.get("message") or WORDS.get(code.removeprefix("hawkbit.server.error."), "")
    return code, str(words)[:WORDS_SHOWN]


def _retry_after(answer: httpx.Response) -> float | None:
    """hawkBit sends none; a proxy before it may."""
    try:
        return float(answer.headers["retry-after"])
    except (KeyError, ValueError):
        return None
