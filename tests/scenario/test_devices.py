"""Runs on devices, started from an alarm's buttons: each tells in the alarm's thread what happened, why, and what to
do, in one message; and every way in which a device or the relay may misbehave is told as what it is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import pytest
import pytest_asyncio
from ruamel.yaml import YAML

from sandbox.cast import TENANTS
from sandbox.fleet import Fate
from sandbox.settings_file import ADDRESS
from sandbox.slack.seen import SeenMessage
from sandbox.slack.texts import PING
from sandbox.thingsboard.entities import Device
from tests.scenario.people import ONE_LOOP, Office, Person, has, office
from tests.scenario.program import until

pytestmark = ONE_LOOP
A, B, C = (tenant.channel for tenant in TENANTS)
PATIENCE_S = 1.5
"""How long the bot waits here for a device to connect, and for a command's end."""
SECRETS = (
    "hunter2-of-the-lab",
    "Z2F0ZXdheS1zZWNyZXQ",
    "MIIEvQIBADANBgkqhkiG9w0BAQ",
    "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=",
)


@dataclass(frozen=True, slots=True)
class Cast:
    office: Office
    bob: Person
    frank: Person
    erin: Person

    async def result(self, who: Person, alarm: SeenMessage, action: str, channel: str) -> SeenMessage:
        """Press a button of an alarm; the run's message in its thread, once the run has ended."""
        before = {reply.ts for reply in (await self._now(alarm, channel)).replies}
        await who.clicks(alarm, action, channel)
        return await self.office.shows(
            channel,
            "By ",
            fits=lambda m: m.thread_ts == alarm.ts and m.ts not in before and "RUNNING" not in m.shown,
        )

    async def alarm(self, device: str) -> SeenMessage:
        """The alarm of a device of customer-a, raised now or before."""
        shown = [m for m in await self.office.slack.messages(A) if device in m.shown and has(m, "run:journal")]
        return shown[0] if shown else await self.office.alarm(device)

    def files_below(self, alarm: SeenMessage) -> Callable[[], Awaitable[list[str]]]:
        """The text of every file in the alarm's thread."""

        async def found() -> list[str]:
            now = await self._now(alarm, A)
            ids = {id for reply in now.replies for id in reply.files}
            return [file.content for file in await self.office.slack.files() if file.id in ids]

        return found

    def attributes(self, device: str) -> dict[str, tuple[int, Any]]:
        """The device's SERVER_SCOPE attributes in ThingsBoard: when set, and the value."""
        return self._in_thingsboard(device).attributes["SERVER_SCOPE"]

    def _in_thingsboard(self, device: str) -> Device:
        return next(d for d in self.office.world.thingsboard.world.devices.values() if d.name == device)

    def actions(self, device: str) -> list[tuple[str, str]]:
        """hawkBit's actions of the device, oldest first: the version, and what became of it."""
        target = self.office.world.hawkbit.tenant().repo.target(device)
        return [(action.set.version, action.status) for action in sorted(target.actions, key=lambda a: a.id)]

    async def runs(self, device: str, version: str) -> None:
        """The device says so itself."""

        async def there() -> bool:
            return bool(self._in_thingsboard(device).latest["sw_version"][1] == version)

        await until(there, f"{device} runs {version}", within_s=20)

    async def claims(self, device: str, version: str) -> None:
        """hawkBit takes the device for updated."""

        async def there() -> bool:
            installed = self.office.world.hawkbit.tenant().repo.target(device).installed
            return installed is not None and installed.version == version

        await until(there, f"hawkBit takes {device} for updated", within_s=20)

    async def _now(self, message: SeenMessage, channel: str) -> SeenMessage:
        return await self.office.slack.wait_for(channel, lambda m: m.ts == message.ts)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cast() -> AsyncIterator[Cast]:
    async with office(devices=20, start=False) as here:
        _impatient(here)
        await here.bot.start()
        people = {name: here.person(name) for name in ("bob", "frank", "erin")}
        await here.links({person: name for name, person in people.items()})
        yield Cast(here, **people)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def repaired(cast: Cast) -> Cast:
    """A rollout over five devices of customer-b, each with a fate of its own."""
    fates: tuple[Fate, ...] = ("fails", "falls_back", "silent", "never_reboots", "good")
    devices = [f"b-gw-00{n}" for n in range(1, len(fates) + 1)]
    await cast.office.starts_rollout("repair", "1.1.0", devices, (100,), fates=fates)
    return cast


