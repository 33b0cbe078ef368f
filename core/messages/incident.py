"""An incident as its one message says it: from raised to cleared, for one device or for many."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from core.alarms.parse import Comment
from core.ids import Stack, Tenant
from core.incidents import Incident, Member, Phase
from core.messages.blocks import Block, Button, Confirm, Message, actions, compose, context, section
from core.messages.fold import folded
from core.messages.states import NOTICES, PHASES, SEVERITIES, Notice, look_of
from core.messages.text import ago, at, count, literal, mono, plain, preformatted, utc
from core.messages.text import links as text_links
from core.ota import UpdateStory

LISTED = 20
"""With more alarms, each of them stands with its details in a file in the thread."""
_NAMES = 1_300
"""For the folded names of a group, all states together: 20 long ones fit, and of more, each stands in the file."""
_NOTES = 3


def incident_message(incident: Incident, links: Mapping[str, str]) -> Message:
    """`links` are label -> URL template from the settings, with {device}, {tenant}, {stack}, {alarm}, {originator}."""
    if incident.part_of is not None:
        return _pointer(incident)
    return _grouped(incident, links) if incident.grouped else _single(incident, links)


def unreadable_message(stack: Stack, tenant: Tenant, why: str, body: bytes, received_at: datetime) -> Message:
    """An alarm that was accepted but could not be processed: its text is shown, so that a person can."""
    head = NOTICES[Notice.UNREADABLE].over(f"{literal(tenant, 80)} on {literal(stack, 80)}")
    what = f"{head}\nIt came in {at(received_at)} and could not be processed: {literal(why, 300)}."
    return compose(
        what,
        section(what),
        section(preformatted(body.decode(errors="replace"), 1_500) or "(empty)"),
        context("It is kept among the dead letters. Look at the alarm in ThingsBoard itself."),
    )


def away_message(stack: Stack, tenant: Tenant, since: datetime, why: str, back_at: datetime | None) -> Message:
    """ThingsBoard does not answer our reads, or does again."""
    name = f"*ThingsBoard* of {literal(tenant, 80)} on {literal(stack, 80)}"
    if back_at is not None:
        head = NOTICES[Notice.BACK].over(f"{name} answers again")
        what = f"{head}\nIt was away from {at(since)} to {at(back_at)}. Missed alarms are read now."
        return compose(what, section(what))
    head = NOTICES[Notice.AWAY].over(f"{name} does not answer")
    what = f"{head}\nSince {at(since)} ({ago(since)}): {literal(why, 300)}"
    return compose(
        what,
        section(what),
        context("Webhooks are still accepted. Alarms whose webhook is lost meanwhile are found when it answers again."),
    )


def comment_message(comment: Comment, actor: str | None) -> Message:
    """A person's remark in ThingsBoard, for the incident's thread."""
    who = literal(actor or "Somebody", 80)
    return compose(f"💬 *{who}* in ThingsBoard: {literal(comment.text, 2_000)}")


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
    label = f" ({literal(member.label, 80)})" if member.label and member.label != member.shown_as else ""
    head = _head(incident, f"on {mono(member.shown_as, 140)}{label}")
    what = f"{head}\n{' · '.join(_since(incident, member))}"
    blocks = [section(what)]
    if member.note:
        blocks.append(section(f"*Details* {literal(member.note, 800)}"))
    if incident.update is not None:
        blocks.append(section("\n".join(_update(incident.update))))
    notes = [f"assigned to {literal(member.assignee, 80)}"] if member.assignee else []
    notes += [*_history(incident, member), *_links(incident, member, links), mono(incident.id, 40)]
    return compose(what, *blocks, context(*notes), _buttons(incident))


def _update(story: UpdateStory) -> list[str]:
    """Which update failed and what the device said about it, or why that is not known yet."""
    if story.problem:
        return [f"*Update* not known yet: {literal(story.problem, 200)} It is asked about again each minute."]
    of = f"rollout *{literal(story.rollout, 120)}*" if story.rollout else "assigned to this device alone"
    if story.rollout and story.group:
        of += f", group {story.group} of {story.groups} ({literal(story.group_name, 40)})"
    past = [f"{mono(one.set_name, 80)} {literal(one.status, 30)} (of {_at(one.created_ms)})" for one in story.actions]
    said = literal(story.last_error, 320) if story.last_error else "nothing of why (no LastError line)"
    return [f"*Update* {of}", f"*Its actions* {', '.join(past)}", f"*The device says* {said}"]


def _at(ms: int) -> str:
    return at(_instant(ms))


def _since(incident: Incident, member: Member) -> list[str]:
    """How long it goes on, and who did what about it."""
    raised = at(_instant(member.created_ms))
    if incident.phase is Phase.CLEARED:
        if member.deleted:
            end = "deleted in ThingsBoard"
        else:
            end = "cleared" + _by(member.cleared_by) + (f" {at(_instant(member.clear_ms))}" if member.clear_ms else "")
        return [f"*{end}*", _where(incident), f"was {incident.severity.name}, raised {raised}"]
    active = f"*active since {raised}* ({ago(_instant(member.created_ms))})"
    if incident.phase is Phase.ACKNOWLEDGED:
        done = "acknowledged" + _by(member.acked_by) + (f" {at(_instant(member.ack_ms))}" if member.ack_ms else "")
        return [active, _where(incident), str(SEVERITIES[incident.severity]), done]
    return [active, _where(incident)]


def _grouped(incident: Incident, links: Mapping[str, str]) -> Message:
    devices = _devices(incident.members.values())
    head = _head(incident, f"on {count(devices, 'device')}")
    what = f"{head}\n{' · '.join(_numbers(incident, devices))}"
    blocks = [section(what), section("\n".join(_by_state(incident)))]
    if said := _said(incident.active or tuple(incident.members.values())):
        blocks.append(section("*What the alarms say*\n" + "\n".join(said)))
    heard = f"first heard {at(_instant(incident.opened_ms))}, last {at(_instant(incident.joined_ms))}"
    notes = [heard, *_history(incident, None), *_links(incident, None, links)]
    if len(incident.members) > LISTED:
        notes.append(_in_file(incident))
    return compose(what, *blocks, context(*notes, mono(incident.id, 40)), _buttons(incident))


def _numbers(incident: Incident, devices: int) -> list[str]:
    active = incident.active
    failing = _devices(active)
    over = devices - failing
    if not active:
        gone = _devices(member for member in incident.members.values() if member.deleted)
        ends = f"{devices - gone} cleared, {gone} deleted in ThingsBoard" if gone else "cleared"
        return [f"*all {count(devices, 'device')} over*: {ends}", _where(incident)]
    shown = [f"*{count(failing, 'device')} failing*" + (f", {over} over" if over else ""), _where(incident)]
    if incident.phase is Phase.ACKNOWLEDGED:
        shown.append(str(SEVERITIES[incident.severity]))
    known = [member for member in active if member.acknowledged]
    if known:
        people = sorted({member.acked_by for member in known if member.acked_by})
        by = f" by {', '.join(literal(name, 80) for name in people[:5])}" if people else ""
        whole = "all" if len(known) == len(active) else f"{len(known)} of {len(active)} alarms"
        shown.append(f"{whole} acknowledged{by}")
    return shown


def _by_state(incident: Incident) -> list[str]:
    """The devices' names by state, folded: those that fail and nobody looks at first."""
    names: dict[str, list[str]] = {}
    for member in _ordered(incident):
        names.setdefault(_heading(member), []).append(member.shown_as)
    room = _NAMES if len(incident.members) <= LISTED else _NAMES // len(names)
    return [f"{heading} ({len(set(these))}): {folded(these, room)}" for heading, these in names.items()]


