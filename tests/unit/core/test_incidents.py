"""Which alarm makes which incident, and what its one message says."""

from __future__ import annotations

import csv
import io
import re
import uuid
from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest

from core.alarms.facts import Severity
from core.ids import AlarmId, DeviceName, IncidentId, Stack, Tenant
from core.incidents import (
    FLAP_MS,
    GROUP_LIFE_MS,
    GROUP_LIMIT,
    WINDOW_MS,
    Incident,
    Member,
    Phase,
    Window,
    note,
    place,
    resolve,
    superseded,
    touch,
)
from core.messages.blocks import Message
from core.messages.fold import unfold
from core.messages.incident import LISTED, devices_file, incident_message

EU1, A = Stack("eu1"), Tenant("customer-a")
START = 1_795_499_208_957


def member(number: int, *, heard_ms: int = START, alarm: str = "", **more: Any) -> Member:
    made = Member(
        alarm_id=AlarmId(alarm or str(uuid.uuid5(uuid.NAMESPACE_OID, f"{number}/{heard_ms}"))),
        originator_id=f"5edbcff0-e7ca-11f1-a347-{number:012d}",
        device=DeviceName(f"sim-device-{number:03d}"),
        label=None,
        severity=Severity.CRITICAL,
        acknowledged=False,
        cleared=False,
        deleted=False,
        created_ms=heard_ms,
        ack_ms=0,
        clear_ms=0,
        heard_ms=heard_ms,
        note="OTA failed: failure",
    )
    return replace(made, **more)


class Desk:
    """Places alarms one after the other, as the fold does."""

    def __init__(self) -> None:
        self.known: dict[IncidentId, Incident] = {}
        self.window = Window()
        self.last: dict[str, IncidentId] = {}

    def take(self, one: Member) -> Incident:
        previous = self.last.get(one.originator_id)
        placed = place(EU1, A, "OTA Failure", one, window=self.window, known=self.known, previous=previous)
        self.known |= {incident.id: incident for incident in placed.changed}
        self.window, self.last[one.originator_id] = placed.window, placed.home
        return self.known[placed.home]

    def touch(self, one: Member) -> Incident:
        home = resolve(self.last[one.originator_id], self.known)
        assert home is not None
        self.known[home.id] = touch(home, one)
        return self.known[home.id]

    @property
    def standing(self) -> list[Incident]:
        return [one for one in self.known.values() if one.part_of is None]


def over(one: Member, at_ms: int) -> Member:
    return replace(one, cleared=True, clear_ms=at_ms, over_ms=at_ms)


# grouping


def test_up_to_five_devices_have_incidents_of_their_own() -> None:
    desk = Desk()
    for n in range(5):
        desk.take(member(n))
    assert [len(one.members) for one in desk.standing] == [1] * 5


def test_the_sixth_device_within_two_minutes_makes_one_of_all_six() -> None:
    desk = Desk()
    for n in range(5):
        desk.take(member(n, heard_ms=START + n * 1000))
    group = desk.take(member(5, heard_ms=START + WINDOW_MS))
    assert desk.standing == [group]
    assert group.grouped
    assert len(group.members) == 6
    assert {one.part_of for one in desk.known.values() if one.id != group.id} == {group.id}


