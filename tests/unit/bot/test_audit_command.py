"""`cdm audit`: who did what is readable, and a changed entry is found."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from bot.commands import audit
from integrations.store.audit import STREAM, AuditLog
from integrations.store.connection import Store, connect
from integrations.store.embedded import EmbeddedStore
from tests.conftest import ManualClock
from tests.unit.bot.conftest import Run


@pytest.fixture
async def store(data_dir: Path, clock: ManualClock) -> AsyncIterator[Store]:
    """A bot's store with four entries: two acts of bob and the scheduler, and a refusal."""
    server = EmbeddedStore(data_dir / "store")
    await server.start()
    client = connect(server.url)
    log = AuditLog(client, clock)
    ref = await log.intent("sub-bob", "pause", "rollout:eu1/17", {"name": "bob", "why": "it smells\x1b[2J"})
    await log.outcome(ref, "sub-bob", "pause", "rollout:eu1/17", {"status": "paused"})
    await log.note("scheduler", "hold", "rollout:eu1/18", {"reasons": ["soaking"]})
    await log.note("sub-carol", "refused:stop", "rollout:eu1/17", {"reason": "role_missing"})
    yield client
    await client.aclose()
    await server.stop()


async def test_entries_are_shown_oldest_first_with_who_what_and_whose_outcome(
    run: Run, config: Path, store: Store
) -> None:
    done = await run(audit.app, "show", "--config", config)
    lines = [line for line in done.stdout.splitlines() if line.startswith("2026-")]
    assert [line.split()[1] for line in lines] == ["#1", "#2", "#3", "#4"]
    assert "bob (sub-bob)  pause  rollout:eu1/17" in lines[0]
    assert '"why":"it smells' in lines[0]
    assert "outcome of #1" in lines[1]
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        (("--actor", "bob"), ["#1"]),
        (("--actor", "sub-bob"), ["#1", "#2"]),
        (("--object", "rollout:eu1/17"), ["#1", "#2", "#4"]),
        (("--object", "rollout:eu1/17", "--last", "1"), ["#4"]),
        (("--last", "2"), ["#3", "#4"]),
    ],
)
async def test_only_the_entries_asked_for(
    run: Run, config: Path, store: Store, wanted: tuple[str, ...], shown: list[str]
) -> None:
    done = await run(audit.app, "show", "--config", config, *wanted)
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("2026-")] == shown


async def test_an_untouched_log_holds(run: Run, config: Path, store: Store) -> None:
    done = await run(audit.app, "verify", "--config", config)
    assert done.exit_code == 0
    assert "4 entries, the chain holds" in done.stdout


async def test_the_first_changed_entry_is_named(run: Run, config: Path, store: Store) -> None:
    rows = await store.xrange(STREAM)
    await store.delete(STREAM)
    for number, (id, fields) in enumerate(rows, 1):
        entry = orjson.loads(fields[b"e"])
        if number >= 2:
            entry["actor"] = "nobody"
        await store.xadd(STREAM, {"e": orjson.dumps(entry)}, id=id)
    done = await run(audit.app, "verify", "--config", config)
    assert done.exit_code == 1
    assert "entry 2 was changed after it was written" in done.stderr
    assert "compare them with a backup" in done.stderr


async def test_a_missing_newest_entry_is_noticed(run: Run, config: Path, store: Store) -> None:
    rows = await store.xrange(STREAM)
    await store.xdel(STREAM, rows[-1][0])
    done = await run(audit.app, "verify", "--config", config)
    assert done.exit_code == 1
    assert "entries after 3 are missing" in done.stderr
