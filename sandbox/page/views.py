"""What one person sees, as JSON: who they are, their channels, messages, modals and the app's home."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from sandbox import cast
from sandbox.page.index import Index, Page, key_of, ts_of
from sandbox.page.render import Names, home_html, message_html, modal_html, mrkdwn_html
from sandbox.slack import SlackSandbox
from sandbox.slack.records import Channel, Ephemeral, File, Message, User, View

MOST_RENDERED = 2_000
"""Messages whose HTML is kept."""
PREVIEW = 4_000
"""Characters of a text file shown with its message."""
_ROLES = {person.id: person.role for person in cast.PEOPLE.values()}


class Unseen(LookupError):
    """There is no such person, or they do not see such a thing. The text says which."""


class Screens:
    """The screens of all people of one workspace. `run` names this run of the sandbox: what a browser remembers of
    another one is void."""

    def __init__(self, slack: SlackSandbox, completions: Sequence[tuple[str, str]] = ()) -> None:
        self.workspace = slack.workspace
        self.index = Index(slack.workspace)
        self.run = secrets.token_hex(6)
        self._completions = [{"usage": usage, "does": does} for usage, does in completions]
        self._names = Names({}, {})
        self._names_version = -1
        self._rendered: dict[tuple[str, str], tuple[tuple[int, int], str]] = {}

    def find_person(self, wanted: str) -> User:
        """By id or name; the first of all where there is none such."""
        people = [user for user in self.workspace.users.values() if not user.is_bot]
        if not people:
            raise Unseen("There is nobody in this workspace.")
        return next((user for user in people if wanted in (user.id, user.name)), people[0])

    def check_person(self, user: str) -> User:
        person = self.workspace.users.get(user)
        if person is None or person.is_bot:
            raise Unseen(f"There is nobody with the id {user!r} in this workspace.")
        return person

    def check_member(self, user: str, channel: str) -> Channel:
        self.check_person(user)
        place = self.workspace.channels.get(channel)
        if place is None or user not in place.members:
            raise Unseen(f"{user} is not in {channel!r}.")
        return place

    def everything(self, user: str) -> dict[str, Any]:
        """What a page needs to begin: all but the messages."""
        self.check_person(user)
        self.index.catch_up()
        bot = self.workspace.users[self.workspace.bot_user]
        return {
            "run": self.run,
            "seq": self.index.seq,
            "user": user,
            "people": [
                {"id": other.id, "name": other.name, "role": _ROLES.get(other.id, "")}
                for other in self.workspace.users.values()
                if not other.is_bot
            ],
            "bot": {"id": bot.id, "name": bot.real_name},
            "start": cast.ROLLOUTS,
            "channels": self.channels(user),
            "completions": self._completions,
            "modals": self.modals(user),
            "home": self.home(user),
        }

    def channels(self, user: str) -> list[dict[str, Any]]:
        """Those the person is in, by name, direct messages last."""
        mine = [channel for channel in self.workspace.channels.values() if user in channel.members]
        return [self._channel(channel) for channel in sorted(mine, key=lambda c: (c.is_im, c.name))]

    def messages(
        self, user: str, channel: str, before: str | None = None, after: str | None = None, limit: int = 50
    ) -> dict[str, Any]:
        """A page of a channel, oldest first: before a ts, after one, or the newest."""
        self.check_member(user, channel)
        self.index.catch_up()
        page = self.index.page(user, channel, "", _key(before), _key(after), limit)
        return self._page(user, channel, page)

    def thread(self, user: str, channel: str, ts: str, before: str | None = None, limit: int = 50) -> dict[str, Any]:
        """The parent, and a page of its replies."""
        self.check_member(user, channel)
        self.index.catch_up()
        parent = self.message(user, channel, ts)
        if parent is None:
            raise Unseen("This message is gone.")
        page = self.index.page(user, channel, ts, _key(before), None, limit)
        return {"parent": parent, **self._page(user, channel, page)}

    def message(self, user: str, channel: str, ts: str) -> dict[str, Any] | None:
        """A message as it is now; None where it is gone, or not for this person's eyes."""
        found = self.workspace.messages.get(channel, {}).get(ts)
        if found is not None:
            return (
                None if found.deleted and ts not in self.index.timeline(channel).threads else self._message(found, user)
            )
        said = self.index.whispered(channel, ts)
        return self._whisper(said) if said is not None and said.user == user and not said.deleted else None

    def modals(self, user: str) -> list[dict[str, Any]]:
        """The person's stack of modals, the one on top last."""
        return [
            {
                "id": view.id,
                "title": (view.body.get("title") or {}).get("text", ""),
                "html": modal_html(view.body, view.errors, self.names()),
                "errors": view.errors,
                "trouble": view.trouble,
            }
            for view in self.workspace.modals.get(user, [])
        ]

    def home(self, user: str) -> dict[str, Any] | None:
        view: View | None = self.workspace.homes.get(user)
        return None if view is None else {"html": home_html(view.body, self.names()), "trouble": view.trouble}

    def file(self, user: str, id: str) -> File:
        """A file that was shared where the person is."""
        self.check_person(user)
        file = self.workspace.files.get(id)
        if file is None or not any(user in self.workspace.channels[channel].members for channel, _ in file.shares):
            raise Unseen("There is no such file here.")
        return file

    def names(self) -> Names:
        self.index.catch_up()
        if self._names_version != self.index.names_version:
            self._names_version = self.index.names_version
            self._names = Names(
                {user.id: self._name(user) for user in self.workspace.users.values()},
                {channel.id: channel.name for channel in self.workspace.channels.values() if channel.name},
            )
        return self._names

    @staticmethod
    def _name(user: User) -> str:
        return user.real_name if user.is_bot else user.name

    def _channel(self, channel: Channel) -> dict[str, Any]:
        timeline = self.index.timeline(channel.id)
        return {
            "id": channel.id,
            "name": self._name(self.workspace.users[self.workspace.bot_user]) if channel.is_im else channel.name,
            "private": channel.is_private,
            "im": channel.is_im,
            "archived": channel.archived,
            "people": len(channel.members),
            "posted": timeline.posted,
            "last_ts": ts_of(timeline.shown[-1]) if timeline.shown else None,
        }

    def _page(self, user: str, channel: str, page: Page) -> dict[str, Any]:
        seen = (self.message(user, channel, ts_of(key)) for key in page.keys)
        return {
            "messages": [message for message in seen if message is not None],
            "more_before": page.more_before,
            "more_after": page.more_after,
        }

    def _message(self, message: Message, user: str) -> dict[str, Any]:
        author = self.workspace.users.get(message.user)
        name = message.user if author is None else self._name(author)
        replies = self.index.timeline(message.channel).threads.get(message.ts, [])
        return {
            "channel": message.channel,
            "ts": message.ts,
            "thread_ts": message.thread_ts if message.is_reply else None,
            "broadcast": message.broadcast,
            "author": {"id": message.user, "name": name, "bot": message.bot_id is not None},
            "html": "" if message.deleted else self._html(message),
            "edited": message.edited > 0,
            "deleted": message.deleted,
            "replies": {"count": len(replies), "last": ts_of(replies[-1])} if replies else None,
            "files": [] if message.deleted else [_file(self.workspace.files[id], user) for id in message.files],
            "reactions": self._reactions(message.reactions),
            "ephemeral": False,
            "error": False,
        }

    def _whisper(self, said: Ephemeral) -> dict[str, Any]:
        bot = self.workspace.users[self.workspace.bot_user]
        author = {"id": "USLACKBOT", "name": "Slackbot"} if said.error else {"id": bot.id, "name": self._name(bot)}
        return {
            "channel": said.channel,
            "ts": said.ts,
            "thread_ts": said.thread_ts,
            "broadcast": False,
            "author": {**author, "bot": True},
            "html": self._html(said),
            "edited": False,
            "deleted": False,
            "replies": None,
            "files": [],
            "reactions": [],
            "ephemeral": True,
            "error": said.error,
        }

    def _html(self, message: Message | Ephemeral) -> str:
        """Rendered once for each revision, whoever looks."""
        names = self.names()
        place, state = (message.channel, message.ts), (message.revisions, self._names_version)
        kept = self._rendered.pop(place, None)
        html = kept[1] if kept and kept[0] == state else message_html(message.text, message.blocks, names)
        self._rendered[place] = state, html
        if len(self._rendered) > MOST_RENDERED:
            del self._rendered[next(iter(self._rendered))]
        return html

    def _reactions(self, reactions: Iterable[tuple[str, str]]) -> list[Mapping[str, Any]]:
        counts: dict[str, int] = {}
        for name, _ in reactions:
            counts[name] = counts.get(name, 0) + 1
        return [
            {"name": name, "count": count, "html": mrkdwn_html(f":{name}:", self.names())}
            for name, count in counts.items()
        ]


def _key(ts: str | None) -> int | None:
    return key_of(ts) if ts else None


def _file(file: File, user: str) -> dict[str, Any]:
    """`url` is where this person may fetch it, `preview` the beginning of a text file (None for others), `cut` whether
    there is more."""
    text: str | None = None
    if file.content is not None and b"\0" not in file.content[:PREVIEW]:
        text = file.content[: 4 * PREVIEW].decode("utf-8", "replace")
    return {
        "id": file.id,
        "url": f"/api/file/{file.id}?{urlencode({'user': user})}",
        "name": file.name,
        "title": file.title,
        "size": file.length,
        "preview": None if text is None else text[:PREVIEW],
        "cut": text is not None and (len(text) > PREVIEW or file.length > 4 * PREVIEW),
    }
