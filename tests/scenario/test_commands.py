"""What people type and press: every command, every slip, and what Slack does to messages on the way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio

from core.commands import FORMS
from sandbox.bot_process import BotProcess
from sandbox.cast import ROLLOUTS
from sandbox.slack.seen import SeenEphemeral, SeenMessage
from sandbox.slack.texts import LINK, PING
from tests.scenario.people import ACK_MS, ONE_LOOP, Office, Person, office

pytestmark = ONE_LOOP
ALARMS_A = "C0ALARMSA"
RELEASE = "autumn release 7"
"""Three groups of one device; the second takes its time for ever."""
TWICE = "two at once"

SAID = {
    "help": ("help", "/cdm rollout promote", "/cdm rollout promote"),
    "alarms": ("alarms", "a-gw-006", "a-gw-006"),
    "device": ("device a-gw-006", "OTA Failure", "OTA Failure"),
    "rollout list": ("rollout list", RELEASE, RELEASE),
    "rollout status": (f"rollout status {RELEASE}", "1/1 verified", "1/1 verified"),
    "why": (f"why {RELEASE} 0", "verified share", "verified share"),
    "rollout hold": (f"rollout hold {RELEASE}", "On hold", "needs the role cdm-operator"),
    "rollout unhold": (f"rollout unhold {RELEASE}", "The hold is lifted", "needs the role cdm-operator"),
    "rollout start": (f"rollout start {RELEASE}", "It has started already", "needs the role cdm-operator"),
    "rollout promote": (f"rollout promote {RELEASE}", "Group 2 is started", "needs the role cdm-operator"),
    "rollout pause": (f"rollout pause {RELEASE}", "Paused", "needs the role cdm-operator"),
    "rollout resume": (f"rollout resume {RELEASE}", "Group 3 was not started", "needs the role cdm-operator"),
    "rollout stuck": (f"rollout stuck {RELEASE}", RELEASE, RELEASE),
    "rollout exclude": (f"rollout exclude {RELEASE}", "heard of lately", "needs the role cdm-admin"),
    "rollout catch-up": (
        f"rollout catch-up {RELEASE}",
        "No excluded device was heard of",
        "needs the role cdm-operator",
    ),
    "rollout cancel": (f"rollout cancel {RELEASE}", "before, Stop ends it", "needs the role cdm-admin"),
    "rollout quit": (f"rollout quit {RELEASE}", "give the devices time", "needs the role cdm-admin"),
    "rollout stop": (f"rollout stop {RELEASE}", "second person", "needs the role cdm-admin"),
    "rollout continue": (f"rollout continue {RELEASE}", "second person", "needs the role cdm-operator"),
    "rollout reboot": (f"rollout reboot {RELEASE}", "No device of this rollout waits", "needs the role cdm-operator"),
    "policy": (f"policy {RELEASE}", "policy default, since no other", "policy default, since no other"),
    "ask": (f"ask stop {RELEASE} slot B is bricked", "waits for approval in", "needs the role cdm-admin"),
    "approvals": ("approvals", "Asked by you", "0 requests for you to decide"),
    "approve": ("approve 222222", "There is no request '222222'", "There is no request '222222'"),
    "deny": ("deny 222222 too late", "There is no request '222222'", "There is no request '222222'"),
    "withdraw": ("withdraw 222222", "There is no request '222222'", "There is no request '222222'"),
    "run": ("run rauc-status a-gw-006", f"the result is in <#{ALARMS_A}>", "needs the role cdm-operator"),
    "runbooks": ("runbooks", "/cdm run rauc-status <device>", "/cdm run rauc-status <device>"),
    "whoami": ("whoami", "bob@customer-a.example", "carol@customer-a.example"),
    "link": ("link", "is linked with the Keycloak account bob", "is linked with the Keycloak account carol"),
    "links": ("links", "needs the role cdm-admin in customer-a", "needs the role cdm-admin in customer-a"),
    "links revoke": ("links revoke alice", "needs the role cdm-admin", "needs the role cdm-admin"),
    "audit": ("audit", "needs the role cdm-admin", "needs the role cdm-admin"),
    "unlink": ("unlink", "not linked with the Keycloak account bob any more", "the Keycloak account carol any more"),
}
"""By command: what is typed, and what an operator and a viewer are told. In an order that makes sense for a rollout."""

FORM = {"rollout create"}
"""Answered by a form: `test_releases`."""


@dataclass(frozen=True, slots=True)
class Cast:
    office: Office
    alice: Person
    bob: Person
    carol: Person
    release: int
    twice: int


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cast() -> AsyncIterator[Cast]:
    async with office(devices=20) as here:
        people = {name: here.person(name) for name in ("alice", "bob", "carol")}
        release, twice, _ = await asyncio.gather(
            here.starts_rollout(RELEASE, "1.1.0", ["a-gw-001", "a-gw-002", "a-gw-003"], (34, 33, 33)),
            here.starts_rollout(TWICE, "1.1.0", ["a-gw-004", "a-gw-005"]),
            here.links({person: name for name, person in people.items()}),
        )
        for slow in await here.world.by_hand.members(release, 2):
            here.world.device(slow).fate = "silent"
        yield Cast(here, **people, release=release, twice=twice)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("rollot status", "Did you mean /cdm rollout status [name]"),
        ("rollout prmote x", "there is no command 'rollout prmote'. Did you mean /cdm rollout promote <name>"),
        ("rollout", "'rollout' is only part of a command"),
        ("device", "device needs <id>"),
        ("run journal a-gw-004 5", "'5' is not name=value"),
        ("run nothing a-gw-004", "There is no runbook 'nothing'. There are: journal, rauc-status, redeploy."),
        ("run journal a-gw-004 lines=many", "Lines must be a whole number from 1 to 500. Nothing was run."),
        ("run journal a-gw-004 unit=x;reboot", "must be the name of a systemd unit"),
        ("run journal a-gw-004 unit=$(reboot)", "must be the name of a systemd unit"),
        ("run redeploy a-gw-004 force=yes", "has no parameter 'force'"),
        ("device nobody-knows-it", "There is no device nobody-knows-it in your tenants"),
        ("device b-gw-001", "There is no device b-gw-001 in your tenants"),
        ("run journal b-gw-001", "There is no device b-gw-001 in your tenants"),
        ("device ../../auth/user", "There is no device ../../auth/user in your tenants"),
        ("device a-gw-004?x=1&y=2#z", "There is no device a-gw-004?x=1&y=2#z in your tenants"),
        ("device a-gw-00%", "There is no device a-gw-00% in your tenants"),
        ("alarms customer-b", "There is no tenant 'customer-b' among yours"),
        ("rollout status *", "There is no rollout"),
        ("rollout stop x',name==*", "There is no rollout"),
        ("WHOAMI", "bob@customer-a.example"),
        ("", "What I understand"),
    ],
)
async def test_a_slip_is_answered_with_what_was_wrong_and_the_nearest_command(
    cast: Cast, typed: str, told: str
) -> None:
    ran = len(cast.office.world.relay.devices.ran)
    assert told in _flat(await cast.bob.types(typed))
    assert len(cast.office.world.relay.devices.ran) == ran


async def test_what_a_person_types_pings_nobody_links_nowhere_and_is_shown_as_typed(cast: Cast) -> None:
    typed = "<!channel> <@U0BOB> *bold* `code` http://evil.example/x &lt;!here&gt; @everyone \u202e \x1b[31m"
    for command in (typed, f"device {typed}", f"rollout status {typed}", f"run {typed}", f"alarms {typed}"):
        said = await cast.bob.types(command)
        sent = said.text + json.dumps(said.blocks, ensure_ascii=False)
        assert PING.findall(sent) == []
        assert LINK.findall(sent) == []
        assert "\u202e" not in sent
        assert "\x1b" not in sent


async def test_three_kilobytes_typed_are_answered_shortly(cast: Cast) -> None:
    long = "x" * 3000
    for command in (long, f"device {long}", f"rollout status {long}", f"run {long} a-gw-004", f"run journal {long}"):
        said = await cast.bob.types(command)
        assert len(said.text) < 700
        assert not said.text.endswith("…"), "what to do must not be cut off"


async def test_every_command_answers_an_operator_and_a_viewer_each_by_their_right(cast: Cast) -> None:
    assert SAID.keys() | FORM == {form.name for form in FORMS}
    here = cast.office
    await here.alarm("a-gw-006")
    before = len(here.ran("a-gw-006"))
    await here.shows(ROLLOUTS, RELEASE, button="promote", within_s=30)
    for typed, to_bob, to_carol in SAID.values():
        assert to_carol in _flat(await cast.carol.types(typed)), typed
        assert to_bob in _flat(await cast.bob.types(typed)), typed
    await here.links({cast.bob: "bob", cast.carol: "carol"})
    assert await here.started(cast.release) == 2
    assert here.ran("a-gw-006")[before:] == [("rauc", "status", "--detailed", "--output-format=json")]


async def test_what_was_heard_is_acknowledged_at_once_however_slow_hawkbit_is(cast: Cast) -> None:
    slow = cast.office.world.servers["hawkbit"].faults
    slow.add("late_answer", "GET /rest/v1/rollouts", delay_s=1.5)
    try:
        told = await cast.bob.types("rollout list")
    finally:
        slow.clear()
    assert RELEASE in told.shown
    assert max(d.ack_ms or 0 for d in cast.office.acks) < ACK_MS


async def test_a_click_that_socket_mode_brings_twice_acts_once(cast: Cast) -> None:
    here = cast.office
    message = await here.alarm("a-gw-007")
    before = len(here.ran("a-gw-007"))
    await here.slack.set(duplicate_next=1)
    delivered = await cast.bob.clicks(message, "run:rauc-status", ALARMS_A)
    assert (await here.slack.replay(delivered.id)).acked
    await here.reply(message, ALARMS_A, "RAUC slots", "DONE")
    # What comes after them is worked on after them: once it has answered, nothing of them is left.
    assert "acknowledged" in (await cast.bob.presses(message, "acknowledge", ALARMS_A)).shown
    assert len(here.ran("a-gw-007")) == before + 1
    shown = await here.shows(ALARMS_A, "a-gw-007", "acknowledged")
    assert len([reply for reply in shown.replies if "RAUC slots" in reply.shown]) == 1


async def test_a_click_on_a_message_that_is_not_true_any_more_changes_nothing(cast: Cast) -> None:
    """Slack takes its time with updates, so the button is still there when the second person presses it."""
    here = cast.office
    message = await here.shows(ROLLOUTS, TWICE, button="promote", within_s=30)
    slack = here.world.servers["slack"].faults
    slack.add("late_request", "chat.update", delay_s=2.5)
    try:
        first = await cast.bob.presses(message, "promote")
        second = await cast.bob.presses(message, "promote")
    finally:
        slack.clear()
    assert "Group 2 is started." in first.shown
    assert "Group 2 is already started." in second.shown
    mine = [start.index for start in here.world.hawkbit.starts if start.rollout == cast.twice]
    assert mine == [0, 1]


async def test_why_is_answered_privately_and_pages_back(cast: Cast) -> None:
    """To a viewer too, who may see the rollout and change nothing."""
    message = await cast.office.shows(ROLLOUTS, RELEASE, button="why")
    newest = await cast.carol.presses(message, "why")
    assert f"{RELEASE} on eu1: " in _flat(newest).replace("*", "")
    assert "Decided for the scheduler at" in newest.shown
    before = _pressed(newest, "why")
    earlier = await cast.carol.presses(await _posted(cast.office, "why", before), "why")
    assert earlier.shown != newest.shown
    assert _pressed(earlier, "why-newest") == message.button("why").value
    assert f"/cdm why {RELEASE} 2" in _flat(earlier)


async def test_an_alarm_acknowledged_twice_is_said_to_be_done(cast: Cast) -> None:
    message = await cast.office.alarm("a-gw-008")
    slack = cast.office.world.servers["slack"].faults
    slack.add("late_request", "chat.update", delay_s=2.5)
    try:
        await cast.bob.presses(message, "acknowledge", ALARMS_A)
        again = await cast.bob.presses(message, "acknowledge", ALARMS_A)
    finally:
        slack.clear()
    assert "Nothing was left to do" in again.shown


async def test_what_stands_under_more_actions_is_heard_as_the_button_it_stands_for(cast: Cast) -> None:
    here = cast.office
    message = await here.alarm("a-gw-003")
    assert (message.button("clear").menu, message.button("clear").label) == ("more", "Clear in ThingsBoard")
    assert "needs the role" in (await cast.carol.presses(message, "clear", ALARMS_A)).shown
    assert await here.alarm_state("a-gw-003") == "ACTIVE_UNACK"
    assert "1 of 1 alarm cleared in ThingsBoard" in (await cast.bob.presses(message, "clear", ALARMS_A)).shown


async def test_a_button_of_an_older_version_does_nothing_and_says_so(cast: Cast) -> None:
    here = cast.office
    for action, value in (("explode", "eu1/1"), ("promote", "eu1/one"), ("stop", "eu9/1")):
        message = await _posted(here, action, value)
        assert "Nothing was done" in (told := (await cast.bob.presses(message, action)).shown), told
    message = await _posted(here, "acknowledge", "i0")
    assert "no such incident" in (await cast.bob.presses(message, "acknowledge")).shown


async def test_over_http_too_and_a_click_heard_too_long_ago_is_not_carried_out(cast: Cast) -> None:
    """Another bot on the same store: Slack comes to it over signed HTTP, and it does not act on what it could not take
    up within two seconds."""
    here = cast.office
    await here.bot.stop()
    here.world.slack_mode = "http"
    here.world.slack.courier.use_http(f"{here.world.bot_url}/slack/events")
    config = here.world.write_config(name="http.yaml", timing={"work_max_age_s": 2.0})
    bot = BotProcess(config, here.world.bot_url, here.world.directory / "http.log")
    try:
        await bot.start()
        await _commands_and_clicks_over_http(cast)
        await _too_old_is_not_carried_out(cast)
    finally:
        await bot.stop()
        print(bot.log_text()[-4_000:])


async def _commands_and_clicks_over_http(cast: Cast) -> None:
    here = cast.office
    assert "bob@customer-a.example" in _flat(await cast.bob.types("whoami"))
    message = await here.alarm("a-gw-006")
    before = len(here.ran("a-gw-006"))
    delivered = await cast.bob.clicks(message, "run:rauc-status", ALARMS_A)
    assert (await here.slack.replay(delivered.id)).acked
    await here.reply(message, ALARMS_A, "RAUC slots", "DONE")
    assert "acknowledged" in (await cast.bob.presses(message, "acknowledge", ALARMS_A)).shown
    assert len(here.ran("a-gw-006")) == before + 1


async def _too_old_is_not_carried_out(cast: Cast) -> None:
    """The bot works on four things of one person at a time; while hawkBit lets it wait for them, the next grows old."""
    here = cast.office
    message = await here.alarm("a-gw-001")
    slow = here.world.servers["hawkbit"].faults
    slow.add("late_answer", r"GET /rest/v1/rollouts\?", delay_s=5.0)
    try:
        asked = [here.slack.slash(cast.bob.id, ROLLOUTS, "/cdm", "rollout status nothing") for _ in range(8)]
        assert all(delivered.acked for delivered in await asyncio.gather(*asked))
        await cast.bob.clicks(message, "acknowledge", ALARMS_A)
        await here.slack.wait_for_ephemeral(
            cast.bob.id, lambda said: said.channel == ALARMS_A and "Not done: you asked at" in said.shown, 20.0
        )
    finally:
        slow.clear()
    assert await here.alarm_state("a-gw-001") == "ACTIVE_UNACK"


async def _posted(here: Office, action: str, value: str) -> SeenMessage:
    """A message with a button as some other version of the bot may have posted it."""
    button = {"type": "button", "action_id": action, "text": {"type": "plain_text", "text": "Do"}, "value": value}
    text = f"from another version: {action} {value}"
    body = {"channel": ROLLOUTS, "text": text, "blocks": [{"type": "actions", "elements": [button]}]}
    headers = {"authorization": f"Bearer {here.world.slack.bot_token}"}
    async with httpx.AsyncClient(base_url=here.world.url("slack"), trust_env=False, headers=headers) as http:
        said = (await http.post("/api/chat.postMessage", json=body)).json()
    return await here.slack.wait_for(ROLLOUTS, lambda message: message.ts == said["ts"])


def _pressed(said: SeenEphemeral, action: str) -> str:
    """The value of that button in a private answer."""
    parts = [part for block in said.blocks if block["type"] == "actions" for part in block["elements"]]
    return next(str(part["value"]) for part in parts if part["action_id"] == action)


def _flat(said: SeenEphemeral) -> str:
    return f"{said.text} {said.shown}".replace("\n", " ").replace("`", "").replace("\u200b", "")
