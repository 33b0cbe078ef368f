"""The stream of changes: each person's own, every message once with its last state, and what to do after a gap."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from sandbox.page.stream import MOST_AT_ONCE, MOST_BEHIND, Watch, WorldPicture, event_lines
from sandbox.page.views import Screens
from sandbox.slack import SlackSandbox
from sandbox.slack.records import Message
from sandbox.slack.views import push_view

OPS, SECRET, BOB, ALICE = "C0OPS", "C0SECRET", "U0BOB", "U0ALICE"


class Reader:
    """What one person's page gets, batch by batch."""

    def __init__(
        self, screens: Screens, user: str, world: WorldPicture | None = None, since: int | None = None
    ) -> None:
        self.watch = Watch(screens, user, len(screens.workspace.changes) if since is None else since, world)
        self._batches: AsyncIterator[dict[str, Any]] = self.watch.batches()

    async def next(self) -> dict[str, Any]:
        return await asyncio.wait_for(anext(self._batches), 5)

    async def has_nothing(self) -> bool:
        """Once a mark that everybody sees has come, nothing came before it."""
        batch = await self.next()
        return [message["html"].count("the mark") for message in batch["messages"]] == [1]


@pytest.fixture
def slack() -> SlackSandbox:
    """Bob and alice in #ops, alice in #secret."""
    sandbox = SlackSandbox()
    for name in ("bob", "alice"):
        sandbox.workspace.add_user(name)
    sandbox.workspace.add_channel("ops", id=OPS, members=(BOB, ALICE))
    sandbox.workspace.add_channel("secret", id=SECRET, private=True, members=(ALICE,))
    return sandbox


@pytest.fixture
def screens(slack: SlackSandbox) -> Screens:
    return Screens(slack)


def say(slack: SlackSandbox, text: str, channel: str = OPS, **more: Any) -> Message:
    workspace = slack.workspace
    message = Message(channel, workspace.next_ts(), workspace.bot_user, text, [], bot_id=workspace.bot_id, **more)
    return workspace.store(message)


def change(slack: SlackSandbox, message: Message, text: str) -> None:
    message.text = text
    slack.workspace.changed(message)


async def test_a_hundred_updates_between_two_reads_are_one_change_with_the_last_state(
    slack: SlackSandbox, screens: Screens
) -> None:
    message = say(slack, "0")
    reader = Reader(screens, BOB)
    for number in range(1, 101):
        change(slack, message, f"state {number}")

    batch = await reader.next()
    assert [m["ts"] for m in batch["messages"]] == [message.ts]
    assert "state 100" in batch["messages"][0]["html"]
    assert batch["seq"] == len(slack.workspace.changes)


async def test_a_reader_that_was_slow_gets_the_present_and_not_the_past(slack: SlackSandbox, screens: Screens) -> None:
    message = say(slack, "0")
    reader = Reader(screens, BOB)
    change(slack, message, "first")
    assert "first" in (await reader.next())["messages"][0]["html"]
    for number in range(200):
        change(slack, message, f"state {number}")
        await asyncio.sleep(0)

    assert "state 199" in (await reader.next())["messages"][0]["html"]


async def test_what_happens_where_a_person_is_not_does_not_reach_them(slack: SlackSandbox, screens: Screens) -> None:
    reader = Reader(screens, BOB)
    say(slack, "psst", SECRET)
    slack.workspace.whisper(OPS, ALICE, "only alice")
    push_view(slack.workspace, ALICE, {"type": "modal", "title": {"type": "plain_text", "text": "x"}, "blocks": []})
    say(slack, "the mark")

    assert await reader.has_nothing()
    assert reader.watch.seq == len(slack.workspace.changes)


async def test_an_ephemeral_comes_to_its_owner_and_goes(slack: SlackSandbox, screens: Screens) -> None:
    reader = Reader(screens, BOB)
    said = slack.workspace.whisper(OPS, BOB, "only you")
    assert (await reader.next())["messages"][0]["ephemeral"] is True

    said.deleted = True
    slack.workspace.note("ephemeral_deleted", said.state(), channel=OPS, user=BOB, ts=said.ts)
    assert (await reader.next())["gone"] == [[OPS, said.ts]]


async def test_a_reply_changes_its_parent_too(slack: SlackSandbox, screens: Screens) -> None:
    parent = say(slack, "parent")
    reader = Reader(screens, BOB)
    reply = say(slack, "reply", thread_ts=parent.ts)

    told = {m["ts"]: m for m in (await reader.next())["messages"]}
    assert told[parent.ts]["replies"] == {"count": 1, "last": reply.ts}
    assert told[reply.ts]["thread_ts"] == parent.ts


