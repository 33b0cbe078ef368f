"""`cdm policy`: what can never pass is refused with its line; which policy decides is told with where it says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.commands import config as config_command
from bot.commands import policy as policy_command
from tests.unit.bot.conftest import Run, edit

CAREFUL = """
policies:
  - name: careful
    rollouts: [fw-*]
    confidence_pct: 95
    verify: [both, telemetry]
    promoted_by: [scheduler, person]
    hold_window_s: 1200
    freeze:
      weekly: [{days: [fri], from: "12:00", to: "24:00", name: Friday}]
"""


def line_of(config: Path, part: str) -> int:
    return next(i for i, text in enumerate(config.read_text().splitlines(), 1) if part in text)


async def test_the_example_can_pass_and_its_large_last_group_is_a_warning(run: Run, config: Path) -> None:
    done = await run(policy_command.app, "check", "--config", config, "--devices", "500")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "warning: " in done.stdout
    assert "the last group is 70 % of the devices" in done.stdout
    assert "eu1: checked with 500 devices in groups of 25/125/350" in done.stdout
    quiet = await run(policy_command.app, "check", "--config", config, "--groups", "5/20/25/25/25")
    assert "warning" not in quiet.stdout
    assert "sizes of groups were not checked" in quiet.stdout


async def test_a_policy_that_can_never_pass_is_refused_with_its_line_once(run: Run, config: Path) -> None:
    edit(config, "", CAREFUL)
    done = await run(policy_command.app, "check", "--config", config, "--devices", "500")
    line = line_of(config, "confidence_pct")
    assert done.exit_code == 1
    assert done.stderr.startswith(f"{config}:{line}: policies[0].confidence_pct: policy careful in stack eu1: 25 of 25")
    assert "86.7 %" in done.stderr
    assert done.stdout.count("the last group is 70 %") == 1
    enough = await run(policy_command.app, "check", "--config", config, "--devices", "2000")
    assert (enough.exit_code, enough.stderr) == (0, "")


async def test_config_check_refuses_them_too(run: Run, config: Path) -> None:
    edit(config, "  soak_s: 600", '  freeze: {weekly: [{days: [mon], from: "00:00", to: "24:00"}], holidays: none.ics}')
    done = await run(config_command.app, "check", "--config", config)
    line = line_of(config, "none.ics")
    assert done.exit_code == 1
    assert f"{config}:{line}: promotion.freeze.holidays: {config.parent / 'none.ics'} cannot be used" in done.stderr
    days = "[mon, tue, wed, thu, fri, sat, sun]"
    edit(config, "days: [mon]", f"days: {days}")
    edit(config, ", holidays: none.ics", "")
    done = await run(config_command.app, "check", "--config", config)
    assert f"{config}:{line}: promotion.freeze: policy default in stack eu1: the freeze never ends" in done.stderr


async def test_shares_that_make_no_whole_are_refused(run: Run, config: Path) -> None:
    for wrong in ("5/25", "5/x/95", "0/100", ""):
        done = await run(policy_command.app, "check", "--config", config, "--groups", wrong)
        assert done.exit_code == 1
        assert "are no shares that make 100" in done.stderr


async def test_a_rollout_is_explained_with_the_place_of_each_value(
    run: Run, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(config, "", CAREFUL)
    monkeypatch.setenv("CDM_PROMOTION__MINIMUM_SAMPLE", "3")
    done = await run(policy_command.app, "explain", "fw-2.0", "--config", config)
    assert done.exit_code == 0
    assert "fw-2.0 on eu1: policy careful, since its pattern fw-* fits the name." in done.stdout
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line.startswith("  ")}
    assert rows["hold_window_s"][1:] == ["1200", "policies[0]"]
    assert rows["soak_s"][1:] == ["600", "promotion"]
    assert rows["minimum_sample"][1:] == ["3", "environment"]
    assert rows["poll_deadline_s"][1:] == ["86400", "built", "in"]
    assert "group 1: telemetry and rauc status, which must agree; from group 2 on: telemetry" in done.stdout
    assert "told 20 min before, so that somebody may hold it" in done.stdout
    assert "freeze (no group starts): " in done.stdout


async def test_what_was_chosen_goes_before_the_name(run: Run, config: Path) -> None:
    edit(config, "", CAREFUL)

    async def said(*words: str) -> str:
        done = await run(policy_command.app, "explain", *words, "--config", config)
        return done.stdout.splitlines()[0] if done.exit_code == 0 else done.stderr

    assert "policy careful, named when it was made" in await said("other", "--policy", "careful")
    assert "policy default, since no other one's pattern fits" in await said("other")
    assert "policy rollback, since its pattern rollback-* fits" in await said("rollback-7-1")
    assert "policy gone was named when it was made, but" in await said("other", "--policy", "gone")
    assert "There is no stack 'eu9'" in await said("other", "--stack", "eu9")
