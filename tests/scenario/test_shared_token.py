"""Two installations on one Slack app token steal each other's clicks: that is noticed, and said to the admins."""

from __future__ import annotations

from pathlib import Path

from integrations.store.embedded import EmbeddedStore
from sandbox.bot_process import BotProcess
from sandbox.cast import ADMINS
from sandbox.slack.client import SeenMessage
from sandbox.wire import free_port
from sandbox.world import SandboxWorld
from tests.scenario.pair import pair
from tests.scenario.program import until


async def notices(world: SandboxWorld) -> list[SeenMessage]:
    return [m for m in await world.people.messages(ADMINS) if "same token" in m.text]


async def test_another_installation_on_the_same_app_token_is_told_to_the_admins(
    world: SandboxWorld, bot: BotProcess
) -> None:
    port = free_port()
    config = world.write_config(name="other.yaml", port=port, data_dir="other")
    other = BotProcess(config, f"http://127.0.0.1:{port}", world.directory / "other.log")
    try:
        await other.start()
        (notice,) = await until(lambda: notices(world), "the admins are told")
    finally:
        await other.stop()
    assert "2 Socket Mode connections" in notice.text
    assert "Give each its own app" in notice.text


async def test_replicas_of_one_installation_are_no_such_case(world: SandboxWorld, embedded: EmbeddedStore) -> None:
    async with pair(world, embedded) as bots:
        hellos = [bot.log for bot in bots]
        await until(lambda: _connected(hellos), "both are connected")
        assert await notices(world) == []


async def _connected(logs: list[Path]) -> bool:
    return all("socket_connected" in log.read_text() for log in logs)
