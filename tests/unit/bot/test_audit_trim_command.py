"""`cdm audit trim`: older entries leave the store for a file, and what is left can still be proven."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from bot.cli import app
from bot.commands import audit_trim
from bot.maintaining import Maintainer
from core.access import Action
from core.approvals import Order, Party, Rule, ask
from core.audit import Keyring
from core.errors import NotAllowed
from core.evidence import Evidence
from core.ids import ApprovalId, Channel, Stack, Subject
from integrations.store.approvals import ApprovalStore
from integrations.store.audit import STREAM, TRIMMED, AuditLog
from integrations.store.connection import Store, connect
from integrations.store.embedded import EmbeddedStore
from tests.conftest import ManualClock
from tests.unit.bot.conftest import Run, edit

DAY = 86_400.0
START = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
async def store(data_dir: Path, keys: Keyring) -> AsyncIterator[Store]:
    """Entries 1 to 8, two a day: an act of bob's and its outcome, each day from 1 January 2020 on."""
    server = EmbeddedStore(data_dir / "store")
    await server.start()
    client, clock = connect(server.url), ManualClock(START)
    log = AuditLog(client, clock, keys)
    for day in range(4):
        ref = await log.intent("sub-bob", "pause", f"rollout:eu1/{day}", {"name": "bob"})
        await log.outcome(ref, "sub-bob", "pause", f"rollout:eu1/{day}", {"status": "paused"})
        await clock.forward(DAY)
    yield client
    await client.aclose()
    await server.stop()


@pytest.fixture(autouse=True)
def logged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """As alice, an admin of every tenant. The login itself is tested with `cdm restore`, which asks in the same way."""

    async def alice(*_: object, **__: object) -> Maintainer:
        return Maintainer("sub-alice", "alice")

    monkeypatch.setattr(audit_trim, "maintainer", alice)


async def trimmed(run: Run, config: Path, before: str, file: Path) -> None:
    done = await run(app, "audit", "trim", "--config", config, "--before", before, "--export", file)
    assert (done.exit_code, done.stderr) == (0, "")


async def verified(run: Run, config: Path, *words: str | Path) -> str:
    done = await run(app, "audit", "verify", "--config", config, *words)
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout


async def found_out(run: Run, config: Path, *words: str | Path) -> str:
    done = await run(app, "audit", "verify", "--config", config, *words)
    assert done.exit_code == 1
    return done.stderr


async def numbers(store: Store) -> list[int]:
    return [orjson.loads(row[b"e"])["seq"] for _, row in await store.xrange(STREAM)]


async def test_older_entries_are_in_the_archive_and_both_verify_as_one_chain(
    run: Run, config: Path, store: Store, tmp_path: Path
) -> None:
    file = tmp_path / "2020-01.jsonl"
    first = orjson.loads((await store.xrange(STREAM))[0][1][b"e"])
    await trimmed(run, config, "2020-01-03", file)
    lines = file.read_bytes().splitlines()
    assert orjson.loads(lines[0]) == first
    assert [orjson.loads(line)["seq"] for line in lines] == [1, 2, 3, 4]
    assert file.stat().st_mode & 0o777 == 0o600
    assert await numbers(store) == [5, 6, 7, 8, 9, 10]
    alone = await verified(run, config)
    assert "6 entries, the chain holds" in alone
    assert "begins after entry 4, by a sealed checkpoint" in alone
    together = await verified(run, config, "--archive", file)
    assert "10 entries, the chain holds" in together
    assert "begins after" not in together


async def test_the_trim_itself_is_in_the_log(run: Run, config: Path, store: Store, tmp_path: Path) -> None:
    await trimmed(run, config, "2020-01-03", tmp_path / "a.jsonl")
    intent, outcome = (orjson.loads(row[b"e"]) for _, row in (await store.xrange(STREAM))[-2:])
    assert (intent["kind"], intent["action"], intent["data"]["first"], intent["data"]["last"]) == (
        "intent",
        "trim",
        1,
        4,
    )
    assert (intent["actor"], intent["data"]["name"]) == ("sub-alice", "alice")
    assert (outcome["ref"], outcome["data"]) == (str(intent["seq"]), {"taken_out": 4})


async def test_a_second_trim_goes_on_where_the_first_ended(
    run: Run, config: Path, store: Store, tmp_path: Path
) -> None:
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    await trimmed(run, config, "2020-01-02", one)
    await trimmed(run, config, "2020-01-04", two)
    assert await numbers(store) == [7, 8, 9, 10, 11, 12]
    assert "12 entries" in await verified(run, config, "--archive", two, "--archive", one)
    assert "10 entries" in await verified(run, config, "--archive", two), "one that was lost leaves the rest provable"
    assert "the archives end with entry 2, the log in the store begins at 7" in await found_out(
        run, config, "--archive", one
    )