async def test_a_deleted_message_is_gone(slack: SlackSandbox, screens: Screens) -> None:
    message = say(slack, "x")
    reader = Reader(screens, BOB)
    slack.workspace.delete(message, BOB)

    batch = await reader.next()
    assert (batch["messages"], batch["gone"]) == ([], [[OPS, message.ts]])


async def test_channels_tell_what_was_posted_and_when_one_is_archived(slack: SlackSandbox, screens: Screens) -> None:
    reader = Reader(screens, BOB)
    message = say(slack, "x")
    [ops] = (await reader.next())["channels"]
    assert (ops["posted"], ops["last_ts"], ops["archived"]) == (1, message.ts, False)

    slack.archive(OPS)
    assert [c["archived"] for c in (await reader.next())["channels"]] == [True]


async def test_a_new_direct_message_opens_its_channel(slack: SlackSandbox, screens: Screens) -> None:
    reader = Reader(screens, BOB)
    say(slack, "hello bob", slack.workspace.direct(BOB).id)

    batch = await reader.next()
    assert [(c["id"], c["im"]) for c in batch["channels"]] == [(OPS, False), ("D0BOB", True)]
    assert batch["messages"][0]["channel"] == "D0BOB"


async def test_a_modal_comes_as_the_whole_stack_and_leaves_it(slack: SlackSandbox, screens: Screens) -> None:
    reader = Reader(screens, BOB)
    for title in ("first", "second"):
        body = {"type": "modal", "title": {"type": "plain_text", "text": title}, "blocks": []}
        push_view(slack.workspace, BOB, body)
    assert [modal["title"] for modal in (await reader.next())["modals"]] == ["first", "second"]

    await slack.people.close_view(BOB)
    assert [modal["title"] for modal in (await reader.next())["modals"]] == ["first"]


async def test_a_burst_over_many_messages_comes_in_bounded_batches_and_whole(
    slack: SlackSandbox, screens: Screens
) -> None:
    reader = Reader(screens, BOB)
    stamps = [say(slack, str(number)).ts for number in range(2 * MOST_AT_ONCE + 1)]

    batches = [await reader.next() for _ in range(3)]
    assert [len(batch["messages"]) for batch in batches] == [MOST_AT_ONCE, MOST_AT_ONCE, 1]
    assert [m["ts"] for batch in batches for m in batch["messages"]] == stamps
    assert ["seq" in batch for batch in batches] == [False, False, True]


async def test_who_missed_too_much_or_another_run_begins_anew(slack: SlackSandbox, screens: Screens) -> None:
    message = say(slack, "x")
    for number in range(MOST_BEHIND + 1):
        change(slack, message, str(number))

    assert await Reader(screens, BOB, since=1).next() == {"reset": True}
    assert await Reader(screens, BOB, since=len(slack.workspace.changes) + 1).next() == {"reset": True}
    assert "messages" in await Reader(screens, BOB, since=len(slack.workspace.changes) - 1).next()


async def test_the_world_comes_at_once_and_then_only_when_it_changes(slack: SlackSandbox, screens: Screens) -> None:
    class World:
        looks = 0
        speed = 1.0

        def view(self) -> dict[str, Any]:
            self.looks += 1
            return {"speed": self.speed}

        async def run(self, words: list[str]) -> str:
            return ""

    world = World()
    picture = WorldPicture(world)
    readers = [Reader(screens, BOB, picture), Reader(screens, ALICE, picture)]
    say(slack, "x")
    assert [(await reader.next())["world"] for reader in readers] == [{"speed": 1.0}] * 2
    assert world.looks == 1

    say(slack, "y")
    assert "world" not in await readers[0].next()
    world.speed = 4.0
    assert (await readers[0].next())["world"] == {"speed": 4.0}


async def test_the_lines_are_an_event_stream_whose_ids_say_where_to_go_on(
    slack: SlackSandbox, screens: Screens
) -> None:
    watch = Watch(screens, BOB, len(slack.workspace.changes))
    async with aclosing(event_lines(watch, "run-1")) as lines:
        hello = await anext(lines)
        assert b'data: {"run":"run-1"' in hello
        say(slack, "*two*\nlines")
        event = (await anext(lines)).decode()

    head, name, data, *rest = event.split("\n")
    assert (head, name, rest) == (f"id: {len(slack.workspace.changes)}", "event: batch", ["", ""])
    assert "<strong>two</strong><br>lines" in json.loads(data.removeprefix("data: "))["messages"][0]["html"]
