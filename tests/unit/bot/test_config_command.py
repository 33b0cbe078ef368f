"""`cdm config check` without --probe: every complaint, with file, line and fix, and an exit code a pipeline can use."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.commands import config as config_command
from bot.commands.config import policy_complaints
from bot.config_file import load_settings
from tests.unit.bot.conftest import EXAMPLE, Run, edit

SECRETS = (
    "slack-bot-token",
    "slack-app-token",
    "keycloak-client-secret",
    "hawkbit-password",
    "hawkbit-brake-password",
    "hawkbit-release-password",
    "thingsboard-customer-a",
    "webhook-customer-a",
)


@pytest.fixture
def secrets(config: Path) -> Path:
    """The folder with every secret of the example, as it should be kept."""
    folder = config.parent / "secrets"
    folder.mkdir()
    for name in SECRETS:
        (folder / name).write_text("s3cret-value")
        (folder / name).chmod(0o600)
    return folder


async def test_a_good_file_is_in_order(run: Run, config: Path, secrets: Path) -> None:
    done = await run(config_command.app, "check", "--config", config)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "in order" in done.stdout


async def test_an_audit_without_a_key_is_told_and_a_short_key_is_a_complaint(
    run: Run, config: Path, secrets: Path
) -> None:
    (config.parent / "audit-key").write_text("short")
    done = await run(config_command.app, "check", "--config", config)
    assert done.exit_code == 1
    assert "too few for an audit key" in done.stderr
    edit(config, "  key: {file: audit-key}", "  keyed_from: 1")
    done = await run(config_command.app, "check", "--config", config)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "audit.key is not set" in done.stdout


async def test_all_complaints_come_at_once_with_line_and_fix(run: Run, config: Path) -> None:
    edit(config, "  team: T0", "  tem: T0")
    edit(config, "port: 8080", "port: 80800")
    done = await run(config_command.app, "check", "--config", config)
    assert done.exit_code == 1
    for key in ("team", "port"):
        number = next(i for i, line in enumerate(EXAMPLE.splitlines(), 1) if line.strip().startswith(f"{key}:"))
        assert f"{config}:{number}: " in done.stderr
    assert "write 'team'" in done.stderr


async def test_a_missing_and_a_badly_kept_secret_are_complaints_and_no_secret_is_shown(
    run: Run, config: Path, secrets: Path
) -> None:
    (secrets / "hawkbit-password").unlink()
    (secrets / "slack-bot-token").chmod(0o644)
    done = await run(config_command.app, "check", "--config", config)
    assert done.exit_code == 1
    assert "stacks[0].hawkbit.password" in done.stderr
    assert f"chmod 600 {secrets / 'slack-bot-token'}" in done.stderr
    assert "s3cret-value" not in done.output


async def test_a_policy_that_could_start_a_group_too_many_is_a_complaint(run: Run, config: Path, secrets: Path) -> None:
    edit(config, "", "  request_timeout_s: 5\n")
    complaints = policy_complaints(load_settings(config), config)
    assert ["in stack eu1" in c.problem and "below hawkBit's tick" in c.problem for c in complaints] == [True]
    done = await run(config_command.app, "check", "--config", config)
    assert done.exit_code == 1
    assert "below hawkBit's tick" in done.stderr


async def test_a_broken_runbook_of_the_installation_is_named_with_its_line(
    run: Run, config: Path, secrets: Path
) -> None:
    folder = config.parent / "runbooks"
    folder.mkdir()
    (folder / "odd.yaml").write_text("name: odd\nsteps: rm -rf /\n")
    edit(config, "", f"runbooks_dir: {folder}\n")
    done = await run(config_command.app, "check", "--config", config)
    assert done.exit_code == 1
    assert f"{folder}/odd.yaml:" in done.stderr
