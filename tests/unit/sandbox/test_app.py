"""Every run of the sandbox is a new world in a directory of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.app import InUse, fresh, main


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


async def test_a_fleet_too_small_for_the_story_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 100 devices"):
        await main(tmp_path, devices=12)
