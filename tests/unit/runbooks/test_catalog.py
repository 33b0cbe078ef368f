"""The catalog: what comes with the bot, what an installation adds, and errors a person can act on."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbooks import BadParameter, Catalog, CatalogError, Runbook
from runbooks.schema import parse_runbook

HEAD = "name: mine\ntitle: Mine\nrisk: read\ndescription: Something.\n"


def parse(text: str) -> Runbook:
    return parse_runbook(text, "mine.yaml", Runbook)


def runbook(name: str) -> Runbook:
    found = Catalog.load().get(name)
    assert found is not None
    return found


def test_the_catalog_that_comes_with_the_bot() -> None:
    catalog = Catalog.load()
    assert catalog.names() == ("journal", "rauc-status", "redeploy")
    assert catalog.get("format-disk") is None


def test_the_journal_by_default_is_the_updaters_last_fifty_lines() -> None:
    (step,) = runbook("journal").plan({}).steps
    assert step.argv == ("journalctl", "-u", "rauc-hawkbit-updater", "-n", "50", "--no-pager")
    assert step.timeout_s == 20
    assert step.max_bytes == 131072


def test_rauc_status_takes_no_parameters() -> None:
    (step,) = runbook("rauc-status").plan({}).steps
    assert step.argv == ("rauc", "status", "--detailed", "--output-format=json")
    with pytest.raises(BadParameter, match="RAUC slots has no parameter 'slot'"):
        runbook("rauc-status").plan({"slot": "A"})


def test_redeploy_is_an_act_in_hawkbit_that_changes_the_device() -> None:
    redeploy = runbook("redeploy")
    assert (redeploy.kind, redeploy.risk, redeploy.plan({}).steps) == ("hawkbit", "change", ())
    assert redeploy.plan({}).action == "redeploy"


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"lines": "0"}, "Lines must be a whole number from 1 to 500."),
        ({"lines": "501"}, "Lines must be a whole number from 1 to 500."),
        ({"lines": "50; reboot"}, "Lines must be a whole number from 1 to 500."),
        ({"lines": "٥"}, "Lines must be a whole number from 1 to 500."),
        ({"lines": ""}, "Lines must be a whole number from 1 to 500."),
        ({"unit": "--flush"}, "Unit must be the name of a systemd unit, such as rauc-hawkbit-updater."),
        ({"unit": "a b"}, "Unit must be the name of a systemd unit, such as rauc-hawkbit-updater."),
        ({"unit": "a\n"}, "Unit must be the name of a systemd unit, such as rauc-hawkbit-updater."),
        ({"unit": "*"}, "Unit must be the name of a systemd unit, such as rauc-hawkbit-updater."),
        ({"units": "x"}, "Journal of a unit has no parameter 'units'."),
    ],
)
def test_a_bad_parameter_is_told_in_words(params: dict[str, str], text: str) -> None:
    with pytest.raises(BadParameter) as caught:
        runbook("journal").plan(params)
    assert caught.value.user_text == text
    assert caught.value.parameter == next(iter(params))


def test_parameters_of_all_types_go_into_words_and_parts_of_words() -> None:
    mine = parse(
        HEAD
        + """\
parameters:
  unit: {type: unit}
  since: {type: span, max: 7d, default: 2h}
  output: {type: enum, values: [short, cat], default: cat}
  level: {type: int, min: -1, max: 7, default: 3}
steps:
  - argv: [journalctl, -u, "{unit}", "--since=-{since}", "--output={output}", "--priority={level}..{level}"]
