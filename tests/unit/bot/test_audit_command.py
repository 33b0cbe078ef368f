"""`cdm audit`: who did what is readable, and a changed entry is found."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from bot.audit_keys import keyring
from bot.commands import audit
from bot.config_file import load_settings
from core.audit import Entry, Keyring
from integrations.store.audit import HEAD, STREAM, AuditLog
from integrations.store.connection import Store, connect
from integrations.store.embedded import EmbeddedStore
from tests.conftest import ManualClock
from tests.unit.bot.conftest import Run, edit


@pytest.fixture
async def store(data_dir: Path, clock: ManualClock, keys: Keyring) -> AsyncIterator[Store]:
    """A bot's store with four entries: two acts of bob and the scheduler, and a refusal."""
    server = EmbeddedStore(data_dir / "store")
    await server.start()
    client = connect(server.url)
    log = AuditLog(client, clock, keys)
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
        (("--person", "bob"), ["#1", "#2"]),
        (("--person", "sub-bob"), ["#1", "#2"]),
        (("--rollout", "eu1/18"), ["#3"]),
        (("--action", "refused"), ["#4"]),
        (("--since", "2026-11-24T04:00:00+01:00", "--until", "2026-11-25", "--last", "1"), ["#4"]),
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
    assert "4 entries, the chain holds. 4 are sealed with a key. No anchors were given" in done.stdout


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


async def test_a_log_cut_off_together_with_its_head_is_found_by_what_the_bot_logged(
    run: Run, config: Path, store: Store, tmp_path: Path, clock: ManualClock, keys: Keyring
) -> None:
    number, hash = (await AuditLog(store, clock, keys).head()).split()
    logged, noted = tmp_path / "bot.log", tmp_path / "noted"
    event = orjson.dumps({"event": "audit_anchored", "seq": int(number), "hash": hash}).decode()
    logged.write_text(f'{{"event": "bot_started"}}\nbot-1  | {event}\n{{"event": "audit_anchored", "seq": 5, "ha')
    noted.write_text(f"{number} {hash}\n")
    for anchors in (logged, noted):
        done = await run(audit.app, "verify", "--config", config, "--anchors", anchors)
        assert (done.exit_code, done.stderr) == (0, "")
        assert "1 anchors up to entry 4 agree" in done.stdout
    *_, (_, third), (fourth, _) = await store.xrange(STREAM)
    await store.xdel(STREAM, fourth)
    await store.set(HEAD, f"3 {orjson.loads(third[b'e'])['hash']}")
    unanchored = await run(audit.app, "verify", "--config", config)
    assert unanchored.exit_code == 0, "the store alone cannot tell"
    for anchors in (logged, noted):
        done = await run(audit.app, "verify", "--config", config, "--anchors", anchors)
        assert done.exit_code == 1
        assert "entries after 3 are missing: there was an entry 4" in done.stderr


async def test_a_file_without_anchors_and_anchors_that_differ_are_told(
    run: Run, config: Path, store: Store, tmp_path: Path
) -> None:
    (tmp_path / "empty").write_text('{"event": "bot_started"}\n')
    (tmp_path / "two").write_text(f"3 {'a' * 64}\n3 {'b' * 64}\n")
    for name, told in (("empty", "holds no anchor"), ("two", "two different entries 3")):
        done = await run(audit.app, "verify", "--config", config, "--anchors", tmp_path / name)
        assert done.exit_code == 1
        assert told in done.stderr


async def test_an_entry_that_is_none_is_told_by_every_command(run: Run, config: Path, store: Store) -> None:
    rows = await store.xrange(STREAM)
    await store.delete(STREAM)
    await store.xadd(STREAM, rows[0][1], id=rows[0][0])
    await store.xadd(STREAM, {"e": b'{"seq": "2"}'}, id=rows[1][0])
    done = await run(audit.app, "verify", "--config", config)
    assert done.exit_code == 1
    assert "the entry after 1 cannot be read" in done.stderr
    for command in ("show", "export"):
        done = await run(audit.app, command, "--config", config)
        assert done.exit_code == 1
        assert "cdm audit verify" in done.stderr


async def test_without_a_key_in_the_settings_what_was_sealed_with_one_does_not_hold(
    run: Run, config: Path, store: Store
) -> None:
    edit(config, "  key: {file: audit-key}", "  keyed_from: 1")
    done = await run(audit.app, "verify", "--config", config)
    assert done.exit_code == 1
    assert "which the settings do not have" in done.stderr


async def test_a_rotated_key_seals_what_comes_and_the_old_one_still_proves_what_was(
    run: Run, config: Path, store: Store, clock: ManualClock
) -> None:
    edit(config, "  key: {file: audit-key}", "  key: {file: next-key}\n  old_keys: [{file: audit-key}]")
    (config.parent / "next-key").write_text("another key of this test, also long enough")
    keys = keyring(load_settings(config))
    await AuditLog(store, clock, keys).note("bot", "decided", "rollout:eu1/17")
    done = await run(audit.app, "verify", "--config", config)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "5 entries, the chain holds. 5 are sealed with a key" in done.stdout
    assert len({entry.key async for entry in AuditLog(store, clock).entries()}) == 2


async def test_an_export_has_every_field_and_is_a_private_new_file(
    run: Run, config: Path, store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    done = await run(audit.app, "export", "--config", config, "--out", out)
    assert done.exit_code == 0, done.stderr
    assert out.stat().st_mode & 0o777 == 0o600
    exported = [Entry(**orjson.loads(line)) for line in out.read_bytes().splitlines()]
    assert exported == [entry async for entry in AuditLog(store, clock).entries()]
    again = await run(audit.app, "export", "--config", config, "--out", out)
    assert again.exit_code == 1


async def test_an_exported_spreadsheet_holds_what_was_asked_for_and_no_formula(
    run: Run, config: Path, store: Store, clock: ManualClock, keys: Keyring
) -> None:
    await AuditLog(store, clock, keys).note("slack:U1", "refused:pause", "=HYPERLINK(1)", {"name": "@SUM(1)"})
    done = await run(audit.app, "export", "--config", config, "--format", "csv", "--action", "refused")
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert [row["seq"] for row in rows] == ["4", "5"]
    assert (rows[1]["object"], rows[1]["name"]) == ("'=HYPERLINK(1)", "'@SUM(1)")
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]
