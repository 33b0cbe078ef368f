"""Golden files: `pytest tests/unit/sandbox/page --write-golden` writes the HTML anew; read the difference."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-golden", action="store_true", help="write golden/*.html from golden/*.json")


@pytest.fixture
def writes_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--write-golden", default=False))
