"""Measures the areas named, one after the other: a table at the end of each, and everything as JSON. See README.md."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from tests.load.acks import acks
from tests.load.audit import audit
from tests.load.clicks import clicks
from tests.load.intake import intake
from tests.load.options import BenchFailed, Options
from tests.load.page import page
from tests.load.report import Report, machine, table, write
from tests.load.rollouts import rollouts

AREAS: dict[str, Callable[[Options], Awaitable[Report]]] = {
    "intake": intake,
    "acks": acks,
    "page": page,
    "audit": audit,
    "clicks": clicks,
    "rollouts": rollouts,
}
LOUD_LOAD = 0.5
LONGEST_S = 1_800.0
"""No area takes longer, whatever it waits for."""


async def run(areas: Sequence[str], options: Options, directory: Path) -> list[str]:
    """Measure `areas`, say and write what was found; answers those that could not be measured."""
    measuring = asyncio.current_task()
    assert measuring is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, measuring.cancel)
    failed = []
    for area in areas:
        before = machine()
        quiet = (
            "" if before["load_1m"] <= LOUD_LOAD else " The machine is not quiet: take the ratios for what they are."
        )
        say(
            f"{area}: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {before['cores']} cores, load {before['load_1m']}.{quiet}"
        )
        try:
            async with asyncio.timeout(LONGEST_S):
                report = await AREAS[area](options)
        except (BenchFailed, TimeoutError) as error:
            failed.append(area)
            say(f"{area} could not be measured: {str(error) or 'it took too long'}\n")
            continue
        path = write(report, before, datetime.now(UTC), directory)
        say("\n".join([report.about, "", *table(report.figures), "", f"All figures: {path}", ""]))
    return failed


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("areas", nargs="*", metavar="area", help=f"{', '.join(AREAS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="short, to see that it works")
    parser.add_argument("--seconds", type=_seconds, help="length of one measurement; the most a round of alarms takes")
    parser.add_argument("--json", type=Path, metavar="DIR", default=Path("var/bench"), help="(default: %(default)s)")
    parser.add_argument("--requests", type=int, default=20_000, help="alarms per round of intake")
    parser.add_argument("--rounds", type=int, default=3, help="of intake")
    found = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    parser.add_argument("--alertmanager", metavar="PATH", default=found, help="its program (default: %(default)s)")
    given = parser.parse_args(arguments)
    if unknown := set(given.areas) - set(AREAS):
        parser.error(f"no area {', '.join(sorted(unknown))}; there are {', '.join(AREAS)}")
    options = Options(given.seconds, given.requests, given.rounds, given.alertmanager)
    if given.quick:
        options = Options(given.seconds or 3.0, 2_000, 1, given.alertmanager)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return 1 if runner.run(run(given.areas or list(AREAS), options, given.json)) else 0
    except (asyncio.CancelledError, KeyboardInterrupt):
        say("Ended from outside.")
        return 130


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 1.0 <= seconds <= 60.0:
        raise argparse.ArgumentTypeError("between 1 and 60")
    return seconds


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
