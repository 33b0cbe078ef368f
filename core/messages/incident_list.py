"""Open incidents in a list, for `/cdm alarms`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from core.ids import Tenant
from core.incidents import Incident, Phase
from core.messages.blocks import Message, compose, context, section
from core.messages.states import SEVERITIES, look_of
from core.messages.text import ago, at, count, literal, mono

SHOWN = 30


def incident_list_message(incidents: Sequence[Incident], tenants: Iterable[Tenant]) -> Message:
    where = ", ".join(literal(t, 60) for t in sorted(tenants))
    if not incidents:
        head = f"✅ *No open incidents* in {where}."
        return compose(head, section(head))
    head = f"*{count(len(incidents), 'open incident')}* in {where}\n{_numbers(incidents)}"
    lines = [incident_line(one) for one in incidents[:SHOWN]]
    blocks = [section(head), *(section("\n".join(lines[at : at + 10])) for at in range(0, len(lines), 10))]
    if len(incidents) > SHOWN:
        blocks.append(context(f"and {len(incidents) - SHOWN} more"))
    return compose(head, *blocks)


def incident_line(one: Incident) -> str:
    """One incident in a line: its state, what, how many devices, where, since when."""
    devices = len({member.originator_id for member in one.active})
    which = mono(one.newest.shown_as, 80) if devices <= 1 else count(devices, "device")
    opened = datetime.fromtimestamp(one.opened_ms / 1000, UTC)
    thing = look_of(one).over(f"*{literal(one.type, 80)}* on {which}")
    return f"{thing} · {literal(one.tenant, 60)} · {at(opened)} ({ago(opened)}) {mono(one.id, 40)}"


def _numbers(incidents: Sequence[Incident]) -> str:
    """How many of each severity, worst first, and how many somebody looks at."""
    severities = Counter(one.severity for one in incidents)
    shown = [f"{severities[severity]} {look.word}" for severity, look in SEVERITIES.items() if severities[severity]]
    known = sum(one.phase is Phase.ACKNOWLEDGED for one in incidents)
    return " · ".join([*shown, f"{known} of them acknowledged"] if known else shown)
