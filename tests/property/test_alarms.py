"""The alarm fold: whatever order, repeats and losses do to the messages, a read makes the same state of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from core.alarms.facts import AlarmReport, Severity, Source
from core.alarms.fold import AlarmState, fold, gone
from core.ids import AlarmId, DeviceName

PEOPLE = ("Ada Admin", "Otto Ops")
EVENTS = ("raise", "drop", "update", "ack", "assign", "unassign", "unassign_silently", "comment", "clear")


@dataclass
class TrueAlarm:
    """One alarm as ThingsBoard keeps it. `now` is its clock; each event may leave it standing (same millisecond)."""

    now: int = 1_795_499_208_957
    told: list[AlarmReport] = field(default_factory=list)
    read_after: list[AlarmReport] = field(default_factory=list)

    def start(self, severity: Severity, late_ms: int) -> None:
        """`late_ms`: how far the device's own clock is off (a start in the past, or in the future)."""
        began = self.now + late_ms
        self.report = AlarmReport(
            alarm_id=AlarmId("852a706e-0069-4f93-ad7b-a5ab812eb84f"),
            type="OTA Failure",
            originator_id="5edbcff0-e7ca-11f1-a347-8513dc0a27d7",
            device=DeviceName("sim-device-001"),
            severity=severity,
            acknowledged=False,
            cleared=False,
            created_ms=self.now,
            start_ms=began,
            end_ms=began,
            ack_ms=0,
            clear_ms=0,
            assign_ms=0,
            source=Source.WEBHOOK,
            at_ms=max(began, self.now),
            details={"n": 0},
        )
        self._tell()

    def happen(self, event: str, severity: Severity, person: str, passed_ms: int) -> None:
        self.now += passed_ms
        now, was = self.now, self.report
        match event:
            case "raise" if severity > was.severity and was.created_ms < now and not was.cleared:
                self.report = replace(was, severity=severity, end_ms=now, details={"n": len(self.told)})
            case "drop" if severity < was.severity:  # POST /api/alarm with an id: no time moves (measured on 4.2.1)
                self.report = replace(was, severity=severity)
            case "update" if not was.cleared:
                self.report = replace(was, end_ms=now, details={"n": len(self.told)})
            case "ack" if not was.acknowledged:
                self.report = replace(was, acknowledged=True, ack_ms=now)
            case "assign":
                self.report = replace(was, assignee=person, assign_ms=now)
            case "unassign" if was.assignee:
                self.report = replace(was, assignee=None, assign_ms=now)
            case "unassign_silently" if was.assignee:
                self.report = replace(was, assignee=None)
            case "clear" if not was.cleared:
                self.report = replace(was, cleared=True, clear_ms=now)
            case _:
                pass
        self._tell()

    def _tell(self) -> None:
        r = self.report
        newest = max(r.created_ms, r.start_ms, r.end_ms, r.ack_ms, r.clear_ms, r.assign_ms)
        self.report = replace(r, at_ms=newest)
        self.told.append(self.report)
        self.read_after.append(replace(self.report, source=Source.READ))

    def read(self) -> AlarmReport:
        return replace(self.report, source=Source.READ)


@st.composite
def histories(draw: st.DrawFn) -> TrueAlarm:
    alarm = TrueAlarm()
    severities = st.sampled_from(list(Severity))
    alarm.start(draw(severities), draw(st.sampled_from([0, 0, -86_400_000, 3_600_000])))
    steps = st.tuples(st.sampled_from(EVENTS), severities, st.sampled_from(PEOPLE), st.sampled_from([0, 1, 1500]))
    for event, severity, person, passed_ms in draw(st.lists(steps, max_size=8)):
        alarm.happen(event, severity, person, passed_ms)
    return alarm


def facts(state: AlarmState) -> tuple[object, ...]:
    """What a person is shown."""
    return (
        state.severity,
        state.acknowledged,
        state.cleared,
        state.deleted,
        state.assignee,
        state.created_ms,
        state.start_ms,
        state.end_ms,
        state.ack_ms,
        state.clear_ms,
        state.details,
    )


def truth(alarm: TrueAlarm) -> tuple[object, ...]:
    state = fold(None, alarm.read())
    return facts(state)


def fold_all(reports: list[AlarmReport], heard_ms: int = 1) -> AlarmState:
    state: AlarmState | None = None
    for report in reports:
        state = fold(state, report, heard_ms=heard_ms)
    assert state is not None
    return state


@given(histories(), st.data())
def test_the_same_messages_in_any_order_and_number_make_the_same_state(alarm: TrueAlarm, data: st.DataObject) -> None:
    repeats = data.draw(st.lists(st.sampled_from(alarm.told), max_size=6))
    shuffled = data.draw(st.permutations([*alarm.told, *repeats]))
    assert fold_all(shuffled) == fold_all(alarm.told)


@given(histories(), st.data())
def test_after_losses_one_read_makes_the_state_true(alarm: TrueAlarm, data: st.DataObject) -> None:
    kept = data.draw(st.permutations(data.draw(st.lists(st.sampled_from(alarm.told), max_size=12))))
    state = fold_all([*kept], heard_ms=1) if kept else None
    state = fold(state, alarm.read(), heard_ms=2)
    assert facts(state) == truth(alarm)
    assert not state.needs_read


@given(histories(), st.data())
def test_with_everything_delivered_the_state_is_true_or_asks_for_a_read(alarm: TrueAlarm, data: st.DataObject) -> None:
    state = fold_all(data.draw(st.permutations(alarm.told)))
    if state.active and not state.needs_read:
        assert (state.severity, state.assignee) == (alarm.report.severity, alarm.report.assignee)
    assert (state.acknowledged, state.cleared) == (alarm.report.acknowledged, alarm.report.cleared)


@settings(max_examples=300)
@given(histories(), st.data())
def test_reads_that_overtake_or_are_overtaken_never_leave_a_wrong_state_unasked(
    alarm: TrueAlarm, data: st.DataObject
) -> None:
    """Reads are sent at any moment of the history and folded at any moment; webhooks come whenever they like."""
    sent = [(report, 100 + n) for n, report in enumerate(alarm.read_after)]
    reads = data.draw(st.lists(st.sampled_from(sent), max_size=4, unique_by=lambda r: r[1]))
    mixed = data.draw(st.permutations([*((report, 1000) for report in alarm.told), *reads]))
    state: AlarmState | None = None
    for report, heard_ms in mixed:
        state = fold(state, report, heard_ms=heard_ms)
    assert state is not None
    if state.active and not state.needs_read:
        assert (state.severity, state.assignee) == (alarm.report.severity, alarm.report.assignee)
    assert facts(fold(state, alarm.read(), heard_ms=2000)) == truth(alarm)


@given(histories(), st.data())
def test_a_deletion_is_never_undone(alarm: TrueAlarm, data: st.DataObject) -> None:
    state = fold_all(alarm.told)
    state = fold(state, gone(state), heard_ms=2)
    for report in data.draw(st.lists(st.sampled_from(alarm.told), max_size=3)):
        state = fold(state, report, heard_ms=3)
    assert state.deleted
    assert not state.active
    assert not state.needs_read
