"""`core.ports.Posts` and `Views` on Slack's Web API. No call is ever repeated here: who may repeat it knows more.

slack_sdk's own retries are off (its default handler posts twice when a connection is cut after Slack stored the
message), each call has a connection of its own (a reused one that Slack has closed leaves a post's outcome unknown),
and nothing unfurls, so that a URL in a text fetches nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from core.ids import Channel
from core.members import Member
from core.ports import ViewRef
from integrations.slack.errors import (
    BY_CODE,
    DOUBTFUL,
    SlackFailed,
    SlackRefused,
    SlackUnavailable,
    SlackUnknown,
    ViewGone,
)

log = structlog.get_logger(__name__)

SLACK_URL = "https://slack.com/api/"
EVENT_TYPE = "cdm_outbox"
_PAGES = 5
_PAGE = 200

Effect = Literal["read", "write"]
Blocks = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the bot is. `scopes` are those the token was granted."""

    team: str
    user: str
    bot_id: str
    scopes: frozenset[str]


class SlackPosts:
    """`token` is asked at each call, so that a new one is taken up without a restart. Close with `aclose()`.

    A call takes at most `timeout_s`; an upload at most 2 * `timeout_s` + `upload_s`, a look-up 5 * `timeout_s`.
    """

    def __init__(
        self,
        token: Callable[[], str],
        *,
        base_url: str = SLACK_URL,
        timeout_s: float = 10.0,
        connect_s: float = 4.0,
        upload_s: float = 30.0,
        proxy: str | None = None,
    ) -> None:
        self._token = token
        self._base_url = base_url
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=connect_s)
        self._upload_timeout = aiohttp.ClientTimeout(total=upload_s, sock_connect=connect_s)
        self._proxy = proxy
        self._open: aiohttp.ClientSession | None = None
        self._me: Identity | None = None

    async def aclose(self) -> None:
        if self._open is not None:
            await self._open.close()

    async def auth_test(self) -> Identity:
        """Who the token says we are, and what it may do."""
        answer, headers = await self._call("auth.test", {}, "read", form=True)
        granted = frozenset(s.strip() for s in headers.get("x-oauth-scopes", "").split(",") if s.strip())
        self._me = Identity(answer["team_id"], answer["user_id"], answer.get("bot_id", ""), granted)
        return self._me

    async def post(self, channel: Channel, *, text: str, blocks: Blocks, thread_ts: str | None, outbox_id: str) -> str:
        wanted = {**_content(text, blocks), "channel": channel, "metadata": _metadata(outbox_id)}
        if thread_ts:
            wanted["thread_ts"] = thread_ts
        answer, _ = await self._call("chat.postMessage", {**wanted, **_QUIET}, "write")
        return str(answer["ts"])

    async def update(self, channel: Channel, ts: str, *, text: str, blocks: Blocks, outbox_id: str) -> None:
        wanted = {**_content(text, blocks), "channel": channel, "ts": ts, "metadata": _metadata(outbox_id)}
        await self._call("chat.update", wanted, "write")

    async def delete(self, channel: Channel, ts: str) -> None:
        await self._call("chat.delete", {"channel": channel, "ts": ts}, "write")

    async def find(self, channel: Channel, outbox_id: str, *, oldest: str, thread_ts: str | None) -> Sequence[str]:
        """Ours alone: a message of another app that carries our id is not looked at. A file is known by its name."""
        me = self._me or await self.auth_test()
        method = "conversations.replies" if thread_ts else "conversations.history"
        wanted: dict[str, Any] = {
            "channel": channel,
            "oldest": oldest,
            "limit": _PAGE,
            "include_all_metadata": "true",
            **({"ts": thread_ts} if thread_ts else {}),
        }
        found: list[str] = []
        for _ in range(_PAGES):
            try:
                answer, _headers = await self._call(method, wanted, "read", form=True)
            except SlackFailed as error:
                if error.code == "thread_not_found":  # also while the history does not show the parent yet
                    return []
                raise
            found += [m["ts"] for m in answer["messages"] if _is_ours(m, me) and _carries(m, outbox_id)]
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                break
            wanted["cursor"] = cursor
        return sorted(set(found), key=_instant)

    async def upload(
        self, channel: Channel, *, thread_ts: str | None, filename: str, content: bytes, comment: str
    ) -> None:
        """In three steps; the file is seen after the last, and only that one can leave the outcome unknown."""
        content = content or b"\n"  # Slack refuses an empty file
        asked = {"filename": filename, "length": str(len(content))}
        given, _ = await self._call("files.getUploadURLExternal", asked, "read", form=True)
        await self._send_bytes(str(given["upload_url"]), content)
        wanted: dict[str, Any] = {
            "files": json.dumps([{"id": given["file_id"], "title": filename}]),
            "channel_id": channel,
            "initial_comment": comment,
        }
        if thread_ts:
            wanted["thread_ts"] = thread_ts
        await self._call("files.completeUploadExternal", wanted, "write", form=True)

    async def tell(self, channel: Channel, user: str, *, text: str, blocks: Blocks) -> None:
        wanted = {**_content(text, blocks), "channel": channel, "user": user, **_UNPARSED}
        await self._call("chat.postEphemeral", wanted, "write")

    async def respond(self, response_url: str, *, text: str, blocks: Blocks) -> None:
        body = {**_content(text, blocks), "response_type": "ephemeral", "replace_original": False, **_QUIET}
        try:
            async with self._session().post(response_url, json=body, proxy=self._proxy) as answer:
                if answer.status != 200:
                    code = _code_in(await answer.text())
                    spent = answer.status == 404 and code not in BY_CODE
                    raise _failed(answer.status, "expired_url" if spent else code, answer.headers, "write")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _broken(error, "write") from error

    async def member(self, user: str, *, timeout_s: float) -> Member | None:
        try:
            async with asyncio.timeout(timeout_s):
                answer, _ = await self._call("users.info", {"user": user}, "read", form=True)
        except TimeoutError as error:
            raise _broken(error, "read") from error
        except SlackFailed as error:
            if error.code in ("user_not_found", "users_not_found", "user_not_visible"):
                return None
            raise
        person = answer["user"]
        enterprise = person.get("enterprise_user") or {}
        return Member(
            email=(person.get("profile") or {}).get("email") or "",
            teams=frozenset(team for team in (person.get("team_id"), *(enterprise.get("teams") or ())) if team),
            deactivated=bool(person.get("deleted")),
            bot=any(person.get(flag) for flag in _BOTS),
            stranger=bool(person.get("is_stranger")),
            guest=any(person.get(flag) for flag in _GUESTS),
        )

    async def open_view(self, trigger_id: str, view: Mapping[str, Any], *, timeout_s: float) -> ViewRef:
        shown = await self._view("views.open", {"trigger_id": trigger_id, "view": dict(view)}, timeout_s)
        return ViewRef(str(view.get("external_id", "")), str(shown["id"]), str(shown["hash"]))

    async def update_view(self, ref: ViewRef, view: Mapping[str, Any], *, timeout_s: float) -> None:
        named = {"view_id": ref.id} if ref.id else {"external_id": ref.external_id}
        wanted = {**named, **({"hash": ref.hash} if ref.hash else {}), "view": dict(view)}
        try:
            await self._view("views.update", wanted, timeout_s)
        except SlackFailed as error:
            if error.code == "not_found":  # of other methods it says something else
                raise ViewGone(error.code, "The form is not open any more.") from error
            raise

    async def publish_home(self, user: str, view: Mapping[str, Any], *, timeout_s: float) -> None:
        await self._view("views.publish", {"user_id": user, "view": dict(view)}, timeout_s)

    async def _view(self, method: str, wanted: Mapping[str, Any], timeout_s: float) -> Mapping[str, Any]:
        try:
            async with asyncio.timeout(timeout_s):
                answer, _ = await self._call(method, wanted, "write")
        except TimeoutError as error:
            raise _broken(error, "write") from error
        shown: Mapping[str, Any] = answer["view"]
        return shown

    async def _send_bytes(self, url: str, content: bytes) -> None:
        try:
            async with self._session().post(
                url, data=content, timeout=self._upload_timeout, proxy=self._proxy
            ) as answer:
                if answer.status != 200:
                    raise _failed(answer.status, "upload_failed", answer.headers, "read")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _broken(error, "read") from error

    async def _call(
        self, method: str, wanted: Mapping[str, Any], effect: Effect, *, form: bool = False
    ) -> tuple[dict[str, Any], Mapping[str, str]]:
        """One call, as JSON or (what the reading and file methods surely take) a form.

        The answer's body and headers, their names in lower case.
        """
        client = AsyncWebClient(
            token=self._token(),
            base_url=self._base_url,
            session=self._session(),
            retry_handlers=[],
        )
        client.proxy = self._proxy  # as the settings say: left alone, slack_sdk takes one from the environment
        given: dict[str, Any] = {"data": wanted} if form else {"json": wanted}
        try:
            answer = await client.api_call(method, **given)
        except SlackApiError as error:
            raise _api_error(method, error, effect) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _broken(error, effect) from error
        return dict(answer.data), {k.lower(): v for k, v in answer.headers.items()}  # type: ignore[arg-type]

    def _session(self) -> aiohttp.ClientSession:
        if self._open is None or self._open.closed:
            connector = aiohttp.TCPConnector(force_close=True)
            self._open = aiohttp.ClientSession(timeout=self._timeout, connector=connector)
        return self._open


