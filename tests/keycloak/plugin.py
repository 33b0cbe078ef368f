"""The fixture `real_keycloak`, and what is said where there is none. Listed in `pytest_plugins`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.keycloak.server import RealKeycloak, available, required

_SKIPPED = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def real_keycloak(request: pytest.FixtureRequest) -> Iterator[RealKeycloak]:
    """A real Keycloak for the whole run. Tests leave it running, and make people and groups of their own."""
    why_not = available()
    if why_not:
        if required():
            pytest.fail(f"CI runs the tests on a real Keycloak, and there is none: {why_not}")
        request.config.stash[_SKIPPED] = why_not
        pytest.skip(f"no real Keycloak: {why_not}")
    keycloak = RealKeycloak()
    asyncio.run(keycloak.start())
    yield keycloak
    asyncio.run(keycloak.remove())


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker tells the run that it is a part of."""
    said = getattr(session.config, "workeroutput", None)
    if said is not None:
        said["no_real_keycloak"] = session.config.stash.get(_SKIPPED, "")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    why_not = getattr(node, "workeroutput", {}).get("no_real_keycloak")
    if why_not:
        node.config.stash[_SKIPPED] = why_not


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    why_not = config.stash.get(_SKIPPED, "")
    if why_not:
        terminalreporter.write_sep("!", "NOT TESTED ON A REAL KEYCLOAK", red=True)
        terminalreporter.write_line(why_not)