def _impatient(here: Office) -> None:
    """The installation brings runbooks of its own, which replace those of the same names, with short time-outs."""
    folder = here.world.directory / "runbooks"
    folder.mkdir()
    for name in ("journal.yaml", "rauc-status.yaml"):
        text = files("runbooks").joinpath("catalog", name).read_text()
        (folder / name).write_text(text.replace("timeout_s: 20", f"timeout_s: {PATIENCE_S}"))
    path = here.world.write_config(runbooks_dir=str(folder))
    yaml = YAML()
    settings: Any = yaml.load(path)
    settings["stacks"][0]["relay"]["connect_timeout_s"] = PATIENCE_S
    yaml.dump(settings, path)


# what a device says


async def test_rauc_status_stands_in_the_alarms_thread_as_one_message_updated_in_place(cast: Cast) -> None:
    alarm = await cast.alarm("a-gw-001")
    devices = cast.office.world.relay.devices
    devices.switches("a-gw-001").command = "slow"
    try:
        told = await cast.result(cast.bob, alarm, "run:rauc-status", A)
    finally:
        devices.reset("a-gw-001")
    assert "DONE · *RAUC slots* on `a-gw-001`" in told.shown
    assert "Runs slot A (rootfs.0), marked good." in told.shown
    assert "By bob" in told.shown
    assert "rauc status --detailed --output-format=json" in told.shown
    assert told.revisions == 1, "announced as running, then updated to the result"
    assert cast.office.ran("a-gw-001")[-1] == ("rauc", "status", "--detailed", "--output-format=json")
    assert len([m for m in await cast.office.slack.messages(A) if "RAUC slots" in m.shown]) == 0, "only in the thread"


async def test_the_journal_begins_with_the_last_error_and_its_secrets_are_in_no_message_and_no_file(cast: Cast) -> None:
    device = cast.office.world.device("a-gw-001")
    for line in range(45):
        device.log(f"Polling hawkBit, try {line}")
    device.log("LastError: Installation error: Failed mounting bundle: Failed to set up dm-verity")
    device.log(f"GET https://cdm:{SECRETS[0]}@hawkbit.example/ password={SECRETS[0]}")
    device.log(f"Authorization: GatewayToken {SECRETS[1]}")
    device.log(f"-----BEGIN PRIVATE KEY----- {SECRETS[2]} -----END PRIVATE KEY-----")
    device.log(f"wg: PrivateKey = {SECRETS[3]} <!channel> <@U0BOB> http://evil.example")
    alarm = await cast.alarm("a-gw-001")
    told = await cast.result(cast.bob, alarm, "run:journal", A)
    assert "LastError: Installation error: Failed mounting bundle" in told.shown.split("\n")[1]
    assert "The complete output is in the file below" in told.shown
    (file,) = await until(cast.files_below(alarm), "the complete output is in the thread")
    assert "try 10" in file
    assert "try 44" in told.shown
    for secret in SECRETS:
        assert secret not in told.shown + told.text + json.dumps(told.blocks) + file
    assert "[redacted]" in told.shown
    assert "[redacted]" in file
    sent = told.text + json.dumps(told.blocks)
    assert PING.findall(sent) == []
    assert told.pings == []
    assert told.unfurled == []


# a device, or the way to it, that misbehaves