async def test_everything_may_be_old_and_the_log_goes_on(
    run: Run, config: Path, store: Store, tmp_path: Path, keys: Keyring, clock: ManualClock
) -> None:
    await trimmed(run, config, "2020-02-01", tmp_path / "all.jsonl")
    assert await numbers(store) == [9, 10]
    assert await AuditLog(store, clock, keys).note("bot", "decided", "it:1") == "11"
    assert "11 entries" in await verified(run, config, "--archive", tmp_path / "all.jsonl")


async def test_a_log_cut_off_at_the_front_is_found_and_so_is_a_checkpoint_made_up_for_it(
    run: Run, config: Path, store: Store, tmp_path: Path
) -> None:
    await trimmed(run, config, "2020-01-02", tmp_path / "one.jsonl")
    sealed = await store.get(TRIMMED)
    await store.delete(TRIMMED)
    assert "entry 1 is missing (next is 3)" in await found_out(run, config)
    entries = [orjson.loads(row[b"e"]) for _, row in await store.xrange(STREAM)]
    forged = orjson.loads(sealed)
    forged["archives"][0].update(last=4, hash=entries[1]["hash"])
    await store.set(TRIMMED, orjson.dumps(forged))
    for id, _ in (await store.xrange(STREAM))[:2]:
        await store.xdel(STREAM, id)
    assert "changed, or made by somebody without the key" in await found_out(run, config)
    await store.set(TRIMMED, sealed)
    assert "entry 3 is missing (next is 5)" in await found_out(run, config)
    for nonsense in (b"", b"[]", b"{}", b'{"archives": [], "key": "", "seal": ""}', sealed.replace(b"1,", b"true,", 1)):
        await store.set(TRIMMED, nonsense)
        assert "cannot be read" in await found_out(run, config)


async def test_without_the_key_of_the_checkpoint_it_does_not_hold(
    run: Run, config: Path, store: Store, tmp_path: Path
) -> None:
    await trimmed(run, config, "2020-01-02", tmp_path / "one.jsonl")
    (tmp_path / "audit-key").write_text("another key, which is long enough as well")
    assert "the checkpoint at which the log begins bears the key" in await found_out(run, config)
    edit(config, "key: {file: audit-key}", "old_keys: []")
    assert "which the settings do not have" in await found_out(run, config)


async def test_an_edited_archive_is_found_also_where_only_its_bytes_differ(
    run: Run, config: Path, store: Store, tmp_path: Path
) -> None:
    file = tmp_path / "one.jsonl"
    await trimmed(run, config, "2020-01-03", file)
    was = file.read_bytes()
    lines = was.splitlines(keepends=True)
    for edited, told in (
        (was.replace(b"bob", b"eve", 1), "entry 1 was changed"),
        (b"".join(lines[:1] + lines[2:]), "entry 2 is missing"),
        (b"".join(lines[:3]), "the archives end with entry 3"),
        (b"".join(lines[1:]), "entry 1 is missing"),
        (was + b"nonsense\n", "the entry after 4 cannot be read"),
        (was.replace(b'"seq":1', b'"seq": 1', 1), "not, byte by byte, what cdm audit trim wrote"),
    ):
        file.write_bytes(edited)
        assert told in await found_out(run, config, "--archive", file)


async def test_an_archive_does_not_belong_to_a_log_that_was_never_trimmed(
    run: Run, config: Path, store: Store, tmp_path: Path
) -> None:
    file = tmp_path / "all.jsonl"
    done = await run(app, "audit", "export", "--config", config, "--out", file)
    assert done.exit_code == 0
    assert "entry 1 stands where entry 9 should" in await found_out(run, config, "--archive", file)


@pytest.mark.parametrize(
    ("before", "told"),
    [
        ("2999-01-01", "younger than 30 days"),
        ("2020-01-01", "No entry in the store is older"),
    ],
)
async def test_what_is_too_young_or_not_there_is_not_taken_out(
    run: Run, config: Path, store: Store, tmp_path: Path, before: str, told: str
) -> None:
    file = tmp_path / "a.jsonl"
    done = await run(app, "audit", "trim", "--config", config, "--before", before, "--export", file)
    assert done.exit_code == 1
    assert told in done.stderr
    assert not file.exists()
    assert await numbers(store) == [1, 2, 3, 4, 5, 6, 7, 8]


