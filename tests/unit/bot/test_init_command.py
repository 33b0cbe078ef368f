"""`cdm init`: what it asks becomes settings that are in order, and secrets that only their owner can read."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncssh
import click
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from bot.cli import app
from bot.config_file import check_secrets, load_settings
from bot.setup.questions import QUESTIONS, TITLES
from bot.setup.template import NOTHING_THERE, TEMPLATE

BOT_TOKEN, APP_TOKEN = "xoxb-1-very-secret", "xapp-1-very-secret"
SLACK: dict[str, Any] = {
    "bot_token": {"env": "GIVEN_BOT_TOKEN"},
    "app_token": {"env": "GIVEN_APP_TOKEN"},
    "team": "T0CDM",
    "channel": "C0FIRST",
}


@pytest.fixture(autouse=True)
def _given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIVEN_BOT_TOKEN", BOT_TOKEN)
    monkeypatch.setenv("GIVEN_APP_TOKEN", APP_TOKEN)
    monkeypatch.setenv("CDM_SLACK__API_URL", f"{NOTHING_THERE}/")


def by_file(tmp_path: Path, answers: Mapping[str, Any], *more: str) -> Result:
    file = tmp_path / "answers.yaml"
    YAML(typ="safe").dump(dict(answers), file)
    words = ["init", "--directory", str(tmp_path / "cdm"), "--answers", str(file), "--no-probe", *more]
    return CliRunner().invoke(app, words)


def by_hand(tmp_path: Path, *lines: str) -> Result:
    """Typed line by line; the end of the lines is as if the terminal were closed."""
    words = ["init", "--directory", str(tmp_path / "cdm"), "--no-probe"]
    typed = "".join(f"{line}\n" for line in lines)
    return CliRunner().invoke(app, words, input=typed)


def mode(path: Path) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def secret(tmp_path: Path, name: str) -> str:
    return (tmp_path / "cdm" / "secrets" / name).read_text().strip()


def test_with_slack_alone_the_settings_are_in_order_and_the_rest_is_for_later(tmp_path: Path) -> None:
    done = by_file(tmp_path, {"slack": SLACK})
    assert done.exit_code == 0, done.output
    config = tmp_path / "cdm" / "cdm.yaml"
    settings = load_settings(config)
    assert check_secrets(settings, config) == []
    assert (settings.slack.team, settings.slack.mode) == ("T0CDM", "socket")
    channels = {settings.slack.fallback_channel, settings.slack.admin_channel, settings.stacks[0].rollout_channel}
    assert channels | {settings.stacks[0].tenants[0].channel} == {"C0FIRST"}
    assert settings.stacks[0].hawkbit.url == settings.keycloak.url == NOTHING_THERE
    assert settings.stacks[0].relay is None
    assert not settings.promotion.enabled
    assert "Later: thingsboard, hawkbit, keycloak, relay" in done.stdout


def test_secrets_are_private_files_and_stand_nowhere_else(tmp_path: Path) -> None:
    done = by_file(tmp_path, {"slack": SLACK})
    folder = tmp_path / "cdm" / "secrets"
    assert mode(folder) == 0o700
    assert {mode(file) for file in folder.iterdir()} == {0o600}
    assert secret(tmp_path, "slack-bot-token") == BOT_TOKEN
    made = [secret(tmp_path, name) for name in ("webhook-customer-a", "audit-key")]
    assert min(len(one) for one in made) > 40
    for said in (done.output, (tmp_path / "cdm" / "cdm.yaml").read_text()):
        assert BOT_TOKEN not in said
        assert not [one for one in made if one in said]


def test_everything_answered_is_where_it_belongs(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("pw-1\n")
    answers = {
        "server": {"public_url": "https://bot.example.com"},
        "slack": {**SLACK, "mode": "http", "signing_secret": {"file": "pw"}},
        "stack": {"name": "eu1", "tenant": "acme", "wireguard_range": "10.1.0.0/16"},
        "thingsboard": {"url": "https://tb.example.com", "username": "bot@acme", "password": {"file": "pw"}},
        "hawkbit": {"url": "https://hb.example.com", "password": {"file": "pw"}},
        "brake": {"username": "brake", "password": {"file": "pw"}},
        "keycloak": {"url": "https://kc.example.com", "client_secret": {"file": "pw"}},
        "relay": {"host": "relay.example.com", "port": 2222},
    }
    done = by_file(tmp_path, answers)
    assert done.exit_code == 0, done.output
    settings = load_settings(tmp_path / "cdm" / "cdm.yaml")
    stack = settings.stacks[0]
    (tenant,) = stack.tenants
    assert (stack.name, tenant.id, tenant.keycloak_group) == ("eu1", "acme", "/acme")
    assert settings.slack.signing_secret is not None
    assert settings.slack.signing_secret.read() == "pw-1"
    assert tenant.thingsboard.password is not None
    assert tenant.thingsboard.password.where.endswith("secrets/thingsboard-acme")
    assert stack.hawkbit.brake_username == "brake"
    assert stack.relay is not None
    assert stack.relay.port == 2222
    asyncssh.read_private_key(str(stack.relay.key_file))
    public = asyncssh.read_public_key(f"{stack.relay.key_file}.pub")
    assert public.get_algorithm() == "ssh-ed25519"
    assert stack.relay.known_hosts.exists()
    assert "relay-ed25519.pub to the account cdm-bot on relay.example.com" in done.stdout


def test_a_file_that_is_there_is_changed_only_when_told_to_and_keeps_what_was_not_asked(tmp_path: Path) -> None:
    by_file(tmp_path, {"slack": SLACK})
    config = tmp_path / "cdm" / "cdm.yaml"
    before = config.read_text()
    assert (by_file(tmp_path, {"slack": SLACK})).exit_code == 1
    assert config.read_text() == before
    config.write_text(before.replace("admin_channel: C0FIRST", "admin_channel: C0ADMIN # by hand"))
    webhook = secret(tmp_path, "webhook-customer-a")

    (tmp_path / "pw").write_text("pw-1")
    added = {"hawkbit": {"url": "https://hb.example.com", "password": {"file": "pw"}}}
    done = by_file(tmp_path, added, "--overwrite")
    assert done.exit_code == 0, done.output
    settings = load_settings(config)
    assert settings.slack.admin_channel == "C0ADMIN"
    assert "# by hand" in config.read_text()
    assert settings.stacks[0].hawkbit.url == "https://hb.example.com"
    assert secret(tmp_path, "hawkbit-password") == "pw-1"
    assert secret(tmp_path, "slack-bot-token") == BOT_TOKEN
    assert secret(tmp_path, "webhook-customer-a") == webhook


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"slack": {**SLACK, "bot_token": BOT_TOKEN}}, "write {env: NAME} or {file: path}"),
        ({"slack": {**SLACK, "bot_token": {"env": "GIVEN_APP_TOKEN"}}}, "begins with xoxb-"),
        ({"slack": {**SLACK, "bot_token": {"file": "missing"}}}, "cannot be read"),
        ({"slack": {**SLACK, "channel": "#alarms"}}, "not the channel's name"),
        ({"slack": {**SLACK, "chanel": "C1"}}, "no question slack.chanel"),
        ({"slack": {"bot_token": SLACK["bot_token"]}}, "slack.app_token is missing"),
        ({"slack": SLACK, "stack": {"wireguard_range": "10.66.1.7/24"}}, "a network"),
        ({"slack": SLACK, "server": {"public_url": "https://me:pw@bot"}}, "without a login"),
    ],
)
def test_a_bad_answer_is_told_by_its_name_and_nothing_is_written(
    tmp_path: Path, answers: dict[str, Any], said: str
) -> None:
    done = by_file(tmp_path, answers)
    assert done.exit_code == 1
    assert said in done.stderr
    assert BOT_TOKEN not in done.output
    assert not (tmp_path / "cdm" / "cdm.yaml").exists()
    assert not (tmp_path / "cdm" / "secrets").exists()


def typed_for_slack() -> list[str]:
    return ["", "", BOT_TOKEN, APP_TOKEN, "T0CDM", "C0FIRST"]


def test_a_person_is_asked_one_question_at_a_time_with_its_reason_and_may_leave_things_for_later(
    tmp_path: Path,
) -> None:
    done = by_hand(tmp_path, *typed_for_slack(), "", "", "", "", "later", "later", "later", "later")
    assert done.exit_code == 0, done.output
    settings = load_settings(tmp_path / "cdm" / "cdm.yaml")
    assert settings.slack.team == "T0CDM"
    for question in QUESTIONS[:2]:
        assert question.why in done.stdout
    assert TITLES["slack"] in done.stdout
    assert BOT_TOKEN not in done.output


def test_a_wrong_answer_is_asked_again(tmp_path: Path) -> None:
    lines = ["", "", "no-token", BOT_TOKEN, APP_TOKEN, "T0CDM", "#general", "C0FIRST"]
    done = by_hand(tmp_path, *lines, "", "", "", "", "later", "later", "later", "later")
    assert done.exit_code == 0, done.output
    assert "That will not do: it begins with xoxb-" in done.stdout


def test_broken_off_half_way_nothing_is_written(tmp_path: Path) -> None:
    done = by_hand(tmp_path, *typed_for_slack())
    assert isinstance(done.exception, SystemExit | click.exceptions.Abort)
    assert done.exit_code != 0
    assert not (tmp_path / "cdm" / "secrets").exists()
    assert not (tmp_path / "cdm" / "cdm.yaml").exists()


def test_enter_keeps_each_answer_of_the_last_time(tmp_path: Path) -> None:
    by_file(tmp_path, {"slack": SLACK})
    before = (tmp_path / "cdm" / "cdm.yaml").read_text()
    done = by_hand(tmp_path, "y", *[""] * 16)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "cdm" / "cdm.yaml").read_text() == before
    assert secret(tmp_path, "slack-bot-token") == BOT_TOKEN


def test_settings_with_more_than_one_tenant_are_left_to_their_owner(tmp_path: Path) -> None:
    by_file(tmp_path, {"slack": SLACK})
    config = tmp_path / "cdm" / "cdm.yaml"
    tree = YAML(typ="safe").load(config.read_text())
    tree["stacks"][0]["tenants"] *= 2
    YAML(typ="safe").dump(tree, config)
    before = config.read_text()
    done = by_file(tmp_path, {"slack": SLACK}, "--overwrite")
    assert done.exit_code == 1
    assert "several stacks or tenants" in done.stderr
    assert config.read_text() == before


def test_the_template_asks_for_every_system_and_names_its_questions_titles() -> None:
    assert {question.system for question in QUESTIONS} == TITLES.keys()
    assert TEMPLATE.count(NOTHING_THERE) == 4
