"""The recipes do what their first lines say, on the systems they are for."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import asyncssh
import pytest

from bot.config_file import load_settings
from bot.probe import bounded, looks
from sandbox.cast import PIPELINE, SET_NAME
from sandbox.world import SandboxWorld
from tests.scenario.program import STILL

RECIPES = Path(__file__).parents[2] / "deploy" / "recipes"
SSHD = Path("/usr/sbin/sshd")
HAWKBIT = ("hawkbit-rollout.sh", "hawkbit_rollout.py")


@pytest.fixture
async def world() -> AsyncIterator[SandboxWorld]:
    directory = Path(tempfile.mkdtemp(prefix="cdm-"))
    async with SandboxWorld(directory, devices=40, pace=STILL) as world:
        yield world
    shutil.rmtree(directory, ignore_errors=True)


async def ran(*words: str | Path, env: Mapping[str, str]) -> tuple[int, str, str]:
    """Exit status, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        *(str(word) for word in words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **env},
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def login(world: SandboxWorld, password: str = "") -> dict[str, str]:
    file = world.directory / "ci-password"
    file.write_text(password or world.hawkbit.accounts[PIPELINE].password)
    return {
        "HAWKBIT_URL": world.url("hawkbit"),
        "HAWKBIT_USER": PIPELINE,
        "HAWKBIT_PASSWORD_FILE": str(file),
        "NO_PROXY": "127.0.0.1",
    }


@pytest.mark.parametrize("recipe", HAWKBIT)
async def test_a_rollout_made_by_the_recipe_pauses_after_each_group_and_is_the_bots_to_promote(
    world: SandboxWorld, recipe: str
) -> None:
    asked = ("edge-1.1.0", SET_NAME, "1.1.0", "attribute.tenant==customer-a")
    code, out, err = await ran(RECIPES / recipe, *asked, env=login(world))
    assert (code, err) == (0, "")
    rollout = int(out)
    groups = await world.pipeline.groups(rollout)
    assert [group["targetPercentage"] for group in groups] == [5, 25, 70]
    assert {group["successAction"]["action"] for group in groups} == {"PAUSE"}

    settings = load_settings(world.config)
    found = await bounded("hawkBit eu1", looks(settings)["hawkBit eu1"])
    assert any("1 rollouts under way, 1 of them the bot's to promote; it pauses" in f.text for f in found), found
    assert not [f for f in found if "by itself" in f.text]

    again = await ran(RECIPES / recipe, *asked, env=login(world) | {"START_AFTER_S": "0"})
    assert again[:2] == (0, f"{rollout}\n"), "a repeat makes no second rollout"


@pytest.mark.parametrize(
    ("recipe", "more", "env"),
    [(HAWKBIT[0], (), {"START_AFTER_S": "0"}), (HAWKBIT[1], ("--start-after", "0"), {})],
)
async def test_the_recipe_starts_the_rollout_when_asked_to(
    world: SandboxWorld, recipe: str, more: tuple[str, ...], env: dict[str, str]
) -> None:
    code, out, err = await ran(
        RECIPES / recipe, "started", SET_NAME, "1.1.0", "controllerId==a-*", *more, env=login(world) | env
    )
    assert code == 0, err
    assert (await world.pipeline.rollout(int(out)))["status"] in ("starting", "running")


@pytest.mark.parametrize("recipe", HAWKBIT)
async def test_the_recipe_fails_loudly_and_tells_no_password(world: SandboxWorld, recipe: str) -> None:
    code, out, err = await ran(RECIPES / recipe, "r", SET_NAME, "9.9.9", "controllerId==*", env=login(world))
    assert (code, out) == (1, "")
    assert f"no set {SET_NAME}:9.9.9" in err
    code, out, err = await ran(
        RECIPES / recipe, "r", SET_NAME, "1.1.0", "controllerId==*", env=login(world, 'wrong "\\pw')
    )
    assert code != 0
    assert out == ""
    assert "401" in err
    assert "wrong" not in err


async def test_the_shell_recipe_sends_no_text_that_would_need_quoting(world: SandboxWorld) -> None:
    code, _, err = await ran(RECIPES / HAWKBIT[0], 'a"b', SET_NAME, "1.1.0", "controllerId==*", env=login(world))
    assert code == 2
    assert "will not send" in err


@pytest.mark.skipif(
    not SSHD.exists(), reason="NOT TESTED against OpenSSH: /usr/sbin/sshd is missing (the test setup installs it)."
)
def test_the_relays_account_may_forward_to_the_devices_and_do_nothing_else(tmp_path: Path) -> None:
    key = tmp_path / "host"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(key))
    key.chmod(0o600)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    asked = [str(SSHD), "-T", "-f", str(RECIPES / "relay-sshd.conf"), "-h", str(key)]

    def settings(user: str) -> str:
        spec = f"user={user},host=bot,addr=127.0.0.1"
        return subprocess.run([*asked, "-C", spec], capture_output=True, text=True, check=True).stdout

    bots = settings("cdm-bot").splitlines()
    for line in ("allowtcpforwarding local", "permitopen *:22", "maxsessions 0", "permittty no", "permittunnel no"):
        assert line in bots
    assert "maxsessions 0" not in settings("anna").splitlines()
