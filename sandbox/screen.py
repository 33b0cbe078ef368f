"""What happens in a Slack workspace as lines of text: pure formatting, changes in, lines out."""

from __future__ import annotations

import difflib
import html
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sandbox.slack.texts import as_read

WIDTH = 100
_EMOJI = {
    "red_circle": "🔴",
    "large_orange_circle": "🟠",
    "large_yellow_circle": "🟡",
    "large_blue_circle": "🔵",
    "large_green_circle": "🟢",
    "white_circle": "⚪",
    "rotating_light": "🚨",
    "eyes": "👀",
    "white_check_mark": "✅",
    "hourglass_flowing_sand": "⏳",
    "x": "❌",
    "grey_question": "❔",
    "warning": "⚠️",
    "no_entry": "⛔",
    "link": "🔗",
    "speech_balloon": "💬",
}
_TOKEN = re.compile(r"<([^<>]+)>")
_SAME_TIME = re.compile(r"(\d\d:\d\d:\d\d) \(\1\)")


@dataclass(frozen=True, slots=True)
class Pressable:
    """A button somebody can press. `ts` is empty for one in the person's own modal; `user` empty where all see it."""

    channel: str
    ts: str
    user: str
    action_id: str
    value: str | None


def _buttons(part: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What can be pressed of an element: a button, or each choice of a menu."""
    if part["type"] == "overflow":
        return [{"action_id": part["action_id"], **option} for option in part["options"]]
    return [part] if part["type"] == "button" else []


class Screen:
    """Formats one workspace. Buttons are numbered as they appear and keep their number; `buttons` says which is which.

    `learn` takes the workspace's state, `take` one change; what is returned is to be printed.
    """

    def __init__(self, width: int = WIDTH) -> None:
        self.width = width
        self.buttons: dict[int, Pressable] = {}
        self._numbers: dict[Pressable, int] = {}
        self._users: dict[str, str] = {}
        self._channels: dict[str, str] = {}
        self._shown: dict[tuple[str, str], list[str]] = {}

    def learn(self, state: Mapping[str, Any]) -> None:
        self._users |= {user["id"]: user["name"] for user in state["users"]}
        self._channels |= {channel["id"]: channel["name"] for channel in state["channels"]}

    def user(self, name: str) -> str | None:
        """The id of a person by name."""
        return next((id for id, known in self._users.items() if known == name), None)

    def channel(self, name: str) -> str | None:
        return next((id for id, known in self._channels.items() if known == name), None)

    def take(self, change: Mapping[str, Any]) -> list[str]:
        """The lines to print for a change; often none."""
        kind, data = change["kind"], change["data"]
        match kind:
            case "message_posted" | "ephemeral":
                return self._new(change)
            case "message_updated" | "ephemeral_updated":
                return self._updated(change)
            case "message_deleted" | "ephemeral_deleted":
                first = self._shown.pop((change["channel"], change["ts"]), ["a message"])[0]
                return [f"{self._head(change)}deleted: {first}"]
            case "view" if not data.get("closed"):
                return self._view(change)
            case "file":
                return [f"{self._head(change)}file: {data['name']} ({data['size']} bytes)"]
            case "delivery" if not data["acked"]:
                return [f"{self._head(change)}the bot did not answer {self._name(change['user'])}'s {data['kind']}"]
            case "channel" if change["channel"] not in self._channels and "name" in data:
                self._channels[change["channel"]] = data["name"]
            case "user":
                self._users[change["user"]] = data["name"]
        return []

    def _new(self, change: Mapping[str, Any]) -> list[str]:
        data = change["data"]
        lines = self._lines(data, change)
        key = (change["channel"], change["ts"])
        private = change["kind"] == "ephemeral"
        self._shown[key] = lines
        who = f"only {self._name(change['user'])} sees" if private else self._name(change["user"])
        thread = data.get("thread_ts")
        indent = "  "
        if thread and thread != change["ts"]:
            parent = self._shown.get((change["channel"], thread), [""])[0]
            who += f"  ↳ {textwrap.shorten(parent, 50, placeholder='…')}"
            indent = "    "
        return [f"{self._head(change)}{who}", *(indent + line for line in lines)]

    def _updated(self, change: Mapping[str, Any]) -> list[str]:
        """The title, then the lines that are new; lines that went without another in their place get a minus."""
        key = (change["channel"], change["ts"])
        old, new = self._shown.get(key, []), self._lines(change["data"], change)
        self._shown[key] = new
        changed = list(_changed(old, new))
        if not changed:
            return []
        title, *rest = changed if new and changed[0] == new[0] else [new[0] if new else "", *changed]
        return [f"{self._head(change)}updated: {title}", *("  " + line for line in rest)]

    def _view(self, change: Mapping[str, Any]) -> list[str]:
        data = change["data"]
        view = data["view"]
        title = (view.get("title") or {}).get("text", "")
        lines = self._lines({"blocks": view.get("blocks", []), "text": ""}, {**change, "channel": "", "ts": ""})
        wrong = [f"{block}: {text}" for block, text in data.get("errors", {}).items()]
        return [
            f"{self._head(change)}{self._name(change['user'])} sees a modal: {title}",
            *("  " + x for x in lines + wrong),
        ]

    def _head(self, change: Mapping[str, Any]) -> str:
        at = datetime.fromtimestamp(change["at"]).astimezone()
        place = self._channels.get(change["channel"] or "", "")
        if place:
            place = f"#{place}  "
        elif (change["channel"] or "").startswith("D"):
            place = f"direct message of {self._name('U' + change['channel'][1:])}  "
        return f"{at:%H:%M:%S} {place}"

    def _name(self, user: str | None) -> str:
        return self._users.get(user or "", user or "somebody")

    # content

    def _lines(self, data: Mapping[str, Any], change: Mapping[str, Any]) -> list[str]:
        private = change["kind"] in ("ephemeral", "ephemeral_updated", "view")
        owner = change["user"] if private else ""
        blocks = data.get("blocks") or []
        if not blocks:
            return self._readable(data.get("text", ""))
        return [line for block in blocks for line in self._block(block, change, owner)]

    def _block(self, block: Mapping[str, Any], change: Mapping[str, Any], owner: str) -> list[str]:
        lines: list[str] = []
        match block["type"]:
            case "section":
                if "text" in block:
                    lines += self._readable(block["text"]["text"])
                pairs = [part["text"].split("\n", 1) for part in block.get("fields", [])]
                if pairs:
                    lines += self._readable(" · ".join(": ".join(pair).replace("\n", " ") for pair in pairs))
                presses = [block["accessory"]] if "accessory" in block else []
            case "header":
                lines += self._readable(block["text"]["text"])
                presses = []
            case "context":
                lines += self._readable(" · ".join(e["text"] for e in block["elements"] if "text" in e))
                presses = []
            case "actions":
                presses = list(block["elements"])
            case "divider":
                presses = []
            case _:
                lines += self._readable(html.escape(as_read("", [dict(block)]), quote=False))
                presses = []
        return lines + self._presses([p for part in presses for p in _buttons(part)], change, owner)

    def _presses(self, buttons: list[Mapping[str, Any]], change: Mapping[str, Any], owner: str) -> list[str]:
        told = []
        for button in buttons:
            label = button["text"]["text"]
            if "url" in button:
                told.append(f"{label}: {button['url']}")
                continue
            which = Pressable(
                change["channel"] or "", change["ts"] or "", owner or "", button["action_id"], button.get("value")
            )
            number = self._numbers.setdefault(which, len(self._numbers) + 1)
            self.buttons[number] = which
            told.append(f"[{number}] {label}")
        return self._wrapped("  ".join(told)) if told else []

    def _readable(self, mrkdwn: str) -> list[str]:
        """Slack's markup as lines; code blocks behind a bar."""
        lines = []
        for index, part in enumerate(mrkdwn.split("```")):
            if index % 2:
                code = html.unescape(part).strip("\n").split("\n")
                lines += [piece for line in code for piece in self._wrapped(line, "| ")]
            else:
                plain = _SAME_TIME.sub(r"\1", self._plain(part))
                lines += [piece for line in plain.split("\n") if line.strip() for piece in self._wrapped(line)]
        return lines

    def _plain(self, text: str) -> str:
        text = re.sub(r"(?<!\w)([*_~])(?=\S)([^\n]+?)(?<=\S)\1(?!\w)", r"\2", text)
        text = re.sub(r":([a-z0-9_+-]+):", lambda found: _EMOJI.get(found[1], found[0]), text)
        text = _TOKEN.sub(self._token, text.replace("`", ""))
        return html.unescape(text).replace("\u200b", "")

    def _token(self, found: re.Match[str]) -> str:
        inside, _, label = found[1].partition("|")
        if inside.startswith("!date^"):
            return f"{datetime.fromtimestamp(int(inside.split('^')[1])).astimezone():%H:%M:%S}"
        if inside.startswith("@"):
            return f"@{self._name(inside[1:])}"
        if inside.startswith("#"):
            return f"#{self._channels.get(inside[1:], label or inside[1:])}"
        if inside.startswith("!"):
            return f"@{inside[1:].split('^')[0]}"
        return f"{label} ({inside})" if label else inside

    def _wrapped(self, line: str, prefix: str = "") -> list[str]:
        room = self.width - 4
        found = textwrap.wrap(
            line, room, initial_indent=prefix, subsequent_indent=prefix + "  ", break_on_hyphens=False,
            replace_whitespace=False, drop_whitespace=not prefix,
        )  # fmt: skip
        return found or [prefix]


def _changed(old: list[str], new: list[str]) -> Iterator[str]:
    for kind, start, end, begin, stop in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind in ("replace", "insert"):
            yield from new[begin:stop]
        elif kind == "delete":
            yield from (f"- {line}" for line in old[start:end])