@pytest.mark.parametrize(
    ("switches", "state", "words"),
    [
        ({"link": "silent"}, "FAILED", ("did not answer within 1.5 s", "switched off or its VPN is down")),
        ({"link": "refused"}, "FAILED", ("takes no SSH connection", "Check its power and its VPN")),
        ({"command": "hang"}, "FAILED", ("the command took longer than 1.5 s and was ended", "try again")),
        ({"command": "drop"}, "FAILED", ("the connection broke while the command was running", "Try again")),
        ({"command": "flood"}, "DONE", ("output cut at 65536 bytes, the command was ended",)),
        ({"command": "noise"}, "DONE", ("The output is not the JSON of rauc status; shown as it came.",)),
        ({"exit_status": 3}, "FAILED", ("rauc: exit status 3.",)),
        ({"rauc_service": False}, "FAILED", ("rauc: exit status 1.", "was not provided by any .service files")),
        ({"changed_key": True}, "FAILED", ("shows another host key than the known one", "Nothing was run")),
        ({"answers_as": "a-gw-007"}, "FAILED", ("answers a-gw-007, not a-gw-002", "Nothing was run")),
    ],
)
async def test_what_is_wrong_with_a_device_is_told_as_what_it_is(
    cast: Cast, switches: dict[str, Any], state: str, words: tuple[str, ...]
) -> None:
    devices = cast.office.world.relay.devices
    alarm = await cast.alarm("a-gw-002")
    for name, value in switches.items():
        setattr(devices.switches("a-gw-002"), name, value)
    try:
        told = await cast.result(cast.bob, alarm, "run:rauc-status", A)
    finally:
        devices.reset("a-gw-002")
    assert f"{state} · *RAUC slots* on `a-gw-002`" in told.shown
    for word in words:
        assert word in _plain(told.shown)
    assert len(json.dumps(told.blocks)) < 9_000
    assert PING.findall(told.text + json.dumps(told.blocks)) == []
    assert "\x1b" not in told.shown
    if "Nothing was run" in words:
        assert cast.office.ran("a-gw-007") == []
    if switches.get("command") in ("hang", "flood"):
        ended = [one.ended_by for one in devices.ran if one.device == "a-gw-002"]
        assert ended[-1] is not None, "nothing may go on running on the device"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("10.66.2.5", "lies outside the WireGuard range of customer-a (10.66.1.0/24)"),
        ("127.0.0.1", "lies outside the WireGuard range of customer-a (10.66.1.0/24)"),
        ("relay.evil.example", "is no IP address"),
        (None, "has no VPN address"),
    ],
)
async def test_an_address_that_cannot_be_the_devices_is_never_connected_to(
    cast: Cast, address: str | None, words: str
) -> None:
    relay, known = cast.office.world.relay, cast.attributes("a-gw-003")
    alarm = await cast.alarm("a-gw-003")
    right = known.pop(ADDRESS)
    if address is not None:
        known[ADDRESS] = (right[0], address)
    before = (relay.connections, len(relay.devices.ran))
    try:
        told = await cast.result(cast.bob, alarm, "run:rauc-status", A)
        assert words in (await cast.bob.types("device a-gw-003")).shown.replace("\u200b", "")
    finally:
        known[ADDRESS] = right
    assert words in _plain(told.shown)
    assert (relay.connections, len(relay.devices.ran)) == before


async def test_the_relay_away_is_told_and_its_return_needs_no_restart(cast: Cast) -> None:
    relay = cast.office.world.relay
    alarm = await cast.alarm("a-gw-001")
    await relay.misbehave(down=True)
    try:
        told = await cast.result(cast.bob, alarm, "run:rauc-status", A)
        assert "The relay relay-eu1 at 127.0.0.1" in _plain(told.shown)
        assert "takes no SSH connection. Nothing was run on any device" in told.shown
    finally:
        await relay.misbehave(down=False)

    async def works() -> bool:
        return "DONE" in (await cast.result(cast.bob, alarm, "run:rauc-status", A)).shown

    await until(works, "the relay is used again")


async def test_two_runs_on_one_device_do_not_mix(cast: Cast) -> None:
    alarm = await cast.alarm("a-gw-002")
    devices = cast.office.world.relay.devices
    devices.switches("a-gw-002").command = "hang"
    try:
        first = asyncio.create_task(cast.result(cast.bob, alarm, "run:rauc-status", A))
        before = len(cast.office.ran("a-gw-002"))

        async def runs() -> bool:
            return len(cast.office.ran("a-gw-002")) > before

        await until(runs, "the first run is on the device")
        told = await cast.bob.presses(alarm, "run:journal", A)
        assert "Another run is at work on a-gw-002. Wait for its result, then try again." in told.shown
        await first
    finally:
        devices.reset("a-gw-002")
    assert cast.office.ran("a-gw-002")[-1][0] == "rauc"


