"""From an accepted webhook to the message that shows it: told once, true, and never lost to a crash."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from core.alarms.facts import Severity
from core.ids import DeviceName, IncidentId, Tenant
from core.incidents import Phase
from flows.board import Board, Heard
from integrations.store.connection import Store
from integrations.store.embedded import EmbeddedStore
from integrations.store.incidents import FAMILIES, AlarmKey
from integrations.store.intake import DEAD, STREAM, TRIES, InDanger
from integrations.store.intake import FAMILIES as INTAKE_FAMILIES
from integrations.store.leases import LeaseLost, Leases
from tests.conftest import ManualClock
from tests.scenario.alarm_lab import CUSTOMER_A, EU1, OPS, AlarmLab, alarm_lab, the


@pytest.fixture
async def lab(store: Store, clock: ManualClock) -> AsyncIterator[AlarmLab]:
    async with alarm_lab(store, clock) as made:
        yield made


async def test_an_alarm_becomes_one_message_in_the_tenants_channel(lab: AlarmLab) -> None:
    await lab.tell(lab.raise_alarm())
    await lab.folded()
    (wanted,) = (await lab.wanted()).values()
    assert wanted.channel == OPS
    assert "OTA Failure" in wanted.message.text
    assert "sim-device-001" in wanted.message.text
    assert await lab.store.xlen(STREAM) == 0


async def test_the_same_message_five_times_is_one_incident_and_one_message(lab: AlarmLab) -> None:
    alarm = lab.raise_alarm()
    for _ in range(5):
        await lab.tell(alarm)
    await lab.folded()
    assert len(await lab.wanted()) == 1
    assert (await lab.only()).repeats == 0


async def test_a_clear_before_its_create_ends_cleared(lab: AlarmLab) -> None:
    alarm = lab.raise_alarm()
    created = lab.body(alarm, isNewAlarm="true")
    lab.sandbox.engine.alarms.clear(alarm, lab.ada)
    await lab.hear(lab.body(alarm, isClearedAlarm="true"), created)
    await lab.folded()
    assert (await lab.only()).phase is Phase.CLEARED
    assert len(await lab.wanted()) == 1


async def test_a_clear_of_an_alarm_never_seen_is_shown(lab: AlarmLab) -> None:
    alarm = lab.raise_alarm()
    lab.sandbox.engine.alarms.clear(alarm, lab.ada)
    await lab.tell(alarm, isClearedAlarm="true")
    await lab.folded()
    assert "✅ CLEARED" in (await lab.message((await lab.only()).id)).text


async def test_an_act_on_an_old_cleared_alarm_is_no_incident(lab: AlarmLab) -> None:
    alarm = lab.raise_alarm()
    lab.sandbox.engine.alarms.clear(alarm, lab.ada)
    await lab.clock.forward(60)
    lab.sandbox.engine.alarms.acknowledge(alarm, lab.ada)
    await lab.tell(alarm, "ALARM_ACK", **lab.by(lab.ada))
    await lab.folded()
    assert await lab.wanted() == {}


async def test_who_acknowledged_in_thingsboard_is_shown(lab: AlarmLab) -> None:
    alarm = lab.raise_alarm()
    await lab.tell(alarm)
    lab.sandbox.engine.alarms.acknowledge(alarm, lab.ada)
    await lab.tell(alarm, "ALARM_ACK", **lab.by(lab.ada))
    await lab.folded()
    incident = await lab.only()
    assert incident.phase is Phase.ACKNOWLEDGED
    assert "acknowledged by Ada Admin" in (await lab.message(incident.id)).text


async def test_an_echo_of_the_bots_own_act_credits_nobody(lab: AlarmLab) -> None:
    assert await lab.fold.own.learn()
    alarm = lab.raise_alarm()
    await lab.tell(alarm)
    lab.sandbox.engine.alarms.acknowledge(alarm, lab.bot_user)
    await lab.tell(alarm, "ALARM_ACK", **lab.by(lab.bot_user))
    await lab.folded()
    incident = await lab.only()
    assert incident.phase is Phase.ACKNOWLEDGED
    assert "ChatOps Bot" not in (await lab.message(incident.id)).text


def comment(user: str, text: str, kind: str = "OTHER") -> str:
    ids = {"id": {"id": "79d10eb0-e7ca-11f1-a347-8513dc0a27d7"}, "userId": {"entityType": "USER", "id": user}}
    return json.dumps({**ids, "type": kind, "comment": {"text": text}})


async def test_a_persons_comment_goes_to_the_incidents_thread_and_the_bots_own_does_not(lab: AlarmLab) -> None:
    await lab.fold.own.learn()
    alarm = lab.raise_alarm()
    await lab.tell(alarm)
    await lab.tell(alarm, "COMMENT_CREATED", comment=comment(lab.bot_user.id, "mine"), **lab.by(lab.bot_user))
    await lab.tell(alarm, "COMMENT_CREATED", comment=comment(lab.ada.id, "acked", "SYSTEM"), **lab.by(lab.ada))
    await lab.folded()
    assert len(await lab.wanted()) == 1
    said = comment(lab.ada.id, "look at <!here> the fuse")
    for _ in range(2):
        await lab.tell(alarm, "COMMENT_CREATED", comment=said, **lab.by(lab.ada))
    await lab.folded()
    (note,) = [w for key, w in (await lab.wanted()).items() if key.startswith("comment:")]
    assert note.parent == f"incident:{(await lab.only()).id}"
    assert "Ada Admin" in note.message.text
    assert "<!here" not in note.message.text


async def test_a_severity_lowered_by_hand_is_read_and_shown(lab: AlarmLab) -> None:
    """It moves no timestamp (measured on CE 4.2.1), so the message alone cannot be believed."""
    alarm = lab.raise_alarm()
    created = lab.body(alarm, isNewAlarm="true")
    await lab.hear(created)
    lab.sandbox.engine.alarms.update(alarm, {"severity": "MINOR"}, lab.ada)
    await lab.tell(alarm, "ENTITY_UPDATED", **lab.by(lab.ada))
    await lab.folded()
    assert (await lab.only()).severity is Severity.CRITICAL
    await lab.clock.forward(1)
    assert await lab.read_again() == 1
    incident = await lab.only()
    assert incident.severity is Severity.MINOR
    assert "MINOR" in (await lab.message(incident.id)).text
    assert await lab.read_again() == 0


async def test_an_alarm_deleted_in_thingsboard_is_over(lab: AlarmLab) -> None:
    alarm = lab.raise_alarm()
    await lab.tell(alarm)
    await lab.tell(alarm, "ALARM_DELETE", **lab.by(lab.ada))
    await lab.folded()
    assert "deleted in ThingsBoard" in (await lab.message((await lab.only()).id)).text


async def test_a_missed_clear_is_found_when_the_device_raises_anew(lab: AlarmLab) -> None:
    old = lab.raise_alarm()
    await lab.tell(old)
    await lab.folded()
    lab.sandbox.engine.alarms.clear(old, lab.ada)
    await lab.clock.forward(3600)
    await lab.tell(lab.raise_alarm())
    await lab.folded()
    assert await lab.read_again() == 1
    incident = await lab.only()
    assert (incident.phase, incident.repeats, len(incident.members)) == (Phase.OPEN, 1, 1)


async def test_while_thingsboard_is_away_a_doubt_stays_and_is_asked_later(lab: AlarmLab) -> None:
    alarm = lab.raise_alarm()
    await lab.tell(alarm)
    lab.sandbox.engine.alarms.update(alarm, {"severity": "MINOR"}, lab.ada)
    await lab.tell(alarm, "ENTITY_UPDATED", **lab.by(lab.ada))
    await lab.folded()
    await lab.clock.forward(1)
    lab.server.faults.add("status", "/api/alarm", status=503)
    assert await lab.read_again() == 1
    assert await lab.read_again() == 0
    lab.server.faults.clear()
    await lab.clock.forward(31)
    assert await lab.read_again() == 1
    assert (await lab.only()).severity is Severity.MINOR


async def test_400_alarms_at_once_are_one_message_and_a_file_with_every_device(lab: AlarmLab) -> None:
    alarms = [lab.raise_alarm(f"sim-device-{n:03d}") for n in range(400)]
    bodies = [lab.body(alarm, isNewAlarm="true") for alarm in alarms]
    random.Random(1).shuffle(bodies)
    await lab.hear(*bodies)
    await lab.folded()
    (shown,) = (await lab.wanted()).values()
    assert "400 devices" in shown.message.text
    await lab.clock.forward(31)
    await lab.folded()
    (file,) = [w for w in (await lab.wanted()).values() if w.filename]
    assert file.parent == shown.key
    content = await lab.store.get(f"cdm:outbox:file:{file.key}")
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    assert {row["device"] for row in rows} == {f"sim-device-{n:03d}" for n in range(400)}


async def test_the_first_five_messages_of_a_storm_become_pointers(lab: AlarmLab) -> None:
    for n in range(7):
        await lab.tell(lab.raise_alarm(f"sim-device-{n:03d}"))
        await lab.folded()
    wanted = await lab.wanted()
    pointers = [w for w in wanted.values() if "part of" in w.message.text]
    (group,) = [w for w in wanted.values() if w not in pointers]
    assert len(pointers) == 5
    assert "on 7 devices" in group.message.text
    assert [one.grouped for one in await lab.incidents.open(EU1, CUSTOMER_A)] == [True]


async def test_a_pointers_button_still_finds_the_group(lab: AlarmLab) -> None:
    for n in range(6):
        await lab.tell(lab.raise_alarm(f"sim-device-{n:03d}"))
        await lab.folded()
    pointers = [key for key, w in (await lab.wanted()).items() if "part of" in w.message.text]
    found = await lab.incidents.find(IncidentId(pointers[0].removeprefix("incident:")))
    assert found is not None
    assert found.grouped


async def test_an_alarm_id_of_another_tenant_is_another_alarm(lab: AlarmLab) -> None:
    alarm = lab.raise_alarm()
    await lab.tell(alarm)
    await lab.folded()
    held = await lab.incidents.alarms(
        [AlarmKey(EU1, CUSTOMER_A, the(alarm)), AlarmKey(EU1, Tenant("customer-b"), the(alarm))]
    )
    assert len(held) == 1


async def test_an_entry_nobody_can_read_is_shown_and_kept_as_a_dead_letter(lab: AlarmLab) -> None:
    await lab.hear(b'{"alarm": {"id": "from another version <!channel>"}}')
    await lab.tell(lab.raise_alarm())
    await lab.folded()
    (unreadable,) = [w for key, w in (await lab.wanted()).items() if key.startswith("unreadable:")]
    assert "UNREADABLE ALARM" in unreadable.message.text
    assert "from another version" in unreadable.message.text
    assert "<!channel" not in unreadable.message.text
    (dead,) = await lab.intake.dead()
    assert dead.entry.body.startswith(b'{"alarm"')
    assert await lab.only()
    assert await lab.store.xlen(STREAM) == 0


async def test_an_entry_that_fails_five_times_is_buried_and_holds_up_nobody(
    lab: AlarmLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = Board.take

    def fails_on_one(board: Board, heard: Heard) -> None:
        if heard.told.report.type == "Poison":
            raise ZeroDivisionError
        take(board, heard)

    monkeypatch.setattr(Board, "take", fails_on_one)
    await lab.tell(lab.raise_alarm(kind="Poison"))
    await lab.tell(lab.raise_alarm("sim-device-002"))
    lease = await lab.lease()
    for tries in range(1, TRIES + 1):
        assert await lab.store.xlen(DEAD) == 0, tries
        await lab.fold.step(lease, wait_ms=1)
        assert len(await lab.incidents.open(EU1, CUSTOMER_A)) == 1
    assert await lab.store.xlen(DEAD) == 1
    assert await lab.store.xlen(STREAM) == 0
    assert any(key.startswith("unreadable:") for key in await lab.wanted())


async def test_a_folder_whose_lease_is_anothers_writes_nothing(lab: AlarmLab) -> None:
    stale = await lab.lease()
    await lab.store.delete("cdm:lease:alarms")
    fresh = await Leases(lab.store, lab.clock).acquire("alarms", 600)
    assert fresh is not None
    await lab.tell(lab.raise_alarm())
    with pytest.raises(LeaseLost):
        await lab.fold.step(stale, wait_ms=1)
    assert await lab.incidents.of_tenant(EU1, CUSTOMER_A) == []
    await lab.another_fold(lab.store).step(fresh, wait_ms=1)
    assert await lab.only()


async def test_it_folds_by_itself_and_goes_on_after_the_store_was_away(lab: AlarmLab, embedded: EmbeddedStore) -> None:
    running = asyncio.create_task(lab.fold.run())
    await lab.tell(lab.raise_alarm())
    await until(lambda: lab.wanted())
    assert embedded.pid is not None
    os.kill(embedded.pid, signal.SIGKILL)
    await asyncio.sleep(0)
    second = lab.body(lab.raise_alarm("sim-device-002"), isNewAlarm="true")

    async def accepted() -> bool:
        try:
            await lab.hear(second)
        except InDanger:
            return False
        return True

    await until(accepted)

    async def both() -> bool:
        await lab.clock.forward(1)  # its pause after a failure
        return len(await lab.wanted()) == 2

    await until(both)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def until(holds: Callable[[], Awaitable[object]]) -> None:
    """Wait for a condition, at most 10 s; a store that is away does not hold yet."""
    async with asyncio.timeout(10):
        while True:
            try:
                if await holds():
                    return
            except RedisError:
                pass
            await asyncio.sleep(0.02)


class DyingStore:
    """Loses its connection at the n-th command, before or after the store has carried it out."""

    def __init__(self, store: Store, dies_at: int, *, after: bool) -> None:
        self._store = store
        self._left = dies_at
        self._after = after

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._store, name)

        async def call(*args: Any, **more: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._after:
                raise RedisConnectionError("gone")
            answer = await real(*args, **more)
            if self._left == 0:
                raise RedisConnectionError("gone")
            return answer

        return call


async def documents(store: Store) -> dict[bytes, Any]:
    """Everything the fold has written, without instants of ours that differ between runs."""
    found: dict[bytes, Any] = {}
    for family in (*FAMILIES, *INTAKE_FAMILIES):
        async for key in store.scan_iter(family.pattern):
            kind = await store.type(key)
            found[key] = await {
                b"string": store.get,
                b"set": store.smembers,
                b"zset": lambda k: store.zrange(k, 0, -1, withscores=True),
                b"stream": store.xlen,
                b"hash": store.hgetall,
            }[kind](key)
    async for key in store.scan_iter("cdm:outbox:want:*"):
        found[key] = await store.get(key)
    return found


async def test_a_folder_that_dies_at_any_step_leaves_nothing_double_and_nothing_lost(
    lab: AlarmLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.alarms.BATCH", 4)
    alarms = [lab.raise_alarm(f"sim-device-{n:03d}") for n in range(7)]
    bodies = [lab.body(alarm, isNewAlarm="true") for alarm in alarms]
    lab.sandbox.engine.alarms.acknowledge(alarms[0], lab.ada)
    bodies.append(lab.body(alarms[0], "ALARM_ACK", **lab.by(lab.ada)))
    lab.sandbox.engine.alarms.update(alarms[1], {"severity": "MINOR"}, lab.ada)
    bodies.append(lab.body(alarms[1], "ENTITY_UPDATED", **lab.by(lab.ada)))

    async def hear_one_by_one() -> None:
        for body in bodies:
            await lab.hear(body)

    await hear_one_by_one()
    await lab.folded()
    expected = await documents(lab.store)
    deaths = 0
    for after in (False, True):
        for dies_at in range(1, 32, 3):
            await lab.store.flushdb()
            await hear_one_by_one()
            dying = DyingStore(lab.store, dies_at, after=after)
            fold = lab.another_fold(dying)
            lease = await lab.lease()
            lease.store = dying
            try:
                while await fold.step(lease, wait_ms=1):
                    pass
            except RedisConnectionError:
                deaths += 1
            lease.store = lab.store
            await lab.folded()
            assert await documents(lab.store) == expected, (dies_at, after)
    assert deaths >= 10


async def test_what_is_over_is_forgotten_after_30_days_and_what_goes_on_is_not(lab: AlarmLab) -> None:
    on, over = lab.raise_alarm("sim-device-001"), lab.raise_alarm("sim-device-002")
    lab.sandbox.engine.alarms.clear(over, lab.ada)
    await lab.tell(on)
    await lab.tell(over, isClearedAlarm="true")
    await lab.folded()
    ttls = [await lab.store.ttl(f"cdm:alarm:{AlarmKey(EU1, CUSTOMER_A, the(alarm))}") for alarm in (on, over)]
    assert ttls[0] == -1
    assert 0 < ttls[1] <= 30 * 86_400
    by_phase = {one.phase: one for one in await lab.incidents.of_tenant(EU1, CUSTOMER_A)}
    assert await lab.store.ttl(f"cdm:incident:{by_phase[Phase.OPEN].id}") == -1
    assert 0 < await lab.store.ttl(f"cdm:incident:{by_phase[Phase.CLEARED].id}") <= 30 * 86_400


async def test_indices_and_dead_letters_keep_the_newest_up_to_their_caps(
    lab: AlarmLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("integrations.store.incidents.MAX_PER_TENANT", 4)
    monkeypatch.setattr("integrations.store.incidents.MAX_PER_DEVICE", 2)
    monkeypatch.setattr("integrations.store.intake.MAX_DEAD", 3)
    for n in range(6):
        await lab.tell(lab.raise_alarm(kind=f"Kind {n}"))
        await lab.hear(b'{"no": %d}' % n)
        await lab.folded()
        await lab.clock.forward(1)
    newest_first = [f"Kind {n}" for n in (5, 4, 3, 2)]
    assert [i.type for i in await lab.incidents.of_tenant(EU1, CUSTOMER_A)] == newest_first
    of_device = await lab.incidents.of_device(EU1, CUSTOMER_A, DeviceName("sim-device-001"))
    assert [i.type for i in of_device] == newest_first[:2]
    assert [dead.entry.body for dead in await lab.intake.dead()] == [b'{"no": 5}', b'{"no": 4}', b'{"no": 3}']
    assert len(await lab.incidents.open(EU1, CUSTOMER_A)) == 6


async def test_incidents_are_found_by_tenant_and_by_device(lab: AlarmLab) -> None:
    first, other = lab.raise_alarm("sim-device-001"), lab.raise_alarm("sim-device-002", "High Temperature")
    await lab.tell(first)
    await lab.tell(other)
    await lab.folded()
    assert {i.type for i in await lab.incidents.open(EU1, CUSTOMER_A)} == {"OTA Failure", "High Temperature"}
    (mine,) = await lab.incidents.of_device(EU1, CUSTOMER_A, DeviceName("sim-device-002"))
    assert mine.type == "High Temperature"
    lab.sandbox.engine.alarms.clear(other, lab.ada)
    await lab.tell(other, isClearedAlarm="true")
    await lab.folded()
    assert [i.type for i in await lab.incidents.open(EU1, CUSTOMER_A)] == ["OTA Failure"]
    assert await lab.incidents.of_device(EU1, CUSTOMER_A, DeviceName("sim-device-002"))


async def test_every_key_belongs_to_a_family(lab: AlarmLab) -> None:
    from fnmatch import fnmatch

    from flows.reconcile import FAMILIES as RECONCILE_FAMILIES
    from integrations.store.families import BASE_FAMILIES

    for n in range(7):
        await lab.tell(lab.raise_alarm(f"sim-device-{n:03d}"))
    await lab.hear(b"{}")
    await lab.folded()
    await lab.reconciler.tick()
    patterns = [f.pattern for f in (*FAMILIES, *INTAKE_FAMILIES, *RECONCILE_FAMILIES, *BASE_FAMILIES)]
    keys = [key.decode() async for key in lab.store.scan_iter("*")]
    ours = [key for key in keys if not key.startswith("cdm:outbox:")]
    assert [key for key in ours if not any(fnmatch(key, pattern) for pattern in patterns)] == []