async def test_an_act_is_not_taken_out_without_its_outcome_until_it_is_closed(
    run: Run, config: Path, store: Store, tmp_path: Path, keys: Keyring
) -> None:
    file = tmp_path / "a.jsonl"
    await AuditLog(store, ManualClock(datetime(2020, 1, 9, tzinfo=UTC)), keys).intent(
        "sub-bob", "stop", "rollout:eu1/9"
    )
    words = ("trim", "--config", config, "--before", "2020-02-01", "--export", file)
    done = await run(app, "audit", *words)
    assert done.exit_code == 1
    assert "Entry 9 (stop on rollout:eu1/9" in done.stderr
    assert "cdm audit close 9" in done.stderr
    assert not file.exists()
    for number, told in ((1, "has its outcome: entry 2"), (2, "no intent 2"), (99, "no intent 99")):
        done = await run(app, "audit", "close", str(number), "--config", config, "--why", "the bot was killed")
        assert done.exit_code == 1
        assert told in done.stderr
    done = await run(app, "audit", "close", "9", "--config", config, "--why", "the bot was killed")
    assert done.exit_code == 0
    done = await run(app, "audit", *words)
    assert "Entry 9" in done.stderr, "its outcome, of today, stays"
    await trimmed(run, config, "2020-01-09", file)
    assert await numbers(store) == [9, 10, 11, 12]


async def test_what_led_to_an_open_request_for_approval_stays(
    run: Run, config: Path, store: Store, tmp_path: Path
) -> None:
    order = Order(Action.STOP, "rollout:eu1/1", "Stop it", {}, Stack("eu1"), frozenset(), Channel("C0R"))
    by, at = Party(Subject("sub-bob"), "bob", "T0/U0BOB"), datetime(2020, 1, 2, tzinfo=UTC)
    request = ask(ApprovalId("a22222"), order, by, "why not", Evidence({}), Rule(), at)
    for command in ApprovalStore(store).save(request):
        await store.execute_command(*command)
    file = tmp_path / "a.jsonl"
    done = await run(app, "audit", "trim", "--config", config, "--before", "2020-01-03", "--export", file)
    assert done.exit_code == 1
    assert "Request a22222 of 2020-01-02 for approval is open" in done.stderr
    assert not file.exists()
    await trimmed(run, config, "2020-01-02", file)


@pytest.mark.parametrize(
    "words", [("trim", "--before", "2020-01-03", "--export", "a.jsonl"), ("close", "1", "--why", "unknown")]
)
async def test_without_the_right_nothing_is_done(
    run: Run, config: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    async def nobody(*_: object, **__: object) -> Maintainer:
        raise NotAllowed("Nothing was done: cdm audit takes an admin of every tenant.")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(audit_trim, "maintainer", nobody)
    done = await run(app, "audit", *words, "--config", config)
    assert done.exit_code == 1
    assert "takes an admin of every tenant" in done.stderr
    assert not (tmp_path / "a.jsonl").exists()
    assert await numbers(store) == [1, 2, 3, 4, 5, 6, 7, 8]


async def test_without_a_key_nothing_is_taken_out(run: Run, config: Path, store: Store, tmp_path: Path) -> None:
    edit(config, "key: {file: audit-key}", "keyed_from: 1 #")
    file = tmp_path / "a.jsonl"
    done = await run(app, "audit", "trim", "--config", config, "--before", "2020-01-03", "--export", file)
    assert done.exit_code == 1
    assert "Set a key first" in done.stderr


async def test_how_long_entries_are_kept_may_stand_in_the_settings(
    run: Run, config: Path, store: Store, tmp_path: Path
) -> None:
    done = await run(app, "audit", "trim", "--config", config, "--export", tmp_path / "a.jsonl")
    assert done.exit_code == 1
    assert "set audit.keep_days" in done.stderr
    edit(config, "key: {file: audit-key}", "keep_days: 365\n  key: {file: audit-key}")
    done = await run(app, "audit", "trim", "--config", config, "--export", tmp_path / "a.jsonl")
    assert done.exit_code == 0
    assert await numbers(store) == [9, 10]


async def test_an_archive_is_never_overwritten_and_of_two_trims_one_waits(
    run: Run, config: Path, store: Store, tmp_path: Path
) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("something else")
    done = await run(app, "audit", "trim", "--config", config, "--before", "2020-01-03", "--export", file)
    assert "is there already" in done.stderr
    assert file.read_text() == "something else"
    await store.set("cdm:lease:audit-trim", "somebody|1")
    done = await run(app, "audit", "trim", "--config", config, "--before", "2020-01-03", "--export", tmp_path / "b")
    assert "Another trim is under way" in done.stderr


async def test_a_backup_carries_the_checkpoint(
    run: Run, config: Path, store: Store, tmp_path: Path, data_dir: Path
) -> None:
    await trimmed(run, config, "2020-01-03", tmp_path / "a.jsonl")
    done = await run(app, "backup", tmp_path / "b.cdm-backup", "--config", config)
    assert (done.exit_code, done.stderr) == (0, "")
