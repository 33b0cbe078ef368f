"""What a load run says and writes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.load.report import Aim, Figure, Report, machine, percentile, table, write

AT = datetime(2026, 11, 24, 3, 4, 5, tzinfo=UTC)


def row(figure: Figure) -> list[str]:
    """The cells of the only row."""
    return [cell.strip() for cell in table([figure])[2].strip("|").split("|")]


def read(path: Path) -> Any:
    return orjson.loads(path.read_bytes())


def report(area: str = "intake", this: float = 12_000.0) -> Report:
    aims = (Aim("least", 1.3, "ratio"),)
    figures = [Figure("alarms per second", this, 10_000.0, "alertmanager", aims)]
    return Report(area, "what was done", figures, {"rounds": 3}, {"ours": [{"p50_ms": 1.25}]})


def test_a_row_shows_the_figure_its_reference_by_name_their_ratio_and_whether_the_aim_is_met() -> None:
    figure = Figure("alarms per second", 18_029.4, 12_494.0, "alertmanager", (Aim("least", 1.3, "ratio"),))
    assert row(figure) == ["alarms per second", "18,029", "12,494 alertmanager", "1.44", "at least 1.3 times: met"]


def test_small_figures_keep_two_digits_and_counts_have_none() -> None:
    assert row(Figure("p99 ms", 3.284))[1] == "3.28"
    assert row(Figure("CPU us", 80.0, 79.9999, "bare"))[1:3] == ["80.00", "80.00 bare"]
    assert row(Figure("updates skipped", 3))[1] == "3"


@pytest.mark.parametrize(
    ("aim", "verdict"),
    [
        (Aim("most", 15.0), "at most 15: met"),
        (Aim("most", 14.9), "at most 14.9: missed"),
        (Aim("least", 15.0), "at least 15: met"),
        (Aim("least", 16.0), "at least 16: missed"),
        (Aim("most", 1.4, "ratio"), "at most 1.4 times: missed"),
        (Aim("least", 1.5, "ratio"), "at least 1.5 times: met"),
    ],
)
def test_an_aim_is_met_up_to_its_bound(aim: Aim, verdict: str) -> None:
    assert row(Figure("p99 ms", 15.0, 10.0, "bare", (aim,)))[4] == verdict


def test_several_aims_are_each_judged() -> None:
    figure = Figure("p99 ms", 12.0, aims=(Aim("most", 15.0), Aim("most", 3.0)))
    assert row(figure)[4] == "at most 15: met; at most 3: missed"


@pytest.mark.parametrize("reference", [None, 0.0])
def test_without_a_reference_there_is_no_ratio_and_an_aim_on_it_was_not_measured(reference: float | None) -> None:
    cells = row(Figure("alarms per second", 100.0, reference, aims=(Aim("least", 1.0, "ratio"),)))
    assert cells[3:] == ["-", "at least 1 times: not measured"]


def test_the_columns_of_a_table_stand_below_each_other() -> None:
    lines = table([Figure("short", 1.0), Figure("a longer name", 123_456.0, 2.0, "bare", (Aim("most", 1.0),))])
    assert lines[0].split() == ["|", "figure", "|", "this", "|", "reference", "|", "ratio", "|", "aim", "|"]
    bars = [[at for at, letter in enumerate(line) if letter == "|"] for line in lines]
    assert bars == [bars[0]] * 4
    assert lines[2].index("1.00 |") > lines[2].index("short")


def test_a_file_holds_machine_settings_figures_with_verdicts_and_everything_raw(tmp_path: Path) -> None:
    path = write(report(), {"cores": 2}, AT, tmp_path / "bench")
    assert path == tmp_path / "bench" / "intake-20261124T030405Z.json"
    said = read(path)
    assert (said["area"], said["about"], said["ended_at"]) == ("intake", "what was done", "2026-11-24T03:04:05+00:00")
    assert (said["machine"], said["settings"]) == ({"cores": 2}, {"rounds": 3})
    assert said["raw"] == {"ours": [{"p50_ms": 1.25}]}
    assert said["figures"] == [
        {
            "figure": "alarms per second",
            "this": 12_000.0,
            "reference": 10_000.0,
            "beside": "alertmanager",
            "ratio": 1.2,
            "aims": [{"of": "ratio", "at": "least", "bound": 1.3, "met": False}],
        }
    ]


def test_latest_has_the_last_of_each_area_and_names_the_file_with_the_raw_figures(tmp_path: Path) -> None:
    write(report("intake", 1.0), {}, AT, tmp_path)
    write(report("acks", 2.0), {}, AT, tmp_path)
    newest = write(report("intake", 3.0), {}, AT.replace(minute=9), tmp_path)
    latest = read(tmp_path / "latest.json")
    assert {area: said["figures"][0]["this"] for area, said in latest.items()} == {"intake": 3.0, "acks": 2.0}
    assert latest["intake"]["file"] == newest.name
    assert "raw" not in latest["intake"]


@pytest.mark.parametrize("broken", [b"", b'{"intake": {"ar', b"[]"])
def test_a_latest_that_cannot_be_read_is_begun_anew(tmp_path: Path, broken: bytes) -> None:
    (tmp_path / "latest.json").write_bytes(broken)
    write(report(), {}, AT, tmp_path)
    assert list(read(tmp_path / "latest.json")) == ["intake"]


def test_nothing_unfinished_is_left_beside_the_files(tmp_path: Path) -> None:
    path = write(report(), {}, AT, tmp_path)
    assert {found.name for found in tmp_path.iterdir()} == {path.name, "latest.json"}


def test_the_machine_is_told_by_cores_python_and_store() -> None:
    facts = machine()
    assert facts["cores"] >= 1
    assert facts["python"].startswith("CPython 3.")
    assert "appendfsync always" in facts["store"]


def test_a_percentile_is_the_value_that_so_many_do_not_exceed() -> None:
    hundred = [float(n) for n in range(100, 0, -1)]
    assert (percentile(hundred, 50), percentile(hundred, 99), percentile(hundred, 100)) == (50.0, 99.0, 100.0)
    assert percentile([7.0], 99) == 7.0
