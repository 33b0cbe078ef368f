"""Commands run as typed, with a settings file and a data directory of their own."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from bot import logs
from bot.audit_keys import keyring
from bot.config_file import load_settings
from bot.maintaining import Maintainer
from core.audit import Keyring

EXAMPLE = (Path(__file__).parents[3] / "deploy" / "cdm.example.yaml").read_text()

Run = Callable[..., Awaitable[Result]]


def edit(config: Path, old: str, new: str) -> None:
    """Change the settings file in one place; `old` empty: add to its end."""
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new, 1) if old else text + new)


@pytest.fixture(autouse=True)
def _loggers_keep_their_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Configured for real, loggers would go on writing to a stream that ends with the command."""
    monkeypatch.setattr(logs, "configure", lambda **_: None)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """Short, since the store keeps a Unix socket in it."""
    directory = Path(tempfile.mkdtemp(prefix="cdm-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def config(tmp_path: Path, data_dir: Path) -> Path:
    path, key = tmp_path / "cdm.yaml", tmp_path / "audit-key"
    path.write_text(
        EXAMPLE.replace("data_dir: ./data", f"data_dir: {data_dir}").replace("secrets/audit-key", "audit-key")
    )
    key.touch(mode=0o600)
    key.write_text("a key of this test, long enough to be one")
    return path


@pytest.fixture
def keys(config: Path) -> Keyring:
    """What a bot with these settings seals its audit with."""
    return keyring(load_settings(config))


@pytest.fixture
def logged_in(monkeypatch: pytest.MonkeyPatch) -> Maintainer:
    """An admin who has just logged in for `cdm tenant`."""
    admin = Maintainer("subject-of-alice", "alice")

    async def maintainer(*_: object, **__: object) -> Maintainer:
        return admin

    monkeypatch.setattr("bot.commands.tenant.maintainer", maintainer)
    return admin


@pytest.fixture
def run() -> Run:
    """Runs a command beside the test's own event loop, as another process would."""

    async def run_command(app: typer.Typer, *words: str | Path) -> Result:
        return await asyncio.to_thread(lambda: CliRunner().invoke(app, [str(word) for word in words]))

    return run_command
