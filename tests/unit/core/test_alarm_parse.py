"""Every recorded webhook body is understood, and what is no alarm is refused with its reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.alarms.facts import Severity, Source
from core.alarms.parse import EXPLAINED, Kind, Told, Unfit, parse, read_alarm

RECORDED = Path(__file__).parents[2] / "recorded" / "thingsboard"
BOT = "5d7fe970-e7ca-11f1-a347-8513dc0a27d7"

BY_ENVELOPE = {
    ("ALARM", "isNewAlarm"): Kind.CREATED,
    ("ALARM", "isExistingAlarm"): Kind.UPDATED,
    ("ALARM", "isSeverityUpdated"): Kind.SEVERITY,
    ("ALARM", "isClearedAlarm"): Kind.CLEARED,
    ("ALARM_CREATED", "isNewAlarm"): Kind.CREATED,
    ("ALARM_UPDATED", "isExistingAlarm"): Kind.UPDATED,
    ("ALARM_CLEAR", "isClearedAlarm"): Kind.CLEARED,
    ("ALARM_CLEAR", "userId"): Kind.CLEARED,
    ("ALARM_ACK", "userId"): Kind.ACKNOWLEDGED,
    ("ALARM_ASSIGNED", "userId"): Kind.ASSIGNED,
    ("ALARM_UNASSIGNED", "userId"): Kind.ASSIGNED,
    ("COMMENT_CREATED", "comment"): Kind.COMMENT,
    ("ENTITY_CREATED", "userId"): Kind.CREATED,
    ("ENTITY_UPDATED", "userId"): Kind.UPDATED,
    ("ALARM_DELETE", "userId"): Kind.DELETED,
}
BY_RELATION = {
    "alarm-created": Kind.CREATED,
    "alarm-updated": Kind.UPDATED,
    "alarm-severity-updated": Kind.UPDATED,  # a bare alarm does not tell what changed
    "alarm-cleared": Kind.CLEARED,
    "alarm-acknowledged": Kind.ACKNOWLEDGED,
    "alarm-assigned": Kind.ASSIGNED,
    "alarm-unassigned": Kind.ASSIGNED,
}
FLAGS = ("isNewAlarm", "isSeverityUpdated", "isExistingAlarm", "isClearedAlarm", "comment", "userId")


def _bodies(found: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(found, list):
        for one in found:
            yield from _bodies(one, path)
    elif isinstance(found, dict):
        if "raw_body_len" in found:
            yield found["path"], found["body"]
        elif "msgType" in found:
            alarm = found.get("alarm") or found["alarm_or_msg"]
            yield "", {"msgType": found["msgType"], "metadata": found["metadata"], "alarm": alarm}
        else:
            for one in found.values():
                yield from _bodies(one, path)


def recorded() -> list[Any]:
    files = sorted([*RECORDED.glob("webhook-*.json"), RECORDED / "tb-4.3.1.1.json"])
    return [
        pytest.param(path, body, id=f"{file.stem}-{n}")
        for file in files
        for n, (path, body) in enumerate(_bodies(json.loads(file.read_text())))
    ]


def told_of(body: Any) -> Told:
    told = parse(json.dumps(body).encode())
    assert isinstance(told, Told), told
    return told


def test_there_are_recordings_of_both_versions_and_both_wirings() -> None:
    assert len(recorded()) >= 60
    assert {"msgType" in p.values[1] for p in recorded()} == {True, False}


@pytest.mark.parametrize(("path", "body"), recorded())
def test_a_recorded_body_is_read_as_it_is(path: str, body: dict[str, Any]) -> None:
    told, alarm = told_of(body), body.get("alarm", body)
    report = told.report
    assert report.alarm_id == alarm["id"]["id"]
    assert (report.type, report.originator_id) == (alarm["type"], alarm["originator"]["id"])
    assert report.severity.name == alarm["severity"]
    state = ("CLEARED" if report.cleared else "ACTIVE") + ("_ACK" if report.acknowledged else "_UNACK")
    assert state == alarm["status"]
    times = [alarm[k] for k in ("createdTime", "startTs", "endTs", "ackTs", "clearTs", "assignTs")]
    read = [report.created_ms, report.start_ms, report.end_ms, report.ack_ms, report.clear_ms, report.assign_ms]
    assert (read, report.at_ms) == (times, max(times))
    assert report.device == alarm.get("originatorName")
    assert report.details == alarm["details"]
    assert report.source is Source.WEBHOOK
    assert report.deleted is (body.get("msgType") == "ALARM_DELETE")


@pytest.mark.parametrize(("path", "body"), recorded())
def test_a_recorded_body_tells_what_happened(path: str, body: dict[str, Any]) -> None:
    told = told_of(body)
    if "msgType" in body:
        flag = next(flag for flag in FLAGS if flag in body["metadata"])
        assert told.kind is BY_ENVELOPE[body["msgType"], flag]
    elif (relation := path.rpartition("/")[2]) in BY_RELATION:
        assert told.kind is BY_RELATION[relation]
    else:
        assert relation == "comment-created"  # the bare alarm says nothing of a comment


def one(name: str, kind: str) -> dict[str, Any]:
    found = _bodies(json.loads((RECORDED / name).read_text()))
    return next(body for _, body in found if body.get("msgType") == kind)


def test_an_act_of_a_user_names_that_user() -> None:
    told = told_of(one("webhook-04-ack-by-bot-user.json", "ALARM_ACK"))
    assert (told.report.by_user, told.actor) == (BOT, "ChatOps Bot")


def test_a_rules_message_names_nobody() -> None:
    told = told_of(one("webhook-01-telemetry-ota-status-failure-alarm-created.json", "ALARM"))
    assert (told.report.by_user, told.actor, told.comment) == (None, None, None)


def test_a_persons_comment_and_thingsboards_own_are_told_apart() -> None:
    by_person = told_of(one("webhook-09-comment-by-bot.json", "COMMENT_CREATED")).comment
    by_system = told_of(one("webhook-18-temp-85-severity-major.json", "COMMENT_CREATED")).comment
    assert by_person is not None
    assert by_system is not None
    assert (by_person.text, by_person.system, by_person.by_user) == (
        "Taken from Slack by @maria: rollback requested",
        False,
        BOT,
    )
    assert (by_system.text, by_system.system, by_system.by_user) == (
        "Alarm severity was updated from WARNING to MAJOR",
        True,
        None,
    )


def test_an_assignee_is_named_and_none_is_nobody() -> None:
    assert told_of(one("webhook-06-assign-to-bot.json", "ALARM_ASSIGNED")).report.assignee == "ChatOps Bot"
    assert told_of(one("webhook-08-unassign.json", "ALARM_UNASSIGNED")).report.assignee is None


CREATED = one("webhook-01-telemetry-ota-status-failure-alarm-created.json", "ALARM")


def changed(**alarm: Any) -> dict[str, Any]:
    return {**CREATED, "alarm": {**CREATED["alarm"], **alarm}}


def test_msg_type_alone_is_never_believed() -> None:
    assert told_of({**CREATED, "msgType": "ALARM_CLEAR", "metadata": {}}).kind is not Kind.CLEARED
    assert told_of({**CREATED, "msgType": "ALARM_ACK", "metadata": {}}).kind is not Kind.ACKNOWLEDGED
    assert told_of({**CREATED, "msgType": "WHATEVER_COMES", "metadata": {}}).kind is Kind.UPDATED


def test_an_ack_of_a_cleared_alarm_is_no_clear() -> None:
    alarm = {**CREATED["alarm"], "cleared": True, "clearTs": 1795499210000, "acknowledged": True}
    body = {"msgType": "ALARM_ACK", "metadata": {"userId": BOT}, "alarm": {**alarm, "ackTs": 1795499220000}}
    assert told_of(body).kind is Kind.ACKNOWLEDGED


def test_an_unresolved_pattern_counts_as_missing() -> None:
    body = changed(originatorName="${deviceName}", originatorLabel="${deviceLabel}")
    body["metadata"] = {"deviceName": "${deviceName}", "userId": "${userId}"}
    report = told_of(body).report
    assert (report.device, report.label, report.by_user) == (None, None, None)


def test_the_devices_name_comes_from_the_metadata_where_the_alarm_has_none() -> None:
    assert told_of(changed(originatorName=None)).report.device == "sim-device-001"


def test_an_alarm_of_an_asset_has_no_device() -> None:
    report = told_of(changed(originator={"entityType": "ASSET", "id": BOT}, originatorLabel=None)).report
    assert (report.device, report.label) == (None, "sim-device-001")


@pytest.mark.parametrize("details", [None, {}, [], "text", 7, True, {"a": [{"b": None}]}, {"data": "Ärger 🔥 ​‮"}])
def test_details_may_be_any_json(details: Any) -> None:
    assert told_of(changed(details=details)).report.details == details


def test_any_text_passes_unchanged() -> None:
    nasty = "<!channel> & `x` *b* <https://evil|ok> \x00\x1b[31m Überhitzung 過熱"
    report = told_of(changed(type=nasty, originatorLabel=nasty)).report
    assert (report.type, report.label) == (nasty, nasty)


def test_status_tells_the_state_where_the_flags_are_missing() -> None:
    report = told_of(changed(acknowledged=None, cleared=None, status="CLEARED_ACK")).report
    assert (report.acknowledged, report.cleared) == (True, True)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Unfit.NOT_JSON),
        (b"{", Unfit.NOT_JSON),
        (b"\xff\xfe{}", Unfit.NOT_JSON),
        (b'{"a": NaN}', Unfit.NOT_JSON),
        (b'{"a": "\\ud800"}', Unfit.NOT_JSON),
        (b"[" * 5000 + b"]" * 5000, Unfit.NOT_JSON),
        (b"[]", Unfit.NOT_AN_OBJECT),
        (b'"alarm"', Unfit.NOT_AN_OBJECT),
        (b"null", Unfit.NOT_AN_OBJECT),
        (b"{}", Unfit.NO_ALARM),
        (b'{"ota_status": "failure"}', Unfit.NO_ALARM),
        (b'{"msgType": "ALARM", "metadata": {}, "alarm": null}', Unfit.NO_ALARM),
        (b'{"alarm": {"id": {"entityType": "DEVICE", "id": "5edbcff0-e7ca-11f1-a347-8513dc0a27d7"}}}', Unfit.NO_ALARM),
    ],
)
def test_what_is_no_alarm_is_refused_with_its_reason(body: bytes, reason: Unfit) -> None:
    assert parse(body) is reason


@pytest.mark.parametrize(
    ("alarm", "reason"),
    [
        ({"id": {"entityType": "ALARM", "id": "../../x"}}, Unfit.BAD_ID),
        ({"id": {"entityType": "ALARM", "id": 7}}, Unfit.BAD_ID),
        ({"type": None}, Unfit.BAD_TYPE),
        ({"type": "${type}"}, Unfit.BAD_TYPE),
        ({"type": "x" * 256}, Unfit.BAD_TYPE),
        ({"originator": None}, Unfit.BAD_ORIGINATOR),
        ({"originator": {"entityType": "DEVICE", "id": "${id}"}}, Unfit.BAD_ORIGINATOR),
        ({"severity": "FATAL"}, Unfit.BAD_SEVERITY),
        ({"severity": ["CRITICAL"]}, Unfit.BAD_SEVERITY),
        ({"acknowledged": "false", "status": "???"}, Unfit.BAD_STATE),
        ({"startTs": "1795499208928"}, Unfit.BAD_TIME),
        ({"startTs": -1}, Unfit.BAD_TIME),
        ({"startTs": True}, Unfit.BAD_TIME),
        ({"startTs": 10**15}, Unfit.BAD_TIME),
    ],
)
def test_a_broken_alarm_is_refused_with_its_reason(alarm: dict[str, Any], reason: Unfit) -> None:
    assert parse(json.dumps(changed(**alarm)).encode()) is reason


def test_every_reason_can_be_told_to_the_sender() -> None:
    assert set(EXPLAINED) == set(Unfit)


def test_an_alarm_read_by_the_api_is_read_the_same_way() -> None:
    answers = json.loads((RECORDED / "rest-answers.json").read_text())
    listed = next(a for a in answers if a["name"] == "alarms v2 (tenant)")["body"]["data"]
    for alarm in listed:
        report = read_alarm(alarm, Source.READ)
        assert not isinstance(report, Unfit)
        assert (report.source, report.severity) == (Source.READ, Severity[alarm["severity"]])