def test_a_sixth_device_later_than_two_minutes_stands_alone() -> None:
    desk = Desk()
    for n in range(6):
        desk.take(member(n, heard_ms=START + n * (WINDOW_MS // 4)))
    assert len(desk.standing) == 6


def test_later_devices_join_while_the_storm_goes_on() -> None:
    desk = Desk()
    for n in range(400):
        desk.take(member(n, heard_ms=START + n * 100))
    assert len(desk.standing) == 1
    assert len(desk.standing[0].members) == 400


def test_a_device_after_the_storm_gets_an_incident_of_its_own() -> None:
    desk = Desk()
    for n in range(10):
        desk.take(member(n))
    alone = desk.take(member(11, heard_ms=START + WINDOW_MS + 1))
    assert not alone.grouped
    assert len(desk.standing) == 2


def test_a_group_takes_no_more_after_half_an_hour_however_steady_the_storm() -> None:
    desk = Desk()
    for n in range(40):
        desk.take(member(n, heard_ms=START + n * 60_000 if n >= 6 else START))
    group = next(one for one in desk.standing if one.grouped)
    assert max(m.heard_ms for m in group.members.values()) - START <= GROUP_LIFE_MS
    assert len(desk.standing) > 1


def test_a_group_is_bounded() -> None:
    desk = Desk()
    for n in range(GROUP_LIMIT + 1):
        desk.take(member(n))
    assert sorted(len(one.members) for one in desk.standing) == [1, GROUP_LIMIT]


def test_the_same_alarms_make_the_same_ids() -> None:
    one, other = Desk(), Desk()
    for desk in (one, other):
        for n in range(8):
            desk.take(member(n))
    assert one.known == other.known


def test_ids_differ_by_tenant_even_for_the_same_alarm_id() -> None:
    alarm = member(1)
    ours = place(EU1, A, "OTA Failure", alarm, window=Window(), known={}, previous=None)
    theirs = place(EU1, Tenant("customer-b"), "OTA Failure", alarm, window=Window(), known={}, previous=None)
    assert ours.home != theirs.home


# one device


def test_a_new_alarm_within_ten_minutes_counts_up_the_devices_incident() -> None:
    desk = Desk()
    first = member(1)
    desk.take(first)
    desk.touch(over(first, START + 60_000))
    again = desk.take(member(1, heard_ms=START + 60_000 + FLAP_MS))
    assert len(desk.standing) == 1
    assert (again.repeats, again.phase, len(again.members)) == (1, Phase.OPEN, 1)


def test_a_new_alarm_after_ten_minutes_is_a_new_incident() -> None:
    desk = Desk()
    first = member(1)
    desk.take(first)
    desk.touch(over(first, START + 60_000))
    desk.take(member(1, heard_ms=START + 60_001 + FLAP_MS))
    assert sorted(one.phase for one in desk.standing) == [Phase.CLEARED, Phase.OPEN]


def test_a_device_flapping_all_day_keeps_one_small_incident() -> None:
    desk = Desk()
    for n in range(1000):
        one = member(1, heard_ms=START + n * 60_000)
        desk.take(one)
        desk.touch(over(one, START + n * 60_000 + 30_000))
    assert len(desk.standing) == 1
    assert (desk.standing[0].repeats, len(desk.standing[0].members)) == (999, 1)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_clears_and_creates_of_a_flapping_device_end_the_same_in_any_order(order: tuple[int, ...]) -> None:
    """48 of 200 clears arrived before their creates (measured on CE 4.2.1)."""
    desk = Desk()
    alarms = [member(1, heard_ms=START + n, alarm=f"a{n}") for n in range(3)]
    told = [over(alarms[0], START + 5), over(alarms[1], START + 6), alarms[2]]
    for n in order:
        desk.take(told[n])
    assert len(desk.standing) == 1
    assert (desk.standing[0].phase, desk.standing[0].repeats) == (Phase.OPEN, 2)
    assert list(desk.standing[0].members) == ["a2"]


def test_an_older_alarm_of_the_device_that_we_still_hold_active_is_to_be_read() -> None:
    desk = Desk()
    old = member(1)
    desk.take(old)
    new = member(1, heard_ms=START + 5 * FLAP_MS)
    incident = desk.take(new)
    assert superseded(incident, new) == (old.alarm_id,)
    assert len(desk.standing) == 1


def test_an_incident_is_acknowledged_when_all_its_active_alarms_are() -> None:
    desk = Desk()
    members = [member(n) for n in range(6)]
    for one in members:
        desk.take(one)
    for one in members[:5]:
        group = desk.touch(replace(one, acknowledged=True))
    assert group.phase is Phase.OPEN
    group = desk.touch(over(members[5], START + 1))
    assert group.phase is Phase.ACKNOWLEDGED
    for one in members[:5]:
        group = desk.touch(replace(one, deleted=True))
    assert group.phase is Phase.CLEARED


def test_severity_is_the_worst_that_goes_on() -> None:
    desk = Desk()
    for n in range(6):
        desk.take(member(n, severity=Severity.MINOR if n else Severity.CRITICAL))
    group = desk.touch(over(member(0), START + 1))
    assert group.severity is Severity.MINOR


# what an alarm's details say


@pytest.mark.parametrize(
    ("details", "said"),
    [
        ({"data": "OTA failed: failure"}, "OTA failed: failure"),
        ({"data": "cpu=97 err=${ota_error}"}, "cpu=97 err=(no ota_error)"),
        ({"reason": "manual", "code": 7, "empty": None}, "reason=manual, code=7"),
        ({"deep": {"a": [1]}}, '{"deep": {"a": [1]}}'),
        (None, ""),
        ({}, ""),
        ([], ""),
        ("text", "text"),
        (7, "7"),
    ],
)
def test_details_of_any_shape_become_one_text(details: Any, said: str) -> None:
    assert note(details) == said


def test_long_details_are_bounded() -> None:
    assert len(note({"data": "${" + "x" * 60_000})) <= 400


# messages


def texts(message: Message) -> str:
    return message.text + str(message.blocks)


def live_texts(message: Message) -> str:
    """What Slack would interpret: the text and every mrkdwn object."""

    def walk(found: Any) -> Iterator[str]:
        if isinstance(found, dict):
            if found.get("type") == "mrkdwn":
                yield found["text"]
            for inner in found.values():
                yield from walk(inner)
        elif isinstance(found, list | tuple):
            for inner in found:
                yield from walk(inner)

    return "\n".join([message.text, *walk(message.blocks)])


def buttons(message: Message) -> dict[str, str]:
    """Action -> value of all that can be pressed, also under "More actions"."""
    found: dict[str, str] = {}
    for part in (part for block in message.blocks if block["type"] == "actions" for part in block["elements"]):
        if part["type"] == "overflow":
            found |= dict(option["value"].split(":") for option in part["options"])
        else:
            found[part["action_id"]] = part["value"]
    return found


LINKS = {"Device": "https://tb.example/d/{device}?t={tenant}", "Alarm": "https://tb.example/a/{alarm}"}


def test_the_message_of_one_device_says_what_a_person_needs() -> None:
    incident = Desk().take(member(1))
    said = incident_message(incident, LINKS)
    for word in ("OTA Failure", "`sim-device-001`", "customer-a", "🔴 CRITICAL", "active since", "OTA failed"):
        assert word in said.text
    assert f"<!date^{START // 1000}^" in said.text
    assert "<https://tb.example/d/sim-device-001?t=customer-a|Device>" in texts(said)


def test_each_button_carries_the_incident() -> None:
    desk = Desk()
    incident = desk.take(member(1))
    assert buttons(incident_message(incident, {})) == dict.fromkeys(
        ("acknowledge", "run:rauc-status", "run:journal", "redeploy", "clear", "run-form"), incident.id
    )
    acknowledged = desk.touch(member(1, acknowledged=True))
    assert "acknowledge" not in buttons(incident_message(acknowledged, {}))
    cleared = desk.touch(over(member(1), START))
    assert set(buttons(incident_message(cleared, {}))) == {"run:journal", "run:rauc-status", "run-form"}
    asset = desk.take(member(2, device=None))
    assert set(buttons(incident_message(asset, {}))) == {"acknowledge", "clear"}, "nothing can be run on no device"


def test_a_group_is_acknowledged_and_cleared_as_one_but_runs_nothing() -> None:
    desk = Desk()
    for n in range(6):
        desk.take(member(n))
    assert set(buttons(incident_message(desk.standing[0], {}))) == {"acknowledge", "clear"}


def test_redeploy_asks_before_it_acts() -> None:
    said = incident_message(Desk().take(member(1)), {})
    row = next(block for block in said.blocks if block["type"] == "actions")
    (asked,) = [b["confirm"] for b in row["elements"] if "confirm" in b]
    assert asked["title"]["text"] == "Redeploy to sim-device-001?"
    assert "this 1 device downloads it, installs it and reboots" in asked["text"]["text"]
    assert "cannot be taken back" in asked["text"]["text"]


def test_clearing_many_says_how_many_and_that_it_is_final() -> None:
    desk = Desk()
    for n in range(7):
        desk.take(member(n))
    said = incident_message(desk.touch(over(member(0), START + 1)), {})
    row = next(block for block in said.blocks if block["type"] == "actions")
    clear = next(b for b in row["elements"] if b["action_id"] == "clear")
    assert clear["text"]["text"] == "Clear 6 alarms"
    assert "Ends 6 alarms of 6 devices in ThingsBoard" in clear["confirm"]["text"]["text"]
    assert "cannot be opened again" in clear["confirm"]["text"]["text"]


def test_the_devices_of_a_group_stand_folded_by_state_those_nobody_looks_at_first() -> None:
    desk = Desk()
    for n in range(1, 11):
        desk.take(member(n, severity=Severity.MAJOR if n == 9 else Severity.CRITICAL))
    desk.touch(member(4, acknowledged=True, acked_by="Ada"))
    desk.touch(over(member(5), START + 1))
    group = desk.touch(member(6, deleted=True))
    said = incident_message(group, {})
    assert said.blocks[0]["text"]["text"].split("\n") == [
        "🔴 CRITICAL · *OTA Failure* on 10 devices",
        "*8 devices failing*, 2 over · customer-a on eu1 · 1 of 8 alarms acknowledged by Ada",
    ]
    assert said.blocks[1]["text"]["text"].split("\n") == [
        "🔴 CRITICAL (6): `sim-device-[001-003,007-008,010]`",
        "🟠 MAJOR (1): `sim-device-009`",
        "🟣 ACKNOWLEDGED (1): `sim-device-004`",
        "✅ CLEARED (1): `sim-device-005`",
        "deleted in ThingsBoard (1): `sim-device-006`",
    ]


def test_a_group_says_what_most_of_its_alarms_say() -> None:
    desk = Desk()
    for n in range(12):
        desk.take(member(n, note=("signature", "signature", "no space", "x", "y", "z")[n % 6]))
    said = incident_message(desk.standing[0], {}).text
    assert "*What the alarms say*\n• signature (4)\n• no space (2)\n• x (2)\nand 2 other texts" in said


def test_what_differs_only_in_the_devices_name_is_said_once() -> None:
    desk = Desk()
    for n in range(7):
        desk.take(member(n, note=f"sim-device-{n:03d} went silent"))
    assert "• … went silent (7)" in incident_message(desk.standing[0], {}).text


def test_up_to_twenty_devices_are_all_named_whatever_their_states() -> None:
    """With more there is a file that names them."""
    desk = Desk()
    names = {str(uuid.uuid5(uuid.NAMESPACE_OID, str(n))): n for n in range(LISTED)}
    for name, n in names.items():
        group = desk.take(member(n, device=DeviceName(name)))
    group = desk.touch(over(member(19, device=DeviceName(list(names)[19])), START + 1))
    group = desk.touch(member(18, device=DeviceName(list(names)[18]), acknowledged=True))
    spans = re.findall("`([^`]+)`", incident_message(group, {}).blocks[1]["text"]["text"])
    assert {name for span in spans for name in unfold(span)} == names.keys()


def test_a_group_that_is_over_says_how_it_ended() -> None:
    desk = Desk()
    for n in range(6):
        desk.take(member(n))
    for n in range(5):
        desk.touch(over(member(n), START + 1))
    said = incident_message(desk.touch(member(5, deleted=True)), {})
    assert said.text.startswith("✅ CLEARED · *OTA Failure* on 6 devices\n*all 6 devices over*: 5 cleared, 1 deleted")
    assert buttons(said) == {}


def test_who_acknowledged_and_who_cleared_stands_in_the_message() -> None:
    desk = Desk()
    desk.take(member(1))
    acknowledged = desk.touch(member(1, acknowledged=True, ack_ms=START, acked_by="Ada Admin"))
    assert "acknowledged by Ada Admin" in incident_message(acknowledged, {}).text
    cleared = desk.touch(replace(over(member(1), START), cleared_by="Otto Ops"))
    assert "cleared by Otto Ops" in incident_message(cleared, {}).text


def test_an_alarm_found_by_reconciliation_says_how_old_it_was() -> None:
    late = Desk().take(member(1, found_after_ms=12 * 60_000 + 5))
    assert "found by reconciliation, 12 min old" in incident_message(late, {}).text
    prompt = Desk().take(member(1, found_after_ms=5_000))
    assert "reconciliation" not in incident_message(prompt, {}).text


def test_nothing_an_alarm_says_is_live_in_slack() -> None:
    nasty = "<!channel> <@U123ABC> *b* <https://evil.example|click> & `x`"
    one = member(1, device=DeviceName(nasty), label=nasty, note=nasty, acked_by=nasty, acknowledged=True)
    incident = replace(Desk().take(one), type=nasty)
    for shown in (incident, replace(incident, grouped=True), replace(incident, part_of=IncidentId("i1"))):
        said = live_texts(incident_message(shown, LINKS))
        assert "<!channel" not in said
        assert "<@U123ABC" not in said
        assert "<https://evil" not in said
    assert "https://tb.example/d/%3C%21channel%3E" in texts(incident_message(incident, LINKS))


def test_a_pointer_names_the_incident_it_is_part_of() -> None:
    desk = Desk()
    for n in range(6):
        desk.take(member(n))
    group = desk.standing[0]
    pointer = next(one for one in desk.known.values() if one.part_of)
    said = incident_message(pointer, LINKS)
    assert "part of" in said.text
    assert group.id in said.text
    assert buttons(said) == {}


def test_a_large_group_lists_some_devices_and_its_file_all() -> None:
    desk = Desk()
    for n in range(400):
        desk.take(member(n, device=DeviceName(f"press-{n:03d}-" + "x" * 100), note="n" * 400))
    group = desk.standing[0]
    said = incident_message(group, LINKS)
    assert "on 400 devices" in said.text
    assert "press-[000-399]-" in texts(said), "neighbours are one word"
    assert "a file with all 400 alarms follows in the thread" in said.text
    assert "each alarm with its details is in the file" in incident_message(replace(group, filed=400), LINKS).text
    rows = list(csv.DictReader(io.StringIO(devices_file(group).decode())))
    assert {row["device"] for row in rows} == {m.device for m in group.members.values()}


def test_names_without_order_are_counted_where_they_do_not_fit() -> None:
    desk = Desk()
    for n in range(400):
        desk.take(member(n, device=DeviceName(str(uuid.uuid5(uuid.NAMESPACE_OID, str(n))))))
    said = incident_message(desk.standing[0], {})
    listed = re.search(r"`([^`]+)` and (\d+) more", said.blocks[1]["text"]["text"])
    assert listed is not None
    assert len(unfold(listed[1])) + int(listed[2]) == 400


def test_no_cell_of_the_file_starts_a_formula() -> None:
    incident = Desk().take(member(1, device=DeviceName('=HYPERLINK("http://evil")'), note="+1\n@x", label="-2"))
    row = next(csv.DictReader(io.StringIO(devices_file(incident).decode())))
    assert all(cell[:1] not in "=+-@" for cell in row.values() if cell)
