"""Open incidents in a list, for `/cdm alarms`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from core.ids import Tenant
from core.incidents import Incident, Phase
from core.messages.blocks import Message, compose, context, section
from core.messages.text import ago, literal, mono

SHOWN = 30


def incident_list_message(incidents: Sequence[Incident], tenants: Iterable[Tenant]) -> Message:
    where = ", ".join(literal(t, 60) for t in sorted(tenants))
    if not incidents:
        return compose(f"No open incidents in {where}.", section(f":white_check_mark: No open incidents in {where}."))
    lines = []
    for one in incidents[:SHOWN]:
        devices = len({member.originator_id for member in one.active})
        which = literal(one.newest.shown_as, 80) if devices <= 1 else f"{devices} devices"
        known = " (acknowledged)" if one.phase is Phase.ACKNOWLEDGED else ""
        opened = datetime.fromtimestamp(one.opened_ms / 1000, UTC)
        lines.append(
            f"*{one.severity.name.capitalize()}* {literal(one.type, 80)} on {which}, {literal(one.tenant, 60)}, "
            f"{ago(opened)}{known} {mono(one.id, 40)}"
        )
    count = "1 open incident" if len(incidents) == 1 else f"{len(incidents)} open incidents"
    head = f"{count} in {where}"
    blocks = [section(f"{head}:"), *(section("\n".join(lines[at : at + 10])) for at in range(0, len(lines), 10))]
    if len(incidents) > SHOWN:
        blocks.append(context(f"and {len(incidents) - SHOWN} more"))
    return compose(head, *blocks)
