"""`cdm backup` and `cdm restore`: what survives, what must not, and when they refuse."""

from __future__ import annotations

import getpass
import json
import os
import re
import stat
import tarfile
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from bot.backup import contents
from bot.backup.present import Present
from bot.backup.repeating import RESTORE, UNSURE, prepare
from bot.cli import app
from bot.config_file import load_settings
from bot.store_survey import ALL_FAMILIES
from core.access import Action
from core.approvals import Order, Party, Phase, Rule, ask
from core.audit import Keyring
from core.evidence import Evidence
from core.ids import AlarmId, ApprovalId, Channel, GroupId, RolloutId, Stack, Subject, Tenant
from core.incidents import incident_id
from core.messages.blocks import compose
from core.outbox import Row, State, Wanted
from core.rollouts.actors import SCHEDULER
from core.rollouts.records import Attempt, AttemptState, RolloutRecord
from integrations.store.approvals import ApprovalStore
from integrations.store.audit import HEAD, STREAM, AuditLog
from integrations.store.connection import Store, connect
from integrations.store.embedded import EmbeddedStore
from integrations.store.leases import Leases
from integrations.store.outbox import Outbox, OutboxRows, Priority
from integrations.store.replicas import Replicas
from integrations.store.rollouts import RolloutStore
from integrations.store.work import WorkQueue
from tests.conftest import ManualClock
from tests.unit.bot.conftest import Run, edit

EU1, TENANT, CHANNEL = Stack("eu1"), Tenant("customer-a"), Channel("C0000000004")
ROLLOUT = RolloutId(17)
OFFLINE = ("--offline", "--without-login", "no Keycloak in this test")
"""Nothing listens where these settings say the other systems are."""


@pytest.fixture
def config(config: Path) -> Path:
    config.write_text(re.sub(r"https://\w+\.example\.com", "http://127.0.0.1:9", config.read_text()))
    return config


@pytest.fixture
async def server(data_dir: Path) -> AsyncIterator[EmbeddedStore]:
    """The store of a bot at work, quick to give a snapshot."""
    server = EmbeddedStore(data_dir / "store")
    await server.start()
    store = connect(server.url)
    await store.config_set("repl-diskless-sync-delay", 0)
    await store.set("cdm:schema", 1)
    await store.aclose()
    yield server
    await server.stop()


@pytest.fixture
async def working(server: EmbeddedStore, clock: ManualClock, keys: Keyring) -> AsyncIterator[Store]:
    """Something of each kind: an audit entry, a link, a message shown, and what must not survive."""
    store = connect(server.url)
    await AuditLog(store, clock, keys).note("bot", "decided", "rollout:eu1/17")
    await store.set("cdm:link:T0/U0BOB", b"{}")
    await Outbox(store, clock).put(wanted("incident:i1"))
    await keep_row(store, Row("incident:i1", State.CONFIRMED, CHANNEL, ts="1.1", thread="1.1", shown="digest"))
    queue = WorkQueue(store, "worker")
    await queue.prepare()
    await queue.put({"kind": "click", "action": "promote"}, once="trigger-1")
    await Leases(store, clock).acquire("rollout:eu1/17", 60)
    await agreed_to(store)
    await store.set("cdm:linking:state-1", b"{}", ex=600)
    await store.set("cdm:yes:U0BOB", b"{}", ex=600)
    await store.set("somebody:else", b"1")
    yield store
    await store.aclose()


async def agreed_to(store: Store) -> None:
    """Others agreed to a stop, and it was just about to be carried out."""
    order = Order(Action.STOP, "rollout:eu1/17", "Stop it", {}, Stack("eu1"), frozenset(), CHANNEL)
    by = Party(Subject("s"), "bob", "T0/U0BOB")
    asked = ask(ApprovalId("k7q2mz"), order, by, "why not", Evidence({}), Rule(), datetime(2026, 11, 1, tzinfo=UTC))
    for command in ApprovalStore(store).save(replace(asked, phase=Phase.AGREED)):
        await store.execute_command(*command)


def wanted(key: str, **more: object) -> Wanted:
    given = Wanted(key, CHANNEL, compose(f"about {key}"), Priority.INCIDENT)
    return replace(given, **more)  # type: ignore[arg-type]


async def keep_row(store: Store, row: Row) -> None:
    await store.set(f"cdm:outbox:row:{row.key}", orjson.dumps(asdict(row)))


async def keys_of(store: Store) -> set[str]:
    return {key.decode() async for key in store.scan_iter()}


