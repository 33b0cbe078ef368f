"""Acknowledge and Clear: done in ThingsBoard for every alarm of the incident, audited, and shown."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from core.errors import NotFound
from core.ids import IncidentId
from core.incidents import Phase
from flows.gate import Denied, Person
from integrations.store.connection import Store
from tests.conftest import ManualClock
from tests.scenario.alarm_lab import CUSTOMER_A, EU1, AlarmLab, alarm_lab


@pytest.fixture
async def lab(store: Store, clock: ManualClock) -> AsyncIterator[AlarmLab]:
    async with alarm_lab(store, clock) as made:
        yield made


async def trail(lab: AlarmLab) -> list[tuple[str, str, str]]:
    return [(entry.kind, entry.actor, entry.action) async for entry in lab.audit.entries()]


async def test_acknowledge_reaches_thingsboard_and_the_message_names_the_person(lab: AlarmLab) -> None:
    alarm = lab.raise_alarm()
    await lab.tell(alarm)
    await lab.folded()
    await lab.clock.forward(30)
    acted = await lab.acts.acknowledge((await lab.only()).id, lab.person, lab.still_allowed)
    assert (acted.done, acted.complete) == (1, True)
    assert alarm.acknowledged
    await lab.folded()
    incident = await lab.only()
    assert incident.phase is Phase.ACKNOWLEDGED
    assert "acknowledged by ada" in (await lab.message(incident.id)).text
    assert await trail(lab) == [("intent", "s-ada", "acknowledge"), ("outcome", "s-ada", "acknowledge")]


async def test_clear_ends_the_incident(lab: AlarmLab) -> None:
    alarm = lab.raise_alarm()
    await lab.tell(alarm)
    await lab.folded()
    acted = await lab.acts.clear((await lab.only()).id, lab.person, lab.still_allowed)
    await lab.folded()
    assert acted.complete
    assert alarm.cleared
    incident = await lab.only()
    assert incident.phase is Phase.CLEARED
    assert "cleared by ada" in (await lab.message(incident.id)).text


async def test_a_second_click_before_the_fold_is_a_success_too(lab: AlarmLab) -> None:
    """ThingsBoard answers a repeat with 400, code 31 (measured on CE 4.2.1)."""
    await lab.tell(lab.raise_alarm())
    await lab.folded()
    id = (await lab.only()).id
    first = await lab.acts.acknowledge(id, lab.person, lab.still_allowed)
    second = await lab.acts.acknowledge(id, lab.person, lab.still_allowed)
    assert (first.done, second.done) == (1, 1)
    await lab.folded()
    assert (await lab.acts.acknowledge(id, lab.person, lab.still_allowed)).wanted == 0


async def test_a_group_is_acknowledged_as_a_whole(lab: AlarmLab) -> None:
    alarms = [lab.raise_alarm(f"sim-device-{n:03d}") for n in range(30)]
    await lab.hear(*(lab.body(alarm, isNewAlarm="true") for alarm in alarms))
    await lab.folded()
    acted = await lab.acts.acknowledge((await lab.incidents.open(EU1, CUSTOMER_A))[0].id, lab.person, lab.still_allowed)
    assert acted.done == 30
    assert all(alarm.acknowledged for alarm in alarms)


async def test_a_partial_failure_says_how_many_and_why(lab: AlarmLab) -> None:
    alarms = [lab.raise_alarm(f"sim-device-{n:03d}") for n in range(8)]
    await lab.hear(*(lab.body(alarm, isNewAlarm="true") for alarm in alarms))
    await lab.folded()
    lab.server.faults.add("status", f"{alarms[0].id}/clear", status=503)
    lab.sandbox.engine.alarms.delete(alarms[1], lab.ada)
    acted = await lab.acts.clear((await lab.incidents.open(EU1, CUSTOMER_A))[0].id, lab.person, lab.still_allowed)
    assert (acted.wanted, acted.done, acted.gone, dict(acted.failed)) == (8, 6, 1, {"unavailable": 1})
    assert acted.problem
    outcome = (await lab.audit.latest(1))[0]
    assert outcome.data == {"done": 6, "gone": 1, "failed": {"unavailable": 1}}
    await lab.folded()
    (incident,) = await lab.incidents.open(EU1, CUSTOMER_A)
    assert [member.alarm_id for member in incident.active] == [alarms[0].id]


async def test_an_answer_that_was_lost_is_looked_up(lab: AlarmLab) -> None:
    alarm = lab.raise_alarm()
    await lab.tell(alarm)
    await lab.folded()
    lab.server.faults.add("lost_answer", "/ack", times=1)
    acted = await lab.acts.acknowledge((await lab.only()).id, lab.person, lab.still_allowed)
    assert alarm.acknowledged
    assert acted.complete
    await lab.folded()
    assert (await lab.only()).phase is Phase.ACKNOWLEDGED


async def test_nothing_is_done_while_the_intent_cannot_be_written(
    lab: AlarmLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarm = lab.raise_alarm()
    await lab.tell(alarm)
    await lab.folded()

    async def away(*_: object, **__: object) -> str:
        raise ConnectionError

    monkeypatch.setattr(lab.audit, "intent", away)
    with pytest.raises(ConnectionError):
        await lab.acts.acknowledge((await lab.only()).id, lab.person, lab.still_allowed)
    assert not alarm.acknowledged


async def test_an_unknown_incident_is_not_found(lab: AlarmLab) -> None:
    with pytest.raises(NotFound):
        await lab.acts.clear(IncidentId("i0"), lab.person, lab.still_allowed)


async def test_a_right_lost_between_the_click_and_the_act_leaves_everything_as_it_is(lab: AlarmLab) -> None:
    alarm = lab.raise_alarm()
    await lab.tell(alarm)
    await lab.folded()

    async def gone() -> Person:
        raise Denied("role_missing", "You may not any more.")

    with pytest.raises(Denied):
        await lab.acts.acknowledge((await lab.only()).id, lab.person, gone)
    assert not alarm.acknowledged
    entries = [entry async for entry in lab.audit.entries()]
    assert [e.kind for e in entries] == ["intent", "outcome"]
    assert entries[1].data == {"refused": "role_missing"}