async def test_a_button_of_an_alarm_that_became_part_of_many_acts_on_none_of_the_others(cast: Cast) -> None:
    """The sixth alarm of a kind turns them into one incident. Slack is slow to show it: the button is still there."""
    here = cast.office
    slack = here.world.servers["slack"].faults
    first = await here.alarm("c-gw-001")
    for number in (2, 3, 4, 5):
        await here.alarm(f"c-gw-00{number}")
    slack.add("late_request", "chat.update", delay_s=3.0)
    try:
        await here.alarm("c-gw-006", shown_as="6 devices")
        for action in ("run:rauc-status", "redeploy", "acknowledge", "clear"):
            told = await cast.erin.presses(first, action, C)
            assert "has become part of incident" in told.shown
            assert "about 6 devices. Nothing was done" in told.shown
    finally:
        slack.clear()
    assert [here.ran(f"c-gw-00{number}") for number in range(1, 7)] == [[]] * 6
    assert await here.alarm_state("c-gw-006") == "ACTIVE_UNACK"


# redeploy


async def test_a_failed_update_is_assigned_again_and_the_alarm_turns_green(repaired: Cast) -> None:
    alarm = await repaired.office.shows(B, "OTA Failure", "b-gw-001", button="redeploy")
    repaired.office.world.device("b-gw-001").fate = "good"
    told = await repaired.result(repaired.frank, alarm, "redeploy", B)
    assert "edge:1.1.0 is assigned again; the device installs it at its next poll" in _plain(told.shown)
    await repaired.runs("b-gw-001", "1.1.0")
    await repaired.office.shows(B, "b-gw-001", "cleared", fits=lambda m: m.ts == alarm.ts)
    acts = [(e.kind, e.action) for e in await repaired.office.audit() if e.object == "device:eu1/b-gw-001"]
    assert acts[-2:] == [("intent", "run:redeploy"), ("outcome", "run:redeploy")]


async def test_a_device_that_fell_back_is_first_told_to_hawkbit_as_what_it_runs(repaired: Cast) -> None:
    """hawkBit would answer 200 to an assignment and do nothing: it takes the device for updated."""
    alarm = await repaired.office.shows(B, "OTA Failure", "b-gw-002", button="redeploy")
    device = repaired.office.world.device("b-gw-002")
    device.version = "0.9.9"
    await repaired.office.world.fleet.report(device)
    await repaired.runs("b-gw-002", "0.9.9")
    told = await repaired.result(repaired.frank, alarm, "redeploy", B)
    assert "hawkBit has no set edge:0.9.9 to put that right with" in _plain(told.shown)
    device.version, device.fate = "1.0.0", "good"
    await repaired.office.world.fleet.report(device)
    await repaired.runs("b-gw-002", "1.0.0")
    told = await repaired.result(repaired.frank, alarm, "redeploy", B)
    assert "hawkBit took b-gw-002 for 1.1.0, but it runs 1.0.0" in _plain(told.shown)
    await repaired.runs("b-gw-002", "1.1.0")
    assert repaired.actions("b-gw-002")[-3:] == [("1.1.0", "finished"), ("1.0.0", "finished"), ("1.1.0", "finished")]
    await repaired.office.shows(B, "b-gw-002", "cleared", fits=lambda m: m.ts == alarm.ts)


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ("b-gw-003", "is still open on b-gw-003: it will be installed when the device polls"),
        ("b-gw-004", "it may only be waiting for its reboot"),
        ("b-gw-005", "b-gw-005 runs 1.1.0 already"),
        ("b-gw-006", "b-gw-006 runs 1.0.0 already"),
    ],
)
async def test_where_nothing_would_come_of_it_nothing_is_assigned(repaired: Cast, device: str, words: str) -> None:
    await repaired.claims("b-gw-004", "1.1.0")
    await repaired.runs("b-gw-005", "1.1.0")
    before = repaired.actions(device)
    await repaired.frank.types(f"run redeploy {device}")
    told = await repaired.office.shows(B, "Redeploy the bundle", device, "FAILED")
    assert words in _plain(told.shown)
    assert "Nothing was assigned" in told.shown
    assert repaired.actions(device) == before


def _plain(shown: str) -> str:
    return shown.replace("\u200b", "")
