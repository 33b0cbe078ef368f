"""response_url: five posts within thirty minutes of the command or click they came with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.slack.calls import Call
from sandbox.slack.content import Content, read_content
from sandbox.slack.errors import RateLimited, SlackError
from sandbox.slack.records import Ephemeral, Message

if TYPE_CHECKING:
    from sandbox.slack.app import SlackSandbox


@dataclass(slots=True)
class ResponseUrl:
    channel: str
    user: str
    at: float
    original: Message | Ephemeral | None = None
    posts: int = 0


def new_response_url(
    sandbox: SlackSandbox, family: str, channel: str, user: str, original: Message | Ephemeral | None = None
) -> str:
    """A fresh URL; `family` is `commands` or `actions`."""
    workspace = sandbox.workspace
    path = f"/{family}/{workspace.team_id}/{workspace.new_id('')}/{workspace.new_id('')}"
    sandbox.response_urls[path] = ResponseUrl(channel, user, workspace.clock(), original)
    return f"http://{sandbox.host}{path}"


def post_to(sandbox: SlackSandbox, path: str, body: bytes) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, JSON and headers of the answer to a post."""
    url = sandbox.response_urls.get(path)
    if url is None:
        return 404, {"ok": False, "error": "no_service"}, {}
    if sandbox.workspace.clock() - url.at > sandbox.limits.response_url_s:
        return 404, {"ok": False, "error": "expired_url"}, {}
    if url.posts >= sandbox.limits.response_url_posts:
        return 404, {"ok": False, "error": "used_url"}, {}
    try:
        sandbox.rates.take_post(url.channel, "response_url")
        args = json.loads(body)
        if not isinstance(args, dict):
            raise SlackError("invalid_payload")
        respond(sandbox, url, args)
    except RateLimited as refused:
        return 429, {"ok": False, "error": refused.code}, {"retry-after": str(refused.retry_after_s)}
    except SlackError as refused:
        return 400, {"ok": False, "error": refused.code, **refused.more}, {}
    except ValueError:
        return 400, {"ok": False, "error": "invalid_payload"}, {}
    url.posts += 1
    return 200, {"ok": True}, {}


def respond(sandbox: SlackSandbox, url: ResponseUrl, args: dict[str, Any]) -> None:
    """Show `args` as a message to where the command or click came from: to its user alone unless `in_channel`.

    Also for what a command's ack carries. Works in channels the bot is not in.
    """
    call = Call(sandbox, "response_url", args, sandbox.host)
    content = read_content(call, count_block_text=False)
    if call.flag("delete_original"):
        _delete(sandbox, url)
    elif content.is_empty:
        raise SlackError("no_text")
    elif call.flag("replace_original"):
        _replace(sandbox, url, content)
    else:
        _post(sandbox, url, call, content)


def _delete(sandbox: SlackSandbox, url: ResponseUrl) -> None:
    original = url.original
    if original is None or original.deleted:
        raise SlackError("message_not_found")
    if isinstance(original, Message):
        sandbox.workspace.delete(original, sandbox.workspace.bot_user)
    else:
        original.deleted = True
        sandbox.workspace.note(
            "ephemeral_deleted", original.state(), channel=url.channel, user=url.user, ts=original.ts
        )


def _replace(sandbox: SlackSandbox, url: ResponseUrl, content: Content) -> None:
    original = url.original
    if original is None or original.deleted:
        raise SlackError("message_not_found")
    original.text, original.blocks = content.text or "", content.blocks or []
    if isinstance(original, Message):
        if content.metadata is not None:
            original.metadata = content.metadata or None
        sandbox.workspace.changed(original)
    else:
        original.revisions += 1
        sandbox.workspace.note(
            "ephemeral_updated", original.state(), channel=url.channel, user=url.user, ts=original.ts
        )


def _post(sandbox: SlackSandbox, url: ResponseUrl, call: Call, content: Content) -> None:
    workspace = sandbox.workspace
    thread_ts = call.text("thread_ts") or None
    if call.text("response_type", "ephemeral") != "in_channel":
        workspace.whisper(url.channel, url.user, content.text or "", content.blocks, thread_ts=thread_ts)
        return
    workspace.store(
        Message(
            url.channel,
            workspace.next_ts(),
            workspace.bot_user,
            content.text or "",
            content.blocks or [],
            bot_id=workspace.bot_id,
            thread_ts=thread_ts,
            metadata=content.metadata or None,
            unfurl=call.flag("unfurl_links", True) or call.flag("unfurl_media", True),
        )
    )
