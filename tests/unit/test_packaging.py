"""The files that are for other machines hold what they promise, as far as this machine can check it."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]


def test_the_compose_file_has_the_bot_and_a_store_that_keeps_what_it_acknowledged() -> None:
    compose = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text())
    command = compose["services"]["store"]["command"]
    assert command[command.index("--appendonly") + 1] == "yes"
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"
    assert {n for n, s in compose["services"].items() if s.get("profiles") == ["systems"]} == {
        "hawkbit",
        "thingsboard",
        "keycloak",
    }


def test_docker_compose_accepts_the_file() -> None:
    program = shutil.which("docker-compose")
    if program is None:
        pytest.skip("docker-compose is not here: the compose file was only read as YAML")
    done = subprocess.run([program, "config", "-q"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    warnings.warn("docker-compose.yml was checked as a file only; no engine here, so nothing was started", stacklevel=1)


def test_the_lock_has_hashes_and_names_no_place() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "--hash=sha256:" in lock
    assert "://" not in lock
    assert "index-url" not in lock
