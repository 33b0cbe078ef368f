"""Plays a scenario: one step after another, each failure told and remembered."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import httpx

from sandbox.controls import Controls, Misunderstood
from sandbox.scenarios.acts import Acts
from sandbox.scenarios.checks import Checks
from sandbox.scenarios.schema import CHECKS, Scenario, Step
from sandbox.scenarios.stage import Stage, Unmet
from sandbox.world import SandboxWorld


class Player:
    """`tell` prints one line. ValueError where the fleet is too small for the scenario."""

    def __init__(
        self, world: SandboxWorld, controls: Controls, scenario: Scenario, tell: Callable[[str], None]
    ) -> None:
        here = len(world.fleet.devices)
        if here < scenario.devices:
            raise ValueError(f"the scenario {scenario.name} needs at least {scenario.devices} devices, not {here}")
        self.failures: list[str] = []
        self.finished = False
        self._scenario = scenario
        self._tell = tell
        self._said = ""
        self._stage = Stage(world, controls, self._show)
        self._acts, self._checks = Acts(self._stage), Checks(self._stage)

    async def play(self) -> None:
        """From the first step to the checks at the end. A failed step is told; the next ones are tried all the same."""
        began = time.monotonic()
        await self._through(self._scenario.steps)
        await self._through(self._scenario.at_the_end)
        self.finished = True
        end = f"promises not kept: {len(self.failures)}" if self.failures else "every promise was kept"
        self._stage.say(f"{self._scenario.title} ends after {time.monotonic() - began:.0f} s: {end}")

    def view(self) -> dict[str, Any]:
        """For a panel: what it is, and what it said last."""
        return {
            "name": self._scenario.name,
            "title": self._scenario.title,
            "step": self._said,
            "finished": self.finished,
            "failures": list(self.failures),
        }

    async def _through(self, steps: Sequence[Step]) -> None:
        for step in steps:
            doers = self._checks if step.verb in CHECKS else self._acts
            try:
                await getattr(doers, step.verb)(step.body)
            except (Unmet, Misunderstood, AssertionError, LookupError, TimeoutError, httpx.HTTPError) as wrong:
                self.failures.append(
                    f"{self._scenario.name}.yaml:{step.line}: {step.verb}: {wrong or type(wrong).__name__}"
                )
                self._show(f"!! {self.failures[-1]}")

    def _show(self, line: str) -> None:
        self._said = line.removeprefix("-- ").removeprefix("!! ")
        self._tell(line)