_UNPARSED = {"parse": "none", "link_names": False}
_QUIET = {**_UNPARSED, "unfurl_links": False, "unfurl_media": False}
_BOTS = ("is_bot", "is_workflow_bot", "is_connector_bot")
_GUESTS = ("is_restricted", "is_ultra_restricted")
"""The second is a guest of one channel only; Slack sets the first for both."""


def _content(text: str, blocks: Blocks) -> dict[str, Any]:
    """An empty list of blocks too: an update without it would keep the old ones."""
    return {"text": text, "blocks": [dict(block) for block in blocks]}


def _metadata(outbox_id: str) -> dict[str, Any]:
    return {"event_type": EVENT_TYPE, "event_payload": {"id": outbox_id}}


def _is_ours(message: Mapping[str, Any], me: Identity) -> bool:
    by_bot = bool(me.bot_id) and message.get("bot_id") == me.bot_id
    return by_bot or message.get("user") == me.user


def _carries(message: Mapping[str, Any], outbox_id: str) -> bool:
    metadata = message.get("metadata") or {}
    named = metadata.get("event_type") == EVENT_TYPE and (metadata.get("event_payload") or {}).get("id") == outbox_id
    return named or any(outbox_id in str(file.get("name", "")) for file in message.get("files") or ())


def _instant(ts: str) -> tuple[int, int]:
    whole, _, part = ts.partition(".")
    return int(whole), int(part or 0)


