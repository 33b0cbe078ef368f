"""Alarms and their comments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from sandbox.thingsboard.api import TENANT_USERS, Call, Server, empty, route, search
from sandbox.thingsboard.entities import SEVERITIES, Alarm, Comment, Json, ref
from sandbox.thingsboard.errors import bad_request, not_found

STATUSES = ("ANY", "ACTIVE", "CLEARED", "ACK", "UNACK")


def _keys(call: Call) -> dict[str, Callable[[Alarm], Any]]:
    return {
        "createdTime": lambda a: a.created,
        "startTs": lambda a: a.start,
        "endTs": lambda a: a.end,
        "ackTs": lambda a: a.ack,
        "clearTs": lambda a: a.clear,
        "assignTs": lambda a: a.assign,
        "type": lambda a: a.type,
        "severity": lambda a: SEVERITIES.index(a.severity),
        "status": lambda a: a.status,
        "originatorName": lambda a: call.world.alarm_info_json(a)["originatorName"],
    }


def _found(call: Call, originator: str | None) -> Json:
    call.number("pageSize")
    statuses = call.enums("statusList", STATUSES, "alarm.AlarmSearchStatus")
    severities = call.enums("severityList", SEVERITIES, "alarm.AlarmSeverity")
    types, text, assignee = call.words("typeList"), call.text("textSearch"), call.text("assigneeId")
    start, end = int(call.text("startTime", "0") or 0), int(call.text("endTime", "0") or 0)

    def wanted(alarm: Alarm) -> bool:
        customer_ok = call.user.authority == "TENANT_ADMIN" or alarm.customer == call.user.customer
        return (
            alarm.tenant == call.user.tenant
            and customer_ok
            and (originator is None or alarm.originator[1] == originator)
            and alarm.has_status(statuses)
            and (not severities or alarm.severity in severities)
            and (not types or alarm.type in types)
            and (assignee is None or alarm.assignee == assignee)
            and search(text, alarm.type)  # the device's name is not searched (measured)
            and alarm.created >= start
            and (not end or alarm.created <= end)
        )

    rows = call.ordered([a for a in call.world.alarms.values() if wanted(a)], _keys(call))
    return call.page(rows, call.world.alarm_info_json)


async def alarms(call: Call) -> Json:
    return _found(call, None)


async def alarms_of(call: Call) -> Json:
    return _found(call, call.device(call.uuid("entity")).id)


async def bare(call: Call) -> Json:
    return call.world.alarm_json(call.alarm())


async def info(call: Call) -> Json:
    return call.world.alarm_info_json(call.alarm())


async def acknowledge(call: Call) -> Json:
    alarm = call.alarm()
    call.server.engine.alarms.acknowledge(alarm, call.user)
    return call.world.alarm_info_json(alarm)


async def clear(call: Call) -> Json:
    alarm = call.alarm()
    call.server.engine.alarms.clear(alarm, call.user)
    return call.world.alarm_info_json(alarm)


async def assign(call: Call) -> Json:
    alarm, wanted = call.alarm(), call.uuid("user")
    assignee = call.world.users.get(wanted)
    if assignee is None:
        raise not_found(f"User with id [{wanted}] is not found")
    call.check(assignee.tenant)
    call.server.engine.alarms.assign(alarm, call.user, assignee)
    return call.world.alarm_info_json(alarm)


async def unassign(call: Call) -> Json:
    alarm = call.alarm()
    call.server.engine.alarms.unassign(alarm, call.user)
    return call.world.alarm_info_json(alarm)


async def delete(call: Call) -> bool:
    call.server.engine.alarms.delete(call.alarm(), call.user)
    return True


async def save(call: Call) -> Json:
    body = call.body
    if body["severity"] not in SEVERITIES:
        raise ValueError(f"not one of the values accepted for Enum class: {list(SEVERITIES)}")
    book = call.server.engine.alarms
    if body.get("id"):
        alarm = call.world.alarm(body["id"]["id"])
        call.check(alarm.tenant, alarm.customer)
        book.update(alarm, body, call.user)
    else:
        alarm = book.create(body, call.device(body["originator"]["id"]), call.user)
    return call.world.alarm_json(alarm)


async def types(call: Call) -> Json:
    text = call.text("textSearch")
    mine = {a.type for a in call.world.alarms.values() if a.tenant == call.user.tenant and search(text, a.type)}

    def show(name: str) -> Json:
        return {"tenantId": ref("TENANT", call.user.tenant), "entityType": "ALARM", "type": name}

    return call.page(sorted(mine), show)


async def highest_severity(call: Call) -> Any:
    device = call.device(call.uuid("entity"))
    statuses = call.enums("searchStatus", STATUSES, "alarm.AlarmSearchStatus")
    found = [a.severity for a in call.world.alarms.values() if a.originator[1] == device.id and a.has_status(statuses)]
    return min(found, key=SEVERITIES.index) if found else empty()


def _comment(call: Call, alarm: Alarm, comment_id: str) -> Comment:
    comment = call.world.comments.get(comment_id)
    if comment is None or comment.alarm != alarm.id:
        raise not_found(f"Alarm comment with id [{comment_id}] is not found")
    return comment


async def comments(call: Call) -> Json:
    alarm = call.alarm()
    mine = [c for c in call.world.comments.values() if c.alarm == alarm.id]

    def show(comment: Comment) -> Json:
        user = call.world.users.get(comment.user or "")
        names = user.assignee_json() if user else {"firstName": None, "lastName": None, "email": None}
        shown = call.world.comment_json(comment)
        order = ("id", "createdTime", "alarmId", "userId", "type", "comment")
        row = {key: shown[key] for key in order}
        return row | {k: names[k] for k in ("firstName", "lastName", "email")} | {"name": shown["name"]}

    newest_first = sorted(mine, key=lambda c: c.created, reverse=True)
    return call.page(newest_first, show)


async def save_comment(call: Call) -> Json:
    alarm, body, book = call.alarm(), call.body["comment"], call.server.engine.alarms
    if not isinstance(body, dict):
        raise TypeError("comment")
    if call.body.get("id"):
        comment = _comment(call, alarm, call.body["id"]["id"])
        if comment.kind == "SYSTEM":
            raise bad_request("System alarm comment can't be updated!")
        book.edit_comment(alarm, comment, call.user, body)
    else:
        comment = book.comment(alarm, call.user, body)
    return call.world.comment_json(comment)


async def delete_comment(call: Call) -> Response:
    alarm = call.alarm()
    call.server.engine.alarms.delete_comment(_comment(call, alarm, call.uuid("comment")), call.user)
    return empty()


def routes(server: Server) -> list[Route]:
    listed = [
        ("GET", "/api/v2/alarms", alarms),
        ("GET", "/api/v2/alarm/{kind}/{entity}", alarms_of),
        ("POST", "/api/alarm", save),
        ("GET", "/api/alarm/types", types),
        ("GET", "/api/alarm/highestSeverity/{kind}/{entity}", highest_severity),
        ("GET", "/api/alarm/info/{alarm}", info),
        ("GET", "/api/alarm/{alarm}", bare),
        ("DELETE", "/api/alarm/{alarm}", delete),
        ("POST", "/api/alarm/{alarm}/ack", acknowledge),
        ("POST", "/api/alarm/{alarm}/clear", clear),
        ("POST", "/api/alarm/{alarm}/assign/{user}", assign),
        ("DELETE", "/api/alarm/{alarm}/assign", unassign),
        ("GET", "/api/alarm/{alarm}/comment", comments),
        ("POST", "/api/alarm/{alarm}/comment", save_comment),
        ("DELETE", "/api/alarm/{alarm}/comment/{comment}", delete_comment),
    ]
    return [route(server, method, path, endpoint, TENANT_USERS) for method, path, endpoint in listed]
