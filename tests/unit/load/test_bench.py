"""The command that measures: what it takes, how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.load import __main__ as bench
from tests.load.acks import figures as ack_figures
from tests.load.clicks import figures as click_figures
from tests.load.generator import Round, fire
from tests.load.intake import Measured
from tests.load.intake import figures as intake_figures
from tests.load.options import BenchFailed, Options
from tests.load.paced import Paced
from tests.load.report import Figure, Report


async def works(options: Options) -> Report:
    return Report("works", f"{options.requests} requests, {options.seconds} s", [Figure("p50 ms", 1.5)])


async def fails(options: Options) -> Report:
    raise BenchFailed("the receiver refused 3 of 20")


@pytest.fixture(autouse=True)
def areas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "AREAS", {"fails": fails, "works": works})


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    return ["--json", str(tmp_path)]


def test_every_area_is_measured_shown_and_written_unless_some_are_named(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main(["works", *command]) == 0
    said = capsys.readouterr().out
    assert "| p50 ms | 1.50 |" in said
    assert "fails" not in said
    assert len(list(tmp_path.glob("works-*.json"))) == 1


def test_an_area_that_fails_says_why_and_the_others_are_measured(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main(command) == 1
    assert "fails could not be measured: the receiver refused 3 of 20" in capsys.readouterr().out
    assert len(list(tmp_path.glob("works-*.json"))) == 1


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "20000 requests, None s"),
        (["--quick"], "2000 requests, 3.0 s"),
        (["--quick", "--seconds", "5"], "2000 requests, 5.0 s"),
        (["--requests", "700", "--seconds", "2.5"], "700 requests, 2.5 s"),
    ],
)
def test_an_area_is_told_what_the_command_line_says(
    given: list[str], told: str, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    bench.main(["works", *given, *command])
    assert told in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [["nothing"], ["--seconds", "0"], ["--seconds", "600"], ["--seconds", "long"]])
def test_a_command_that_makes_no_sense_is_refused_before_anything_starts(
    wrong: list[str], tmp_path: Path, command: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        bench.main([*wrong, *command])
    assert ended.value.code == 2
    assert list(tmp_path.iterdir()) == []


def test_an_area_that_waits_for_ever_is_ended(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def waits(options: Options) -> Report:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    monkeypatch.setattr(bench, "AREAS", {"waits": waits})
    monkeypatch.setattr(bench, "LONGEST_S", 0.05)
    assert bench.main(command) == 1
    assert "waits could not be measured: it took too long" in capsys.readouterr().out


@asynccontextmanager
async def slow_receiver(delay_s: float) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            await asyncio.sleep(delay_s)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_a_round_ends_in_time_whatever_is_left_to_send() -> None:
    async with slow_receiver(0.02) as port:
        found = await fire(port, [b"GET / HTTP/1.1\r\n\r\n"] * 10_000, 4, 0.3)
    assert 4 <= found.sent <= 100
    assert found.refused == 0


async def test_a_round_sends_each_request_once_where_there_is_time() -> None:
    async with slow_receiver(0) as port:
        assert (await fire(port, [b"GET / HTTP/1.1\r\n\r\n"] * 50, 4, 20)).sent == 50


def test_without_alertmanager_the_aims_beside_it_are_not_measured() -> None:
    rounds = Measured([Round(100, 0, 0.01, 1.0, 2.0)], [60.0])
    rows = intake_figures({("ours", 32): rounds, ("bare", 32): rounds}, 32)
    rates = [figure.cells() for figure in rows if figure.name == "alarms per second, 32 connections"]
    assert [cells[2] for cells in rates] == ["10,000 bare", "-"]
    assert "not measured" in rates[1][4]


def test_acks_are_judged_while_alarms_come_in() -> None:
    found = {name: Paced([float(n)] * 10, 0) for n, name in enumerate(("bare", "quiet", "busy", "alarms"), 1)}
    judged = {figure.name: figure.cells() for figure in ack_figures(found) if figure.aims}
    assert judged == {
        "ack, 500 alarms/s: p99 ms": (
            "ack, 500 alarms/s: p99 ms", "3.00", "1.00 bare, quiet", "3.00", "at most 15: met; at most 3: met",
        )
    }  # fmt: skip


def test_what_authority_adds_is_shown_for_each_crowd_beside_the_bare_calls() -> None:
    times = {("ours", 1): [10.0, 30.0], ("bare", 1): [10.0, 10.0], ("ours", 16): [90.0], ("bare", 16): [30.0]}
    rows = {figure.name: figure for figure in click_figures(times, {"Clear": 3})}
    assert rows["calls to Keycloak for one Clear"].this == 3
    assert len(rows) == 1 + 2 * 3
    alone, crowd = rows["added by one reading, 1 at once: p50 ms"], rows["added by one reading, 16 at once: p50 ms"]
    assert (alone.this, alone.reference, alone.ratio) == (10.0, 10.0, 1.0)
    assert [figure.aims[0].met_by(figure) for figure in (alone, crowd)] == [True, False]
    assert rows["added by one reading, 1 at once: p99 ms"].this == 30.0