"""
    )
    (step,) = mine.plan({"unit": "user@1000.service", "since": "90min"}).steps
    assert step.argv == (
        "journalctl",
        "-u",
        "user@1000.service",
        "--since=-90min",
        "--output=cat",
        "--priority=3..3",
    )
    for params, text in (
        ({}, "unit is missing"),
        ({"unit": "x", "since": "8d"}, "since must be a time span such as 90s, 15min, 2h or 3d, at most 7d"),
        ({"unit": "x", "since": "0s"}, "since must be a time span"),
        ({"unit": "x", "output": "json"}, "output must be one of short, cat"),
    ):
        with pytest.raises(BadParameter, match=text):
            mine.plan(params)


STEP = "steps:\n  - argv: [uptime]\n"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (HEAD + "steps:\n  - argv: journalctl -n 5\n", "mine.yaml:6: steps.0.argv: a shell string"),
        (HEAD + "steps:\n  - argv: [bash, -c, id]\n", "mine.yaml:6: steps.0.argv: bash would interpret"),
        (HEAD + "steps:\n  - argv: [sudo, /bin/sh]\n", "mine.yaml:6: steps.0.argv: /bin/sh would interpret"),
        (HEAD + "steps:\n  - argv: [journalctl -n 5]\n", "mine.yaml:6: steps.0.argv: the first word must be"),
        (HEAD + "steps:\n  - argv: ['{a}']\n", "mine.yaml:6: steps.0.argv: the first word must be"),
        (HEAD + "steps:\n  - argv: [echo, '{', 'a}']\n", "mine.yaml:6: steps.0.argv: a brace in '{'"),
        (HEAD + "steps:\n  - argv: [echo, '{Not}']\n", "mine.yaml:6: steps.0.argv: a brace in '{Not}'"),
        (HEAD + "steps:\n  - argv: [echo, '{a}']\n", "parameters declared and parameters used in argv differ: a"),
        (HEAD + STEP + "parameters:\n  a: {type: unit}\n", "differ: a"),
        (HEAD + STEP + "    shell: true\n", "mine.yaml:7: steps.0.shell: an unknown key"),
        (HEAD + "colour: red\n" + STEP, "mine.yaml:5: colour: an unknown key"),
        (HEAD + STEP + "    timeout_s: 601\n", "mine.yaml:7: steps.0.timeout_s"),
        (HEAD + STEP + "    max_bytes: 0\n", "mine.yaml:7: steps.0.max_bytes"),
        (HEAD + STEP + "parameters:\n  a: {type: regex}\n", "mine.yaml:8: parameters.a"),
        (HEAD + STEP + "parameters:\n  a: {type: int, min: 1, max: 3, default: 9}\n", "mine.yaml:8: parameters.a"),
        (HEAD + STEP + "parameters:\n  a: {type: enum, values: ['-x']}\n", "mine.yaml:8: parameters.a.values.0"),
        (HEAD + STEP + "parser: magic\n", "mine.yaml:7: parser"),
        (HEAD, "a command runbook has at least one step"),
        (HEAD + "kind: hawkbit\naction: redeploy\n", "a hawkbit runbook has an action, risk: change, and no steps"),
        (HEAD + "name: twice\n", "mine.yaml:5: found duplicate key"),
        (HEAD + "steps: [", "mine.yaml:5"),
        ("just text", "mine.yaml:1: a runbook is a mapping"),
        ("name: Mine!\n" + HEAD[11:] + STEP, "mine.yaml:1: name"),
    ],
)
def test_a_fault_in_a_runbook_names_file_line_and_cure(text: str, fault: str) -> None:
    with pytest.raises(CatalogError) as caught:
        parse(text)
    assert fault in str(caught.value)


def test_an_installation_adds_runbooks_and_may_replace_one(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(HEAD + STEP)
    (tmp_path / "journal.yaml").write_text((HEAD + STEP).replace("mine", "journal").replace("Mine", "Our journal"))
    (tmp_path / "README.md").write_text("not a runbook")
    catalog = Catalog.load(tmp_path)
    assert catalog.names() == ("journal", "mine", "rauc-status", "redeploy")
    replaced = catalog.get("journal")
    assert replaced is not None
    assert replaced.title == "Our journal"


def test_all_faults_of_a_directory_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(HEAD + STEP)
    (tmp_path / "two.yaml").write_text("{")
    (tmp_path / "mine.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CatalogError) as caught:
        Catalog.load(tmp_path)
    faults = str(caught.value).splitlines()
    assert len(faults) == 3
    assert any("one.yaml:1: name: must be the file's name" in fault for fault in faults)
    with pytest.raises(CatalogError, match="no such directory"):
        Catalog.load(tmp_path / "missing")
