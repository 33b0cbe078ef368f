"""An incident as its one message says it: from raised to cleared, for one device or for many."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import UTC, datetime

from core.alarms.facts import Severity
from core.alarms.parse import Comment
from core.ids import Stack, Tenant
from core.incidents import Incident, Member, Phase
from core.messages.blocks import Block, Button, Confirm, Message, actions, compose, context, fields, section
from core.messages.text import ago, at, literal, mono, preformatted, utc
from core.messages.text import links as text_links

LISTED = 20
"""So many devices of a group stand in its message; all of them are in the file."""

_SEVERITY = {
    Severity.CRITICAL: ":red_circle:",
    Severity.MAJOR: ":large_orange_circle:",
    Severity.MINOR: ":large_yellow_circle:",
    Severity.WARNING: ":large_blue_circle:",
    Severity.INDETERMINATE: ":white_circle:",
}
_PHASE = {
    Phase.OPEN: ":rotating_light: open",
    Phase.ACKNOWLEDGED: ":eyes: acknowledged",
    Phase.CLEARED: ":white_check_mark: cleared",
}


def incident_message(incident: Incident, links: Mapping[str, str]) -> Message:
    """`links` are label -> URL template from the settings, with {device}, {tenant}, {stack}, {alarm}, {originator}."""
    if incident.part_of is not None:
        return _pointer(incident)
    return _grouped(incident, links) if incident.grouped else _single(incident, links)


def unreadable_message(stack: Stack, tenant: Tenant, why: str, body: bytes, received_at: datetime) -> Message:
    """An alarm that was accepted but could not be processed: its text is shown, so that a person can."""
    head = f":warning: *Unreadable alarm* of {literal(tenant, 80)} on {literal(stack, 80)}"
    return compose(
        head,
        section(f"{head}\nIt came in at {at(received_at)} and could not be processed: {literal(why, 300)}."),
        section(preformatted(body.decode(errors="replace"), 1_500) or "(empty)"),
        context("It is kept among the dead letters. Look at the alarm in ThingsBoard itself."),
    )


def away_message(stack: Stack, tenant: Tenant, since: datetime, why: str, back_at: datetime | None) -> Message:
    """ThingsBoard does not answer our reads, or does again."""
    name = f"ThingsBoard of {literal(tenant, 80)} on {literal(stack, 80)}"
    if back_at is not None:
        head = f":white_check_mark: {name} answers again"
        return compose(
            head, section(f"{head}\nIt was away from {at(since)} to {at(back_at)}. Missed alarms are read now.")
        )
    head = f":warning: {name} does not answer"
    return compose(
        head,
        section(f"{head}\nSince {at(since)}: {literal(why, 300)}"),
        context("Webhooks are still accepted. Alarms whose webhook is lost meanwhile are found when it answers again."),
    )


def comment_message(comment: Comment, actor: str | None) -> Message:
    """A person's remark in ThingsBoard, for the incident's thread."""
    who = literal(actor or "Somebody", 80)
    return compose(f":speech_balloon: {who} in ThingsBoard: {literal(comment.text, 2_000)}")


def devices_file(incident: Incident) -> bytes:
    """Every device of the incident, one line each, as CSV in UTF-8. No cell can start a formula."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["device", "label", "severity", "state", "raised", "acknowledged by", "details", "alarm id"])
    for member in _ordered(incident):
        raised = utc(_instant(member.created_ms))
        cells = [member.shown_as, member.label or "", member.severity.name, _state(member), raised]
        rows.writerow([_cell(c) for c in [*cells, member.acked_by or "", member.note, member.alarm_id]])
    return out.getvalue().encode()


def _single(incident: Incident, links: Mapping[str, str]) -> Message:
    member = incident.newest
    head = _head(incident, f"on {literal(member.shown_as, 120)}")
    rows = [
        ("Device", mono(member.shown_as, 140) + (f" {literal(_label(member), 80)}" if _label(member) else "")),
        ("Tenant", f"{literal(incident.tenant, 80)} on {literal(incident.stack, 80)}"),
        ("Severity", _severity(incident.severity)),
        ("State", _state_line(incident, member)),
        ("Raised", f"{at(_instant(member.created_ms))} ({ago(_instant(member.created_ms))})"),
    ]
    if member.assignee:
        rows.append(("Assigned to", literal(member.assignee, 80)))
    blocks = [section(head), fields(*rows)]
    if member.note:
        blocks.append(section(f"*Details*\n{literal(member.note, 800)}"))
    notes = [*_history(incident, member), *_links(incident, member, links), mono(incident.id, 40)]
    return compose(head, *blocks, context(*notes), _buttons(incident))


