"""The console shows Slack as lines of text, and takes lines of text as people's acts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from typing import Any

import pytest

from sandbox.console import Console
from sandbox.controls import Misunderstood
from sandbox.screen import Screen
from sandbox.slack import SlackSandbox
from sandbox.slack.client import SlackPeople
from sandbox.slack.records import Message, View
from sandbox.wire import WireServer

BOB, BOT = "U0BOB", "U0CDMBOT"
PROMOTE = {
    "type": "button",
    "action_id": "promote",
    "value": "eu1/17/2",
    "text": {"type": "plain_text", "text": "Promote group 2 (125 devices)"},
}
HOLD = {
    "type": "button",
    "action_id": "hold",
    "value": "eu1/17",
    "text": {"type": "plain_text", "text": "Hold"},
}


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def actions(*buttons: dict[str, Any]) -> dict[str, Any]:
    return {"type": "actions", "elements": list(buttons)}


class Room:
    """#ops with Bob in it, and what a screen prints of each thing that happens there."""

    def __init__(self) -> None:
        self.workspace = SlackSandbox().workspace
        self.workspace.add_user("bob", id=BOB)
        self.workspace.add_channel("ops", members=(BOB,))
        self.screen = Screen()
        self.screen.learn(self.workspace.state())

    def post(self, *blocks: dict[str, Any], text: str = "", thread: str | None = None) -> Message:
        ts = self.workspace.next_ts()
        return self.workspace.store(Message("C0OPS", ts, BOT, text, list(blocks), thread_ts=thread))

    def edit(self, message: Message, *blocks: dict[str, Any]) -> None:
        message.blocks = list(blocks)
        self.workspace.changed(message)

    def printed(self) -> list[str]:
        """What the last change prints, without the time of day."""
        return [line.split(" ", 1)[1] if at == 0 else line for at, line in enumerate(self._printed())]

    def _printed(self) -> list[str]:
        return self.screen.take(asdict(self.workspace.changes[-1]))


@pytest.fixture
def room() -> Room:
    return Room()


def test_a_message_shows_where_it_stands_what_it_says_and_its_buttons_by_number(room: Room) -> None:
    room.post(
        section(":red_circle: *OTA Failure* on a-gw-003"),
        {"type": "section", "fields": [{"type": "mrkdwn", "text": "*Device*\n`a-gw-003`"}]},
        actions(PROMOTE, HOLD),
    )
    assert room.printed() == [
        "#ops  cdm",
        "  🔴 OTA Failure on a-gw-003",
        "  Device: a-gw-003",
        "  [1] Promote group 2 (125 devices)  [2] Hold",
    ]
    pressed = room.screen.buttons[1]
    assert (pressed.channel, pressed.action_id, pressed.value) == ("C0OPS", "promote", "eu1/17/2")


def test_what_a_menu_offers_is_numbered_like_buttons(room: Room) -> None:
    choices = (("Clear in ThingsBoard", "clear:i1"), ("Run another runbook…", "run-form:i1"))
    options = [{"text": {"type": "plain_text", "text": label}, "value": value} for label, value in choices]
    room.post(actions(HOLD, {"type": "overflow", "action_id": "more", "options": options}))
    assert room.printed()[1:] == ["  [1] Hold  [2] Clear in ThingsBoard  [3] Run another runbook…"]
    assert (room.screen.buttons[2].action_id, room.screen.buttons[2].value) == ("more", "clear:i1")


def test_an_edit_prints_the_lines_that_changed_under_the_messages_title(room: Room) -> None:
    message = room.post(section("edge-1.1.0"), section("1 of 25 verified\nno errors"), actions(HOLD))
    room.printed()
    room.edit(message, section("edge-1.1.0"), section("2 of 25 verified\nno errors"), actions(HOLD))
    assert room.printed() == ["#ops  updated: edge-1.1.0", "  2 of 25 verified"]
    room.edit(message, section("edge-1.1.0"), section("2 of 25 verified"), actions(HOLD))
    assert room.printed() == ["#ops  updated: edge-1.1.0", "  - no errors"]


def test_an_edit_that_shows_nothing_new_prints_nothing(room: Room) -> None:
    message = room.post(section("edge-1.1.0"))
    room.printed()
    room.edit(message, section("*edge-1.1.0*"))
    assert room.printed() == []


def test_a_button_keeps_its_number_and_a_new_one_gets_the_next(room: Room) -> None:
    message = room.post(section("edge-1.1.0"), actions(HOLD))
    room.printed()
    room.edit(message, section("edge-1.1.0"), actions(PROMOTE, HOLD))
    assert room.printed()[-1] == "  [2] Promote group 2 (125 devices)  [1] Hold"


def test_a_reply_is_indented_and_names_what_it_answers(room: Room) -> None:
    parent = room.post(section("OTA Failure on a-gw-003"))
    room.printed()
    room.post(section("Runs slot A"), thread=parent.ts)
    assert room.printed() == ["#ops  cdm  ↳ OTA Failure on a-gw-003", "    Runs slot A"]


def test_a_private_answer_says_who_sees_it(room: Room) -> None:
    room.workspace.whisper("C0OPS", BOB, "Promote needs the role `cdm-operator` in customer-a.")
    assert room.printed() == ["#ops  only bob sees", "  Promote needs the role cdm-operator in customer-a."]


