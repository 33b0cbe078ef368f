"""What webhooks did not bring is found, what ended elsewhere ends here, and people hear once of an absence."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from prometheus_client import REGISTRY

from core.alarms.facts import Severity
from core.incidents import Phase
from flows.reconcile import SINGLE_READS
from integrations.store.connection import Store
from integrations.store.intake import STREAM
from tests.conftest import ManualClock
from tests.scenario.alarm_lab import CUSTOMER_A, EU1, AlarmLab, alarm_lab


@pytest.fixture
async def lab(store: Store, clock: ManualClock) -> AsyncIterator[AlarmLab]:
    async with alarm_lab(store, clock) as made:
        yield made


async def reconciled(lab: AlarmLab) -> None:
    await lab.reconciler.tick()
    await lab.folded()


async def test_an_alarm_whose_webhook_was_lost_is_found_and_marked_with_its_age(lab: AlarmLab) -> None:
    lab.raise_alarm()
    await lab.clock.forward(12 * 60)
    await reconciled(lab)
    said = (await lab.message((await lab.only()).id)).text
    assert "found by reconciliation, 12 min old" in said
    assert "sim-device-001" in said


async def test_a_known_alarm_is_not_told_again(lab: AlarmLab) -> None:
    await lab.tell(lab.raise_alarm())
    await lab.folded()
    before = await lab.wanted()
    for _ in range(3):
        await lab.clock.forward(60)
        await lab.reconciler.tick()
        assert await lab.store.xlen(STREAM) == 0
    assert await lab.wanted() == before


async def test_alarms_missed_in_a_storm_are_one_message(lab: AlarmLab) -> None:
    for n in range(60):
        lab.raise_alarm(f"sim-device-{n:03d}")
    await reconciled(lab)
    (only,) = (await lab.wanted()).values()
    assert "60 devices" in only.message.text


async def test_what_was_acknowledged_cleared_or_deleted_elsewhere_is_so_here(lab: AlarmLab) -> None:
    names = ["sim-device-001", "sim-device-002", "sim-device-003", "sim-device-004"]
    acknowledged, cleared, deleted, lowered = alarms = [lab.raise_alarm(name) for name in names]
    for alarm in alarms:
        await lab.tell(alarm)
    await lab.folded()
    await lab.clock.forward(5)
    there = lab.sandbox.engine.alarms
    there.acknowledge(acknowledged, lab.ada)
    there.clear(cleared, lab.ada)
    there.delete(deleted, lab.ada)
    there.update(lowered, {"severity": "WARNING"}, lab.ada)
    await reconciled(lab)
    found = {m.device: (one, m) for one in await lab.incidents.of_tenant(EU1, CUSTOMER_A) for m in one.members.values()}
    assert found[names[0]][0].phase is Phase.ACKNOWLEDGED  # type: ignore[index]
    assert found[names[1]][0].phase is Phase.CLEARED  # type: ignore[index]
    assert found[names[2]][1].deleted  # type: ignore[index]
    assert found[names[3]][0].severity is Severity.WARNING  # type: ignore[index]
    assert await lab.incidents.active(EU1, CUSTOMER_A) == {acknowledged.id, lowered.id}


async def test_single_reads_are_bounded_and_go_on_at_the_next_tick(lab: AlarmLab) -> None:
    alarms = [lab.raise_alarm(f"sim-device-{n:03d}") for n in range(SINGLE_READS + 5)]
    await lab.hear(*(lab.body(alarm, isNewAlarm="true") for alarm in alarms))
    await lab.folded()
    for alarm in alarms:
        lab.sandbox.engine.alarms.clear(alarm, lab.ada)
    await reconciled(lab)
    assert len(await lab.incidents.active(EU1, CUSTOMER_A)) == 5
    await reconciled(lab)
    assert await lab.incidents.active(EU1, CUSTOMER_A) == set()


async def test_an_alarm_that_does_not_exist_in_thingsboard_ends_as_deleted(lab: AlarmLab) -> None:
    """Somebody with this tenant's secret sent another tenant's alarm: this ThingsBoard does not know it."""
    alarm = lab.raise_alarm()
    del lab.sandbox.world.alarms[alarm.id]
    await lab.tell(alarm)
    await lab.folded()
    assert (await lab.only()).phase is Phase.OPEN
    await reconciled(lab)
    assert (await lab.only()).phase is Phase.CLEARED
    assert "deleted" in (await lab.message((await lab.only()).id)).text


async def test_an_absence_is_told_once_and_the_return_in_the_same_message(lab: AlarmLab) -> None:
    await lab.reconciler.tick()
    lab.server.faults.add("status", "/api/v2/alarms", status=503)
    await lab.clock.forward(60)
    await lab.reconciler.tick()
    assert await lab.wanted() == {}  # one failure is no news
    for _ in range(3):
        await lab.clock.forward(60)
        await lab.reconciler.tick()
    (key,) = await lab.wanted()
    assert "does not answer" in (await lab.wanted())[key].message.text
    lab.raise_alarm()
    lab.server.faults.clear()
    await reconciled(lab)
    wanted = await lab.wanted()
    assert "answers again" in wanted.pop(key).message.text
    (incident,) = wanted.values()
    assert "OTA Failure" in incident.message.text


async def test_the_age_of_the_last_good_read_is_a_metric(lab: AlarmLab) -> None:
    def age() -> float | None:
        return REGISTRY.get_sample_value("cdm_alarms_read_age_seconds", {"stack": EU1, "tenant": CUSTOMER_A})

    await lab.reconciler.tick()
    assert age() == 0
    lab.server.faults.add("lost_request", "/api/v2/alarms")
    await lab.clock.forward(600)
    await lab.reconciler.tick()
    assert age() == 600
    assert (await lab.reconciler.reading(EU1, CUSTOMER_A)).failures == 1


async def test_a_webhook_that_comes_after_the_read_changes_nothing(lab: AlarmLab) -> None:
    alarm = lab.raise_alarm()
    late = lab.body(alarm, isNewAlarm="true")
    await lab.clock.forward(120)
    lab.sandbox.engine.alarms.acknowledge(alarm, lab.ada)
    await reconciled(lab)
    before = await lab.only()
    await lab.hear(late)
    await lab.folded()
    assert await lab.only() == before
    assert before.phase is Phase.ACKNOWLEDGED
