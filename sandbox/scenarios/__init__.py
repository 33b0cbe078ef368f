"""Stories that play by themselves in the sandbox, one YAML file each, with what must come true (docs/scenarios.md)."""

from sandbox.scenarios.files import BadScenario, catalog, load
from sandbox.scenarios.player import Player
from sandbox.scenarios.schema import Scenario

__all__ = ["BadScenario", "Player", "Scenario", "catalog", "load"]
