"""`cdm rollout`: which orders it takes."""

from __future__ import annotations

from typer.testing import CliRunner

from bot.cli import app
from bot.commands.rollout import LOOKS
from core.commands import FORMS


def test_an_unknown_order_is_refused_and_help_names_all_that_there_are() -> None:
    env = {"COLUMNS": "400", "NO_COLOR": "1"}
    refused = CliRunner().invoke(app, ["rollout", "explode", "spring"], env=env)
    assert refused.exit_code == 2
    assert "explode" in refused.output
    listed = CliRunner().invoke(app, ["rollout", "--help"], env=env)
    for form in FORMS:
        if form.words[0] == "rollout" and form.name not in LOOKS:
            assert form.words[1] in listed.output