def _grouped(incident: Incident, links: Mapping[str, str]) -> Message:
    ordered = _ordered(incident)
    devices = len({member.originator_id for member in ordered})
    head = _head(incident, f"on {devices} devices")
    active = incident.active
    failing = len({member.originator_id for member in active})
    acknowledged = [member for member in active if member.acknowledged]
    people = sorted({member.acked_by for member in acknowledged if member.acked_by})
    rows = [
        ("Devices", f"{devices}: {failing} failing, {devices - failing} over"),
        ("Tenant", f"{literal(incident.tenant, 80)} on {literal(incident.stack, 80)}"),
        ("Severity", _severity(incident.severity)),
        ("State", _PHASE[incident.phase] + (f" ({len(acknowledged)} of {len(active)})" if acknowledged else "")),
        ("First heard", at(_instant(incident.opened_ms))),
        ("Last heard", at(_instant(incident.joined_ms))),
    ]
    if people:
        rows.append(("Acknowledged by", ", ".join(literal(name, 80) for name in people[:5])))
    shown = "\n".join(
        f"{_SEVERITY[m.severity]} {mono(m.shown_as, 60)} {_state(m)}" + (f": {literal(m.note, 60)}" if m.note else "")
        for m in ordered[:LISTED]
    )
    blocks = [section(head), fields(*rows), section(shown)]
    if len(ordered) > LISTED:
        blocks.append(section(f"and {len(ordered) - LISTED} more; {_in_file(incident)}"))
    notes = [*_history(incident, None), *_links(incident, None, links), mono(incident.id, 40)]
    return compose(head, *blocks, context(*notes), _buttons(incident))


def _in_file(incident: Incident) -> str:
    if incident.filed >= len(incident.members):
        return "all of them are in the file in the thread"
    known = f"the file in the thread has {incident.filed} of them, a newer one" if incident.filed else "a file"
    return f"{known} with all {len(incident.members)} follows in the thread"


def _pointer(incident: Incident) -> Message:
    name = literal(incident.newest.shown_as, 120)
    head = f":link: {literal(incident.type, 120)} on {name} is part of {mono(incident.part_of or '', 40)}"
    return compose(head, section(f"{head}\nMore devices raised the same alarm; that message shows all of them."))


def _head(incident: Incident, where: str) -> str:
    name = f"*{literal(incident.type, 150)}* {where}"
    if incident.phase is Phase.CLEARED:
        return f":white_check_mark: {name}: cleared"
    return f"{_severity(incident.severity)}: {name}"


def _buttons(incident: Incident) -> Block:
    """What can be done now. Each button acts on the incident's id; who may is asked at the click."""
    rows = []
    if incident.phase is Phase.OPEN:
        rows.append(Button("acknowledge", "Acknowledge", incident.id, style="primary"))
    if incident.phase is not Phase.CLEARED:
        rows.append(Button("clear", "Clear", incident.id))
    if not incident.grouped and incident.newest.device is not None:
        rows.append(Button("run:journal", "Logs", incident.id))
        rows.append(Button("run:rauc-status", "RAUC status", incident.id))
        if incident.phase is not Phase.CLEARED:
            rows.append(Button("redeploy", "Redeploy", incident.id, style="danger", confirm=_redeploy(incident)))
    return actions(*rows)


def _redeploy(incident: Incident) -> Confirm:
    where = incident.newest.shown_as
    does = f"hawkBit offers the assigned version to {where} once more. The device installs it and reboots."
    return Confirm("Redeploy?", does, "Redeploy")


def _state_line(incident: Incident, member: Member) -> str:
    line = _PHASE[incident.phase]
    if member.deleted:
        return f"{line} (deleted in ThingsBoard)"
    if member.cleared:
        by = f" by {literal(member.cleared_by, 80)}" if member.cleared_by else ""
        return f"{line}{by}" + (f" {at(_instant(member.clear_ms))}" if member.clear_ms else "")
    if member.acknowledged:
        by = f" by {literal(member.acked_by, 80)}" if member.acked_by else ""
        return f"{line}{by}" + (f" {at(_instant(member.ack_ms))}" if member.ack_ms else "")
    return line


def _state(member: Member) -> str:
    if member.deleted:
        return "deleted"
    if member.cleared:
        return "cleared"
    return "acknowledged" if member.acknowledged else "active"


def _history(incident: Incident, member: Member | None) -> list[str]:
    found = []
    if incident.repeats:
        found.append(f"came back {incident.repeats} {'time' if incident.repeats == 1 else 'times'}")
    late = [m for m in ([member] if member else incident.members.values()) if m.found_after_ms >= 60_000]
    if late:
        minutes = max(m.found_after_ms for m in late) // 60_000
        which = "" if member else f"{len(late)} "
        found.append(f"{which}found by reconciliation, {minutes} min old")
    return found


def _links(incident: Incident, member: Member | None, links: Mapping[str, str]) -> list[str]:
    values = {"tenant": incident.tenant, "stack": incident.stack}
    if member is not None:
        values |= {"alarm": member.alarm_id, "originator": member.originator_id}
        if member.device is not None:
            values["device"] = member.device
    return text_links(links, values)


def _ordered(incident: Incident) -> list[Member]:
    return sorted(incident.members.values(), key=lambda m: (not m.active, -m.severity, m.shown_as, m.alarm_id))


def _severity(severity: Severity) -> str:
    """The severity with its sign: never told by colour alone."""
    return f"{_SEVERITY[severity]} {severity.name}"


def _label(member: Member) -> str:
    """The originator's label, where it says more than its name."""
    return member.label if member.label and member.label != member.shown_as else ""


def _instant(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _cell(text: str) -> str:
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