def test_each_family_of_keys_either_survives_a_restore_or_says_why_not() -> None:
    families = {family.name for family in ALL_FAMILIES}
    assert families == contents.KEPT | contents.LEFT_OUT.keys(), "put a new family into one of the two"
    assert not contents.KEPT & contents.LEFT_OUT.keys()


async def test_a_backup_is_a_private_file_made_beside_a_bot_at_work_and_read_back(
    run: Run, config: Path, working: Store, tmp_path: Path
) -> None:
    file = tmp_path / "b.cdm-backup"
    done = await run(app, "backup", file, "--config", config)
    assert done.exit_code == 0, done.output
    assert "read back and compared" in done.stdout
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with tarfile.open(file) as tar:
        assert tar.getnames() == ["manifest.json", "store.rdb"]
        manifest = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
    assert manifest["schema_version"] == 1
    assert manifest["keys"]["links"] == 1
    assert not manifest["keys"].keys() & contents.LEFT_OUT.keys()
    assert sorted(os.listdir(tmp_path)) == ["audit-key", "b.cdm-backup", "cdm.yaml"]

    again = await run(app, "backup", file, "--config", config)
    assert again.exit_code == 1
    assert "never overwritten" in again.stderr


async def test_what_is_restored_is_what_survives_and_its_audit_chain_goes_on(
    run: Run, config: Path, working: Store, server: EmbeddedStore, tmp_path: Path, clock: ManualClock, keys: Keyring
) -> None:
    file = tmp_path / "b.cdm-backup"
    assert (await run(app, "backup", file, "--config", config)).exit_code == 0
    await working.aclose()
    await server.stop()
    elsewhere = tmp_path / "elsewhere.yaml"
    with_data_dir(config, elsewhere, tmp_path / "d")
    done = await run(app, "restore", file, "--config", elsewhere, *OFFLINE)
    assert done.exit_code == 0, done.output
    assert "1 are written anew" in done.stdout

    other = EmbeddedStore(tmp_path / "d" / "store")
    await other.start()
    store = connect(other.url)
    found = await keys_of(store)
    assert "cdm:link:T0/U0BOB" in found
    assert not {
        k for k in found if k.startswith(("cdm:work", "cdm:seen", "cdm:lease", "cdm:linking", "cdm:yes", "some"))
    }
    assert await AuditLog(store, clock, keys).verify() == (2, None)
    assert [entry.action for entry in await AuditLog(store, clock).latest(2)] == ["restored", "decided"]
    assert await store.pttl("cdm:outbox:want:incident:i1") > 0
    assert (await store.get("cdm:schema")) == b"1"
    await store.aclose()
    await other.stop()


async def test_what_was_agreed_to_then_is_not_carried_out_now(
    working: Store,
) -> None:
    assert [request.id for request in await ApprovalStore(working).live()] == ["k7q2mz"]
    await contents.leave_out(working)  # as a restore does with the copy
    assert await ApprovalStore(working).live() == []
    kept = await ApprovalStore(working).request(ApprovalId("k7q2mz"))
    assert kept is not None
    assert kept.reason == "why not"


async def test_a_restore_without_a_login_is_told_in_the_log_it_leads_to_and_to_the_admins(
    run: Run, config: Path, working: Store, server: EmbeddedStore, tmp_path: Path, clock: ManualClock
) -> None:
    edit(config, "store: {}", f"store: {{url: '{server.url}'}}")
    file = tmp_path / "b.cdm-backup"
    await run(app, "backup", file, "--config", config)
    before = await keys_of(working)
    refused = await run(app, "restore", file, "--config", config, "--replace", "--offline")
    assert refused.exit_code == 1
    assert "nobody can say who you are" in refused.stderr
    assert "--without-login" in refused.stderr
    assert await keys_of(working) == before

    why = ("--without-login", "the data centre is dark")
    both = await run(app, "restore", file, "--config", config, "--replace", "--offline", "--service-account", *why)
    assert "not both" in both.stderr
    done = await run(app, "restore", file, "--config", config, "--replace", "--offline", *why)
    assert done.exit_code == 0, done.output
    assert "Nobody logged in" in done.stderr
    (entry,) = [e for e in await AuditLog(working, clock).latest(3) if e.action == "restored"]
    assert entry.actor == f"shell:{getpass.getuser()}"
    assert entry.data["without_login"] == "the data centre is dark"
    told = [key for key in await keys_of(working) if key.startswith("cdm:outbox:want:notice:restored")]
    message = await working.get(told[0])
    assert b"the data centre is dark" in message
    assert load_settings(config).slack.admin_channel.encode() in message


