"""The sandbox alone: what the bot will meet is there, on the wire, before any bot is."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

import httpx
import pytest

from bot.config_file import check_secrets, load_settings
from core.devices import DeviceAddress
from core.ids import DeviceName
from integrations.relay.ssh import RelaySettings, SshRelay
from sandbox.cast import PEOPLE, ROLLOUTS
from sandbox.controls import Controls, Misunderstood
from sandbox.scenarios import Player
from sandbox.scenarios.files import parse
from sandbox.slack.records import Message
from sandbox.slack.views import push_view
from sandbox.wire import Receive, Scope, Send, WireServer, answer, read_body
from sandbox.world import SandboxWorld


@dataclass(slots=True)
class Listener:
    """Stands where the bot would stand."""

    heard: list[tuple[str, str, Any]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = json.loads(await read_body(receive))
        headers = dict(scope["headers"])
        self.heard.append((scope["path"], headers[b"authorization"].decode(), body))
        await answer(send, 202)


async def until(holds: Callable[[], Awaitable[bool]], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not await holds():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        await asyncio.sleep(0.05)


async def test_a_failed_update_reaches_the_bots_address_with_its_tenants_secret(world: SandboxWorld) -> None:
    listener = Listener()
    async with WireServer(listener, port=world.bot_port):
        world.device("b-gw-002").fate = "fails"
        rollout = await world.pipeline.release("1.1.0", query="controllerId==b-gw-002", groups=(100,))
        await world.pipeline.order(rollout, "start")

        async def heard() -> bool:
            return bool(listener.heard)

        await until(heard)
    path, authorization, body = listener.heard[0]
    secret = (world.directory / "secrets" / "webhook-customer-b").read_text()
    assert path == "/webhooks/thingsboard/eu1"
    assert authorization == f"Bearer {secret}"
    assert (body["alarm"]["type"], body["alarm"]["originatorName"]) == ("OTA Failure", "b-gw-002")


async def test_a_release_waits_after_each_group_and_ends_with_every_device_on_the_new_version(
    world: SandboxWorld,
) -> None:
    rollout = await world.pipeline.release("1.1.0", groups=(25, 75))
    await world.pipeline.order(rollout, "start")

    async def status(wanted: str) -> bool:
        return bool((await world.pipeline.rollout(rollout))["status"] == wanted)

    await until(lambda: status("paused"))
    assert await world.pipeline.started(rollout) == 1
    await world.pipeline.order(rollout, "resume")
    await until(lambda: status("finished"))

    async def rebooted() -> bool:
        return world.fleet.by_state() == {"1.1.0": 12}

    await until(rebooted)


async def test_the_settings_it_writes_are_ones_the_bot_accepts(world: SandboxWorld) -> None:
    settings = load_settings(world.config)
    assert check_secrets(settings, world.config) == []
    assert [tenant.id for tenant in settings.stacks[0].tenants] == ["customer-a", "customer-b", "customer-c"]
    second = load_settings(
        world.write_config(name="second.yaml", port=20_001, data_dir="data-2", promotion={"soak_s": 5})
    )
    assert (second.server.port, second.promotion.soak_s, second.promotion.owners) == (20_001, 5, ["ci"])


async def test_a_device_answers_over_ssh_through_the_relay_under_its_own_host_key(world: SandboxWorld) -> None:
    given = load_settings(world.config).stacks[0].relay
    assert given is not None
    relay = SshRelay(
        RelaySettings(
            name=given.relay_name,
            host=given.host,
            port=given.port,
            user=given.username,
            key_file=given.key_file,
            known_hosts=given.known_hosts,
        )
    )
    device = world.device("c-gw-001")
    try:
        output = await relay.run(
            DeviceAddress(DeviceName(device.name), device.ip, given.device_port, given.device_user),
            ["rauc", "status"],
            inside=ip_network("10.66.3.0/24"),
            timeout_s=5,
            max_bytes=10_000,
        )
    finally:
        await relay.aclose()
    assert output.exit_status == 0
    assert b"Booted from: rootfs.0" in output.stdout


async def test_a_system_is_down_for_everybody_but_the_sandboxs_own_doors_until_it_is_mended(
    world: SandboxWorld,
) -> None:
    controls = Controls(world)
    async with httpx.AsyncClient(trust_env=False) as http:

        async def answers(path: str) -> bool:
            try:
                return (await http.get(f"{world.url('keycloak')}{path}")).status_code == 200
            except httpx.TransportError:
                return False

        realm = "/realms/cdm/.well-known/openid-configuration"
        assert await answers(realm)
        await controls.run(["break", "keycloak", "down"])
        assert not await answers(realm)
        assert await answers("/_sandbox/keycloak")
        await controls.run(["break", "keycloak", "up"])
        assert await answers(realm)


async def test_a_device_can_be_told_from_the_console_what_becomes_of_its_next_update(world: SandboxWorld) -> None:
    controls = Controls(world)
    await controls.run(["break", "gw", "a-gw-001", "falls_back"])
    assert world.device("a-gw-001").fate == "falls_back"
    with pytest.raises(Misunderstood, match="never_reboots"):
        await controls.run(["break", "gw", "a-gw-001", "explodes"])
    with pytest.raises(Misunderstood, match="no device z-gw-001"):
        await controls.run(["break", "gw", "z-gw-001", "fails"])


async def test_a_bad_bundle_is_refuted_on_every_device_that_installs_it_until_it_is_good_again(
    world: SandboxWorld,
) -> None:
    controls = Controls(world)
    await controls.run(["break", "bundle", "1.1.0", "falls_back"])
    assert "is started" in await controls.run(["release", "1.1.0"])
    rollout = next(iter(world.hawkbit.tenant().repo.rollouts))

    async def fallen() -> bool:
        return {d.ota_status for d in first} == {"failure"}

    first = [world.device(name) for name in await world.by_hand.members(rollout, 1)]
    await until(fallen)
    assert {d.version for d in first} == {"1.0.0"}
    group = (await world.by_hand.groups(rollout))[0]
    assert group["totalTargetsPerStatus"]["finished"] == len(first), "to hawkBit it looks like success"
    await controls.run(["break", "bundle", "1.1.0", "good"])
    assert not world.fleet.bad


async def test_a_site_without_power_falls_silent_everywhere_and_takes_up_its_update_when_it_is_back(
    world: SandboxWorld,
) -> None:
    controls = Controls(world)
    await controls.run(["break", "site", "customer-b", "offline"])
    (site,) = [t for t in controls.view()["fleet"]["tenants"] if t["id"] == "customer-b"]
    assert (site["online"], site["offline"]) == (0, world.counts["customer-b"])
    assert world.relay.devices.switches("b-gw-001").link == "silent"
    rollout = await world.pipeline.release("1.1.0", query="controllerId=in=(a-gw-001,b-gw-001)", groups=(100,))
    await world.pipeline.order(rollout, "start")

    async def versions(wanted: tuple[str, str]) -> bool:
        return (world.device("a-gw-001").version, world.device("b-gw-001").version) == wanted

    await until(lambda: versions(("1.1.0", "1.0.0")))
    await controls.run(["break", "site", "customer-b", "online"])
    await until(lambda: versions(("1.1.0", "1.1.0")))


async def test_a_restarted_hawkbit_refuses_connections_and_then_knows_what_it_knew(world: SandboxWorld) -> None:
    rollout = await world.pipeline.release("1.1.0")
    controls = Controls(world)
    await controls.run(["restart", "hawkbit"])
    assert {"name": "hawkbit", "state": "down"} in controls.view()["systems"]
    with pytest.raises(httpx.ConnectError):
        await world.pipeline.rollout(rollout)
    with pytest.raises(Misunderstood, match="restarting already"):
        await controls.run(["restart", "hawkbit"])

    async def back() -> bool:
        return not world.hawkbit_restarting

    await until(back)
    assert (await world.pipeline.rollout(rollout))["status"] == "ready"
    await world.pipeline.order(rollout, "start")


async def test_while_time_stands_still_nothing_is_installed_and_devices_stay_online(world: SandboxWorld) -> None:
    controls = Controls(world)
    rollout = await world.pipeline.release("1.1.0", query="controllerId==c-gw-001", groups=(100,))
    await controls.run(["speed", "0"])
    await world.pipeline.order(rollout, "start")
    heard: set[float] = set()

    async def reports() -> bool:
        """Telemetry goes on: time that stands still is no outage."""
        (device,) = [d for d in world.thingsboard.world.devices.values() if d.name == "c-gw-001"]
        if "sw_version" in device.latest:
            heard.add(device.latest["sw_version"][0])
        return len(heard) > 2

    await until(reports)
    assert world.device("c-gw-001").version == "1.0.0"
    with pytest.raises(Misunderstood, match="Time stands still"):
        await controls.run(["release", "1.2.0"])
    await controls.run(["speed", "10"])

    async def installed() -> bool:
        return world.device("c-gw-001").version == "1.1.0"

    await until(installed)


async def test_alarms_at_once_reach_the_bots_address_each_and_are_cleared_together(world: SandboxWorld) -> None:
    listener = Listener()
    controls = Controls(world)
    async with WireServer(listener, port=world.bot_port):
        await controls.run(["alarms", "40", "customer-c"])

        async def raised(state: str, number: int) -> bool:
            states: dict[str, str] = {}
            for *_, body in listener.heard:
                states[body["alarm"]["originatorName"]] = body["alarm"]["status"]
            return list(states.values()).count(state) == number

        await until(lambda: raised("ACTIVE_UNACK", 40))
        assert any(c["words"] == ["alarms", "400"] and c["active"] for c in controls.view()["controls"])
        await controls.run(["alarms", "over"])
        await until(lambda: raised("CLEARED_UNACK", 40))


async def test_the_panel_shows_what_was_done_and_every_control_can_be_carried_out_and_undone(
    world: SandboxWorld,
) -> None:
    controls = Controls(world)
    for _ in range(2):
        for control in controls.view()["controls"]:
            if control["group"] not in ("Load", "Release"):
                defaults = {ask["name"]: ask["default"] for ask in control["asks"]}
                words = control["undo"] if control["active"] else control["words"]
                if words != ["restart", "hawkbit"]:
                    await controls.run([word.format(**defaults) for word in words])
    view = controls.view()
    json.dumps(view)
    assert [c["label"] for c in view["controls"] if c["active"]] == []
    assert {one["state"] for one in view["systems"]} == {"up"}
    assert all(c["hint"] for c in view["controls"])
    assert view["recent"][0]["text"].startswith("time goes at speed")
    assert view["fleet"]["total"] == 12
    assert (view["speed"], view["speeds"], view["story"]) == (1.0, [0, 0.5, 1, 4, 10], None)


@pytest.mark.parametrize(
    "words",
    ["dance", "break gw z-gw-001 offline", "break bundle 9.9.9 fails", "break bundle 1.1.0 silent",
     "break site nowhere offline", "break site customer-a gone", "alarms many", "alarms 0", "speed 3", "link zoe",
     "release 9.9.9", "break relay gone"],
)  # fmt: skip
async def test_what_makes_no_sense_is_said_and_not_remembered_as_done(world: SandboxWorld, words: str) -> None:
    controls = Controls(world)
    with pytest.raises(Misunderstood):
        await controls.run(words.split())
    assert controls.view()["recent"] == []


SMALL = """
title: A small day
about: Nothing goes as it should.
devices: 12
steps:
  - release: {keep: release, name: edge-1.1.0, version: 1.1.0, groups: [{rest: true}]}
  - pick: {keep: first, rollout: release, group: 1, count: 1}
  - control: break gw ${first} fails
  - message: {where: rollouts, has: ["${release}", verified], within_s: 0.3, keep: shown}
  - presses: {who: bob, of: shown, button: promote}
  - started: {rollout: release, group: 1, within_s: 0.3}
