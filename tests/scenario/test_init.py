"""`cdm init` as a person lives it: at a terminal, against Slack, and on to a bot that shows its first alarm."""

from __future__ import annotations

import asyncio
import os
import pty
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from select import select
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML

from sandbox.bot_process import BotProcess
from sandbox.cast import ROLLOUTS, TEAM
from sandbox.slack.seen import SeenMessage
from sandbox.world import SandboxWorld
from tests.scenario.program import STILL, until

FIRST_ALARM = Path(__file__).parents[2] / "deploy" / "recipes" / "first-alarm.json"
TOKEN = "xoxb-1-never-on-a-screen"


@pytest.fixture
async def world() -> AsyncIterator[SandboxWorld]:
    directory = Path(tempfile.mkdtemp(prefix="cdm-"))
    async with SandboxWorld(directory, devices=3, pace=STILL, slack_rate=20.0) as world:
        yield world
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def here() -> Iterator[Path]:
    """Short: the store keeps a Unix socket in it."""
    directory = Path(tempfile.mkdtemp(prefix="cdm-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


async def init(world: SandboxWorld, here: Path, **slack: Any) -> tuple[int, str]:
    """Slack alone is answered. Exit status, and all it said."""
    secrets = world.directory / "secrets"
    answered = {
        "bot_token": {"file": str(secrets / "slack-bot-token")},
        "app_token": {"file": str(secrets / "slack-app_token")},
        "channel": ROLLOUTS,
    }
    YAML(typ="safe").dump({"slack": answered | slack}, here / "answers.yaml")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "init", "--directory", str(here), "--answers", str(here / "answers.yaml")),
        env={**os.environ, "CDM_SLACK__API_URL": f"{world.url('slack')}/api/"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_with_slack_alone_the_workspace_is_found_by_the_token_and_the_first_alarm_is_shown(
    world: SandboxWorld, here: Path
) -> None:
    code, said = await init(world, here)
    assert code == 0, said
    assert "0 failed" in said
    assert "Socket Mode can be opened" in said
    config = here / "cdm.yaml"
    yaml = YAML()
    tree = yaml.load(config.read_text())
    assert tree["slack"]["team"] == TEAM
    tree["server"]["port"] = world.bot_port
    tree["slack"]["api_url"] = f"{world.url('slack')}/api/"
    yaml.dump(tree, config)

    bot = BotProcess(config, world.bot_url, here / "bot.log")
    try:
        await bot.start()
        async with httpx.AsyncClient(base_url=world.bot_url, trust_env=False) as http:
            answer = await http.post(
                "/webhooks/thingsboard/main",
                content=FIRST_ALARM.read_bytes(),
                headers={"Authorization": f"Bearer {(here / 'secrets' / 'webhook-customer-a').read_text().strip()}"},
            )
        assert answer.status_code == 202

        async def shown() -> list[SeenMessage]:
            return [m for m in await world.people.messages(ROLLOUTS) if "demo-0001" in m.shown]

        (message,) = await until(shown, "the first alarm")
        assert "OTA Failure" in message.shown
    finally:
        await bot.stop()


async def test_what_fails_in_slack_is_told_with_its_fix_and_the_settings_are_kept(
    world: SandboxWorld, here: Path
) -> None:
    await world.people.change_channel(ROLLOUTS, "remove_bot")
    code, said = await init(world, here)
    assert code == 1
    assert f"not a member of the channel {ROLLOUTS}" in said
    assert "/invite" in said
    assert "hawkBit main" not in said, "what is not there yet is not asked"
    assert (here / "cdm.yaml").exists()


class Terminal:
    """`cdm init` at a terminal of its own: `shown` is all that was on it."""

    def __init__(self, screen: int) -> None:
        self._screen = screen
        self._read_to = 0
        self.shown = ""

    def wait_for(self, text: str, within_s: float = 20.0) -> None:
        """Until that text is shown, after what was waited for before."""
        deadline = time.monotonic() + within_s
        while (at := self.shown.find(text, self._read_to)) < 0:
            assert time.monotonic() < deadline, f"{text!r} was not shown, but {self.shown!r}"
            assert self._read(), f"it ended before {text!r}: {self.shown!r}"
        self._read_to = at + len(text)

    def type(self, keys: str) -> None:
        os.write(self._screen, keys.encode())

    def press_until_the_end(self, keys: str, within_s: float = 20.0) -> None:
        """Again each second, as people do: an interrupt right before Python begins to wait for a line is seen only with
        the next one."""
        deadline, press_at = time.monotonic() + within_s, 0.0
        while self._read():
            assert time.monotonic() < deadline, f"it did not end: {self.shown!r}"
            if time.monotonic() >= press_at:
                press_at = time.monotonic() + 1.0
                with suppress(OSError):  # it has just ended
                    self.type(keys)

    def _read(self) -> bool:
        """False at the end."""
        if not select([self._screen], [], [], 0.2)[0]:
            return True
        try:
            read = os.read(self._screen, 4096)
        except OSError:  # how Linux tells that the other side is gone
            return False
        self.shown += read.decode(errors="replace")
        return bool(read)


@contextmanager
def terminal(here: Path) -> Iterator[Terminal]:
    pid, screen = pty.fork()
    if pid == 0:
        os.environ["CDM_SLACK__API_URL"] = "http://127.0.0.1:9/"
        os.execv(sys.executable, [sys.executable, "-m", "bot", "init", "--directory", str(here)])
    try:
        yield Terminal(screen)
    finally:
        os.close(screen)
        os.waitpid(pid, 0)


def test_at_a_terminal_a_token_is_not_echoed_and_ctrl_c_leaves_nothing_behind(here: Path) -> None:
    with terminal(here) as at:
        for asked, typed in (("for browsers", ""), ("socket or http", ""), ("User OAuth Token", TOKEN)):
            at.wait_for(asked)
            at.wait_for(": ")
            at.type(f"{typed}\n")
        at.wait_for("App-level token: ")
        at.press_until_the_end("\x03")
    assert TOKEN not in at.shown
    assert "Aborted" in at.shown
    assert list(here.iterdir()) == []