def with_data_dir(config: Path, to: Path, data_dir: Path) -> None:
    lines = [
        f"data_dir: {data_dir}" if line.startswith("data_dir") else line for line in config.read_text().splitlines()
    ]
    to.write_text("\n".join(lines))


async def test_a_store_that_a_bot_holds_is_not_restored_into(
    run: Run, config: Path, working: Store, tmp_path: Path
) -> None:
    file = tmp_path / "b.cdm-backup"
    await run(app, "backup", file, "--config", config)
    before = await keys_of(working)
    done = await run(app, "restore", file, "--config", config, "--replace", *OFFLINE)
    assert done.exit_code == 1
    assert "Another bot already uses" in done.stderr
    assert await keys_of(working) == before


async def test_a_shared_store_is_restored_into_only_once_no_replica_is_alive_and_if_it_is_empty_or_to_be_replaced(
    run: Run, config: Path, working: Store, server: EmbeddedStore, tmp_path: Path
) -> None:
    edit(config, "store: {}", f"store: {{url: '{server.url}'}}")
    file = tmp_path / "b.cdm-backup"
    await run(app, "backup", file, "--config", config)
    replica = Replicas(working, "first")
    await replica.beat()
    done = await run(app, "restore", file, "--config", config, "--replace", *OFFLINE)
    assert "1 bot processes work on this store" in done.stderr
    await replica.leave()
    done = await run(app, "restore", file, "--config", config, *OFFLINE)
    assert done.exit_code == 1
    assert "--replace" in done.stderr

    await working.set("cdm:link:T0/U0EVE", b"{}")
    await working.set("cdm:fence:outbox:C1", 41)
    done = await run(app, "restore", file, "--config", config, "--replace", *OFFLINE)
    assert done.exit_code == 0, done.output
    assert not await working.exists("cdm:link:T0/U0EVE")
    assert int(await working.get("cdm:fence:outbox:C1")) == 41, "a fence must only grow"
    assert await working.get("somebody:else") == b"1", "what is not the bot's is left alone"
    (kept,) = load_settings(config).data_dir.glob("replaced-*.cdm-backup")
    assert kept.name in done.stdout.replace("\n", "")
    with tarfile.open(kept) as tar:
        assert json.load(tar.extractfile("manifest.json"))["keys"]["links"] == 2  # type: ignore[arg-type]


