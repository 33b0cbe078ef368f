"""What people see, read from the state of the stand-in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sandbox.slack.inputs import NotOnScreen, elements


@dataclass(frozen=True, slots=True)
class Button:
    """What a person can press, also behind "More actions": there `menu` and `option` are what is chosen, and
    `action_id` and `value` what the choice stands for ("<action_id>:<value>")."""

    action_id: str
    label: str
    value: str | None
    menu: str = ""
    option: str = ""


@dataclass(frozen=True, slots=True)
class SeenMessage:
    """A message as people see it. `shown` is what they read: blocks if there are any, else the text.

    `revisions` counts all updates, `edited` those with the "(edited)" mark; `pings` whom it notifies; `unfurled` the
    URLs Slack fetched for it.
    """

    ts: str
    user: str
    text: str
    shown: str
    blocks: list[dict[str, Any]]
    buttons: list[Button]
    thread_ts: str | None
    replies: list[SeenMessage]
    metadata: dict[str, Any] | None
    edited: int
    revisions: int
    deleted: bool
    files: list[str]
    pings: list[str]
    unfurled: list[str]

    def button(self, action_id: str) -> Button:
        for button in self.buttons:
            if button.action_id == action_id:
                return button
        raise NotOnScreen(f"no {action_id!r} among {[b.action_id for b in self.buttons]}")


@dataclass(frozen=True, slots=True)
class SeenEphemeral:
    """`error` marks Slack's own notice that a command or click failed."""

    channel: str
    ts: str
    text: str
    shown: str
    blocks: list[dict[str, Any]]
    buttons: list[Button]
    thread_ts: str | None
    error: bool


@dataclass(frozen=True, slots=True)
class SeenFile:
    id: str
    name: str
    title: str
    content: str
    shares: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class SeenView:
    """A modal or home tab. `trouble` is set when Slack could not bring its submission to the app."""

    id: str
    title: str
    shown: str
    blocks: list[dict[str, Any]]
    buttons: list[Button]
    errors: dict[str, str]
    trouble: str
    private_metadata: str


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of a command or click. `error` as Slack words it, empty if acked; `reply` is the ack's body."""

    id: int
    acked: bool
    ack_ms: float | None
    error: str
    status: int | None
    reply: dict[str, Any] | None
    payload: dict[str, Any]


def messages_of(state: dict[str, Any], channel: str, deleted: bool) -> list[SeenMessage]:
    for place in state["channels"]:
        if place["id"] == channel:
            return [_message(m, deleted) for m in place["messages"] if deleted or not m["deleted"]]
    return []


def flat(messages: list[SeenMessage]) -> list[SeenMessage]:
    return [one for message in messages for one in (message, *message.replies)]


def _message(body: dict[str, Any], deleted: bool) -> SeenMessage:
    return SeenMessage(
        ts=body["ts"],
        user=body["user"],
        text=body["text"],
        shown=body["shown"],
        blocks=body["blocks"],
        buttons=_buttons(body["blocks"]),
        thread_ts=body["thread_ts"],
        replies=[_message(m, deleted) for m in body.get("replies", []) if deleted or not m["deleted"]],
        metadata=body["metadata"],
        edited=body["edited"],
        revisions=body["revisions"],
        deleted=body["deleted"],
        files=body["files"],
        pings=body["pings"],
        unfurled=body["unfurled"],
    )


def ephemeral_of(body: dict[str, Any]) -> SeenEphemeral:
    return SeenEphemeral(
        channel=body["channel"],
        ts=body["ts"],
        text=body["text"],
        shown=body["shown"],
        blocks=body["blocks"],
        buttons=_buttons(body["blocks"]),
        thread_ts=body["thread_ts"],
        error=body["error"],
    )


def view_of(body: dict[str, Any]) -> SeenView:
    view = body["view"]
    return SeenView(
        id=body["id"],
        title=(view.get("title") or {}).get("text", ""),
        shown=body["shown"],
        blocks=view["blocks"],
        buttons=_buttons(view["blocks"]),
        errors=body["errors"],
        trouble=body["trouble"],
        private_metadata=view.get("private_metadata", ""),
    )


def in_menu(state: dict[str, Any], channel: str, ts: str, action_id: str, value: str | None) -> Button | None:
    """What a menu of the message `ts` (or of an ephemeral one) offers under that name, if any does."""
    said = [button for m in flat(messages_of(state, channel, False)) if m.ts == ts for button in m.buttons]
    for e in state["ephemerals"]:
        if (e["channel"], e["ts"]) == (channel, ts):
            said += ephemeral_of(e).buttons
    wanted = (b for b in said if b.menu and b.action_id == action_id and value in (None, b.value))
    return next(wanted, None)


def _buttons(blocks: list[dict[str, Any]]) -> list[Button]:
    found = []
    for _, part in elements(blocks):
        if part["type"] == "button":
            found.append(Button(part["action_id"], part["text"]["text"], part.get("value")))
        elif part["type"] == "overflow":
            found += [_behind(part["action_id"], option) for option in part["options"]]
    return found


def _behind(menu: str, option: dict[str, Any]) -> Button:
    action, _, value = option["value"].rpartition(":")
    return Button(action, option["text"]["text"], value, menu, option["value"])


def delivered_of(body: dict[str, Any]) -> Delivered:
    last = body["attempts"][-1]
    return Delivered(
        body["id"], body["acked"], last["ack_ms"], last["error"], last["status"], last["reply"], body["payload"]
    )