def _api_error(method: str, error: SlackApiError, effect: Effect) -> SlackFailed:
    response = error.response
    status = int(getattr(response, "status_code", 0) or getattr(response, "status", 0))
    body = getattr(response, "data", None)
    body = body if isinstance(body, dict) else {}
    headers: Mapping[str, str] = getattr(response, "headers", None) or {}
    complaints = (body.get("response_metadata") or {}).get("messages")
    if complaints:
        log.warning("slack_complained", method=method, code=body.get("error"), complaints=complaints)
    return _failed(status, str(body.get("error") or ""), headers, effect)


def _failed(status: int, code: str, headers: Mapping[str, str], effect: Effect) -> SlackFailed:
    """The error of an answer, by its HTTP status and Slack's own code."""
    if status == 429:
        code = "ratelimited"
    if status >= 500 or code in DOUBTFUL or (status == 200 and not code):
        said = f"Slack failed on its side (HTTP {status}{', ' + code if code else ''})."
        return (SlackUnknown if effect == "write" else SlackUnavailable)(code or f"http_{status}", said)
    kind, text = BY_CODE.get(code, (SlackRefused, "Slack refuses the call ({code})."))
    return kind(code or f"http_{status}", text.format(code=code or status), retry_after_s=_retry_after(headers))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = next((v for k, v in headers.items() if k.lower() == "retry-after"), "")
    return float(value) if value.isdigit() else None


def _broken(error: Exception, effect: Effect) -> SlackFailed:
    """No answer. Where no connection was made, nothing can have happened."""
    unsent = isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError))
    said = type(error).__name__
    if unsent or effect == "read":
        return SlackUnavailable(said, f"Slack cannot be reached ({said}).")
    return SlackUnknown(said, f"Slack did not answer a call it may have carried out ({said}).")


def _code_in(body: str) -> str:
    try:
        parsed = json.loads(body)
    except ValueError:
        return body.strip()[:80]
    return str(parsed.get("error", "")) if isinstance(parsed, dict) else ""