def test_device_output_stands_behind_a_bar_and_nothing_is_wider_than_100_columns(room: Room) -> None:
    room.post(section("```\nslot   state\nrootfs.0 good\n" + "x" * 300 + "\n```"), section("word " * 60))
    lines = room.printed()
    assert lines[1:3] == ["  | slot   state", "  | rootfs.0 good"]
    assert max(len(line) for line in lines) <= 100
    assert all(line.startswith("  | ") for line in lines[1:7])


def test_slacks_markup_is_read_as_people_read_it(room: Room) -> None:
    room.post(
        section("*Held* by <@U0BOB> in <#C0OPS>, see <https://tb.example/1|alarm>: _once_ a_b &lt;1&gt; &amp; ok")
    )
    assert room.printed()[1] == "  Held by @bob in #ops, see alarm (https://tb.example/1): once a_b <1> & ok"
    at = 1_795_507_838
    room.post(section(f"Raised <!date^{at}^{{time}}|x> (<!date^{at}^{{ago}}|x>)"))
    assert room.printed()[1].count(":") == 2


def test_names_with_formatting_characters_come_through_unharmed(room: Room) -> None:
    room.post(section("`a_gw_003` reports 2*3 and 10:20:30"))
    assert room.printed()[1] == "  a_gw_003 reports 2*3 and 10:20:30"


def test_a_deleted_message_and_an_unanswered_click_are_told(room: Room) -> None:
    message = room.post(section("OTA Failure on a-gw-003"))
    room.printed()
    room.workspace.delete(message, BOB)
    assert room.printed() == ["#ops  deleted: OTA Failure on a-gw-003"]
    room.workspace.note("delivery", {"id": 1, "kind": "interaction", "acked": False}, user=BOB)
    assert room.printed() == ["the bot did not answer bob's interaction"]


def test_a_modal_is_shown_to_its_person_with_buttons_of_its_own(room: Room) -> None:
    body = {"title": {"type": "plain_text", "text": "Redeploy"}, "blocks": [section("a-gw-003"), actions(HOLD)]}
    room.workspace.note("view", View("V1", BOB, body, "h", "V1", errors={"reason": "too short"}).state(), user=BOB)
    assert room.printed() == ["bob sees a modal: Redeploy", "  a-gw-003", "  [1] Hold", "  reason: too short"]
    assert room.screen.buttons[1].ts == ""


# what is typed


@dataclass(slots=True)
class Desk:
    """A console at a workspace to which no bot is connected."""

    console: Console
    sandbox: SlackSandbox
    people: SlackPeople
    told: list[str]
    controlled: list[list[str]] = field(default_factory=list)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    sandbox = SlackSandbox()
    sandbox.workspace.add_user("bob", id=BOB)
    sandbox.workspace.add_channel("rollouts", members=(BOB,))
    sandbox.workspace.add_channel("ops", members=(BOB,))
    sandbox.workspace.add_channel("other")
    told: list[str] = []
    controlled: list[list[str]] = []

    async def control(words: list[str]) -> str:
        if words[0] != "break":
            raise Misunderstood("Type help for what there is.")
        controlled.append(words)
        return "done"

    async with WireServer(sandbox.app) as server, SlackPeople(server.url) as people:
        console = Console(people, control, told.append)
        console.screen.learn(await people.state())
        yield Desk(console, sandbox, people, told, controlled)
    await sandbox.close()


async def test_a_typed_command_is_that_persons_in_that_channel(desk: Desk) -> None:
    assert await desk.console.obey("bob> /cdm rollout status")
    assert await desk.console.obey("bob #ops> /cdm alarms")
    sent = [one["payload"] for one in await desk.people.deliveries()]
    assert [(p["user_id"], p["channel_name"], p["command"], p["text"]) for p in sent] == [
        (BOB, "rollouts", "/cdm", "rollout status"),
        (BOB, "ops", "/cdm", "alarms"),
    ]


async def test_click_presses_the_button_of_that_number(desk: Desk) -> None:
    workspace = desk.sandbox.workspace
    blocks = [section("edge-1.1.0") | {"block_id": "a"}, actions(PROMOTE, HOLD) | {"block_id": "b"}]
    workspace.store(Message("C0ROLLOUTS", workspace.next_ts(), BOT, "", blocks))
    desk.console.screen.take(asdict(workspace.changes[-1]))
    await desk.console.obey("bob> click 2")
    (sent,) = await desk.people.deliveries()
    assert sent["payload"]["actions"][0]["action_id"] == "hold"


async def test_what_a_person_cannot_do_is_said_and_the_console_goes_on(desk: Desk) -> None:
    for line, why in (
        ("bob> click 9", "click takes the number of a button"),
        ("zoe> /cdm help", "There is no zoe"),
        ("bob #nowhere> /cdm help", "There is no #nowhere"),
        ("bob #other> /cdm help", "is not in C0OTHER"),
        ("dance", "Type help"),
    ):
        assert await desk.console.obey(line)
        assert why in desk.told[-1]


async def test_other_lines_go_to_the_sandbox_and_quit_ends(desk: Desk) -> None:
    assert await desk.console.obey("break keycloak down")
    assert desk.controlled == [["break", "keycloak", "down"]]
    assert desk.told == ["-- done"]
    assert not await desk.console.obey("quit")
