"""The stand-in's own door, `/_sandbox/slack/…`: what people do, the switches, the state, and the stream of changes."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs

from pydantic import BaseModel, ConfigDict, ValidationError

from sandbox.slack.delivery import Delivery
from sandbox.slack.errors import SlackError
from sandbox.slack.inputs import NotOnScreen
from sandbox.slack.limits import Limits
from sandbox.wire import Receive, Scope, Send, answer, read_body

if TYPE_CHECKING:
    from sandbox.slack.app import SlackSandbox

MAX_WAIT_S = 30.0


class Switches(BaseModel):
    """The body of POST settings; what is absent stays as it is."""

    model_config = ConfigDict(extra="forbid")

    scopes: list[str] | None = None
    events: list[str] | None = None
    refused_blocks: list[str] | None = None
    token_error: str | None = None
    history_delay_s: float | None = None
    file_processing_s: float | None = None
    late_posts: list[float] | None = None
    mode: Literal["socket", "http"] | None = None
    request_url: str | None = None
    commands_url: str | None = None
    events_url: str | None = None
    ack_timeout_s: float | None = None
    event_retry_s: list[float] | None = None
    rates_enabled: bool | None = None
    rate_scale: float | None = None
    rates: dict[str, int] | None = None
    limits: dict[str, float] | None = None
    socket_life_s: float | None = None
    socket_grace_s: float | None = None
    duplicate_next: int | None = None

    def apply(self, sandbox: SlackSandbox) -> None:
        given = self.model_dump(exclude_none=True)
        courier, sockets, rates = sandbox.courier, sandbox.sockets, sandbox.rates
        homes: dict[str, tuple[object, str]] = {
            "scopes": (sandbox, "scopes"),
            "events": (sandbox, "events"),
            "refused_blocks": (sandbox, "refused_blocks"),
            "history_delay_s": (sandbox.workspace, "history_delay_s"),
            "file_processing_s": (sandbox, "file_processing_s"),
            "late_posts": (sandbox, "late_posts"),
            "mode": (courier, "mode"),
            "request_url": (courier, "request_url"),
            "commands_url": (courier, "commands_url"),
            "events_url": (courier, "events_url"),
            "ack_timeout_s": (courier, "ack_timeout_s"),
            "event_retry_s": (courier, "event_retry_s"),
            "rates_enabled": (rates, "enabled"),
            "rate_scale": (rates, "scale"),
            "socket_life_s": (sockets, "life_s"),
            "socket_grace_s": (sockets, "grace_s"),
            "duplicate_next": (sockets, "duplicate_next"),
        }
        shapes: dict[str, Callable[[Any], Any]] = {
            "scopes": set, "events": set, "refused_blocks": frozenset, "event_retry_s": tuple,
        }  # fmt: skip
        for name, (home, attribute) in homes.items():
            if name in given:
                setattr(home, attribute, shapes.get(name, lambda value: value)(given[name]))
        if self.token_error is not None:
            sandbox.refuse_token(self.token_error)
        rates.per_minute.update(self.rates or {})
        kinds = {part.name: type(getattr(sandbox.limits, part.name)) for part in fields(Limits)}
        for name, value in (self.limits or {}).items():
            setattr(sandbox.limits, name, kinds[name](value))


class Control:
    """Each POST body is a JSON object. 404 unknown, 400 unreadable, 409 impossible for that person just now."""

    def __init__(self, sandbox: SlackSandbox) -> None:
        self.sandbox = sandbox
        self._routes: dict[tuple[str, str], Callable[[dict[str, Any]], Awaitable[Any]]] = {
            ("GET", "state"): self._state,
            ("GET", "events"): self._events,
            ("GET", "deliveries"): self._deliveries,
            ("POST", "users"): self._add_user,
            ("POST", "user"): self._change_user,
            ("POST", "channels"): self._add_channel,
            ("POST", "channel"): self._change_channel,
            ("POST", "settings"): self._settings,
            ("POST", "sockets"): self._sockets,
            ("POST", "slash"): self._slash,
            ("POST", "click"): self._click,
            ("POST", "click_in_view"): self._click_in_view,
            ("POST", "submit_view"): self._submit_view,
            ("POST", "close_view"): self._close_view,
            ("POST", "post"): self._post,
            ("POST", "delete"): self._delete,
            ("POST", "open_home"): self._open_home,
            ("POST", "replay"): self._replay,
        }

    async def __call__(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get((scope["method"], name))
        if route is None:
            await answer(send, 404, {"error": "not_found"})
            return
        try:
            if scope["method"] == "GET":
                given: dict[str, Any] = {k: v[0] for k, v in parse_qs(scope["query_string"].decode()).items()}
            else:
                given = json.loads(await read_body(receive) or b"{}")
            await answer(send, 200, await route(given))
        except NotOnScreen as refused:
            await answer(send, 409, {"error": str(refused)})
        except SlackError as refused:
            await answer(send, 409, {"error": refused.code})
        except (ValueError, TypeError, KeyError, IndexError, ValidationError) as unreadable:
            await answer(send, 400, {"error": f"{type(unreadable).__name__}: {unreadable}"})

    async def _state(self, given: dict[str, Any]) -> Any:
        return self.sandbox.workspace.state() | {"sockets": len(self.sandbox.sockets.open)}

    async def _events(self, given: dict[str, Any]) -> Any:
        """Long poll: the changes after number `since`, at once or within `wait` seconds."""
        since = int(given.get("since", 0))
        wait_s = min(float(given.get("wait", 0)), MAX_WAIT_S)
        changes = await self.sandbox.workspace.changes_since(since, wait_s)
        return {"events": [asdict(change) for change in changes], "next": since + len(changes)}

    async def _deliveries(self, given: dict[str, Any]) -> Any:
        return [delivery.state() for delivery in self.sandbox.courier.deliveries]

    async def _add_user(self, given: dict[str, Any]) -> Any:
        return asdict(self.sandbox.workspace.add_user(**given))

    async def _change_user(self, given: dict[str, Any]) -> Any:
        """`{"user": "U…", …}` with any of the names in `sandbox.slack.people.Change`."""
        self.sandbox.people.change(**given)
        return {}

    async def _add_channel(self, given: dict[str, Any]) -> Any:
        members = tuple(given.pop("members", ()))
        return {"id": self.sandbox.workspace.add_channel(members=members, **given).id}

    async def _change_channel(self, given: dict[str, Any]) -> Any:
        """`{"channel": "C…", "change": "archive" | "unarchive" | "remove_bot" | "invite_bot"}`"""
        sandbox = self.sandbox
        changes: dict[str, Callable[[str], None]] = {
            "archive": sandbox.archive,
            "unarchive": lambda channel: sandbox.archive(channel, False),
            "remove_bot": sandbox.remove_bot,
            "invite_bot": sandbox.invite_bot,
        }
        changes[given["change"]](given["channel"])
        return {}

    async def _settings(self, given: dict[str, Any]) -> Any:
        Switches.model_validate(given).apply(self.sandbox)
        return {}

    async def _sockets(self, given: dict[str, Any]) -> Any:
        """`{"do": "refresh"}` asks each connection to come back, with a `reason`; `{"do": "drop"}` cuts them all."""
        sockets = self.sandbox.sockets
        if given["do"] == "drop":
            await sockets.drop()
        elif given["do"] == "refresh":
            for connection in list(sockets.open):
                self.sandbox.spawn(sockets.refresh(connection, given.get("reason", "refresh_requested")))
        return {"open": len(sockets.open)}

    async def _slash(self, given: dict[str, Any]) -> Any:
        return _told(await self.sandbox.people.slash(**given))

    async def _click(self, given: dict[str, Any]) -> Any:
        return _told(await self.sandbox.people.click(**given))

    async def _click_in_view(self, given: dict[str, Any]) -> Any:
        return _told(await self.sandbox.people.click_in_view(**given))

    async def _submit_view(self, given: dict[str, Any]) -> Any:
        return _told(await self.sandbox.people.submit_view(**given))

    async def _close_view(self, given: dict[str, Any]) -> Any:
        delivery = await self.sandbox.people.close_view(**given)
        return _told(delivery) if delivery else {}

    async def _post(self, given: dict[str, Any]) -> Any:
        return {"ts": self.sandbox.people.post(**given).ts}

    async def _delete(self, given: dict[str, Any]) -> Any:
        self.sandbox.people.delete(**given)
        return {}

    async def _open_home(self, given: dict[str, Any]) -> Any:
        self.sandbox.people.open_home(**given)
        return {}

    async def _replay(self, given: dict[str, Any]) -> Any:
        return _told(await self.sandbox.people.replay(**given))


def _told(delivery: Delivery) -> dict[str, Any]:
    return delivery.state()
