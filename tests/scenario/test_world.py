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
from sandbox.controls import Controls, Misunderstood
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
