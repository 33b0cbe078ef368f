"""A person becomes known to the bot only by a login of their own, and stays known."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from sandbox.bot_process import BotProcess
from sandbox.cast import PEOPLE, ROLLOUTS
from sandbox.world import SandboxWorld

BOB, MALLORY = PEOPLE["bob"], PEOPLE["mallory"]


async def answer(world: SandboxWorld, user: str, typed: str) -> str:
    before = {said.ts for said in await world.people.ephemerals(user)}
    await world.people.slash(user, ROLLOUTS, "/cdm", typed)
    return (await world.people.wait_for_ephemeral(user, lambda said: said.ts not in before)).shown.replace("\u200b", "")


async def who_am_i(world: SandboxWorld, user: str) -> str:
    return await answer(world, user, "whoami")


async def test_a_person_who_linked_is_known_also_after_the_bot_was_killed(world: SandboxWorld, bot: BotProcess) -> None:
    assert "not linked" in await who_am_i(world, BOB.id)
    assert "now linked with the Keycloak account bob" in await world.login(BOB.id, "bob")
    await bot.kill()
    await bot.start()
    said = await who_am_i(world, BOB.id)
    assert "customer-a" in said
    assert "acknowledge" in said


async def test_a_person_of_another_address_is_linked_by_typing_the_browsers_code_also_after_a_restart(
    world: SandboxWorld, bot: BotProcess
) -> None:
    page = await world.login(MALLORY.id, "bob")
    assert "Not linked yet" in page
    code = re.search(r"/cdm link (\S{9})", page)
    assert code, page
    assert "not linked" in await who_am_i(world, MALLORY.id)
    await bot.kill()
    await bot.start()
    assert "now linked with the Keycloak account `bob`" in await answer(world, MALLORY.id, f"link {code[1]}")
    assert "proven by a code typed in Slack" in await who_am_i(world, MALLORY.id)
    assert "No linking waits for this code" in await answer(world, MALLORY.id, f"link {code[1]}")


async def test_linking_works_as_well_where_slack_calls_the_bot_over_http() -> None:
    directory = Path(tempfile.mkdtemp(prefix="cdm-"))
    async with SandboxWorld(directory, devices=3, slack_mode="http", slack_rate=20.0) as world:
        bot = BotProcess(world.config, world.bot_url, directory / "bot.log")
        try:
            await bot.start()
            assert "now linked" in await world.login(BOB.id, "bob")
            assert "customer-a" in await who_am_i(world, BOB.id)
        finally:
            await bot.stop()
    shutil.rmtree(directory, ignore_errors=True)
