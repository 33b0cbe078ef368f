"""Every run of the sandbox is a new world in a directory of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.app import InUse, Run, fresh, main


def test_what_an_earlier_bot_remembered_and_logged_is_gone_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "data" / "store").mkdir(parents=True)
    (tmp_path / "data" / "store" / "appendonly").write_text("promote:eu1/1/2")
    (tmp_path / "bot.log").write_text("old")
    (tmp_path / "notes").write_text("mine")
    with fresh(tmp_path):
        assert sorted(path.name for path in tmp_path.iterdir()) == ["notes", "sandbox.lock"]


def test_a_directory_that_another_sandbox_uses_is_left_alone(tmp_path: Path) -> None:
    with fresh(tmp_path):
        (tmp_path / "data").mkdir()
        with pytest.raises(InUse, match="another --directory"), fresh(tmp_path):
            pytest.fail("both run")
        assert (tmp_path / "data").exists()


async def test_a_fleet_too_small_for_the_scenario_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="default-day needs at least 100 devices, not 12"):
        await main(tmp_path, Run(devices=12))


async def test_a_scenario_that_is_not_there_is_refused_with_the_names_of_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no scenario default-days; there are .*default-day.*site-outage"):
        await main(tmp_path, Run(scenario="default-days"))


async def test_without_a_scenario_there_is_nothing_to_check(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing to check"):
        await main(tmp_path, Run(scenario="none", check=True))
