"""The Slack app's manifest: what the bot calls needs exactly these scopes, and the committed file is up to date."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import sandbox.slack.app  # noqa: F401  it registers every method
from bot.commands import slack
from bot.commands.slack import Mode, manifest_text
from bot.slack_scopes import EVENTS, SCOPES
from sandbox.slack.calls import METHODS
from tests.unit.bot.conftest import Run

ROOT = Path(__file__).parents[3]
CALLED_IN_TEXT = re.compile(r'"((?:chat|conversations|users|files|views|reactions|auth)\.[A-Za-z]+)"')
CALLED_BY_NAME = re.compile(r"\b(conversations_info)\(")
BY_CHANNEL = {
    "conversations.history": {"channels:history", "groups:history"},
    "conversations.replies": {"channels:history", "groups:history"},
    "conversations.info": {"channels:read", "groups:read"},
    "users.info": {"users:read", "users:read.email"},
}
"""Where a scope depends on what is asked for, not on the method alone."""


def parsed(text: str) -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(text)
    return loaded


def test_the_committed_manifest_is_what_the_command_prints() -> None:
    committed = (ROOT / "deploy" / "slack-manifest.yaml").read_text()
    assert committed == manifest_text(Mode.SOCKET), "run: cdm slack manifest > deploy/slack-manifest.yaml"


def test_the_scopes_are_those_of_the_calls_the_bot_makes_and_no_more() -> None:
    called: set[str] = set()
    for folder in ("integrations/slack", "handlers", "flows", "bot"):
        for file in (ROOT / folder).rglob("*.py"):
            text = file.read_text()
            called |= set(CALLED_IN_TEXT.findall(text))
            called |= {name.replace("_", ".", 1) for name in CALLED_BY_NAME.findall(text)}
    assert "chat.postMessage" in called
    needed = {"commands"}
    for method in called:
        needed |= set(METHODS[method].scopes) | BY_CHANNEL.get(method, set())
    assert set(parsed(manifest_text(Mode.SOCKET))["oauth_config"]["scopes"]["bot"]) == needed


@pytest.mark.parametrize("scope", SCOPES, ids=lambda s: s.name)
def test_each_scope_says_what_for(scope: Any) -> None:
    line = next(line for line in manifest_text(Mode.SOCKET).splitlines() if line.strip().startswith(f"- {scope.name} "))
    assert line.partition("#")[2].strip() == scope.why


def test_the_home_tab_is_on_and_what_tells_of_its_opening_and_nobody_can_write_to_the_bot() -> None:
    made = parsed(manifest_text(Mode.SOCKET))
    assert made["features"]["app_home"] == {"home_tab_enabled": True, "messages_tab_enabled": False}
    assert made["settings"]["event_subscriptions"]["bot_events"] == [event.name for event in EVENTS]
    listened = re.findall(r'app\.event\("([a-z_]+)"\)', (ROOT / "handlers" / "slack" / "inbound.py").read_text())
    assert listened == [event.name for event in EVENTS]


def test_slacks_limits_are_kept() -> None:
    made = parsed(manifest_text(Mode.SOCKET))
    assert len(made["display_information"]["name"]) <= 35
    assert len(made["display_information"]["description"]) <= 140
    (command,) = made["features"]["slash_commands"]
    assert len(command["description"]) <= 2000
    assert len(command["usage_hint"]) <= 1000
    assert command["should_escape"] is False


async def test_in_socket_mode_no_address_is_named(run: Run) -> None:
    done = await run(slack.app, "manifest")
    made = parsed(done.stdout)
    assert made["settings"]["socket_mode_enabled"] is True
    assert "url" not in made["features"]["slash_commands"][0]
    assert "request_url" not in made["settings"]["interactivity"]
    assert "request_url" not in made["settings"]["event_subscriptions"]


async def test_in_http_mode_everything_goes_to_the_bots_one_door(run: Run) -> None:
    done = await run(slack.app, "manifest", "--mode", "http", "--url", "https://cdm-bot.example.com/")
    made, door = parsed(done.stdout), "https://cdm-bot.example.com/slack/events"
    assert made["settings"]["socket_mode_enabled"] is False
    assert made["features"]["slash_commands"][0]["url"] == door
    assert made["settings"]["interactivity"] == {"is_enabled": True, "request_url": door}
    assert made["settings"]["event_subscriptions"]["request_url"] == door


async def test_http_mode_without_an_address_slack_could_call_is_refused(run: Run) -> None:
    for more in ((), ("--url", "http://127.0.0.1:8080")):
        done = await run(slack.app, "manifest", "--mode", "http", *more)
        assert (done.exit_code, done.stdout) == (1, "")
        assert "--url https://cdm-bot.example.com" in done.stderr