at_the_end:
  - status: {rollout: release, status: finished, within_s: 0.3}
"""


async def test_a_scenario_without_a_bot_fails_and_says_what_was_there_instead(world: SandboxWorld) -> None:
    workspace = world.slack.workspace
    workspace.store(Message(ROLLOUTS, workspace.next_ts(), workspace.bot_user, "*edge-1.1.0* was made", []))
    told: list[str] = []
    controls = Controls(world)
    controls.story = player = Player(world, controls, parse(SMALL, "small.yaml"), told.append)
    await player.play()
    seen, pressed, begun, ended = player.failures
    assert seen == (
        "small.yaml:9: message: #rollouts: 'edge-1.1.0', 'verified': not within 0.3 s; instead: #rollouts shows 1 "
        "messages, the nearest is '*edge-1.1.0* was made': it lacks 'verified'"
    )
    assert pressed == "small.yaml:10: presses: there is no shown: the step that should have kept it failed"
    assert begun == "small.yaml:11: started: group 1 of edge-1.1.0 starts: not within 0.3 s; instead: []"
    assert ended == "small.yaml:13: status: edge-1.1.0 is finished in hawkBit: not within 0.3 s; instead: ready"
    assert [line for line in told if line.startswith("!! ")] == [f"!! {failure}" for failure in player.failures]
    assert "promises not kept: 4" in told[-1]
    story = controls.view()["story"]
    assert (story["name"], story["finished"], len(story["failures"])) == ("small", True, 4)


FORM = """
title: A form
about: A person fills in what is on their screen.
devices: 12
steps:
  - fills: {who: bob, has: [Run a runbook], values: {device: a-gw-001}, within_s: 2}
  - fills: {who: carol, has: [Run a runbook], values: {device: a-gw-001}, within_s: 0.3}
"""


async def test_a_form_is_filled_in_by_the_person_who_sees_it(world: SandboxWorld) -> None:
    element = {"type": "plain_text_input", "action_id": "device"}
    label = {"type": "plain_text", "text": "Device"}
    blocks = [{"type": "input", "block_id": "which", "label": label, "element": element}]
    body = {"type": "modal", "title": {"type": "plain_text", "text": "Run a runbook"}, "blocks": blocks}
    push_view(world.slack.workspace, PEOPLE["bob"].id, body)
    player = Player(world, Controls(world), parse(FORM, "form.yaml"), lambda _: None)
    await player.play()
    (failure,) = player.failures
    assert "form.yaml:7: fills: carol sees a modal that has 'Run a runbook': not within 0.3 s" in failure
    (sent,) = [d["payload"] for d in await world.people.deliveries() if d["kind"] == "interaction"]
    assert sent["user"]["id"] == PEOPLE["bob"].id
    assert sent["view"]["state"]["values"]["which"]["device"]["value"] == "a-gw-001"
