"""The long run: `python -m tests.statemachine --schedules 10000`. Ends with 1 at the first promise broken."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence

from tests.statemachine.play import Played
from tests.statemachine.search import count, search

_EVERY_S = 30.0


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.statemachine", description=__doc__)
    parser.add_argument("--schedules", type=int, default=10_000, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="which (default: %(default)s)")
    given = parser.parse_args(arguments)
    totals: Counter[str] = Counter()
    began = said = time.monotonic()

    def seen(played: Played) -> None:
        nonlocal said
        count(totals, played)
        if time.monotonic() - said > _EVERY_S:
            said = time.monotonic()
            say(f"{totals['schedules']:,} schedules, {totals['promotions']:,} promotions, {said - began:.0f} s")

    say(f"statemachine: the promotion fence, {given.schedules:,} schedules, seed {given.seed}")
    try:
        search(given.schedules, given.seed, seen)
    except AssertionError as error:
        say(f"A promise was broken, the smallest schedule found for it:\n{error}\n{chr(10).join(error.__notes__)}")
        return 1
    finally:
        say("\n".join(f"{totals[what]:>12,}  {what}" for what in sorted(totals)))
        say(f"{time.monotonic() - began:12,.0f}  seconds")
    return 0


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
