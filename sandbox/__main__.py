"""`python -m sandbox`: the sandbox with the bot, as `cdm run` does."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from sandbox.app import Run, main


def run() -> int:
    asked = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    asked.add_argument("--directory", type=Path, help="for settings, data and log; a new temporary one if not given")
    asked.add_argument("--devices", type=int, default=500)
    asked.add_argument("--for", dest="seconds", type=float, help="end after so many seconds")
    asked.add_argument("--scenario", default="default-day", help="a name or a file; none for nothing")
    asked.add_argument("--check", action="store_true", help="end with the scenario; exit 1 if it did not end well")
    given = asked.parse_args()
    directory = given.directory or Path(tempfile.mkdtemp(prefix="cdm-"))
    return asyncio.run(main(directory, Run(given.devices, given.scenario, given.seconds, given.check)))


if __name__ == "__main__":
    sys.exit(run())