def _heading(member: Member) -> str:
    if member.deleted:
        return "deleted in ThingsBoard"
    if member.cleared:
        return str(PHASES[Phase.CLEARED])
    return str(PHASES[Phase.ACKNOWLEDGED] if member.acknowledged else SEVERITIES[member.severity])


def _said(members: Iterable[Member]) -> list[str]:
    """What most alarms say in their details, with how many say it, whatever each device is called."""
    texts = Counter(member.note.replace(member.shown_as, "…") for member in members if member.note).most_common()
    lines = [f"• {literal(text, 150)} ({times})" for text, times in texts[:_NOTES]]
    return [*lines, f"and {count(len(texts) - _NOTES, 'other text')}"] if len(texts) > _NOTES else lines


def _in_file(incident: Incident) -> str:
    if incident.filed >= len(incident.members):
        return "each alarm with its details is in the file in the thread"
    known = f"the file in the thread has {incident.filed} alarms, a newer one" if incident.filed else "a file"
    return f"{known} with all {len(incident.members)} alarms follows in the thread"


def _pointer(incident: Incident) -> Message:
    thing = f"*{literal(incident.type, 120)}* on {mono(incident.newest.shown_as, 140)}"
    head = NOTICES[Notice.MERGED].over(f"{thing} is part of {mono(incident.part_of or '', 40)}")
    what = f"{head}\nMore devices raised the same alarm; that message shows all of them."
    return compose(what, section(what))