async def test_a_broken_off_restore_leaves_a_store_that_no_bot_starts_on(
    run: Run, config: Path, working: Store, server: EmbeddedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(config, "store: {}", f"store: {{url: '{server.url}'}}")
    file = tmp_path / "b.cdm-backup"
    await run(app, "backup", file, "--config", config)

    async def broken(*_: object) -> None:
        raise OSError("the line went dead")

    with monkeypatch.context() as patched:
        patched.setattr("bot.backup.restoring._carry", broken)
        done = await run(app, "restore", file, "--config", config, "--replace", *OFFLINE)
    assert done.exit_code == 1
    checked = await run(app, "serve", "--config", config)
    assert checked.exit_code == 1
    assert "restore a backup" in checked.stderr or "secret" in checked.stderr
    assert int(await working.get("cdm:schema")) > 1
    again = await run(app, "restore", file, "--config", config, "--replace", *OFFLINE)
    assert again.exit_code == 0, again.output
    assert int(await working.get("cdm:schema")) == 1


async def test_damaged_newer_and_foreign_files_are_refused_before_anything_is_touched(
    run: Run, config: Path, working: Store, server: EmbeddedStore, tmp_path: Path
) -> None:
    file = tmp_path / "b.cdm-backup"
    await run(app, "backup", file, "--config", config)
    await working.aclose()
    await server.stop()
    whole = file.read_bytes()
    at = whole.index(b"VALKEY") if b"VALKEY" in whole else whole.index(b"REDIS")
    for name, content, said in (
        ("bent", whole[: at + 20] + bytes([whole[at + 20] ^ 1]) + whole[at + 21 :], "damaged"),
        ("short", whole[: at + 20], "damaged"),
        ("newer", whole.replace(b'"schema_version": 1', b'"schema_version": 9'), "newer bot"),
        ("foreign", b"not a backup", "no backup"),
    ):
        bad = tmp_path / name
        bad.write_bytes(content)
        done = await run(app, "restore", bad, "--config", config, "--replace", *OFFLINE)
        assert done.exit_code == 1, name
        assert said in done.stderr, done.stderr


async def test_a_bent_audit_log_is_backed_up_and_told(run: Run, config: Path, working: Store, tmp_path: Path) -> None:
    ((id, fields),) = await working.xrange(STREAM)
    await working.delete(STREAM)
    await working.xadd(STREAM, {"e": fields[b"e"].replace(b"decided", b"derided")}, id=id)
    assert await working.exists(HEAD)
    file = tmp_path / "b.cdm-backup"
    done = await run(app, "backup", file, "--config", config)
    assert done.exit_code == 1
    assert file.exists()
    assert "entry 1 was changed" in done.stderr


async def test_systems_that_cannot_be_asked_stop_a_restore_unless_that_is_wanted(
    run: Run, config: Path, working: Store, tmp_path: Path
) -> None:
    file = tmp_path / "b.cdm-backup"
    await run(app, "backup", file, "--config", config)
    done = await run(app, "restore", file, "--config", config, "--replace", *OFFLINE[1:])
    assert done.exit_code == 1
    assert "--offline" in done.stderr


# What keeps a bot from repeating itself.


async def prepared(store: Store, config: Path, present: Present, taken_at: datetime, clock: ManualClock) -> None:
    await prepare(store, load_settings(config), present, taken_at, clock)


async def test_every_rollout_that_goes_on_is_held_and_an_open_attempt_stays_open(
    store: Store, config: Path, clock: ManualClock
) -> None:
    records = RolloutStore(store)
    now = clock.now()
    open_attempt = Attempt(3, 2, GroupId(102), now, SCHEDULER, "7", now, "ci")
    _, commands = records.save(RolloutRecord(EU1, ROLLOUT, "spring", attempts=(open_attempt,)))
    for command in commands:
        await store.execute_command(*command)
    present = Present(rollouts={EU1: {ROLLOUT: "spring", RolloutId(18): "since the backup"}})
    await prepared(store, config, present, now - timedelta(hours=3), clock)
    for id, name in ((17, "spring"), (18, "since the backup")):
        record = await records.record(EU1, RolloutId(id))
        assert record.hold is not None
        assert record.hold.by == RESTORE
        assert record.name == name
    record = await records.record(EU1, ROLLOUT)
    assert record.open_attempt is not None
    assert record.open_attempt.state is AttemptState.SENT


async def test_a_message_not_known_to_be_posted_is_looked_up_by_its_id_from_the_backups_time_on(
    store: Store, config: Path, clock: ManualClock
) -> None:
    outbox, rows, taken_at = Outbox(store, clock), OutboxRows(store), clock.now() - timedelta(hours=3)
    await outbox.put(wanted("incident:i2"))
    await outbox.put(wanted("comment:c1", parent="incident:i3"))
    await prepared(store, config, Present(), taken_at, clock)
    row = await rows.row("incident:i2")
    assert (row.state, row.channel, row.attempted_at) == (State.ATTEMPTED, CHANNEL, taken_at.timestamp())
    child = await rows.row("comment:c1")
    assert child.doubt, "without its thread it cannot be looked up, so it says that it may be a repeat"


async def test_open_messages_are_written_anew_and_runs_are_left_as_slack_shows_them(
    store: Store, config: Path, clock: ManualClock
) -> None:
    outbox, rows = Outbox(store, clock), OutboxRows(store)
    for key, still_open in (("incident:i1", True), ("incident:i0", False), ("run:r1", True)):
        await outbox.put(wanted(key, open=still_open))
        await keep_row(store, Row(key, State.CONFIRMED, CHANNEL, ts="1.1", thread="1.1", shown="digest"))
    await prepared(store, config, Present(), clock.now() - timedelta(hours=3), clock)
    assert (await rows.row("incident:i1")).shown == UNSURE
    assert (await rows.row("incident:i0")).shown == "digest"
    assert not await store.exists("cdm:outbox:want:run:r1")
    assert (await rows.row("incident:i1")).ts == "1.1"


async def test_messages_of_alarms_that_began_since_are_looked_up_before_they_are_posted(
    store: Store, config: Path, clock: ManualClock
) -> None:
    alarm = AlarmId("0001-new")
    present = Present(alarms={(EU1, TENANT): [alarm]}, rollouts={EU1: {ROLLOUT: "spring"}})
    taken_at = clock.now() - timedelta(hours=3)
    await prepared(store, config, present, taken_at, clock)
    for key in (
        f"incident:{incident_id(EU1, TENANT, alarm)}",
        f"incident:{incident_id(EU1, TENANT, alarm, grouped=True)}",
        "rollout:eu1/17",
    ):
        row = await OutboxRows(store).row(key)
        assert (row.state, row.attempted_at, row.sent) == (State.ATTEMPTED, taken_at.timestamp(), UNSURE)
