"""The people of the workspace: what they type, press and fill in, and what Slack shows them when the app is silent."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from sandbox.slack.delivery import Attempt, Delivery
from sandbox.slack.errors import SlackError
from sandbox.slack.inputs import PRESSED, NotOnScreen, action_json, filled, find, view_state, view_values
from sandbox.slack.records import Channel, Ephemeral, Message, View
from sandbox.slack.response_urls import ResponseUrl, new_response_url, respond
from sandbox.slack.shapes import message_json, view_json
from sandbox.slack.texts import PING
from sandbox.slack.views import Trigger, problems_of_view, push_view, replace_view

if TYPE_CHECKING:
    from sandbox.slack.app import SlackSandbox


class Change(BaseModel):
    """Names as in `records.User`; what is absent stays as it is."""

    model_config = ConfigDict(extra="forbid")

    email: str | None = None
    deleted: bool | None = None
    is_bot: bool | None = None
    is_restricted: bool | None = None
    is_ultra_restricted: bool | None = None
    team: str | None = None


class People:
    """Every act returns once the app has acked it, or three seconds later."""

    def __init__(self, sandbox: SlackSandbox) -> None:
        self.sandbox = sandbox
        self.workspace = sandbox.workspace

    async def slash(self, user: str, channel: str, command: str, text: str = "") -> Delivery:
        """Type a slash command into a channel (Slack has none in threads); `&<>` arrive escaped, names as typed."""
        place = self._place(user, channel)
        if "commands" not in self.sandbox.scopes:
            raise NotOnScreen(f"{command} is not a valid command")
        response_url = new_response_url(self.sandbox, "commands", channel, user)
        payload = {
            "token": "sandbox-verification",
            "team_id": self.workspace.team_id,
            "team_domain": self.workspace.domain,
            "channel_id": channel,
            "channel_name": _channel_name(place),
            "user_id": user,
            "user_name": self.workspace.users[user].name,
            "command": command,
            "text": html.escape(text.strip(), quote=False),
            "api_app_id": self.workspace.app_id,
            "is_enterprise_install": "false",
            "response_url": response_url,
            "trigger_id": self._trigger(user),
        }
        delivery, attempt = await self.sandbox.courier.once("command", payload, user)
        if attempt.error:
            self._failed(user, channel, command, attempt.error)
        elif attempt.reply:
            try:
                respond(self.sandbox, ResponseUrl(channel, user, attempt.at), attempt.reply)
            except SlackError as refused:
                self._failed(user, channel, command, refused.code)
        return delivery

    async def click(self, user: str, channel: str, ts: str, action_id: str, value: str | None = None) -> Delivery:
        """Press a button of a message (or choose `value` in a menu); NotOnScreen if it is not there for `user`."""
        place = self._place(user, channel)
        shown = self._shown(user, channel, ts)
        block, part = find(shown.blocks, action_id, value)
        container: dict[str, Any] = {
            "type": "message",
            "message_ts": ts,
            "channel_id": channel,
            "is_ephemeral": isinstance(shown, Ephemeral),
        }
        more: dict[str, Any] = {
            "channel": {"id": channel, "name": _channel_name(place)},
            "response_url": new_response_url(self.sandbox, "actions", channel, user, shown),
        }
        if isinstance(shown, Message):
            more["message"] = message_json(self.workspace, shown)
            if shown.is_reply:
                container["thread_ts"] = shown.thread_ts
        payload = self._block_actions(user, container, block, part, value) | more
        delivery, attempt = await self.sandbox.courier.once("interaction", payload, user)
        if attempt.error:
            self._failed(user, channel, action_id, attempt.error)
        return delivery

    async def click_in_view(
        self,
        user: str,
        action_id: str,
        value: str | None = None,
        *,
        home: bool = False,
        values: dict[str, Any] | None = None,
    ) -> Delivery:
        """Press a button (or choose `value` in a menu) of the modal on top, or of the app's home tab, whose inputs hold
        `values` (by action_id or block_id): the app is told of them too."""
        view = self._home(user) if home else self._modal(user)
        block, part = find(view.body["blocks"], action_id, value)
        payload = self._block_actions(user, {"type": "view", "view_id": view.id}, block, part, value, view.id)
        state = view_state(view.body["blocks"], values or {})
        if part["type"] not in PRESSED:
            state[block["block_id"]][part["action_id"]] = filled(part, value)
        del payload["state"]
        payload["view"] = view_json(self.workspace, view) | {"state": {"values": state}}
        delivery, attempt = await self.sandbox.courier.once("interaction", payload, user)
        if attempt.error:
            view.trouble = attempt.error
        return delivery

    async def submit_view(self, user: str, values: dict[str, Any] | None = None) -> Delivery:
        """Fill in the modal on top (by action_id or block_id) and press its submit button."""
        view = self._modal(user)
        state = view_values(view.body["blocks"], values or {})
        shown = view_json(self.workspace, view)
        payload = self._interaction("view_submission", user, view.id) | {
            "view": shown | {"state": {"values": state}},
            "response_urls": [],
        }
        delivery, attempt = await self.sandbox.courier.once("interaction", payload, user)
        if attempt.error:
            view.trouble = attempt.error
            self.workspace.note("view", view.state(), user=user)
        else:
            self._answered(user, view, attempt)
        return delivery

    def _answered(self, user: str, view: View, attempt: Attempt) -> None:
        """Do what the ack of a submission says: close, show errors, update, push, or clear the stack."""
        reply, stack = attempt.reply or {}, self.workspace.modals.get(user, [])
        body = reply.get("view")
        action = reply.get("response_action")
        if action in ("update", "push") and isinstance(body, dict):
            if problems_of_view(body, "modal", self.sandbox.limits, self.sandbox.refused_blocks):
                view.trouble = "invalid_view"
            elif action == "update":
                replace_view(self.workspace, view, body)
            else:
                push_view(self.workspace, user, body)
        elif action == "errors":
            known = {block["block_id"] for block in view.body["blocks"] if block["type"] == "input"}
            errors = reply.get("errors", {})
            view.errors = {id: said for id, said in errors.items() if id in known}
            view.trouble = "" if view.errors == errors and errors else "invalid_errors"
        elif action == "clear":
            stack.clear()
        elif view in stack:
            stack.remove(view)
        self.workspace.note("view", view.state() | {"closed": view not in stack}, user=user)

    async def close_view(self, user: str) -> Delivery | None:
        """Close the modal on top with its cross; the app hears of it if it asked to."""
        view = self._modal(user)
        stack = self.workspace.modals[user]
        if view.body.get("clear_on_close"):
            stack.clear()
        else:
            stack.remove(view)
        self.workspace.note("view", view.state() | {"closed": True}, user=user)
        if not view.body.get("notify_on_close"):
            return None
        payload = self._interaction("view_closed", user, view.id)
        del payload["trigger_id"]
        payload |= {"view": view_json(self.workspace, view), "is_cleared": not stack}
        return (await self.sandbox.courier.once("interaction", payload, user))[0]

    def post(self, user: str, channel: str, text: str, thread_ts: str | None = None) -> Message:
        """Write a message; the app hears of it as far as it is subscribed and allowed."""
        place = self._place(user, channel)
        message = self.workspace.store(Message(channel, self.workspace.next_ts(), user, text, [], thread_ts=thread_ts))
        if self.workspace.bot_user in place.members:
            event = {"user": user, "text": text, "ts": message.ts, "channel": channel, "event_ts": message.ts}
            if thread_ts:
                event["thread_ts"] = thread_ts
            family = "im" if place.is_im else "groups" if place.is_private else "channels"
            if f"@{self.workspace.bot_user}" in PING.findall(text):
                self.sandbox.send_event("app_mention", "app_mentions:read", {"type": "app_mention", **event})
            said = {"type": "message", **event, "channel_type": {"im": "im", "groups": "group"}.get(family, "channel")}
            self.sandbox.send_event(f"message.{family}", f"{family}:history", said)
        return message

    def delete(self, user: str, channel: str, ts: str) -> None:
        """Delete anybody's message, as an administrator of the workspace can."""
        self.workspace.delete(self.workspace.message(channel, ts), user)

    def change(self, user: str, **what: Any) -> None:
        """What an administrator of the workspace changes of a person: any of `Change`."""
        person = self.workspace.users[user]
        for name, value in Change(**what).model_dump(exclude_none=True).items():
            setattr(person, name, value)
        self.workspace.note("user", {"id": user, "name": person.name}, user=user)

    def open_home(self, user: str) -> None:
        """Open the app's home tab."""
        event: dict[str, Any] = {"type": "app_home_opened", "user": user, "tab": "home"}
        event |= {"channel": self.workspace.direct(user).id, "event_ts": self.workspace.next_ts()}
        if user in self.workspace.homes:
            event["view"] = view_json(self.workspace, self.workspace.homes[user])
        self.sandbox.send_event("app_home_opened", "", event)

    async def replay(self, delivery_id: int) -> Delivery:
        """Bring an earlier delivery again, the same payload to the byte; its ack shows nothing to anybody."""
        earlier = self.sandbox.courier.deliveries[delivery_id - 1]
        return (await self.sandbox.courier.once(earlier.kind, earlier.payload, earlier.user))[0]

    def _place(self, user: str, channel: str) -> Channel:
        place = self.workspace.channels.get(channel)
        if user not in self.workspace.users or place is None or user not in place.members:
            raise NotOnScreen(f"{user} is not in {channel}")
        if place.archived:
            raise NotOnScreen(f"{channel} is archived")
        return place

    def _shown(self, user: str, channel: str, ts: str) -> Message | Ephemeral:
        message = self.workspace.messages[channel].get(ts)
        if message is not None and not message.deleted:
            return message
        for said in self.workspace.ephemerals:
            if (said.channel, said.ts, said.user) == (channel, ts, user) and not said.deleted:
                return said
        raise NotOnScreen(f"no message {ts} in {channel} for {user}")

    def _modal(self, user: str) -> View:
        stack = self.workspace.modals.get(user)
        if not stack:
            raise NotOnScreen(f"{user} has no modal open")
        return stack[-1]

    def _home(self, user: str) -> View:
        if user not in self.workspace.homes:
            raise NotOnScreen(f"{user} has no home tab")
        return self.workspace.homes[user]

    def _trigger(self, user: str, view_id: str | None = None) -> str:
        rng = self.workspace.rng
        id = f"{rng.randrange(10**12)}.{rng.randrange(10**12)}.{rng.getrandbits(128):032x}"
        self.sandbox.triggers[id] = Trigger(user, self.workspace.clock(), view_id)
        return id

    def _interaction(self, kind: str, user: str, view_id: str | None = None) -> dict[str, Any]:
        person = self.workspace.users[user]
        name, team = person.name, person.team or self.workspace.team_id
        return {
            "type": kind,
            "team": {"id": self.workspace.team_id, "domain": self.workspace.domain},
            "user": {"id": user, "username": name, "name": name, "team_id": team},
            "api_app_id": self.workspace.app_id,
            "token": "sandbox-verification",
            "trigger_id": self._trigger(user, view_id),
            "enterprise": None,
            "is_enterprise_install": False,
        }

    def _block_actions(
        self,
        user: str,
        container: dict[str, Any],
        block: dict[str, Any],
        part: dict[str, Any],
        value: str | None,
        view_id: str | None = None,
    ) -> dict[str, Any]:
        action = action_json(block, part, value, self.workspace.next_ts())
        return self._interaction("block_actions", user, view_id) | {
            "container": container,
            "state": {"values": {}},
            "actions": [action],
        }

    def _failed(self, user: str, channel: str, what: str, error: str) -> None:
        self.workspace.whisper(channel, user, f'{what} failed with the error "{error}"', error=True)


def _channel_name(channel: Channel) -> str:
    return "directmessage" if channel.is_im else "privategroup" if channel.is_private else channel.name