def _head(incident: Incident, where: str) -> str:
    return look_of(incident).over(f"*{literal(incident.type, 150)}* {where}")


def _where(incident: Incident) -> str:
    return f"{literal(incident.tenant, 80)} on {literal(incident.stack, 80)}"


def _buttons(incident: Incident) -> Block:
    """What can be done now. Each button acts on the incident's id; who may is asked at the click."""
    going, one = incident.phase is not Phase.CLEARED, not incident.grouped
    row, more = [], []
    if incident.phase is Phase.OPEN:
        left = sum(not member.acknowledged for member in incident.active)
        label = "Acknowledge" if one else f"Acknowledge {count(left, 'alarm')}"
        row.append(Button("acknowledge", label, incident.id, style="primary"))
    if one and incident.newest.device is not None:
        row += [Button("run:rauc-status", "RAUC status", incident.id), Button("run:journal", "Logs", incident.id)]
        if going:
            row.append(Button("redeploy", "Redeploy", incident.id, style="danger", confirm=_redeploy(incident)))
    if going and one:
        more.append(Button("clear", "Clear in ThingsBoard", incident.id))
    elif going:
        label = f"Clear {count(len(incident.active), 'alarm')}"
        row.append(Button("clear", label, incident.id, confirm=_clear(incident)))
    if one and incident.newest.device is not None:
        more.append(Button("run-form", "Run another runbook…", incident.id))
    return actions(*row, more=more)


def _redeploy(incident: Incident) -> Confirm:
    where = plain(incident.newest.shown_as, 60)
    does = (
        f"hawkBit assigns the set of its newest action to {where} again: this 1 device downloads it, installs it and "
        "reboots. Once the device has begun, that cannot be taken back."
    )
    return Confirm(f"Redeploy to {where}?", does, "Redeploy")


def _clear(incident: Incident) -> Confirm:
    alarms, devices = count(len(incident.active), "alarm"), count(_devices(incident.active), "device")
    does = (
        f"Ends {alarms} of {devices} in ThingsBoard. It repairs nothing: a device that still fails raises a new alarm. "
        "Cleared alarms cannot be opened again."
    )
    return Confirm(f"Clear {alarms}?", does, f"Clear {alarms}")


def _by(name: str | None) -> str:
    return f" by {literal(name, 80)}" if name else ""


def _devices(members: Iterable[Member]) -> int:
    return len({member.originator_id for member in members})


def _state(member: Member) -> str:
    if member.deleted:
        return "deleted"
    if member.cleared:
        return "cleared"
    return "acknowledged" if member.acknowledged else "active"


def _history(incident: Incident, member: Member | None) -> list[str]:
    found = []
    if incident.repeats:
        found.append(f"came back {count(incident.repeats, 'time')}")
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
    return sorted(
        incident.members.values(), key=lambda m: (not m.active, m.acknowledged, -m.severity, m.shown_as, m.alarm_id)
    )


def _instant(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _cell(text: str) -> str:
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
