"""Drives the people of a Slack stand-in that runs in another process, and reads what they see."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx

from sandbox.slack.inputs import NotOnScreen
from sandbox.slack.seen import (
    Delivered,
    SeenEphemeral,
    SeenFile,
    SeenMessage,
    SeenView,
    delivered_of,
    ephemeral_of,
    flat,
    in_menu,
    messages_of,
    view_of,
)


class SlackPeople:
    """`async with SlackPeople(url) as people`, or call `close()`. Impossible acts raise NotOnScreen."""

    def __init__(self, url: str) -> None:
        self._http = httpx.AsyncClient(base_url=f"{url}/_sandbox/slack/", timeout=40, trust_env=False)

    async def __aenter__(self) -> SlackPeople:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def add_user(self, name: str, *, id: str = "", email: str = "", real_name: str = "") -> str:
        return str((await self._do("users", name=name, id=id, email=email, real_name=real_name))["id"])

    async def change_user(self, user: str, **what: Any) -> None:
        """Any of the names in `sandbox.slack.people.Change`."""
        await self._do("user", user=user, **what)

    async def add_channel(
        self, name: str, *, members: list[str], id: str = "", private: bool = False, bot_in: bool = True
    ) -> str:
        made = await self._do("channels", name=name, members=members, id=id, private=private, bot_in=bot_in)
        return str(made["id"])

    async def slash(self, user: str, channel: str, command: str, text: str = "") -> Delivered:
        return delivered_of(await self._do("slash", user=user, channel=channel, command=command, text=text))

    async def click(self, user: str, channel: str, ts: str, action_id: str, value: str | None = None) -> Delivered:
        """Press a button, or choose what the menu of more actions offers under that name."""
        given = {"user": user, "channel": channel, "ts": ts}
        try:
            return delivered_of(await self._do("click", **given, action_id=action_id, value=value))
        except NotOnScreen:
            offered = in_menu(await self.state(), channel, ts, action_id, value)
            if offered is None:
                raise
        return delivered_of(await self._do("click", **given, action_id=offered.menu, value=offered.option))

    async def click_in_view(
        self,
        user: str,
        action_id: str,
        value: str | None = None,
        *,
        home: bool = False,
        values: dict[str, Any] | None = None,
    ) -> Delivered:
        """`values`: what its inputs hold meanwhile."""
        body = {"user": user, "action_id": action_id, "value": value, "home": home, "values": values}
        return delivered_of(await self._do("click_in_view", **body))

    async def submit_view(self, user: str, values: dict[str, Any] | None = None) -> Delivered:
        return delivered_of(await self._do("submit_view", user=user, values=values or {}))

    async def close_view(self, user: str) -> None:
        await self._do("close_view", user=user)

    async def post(self, user: str, channel: str, text: str, thread_ts: str | None = None) -> str:
        return str((await self._do("post", user=user, channel=channel, text=text, thread_ts=thread_ts))["ts"])

    async def delete(self, user: str, channel: str, ts: str) -> None:
        await self._do("delete", user=user, channel=channel, ts=ts)

    async def open_home(self, user: str) -> None:
        await self._do("open_home", user=user)

    async def replay(self, delivery_id: int) -> Delivered:
        return delivered_of(await self._do("replay", delivery_id=delivery_id))

    async def change_channel(self, channel: str, change: str) -> None:
        """`archive`, `unarchive`, `remove_bot`, `invite_bot`"""
        await self._do("channel", channel=channel, change=change)

    async def set(self, **switches: Any) -> None:
        """Any of the names in `sandbox.slack.control.Switches`."""
        await self._do("settings", **switches)

    async def refresh_sockets(self, reason: str = "refresh_requested") -> None:
        await self._do("sockets", do="refresh", reason=reason)

    async def drop_sockets(self) -> None:
        await self._do("sockets", do="drop")

    async def state(self) -> dict[str, Any]:
        return dict(await self._get("state"))

    async def deliveries(self) -> list[dict[str, Any]]:
        return list(await self._get("deliveries"))

    async def changes(self, since: int = 0, wait_s: float = 25.0) -> AsyncIterator[dict[str, Any]]:
        """Every change after number `since`, for ever, as it happens."""
        while True:
            told = await self._get(f"events?since={since}&wait={wait_s}")
            since = told["next"]
            for change in told["events"]:
                yield change

    async def messages(self, channel: str, *, deleted: bool = False) -> list[SeenMessage]:
        """The channel's messages from the top, replies inside their parent; deleted ones only if asked for."""
        return messages_of(await self.state(), channel, deleted)

    async def channel_texts(self, channel: str) -> list[str]:
        """What a person reads in the channel, message by message."""
        return [message.shown for message in await self.messages(channel)]

    def direct_channel(self, user: str) -> str:
        """The id of the user's direct message channel with the bot."""
        return "D" + user[1:]

    async def ephemerals(self, user: str) -> list[SeenEphemeral]:
        listed = (await self.state())["ephemerals"]
        return [ephemeral_of(said) for said in listed if said["user"] == user and not said["deleted"]]

    async def files(self) -> list[SeenFile]:
        """Files that people can see."""
        return [
            SeenFile(f["id"], f["name"], f["title"], f["content"], [(s["channel"], s["ts"]) for s in f["shares"]])
            for f in (await self.state())["files"]
            if f["shares"]
        ]

    async def modal(self, user: str) -> SeenView | None:
        """The modal on top of the user's screen."""
        stack = (await self.state())["modals"].get(user)
        return view_of(stack[-1]) if stack else None

    async def home(self, user: str) -> SeenView | None:
        shown = (await self.state())["homes"].get(user)
        return view_of(shown) if shown else None

    async def wait_for(
        self, channel: str, predicate: Callable[[SeenMessage], bool], timeout_s: float = 10.0
    ) -> SeenMessage:
        """The first message or reply of the channel that fits; AssertionError with what there is, after a while."""
        state = await self._until(
            lambda state: any(predicate(m) for m in flat(messages_of(state, channel, False))),
            timeout_s,
            lambda state: [m.shown for m in flat(messages_of(state, channel, False))],
        )
        return next(m for m in flat(messages_of(state, channel, False)) if predicate(m))

    async def wait_for_ephemeral(
        self, user: str, predicate: Callable[[SeenEphemeral], bool], timeout_s: float = 10.0
    ) -> SeenEphemeral:
        def seen(state: dict[str, Any]) -> list[SeenEphemeral]:
            return [ephemeral_of(e) for e in state["ephemerals"] if e["user"] == user and not e["deleted"]]

        state = await self._until(
            lambda state: any(predicate(e) for e in seen(state)),
            timeout_s,
            lambda state: [e.shown for e in seen(state)],
        )
        return next(e for e in seen(state) if predicate(e))

    async def wait_for_modal(
        self, user: str, predicate: Callable[[SeenView], bool], timeout_s: float = 10.0
    ) -> SeenView:
        def top(state: dict[str, Any]) -> list[SeenView]:
            return [view_of(view) for view in state["modals"].get(user, [])[-1:]]

        state = await self._until(
            lambda state: any(predicate(view) for view in top(state)),
            timeout_s,
            lambda state: [view.shown for view in top(state)],
        )
        return top(state)[0]

    async def _until(
        self,
        holds: Callable[[dict[str, Any]], bool],
        timeout_s: float,
        instead: Callable[[dict[str, Any]], object],
    ) -> dict[str, Any]:
        """The first state for which `holds`, read again after every change."""
        deadline = time.monotonic() + timeout_s
        while True:
            state = await self.state()
            if holds(state):
                return state
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"not within {timeout_s} s; there is {instead(state)!r}")
            await self._get(f"events?since={state['seq']}&wait={min(left, 25):.3f}")
            await asyncio.sleep(0)

    async def _get(self, path: str) -> Any:
        answer = await self._http.get(path)
        answer.raise_for_status()
        return answer.json()

    async def _do(self, path: str, /, **given: Any) -> dict[str, Any]:
        answer = await self._http.post(path, json=given)
        if answer.status_code == 409:
            raise NotOnScreen(answer.json()["error"])
        if answer.status_code == 400:
            raise ValueError(answer.json()["error"])
        answer.raise_for_status()
        return dict(answer.json())
