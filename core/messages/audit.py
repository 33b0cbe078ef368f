"""The private answer to `/cdm audit`: what people and the bot did lately, and whether the log of it holds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from core.audit import Entry
from core.audit_view import Act, concerns
from core.messages.blocks import Message, compose, context, section
from core.messages.text import at, literal, mono

PER_SECTION = 5
_SHOWN_ELSEWHERE = ("name", "tenant", "tenants")


@dataclass(frozen=True, slots=True)
class AuditView:
    """`acts` newest first; `asked` is the filter as typed. `looked_at` entries were looked at, there are `more`; their
    chain holds up to entry `last`, or is `broken`. `names` are user names by subject. `tenants` are those whose entries
    are shown, None for all."""

    acts: Sequence[Act]
    asked: str
    looked_at: int
    more: bool
    last: int
    broken: str | None
    names: Mapping[str, str]
    tenants: Sequence[str] | None


def audit_message(view: AuditView) -> Message:
    if view.broken is None:
        head = f"✅ HOLDS · the audit log: its newest {view.looked_at:,} entries, up to #{view.last:,}"
    else:
        head = f"🔴 BROKEN · the audit log: {literal(view.broken, 300)}"
    lines = [_line(act, view.names) for act in view.acts]
    asked = f" for {mono(view.asked, 100)}" if view.asked else ""
    blocks = [section("\n".join(lines[n : n + PER_SECTION])) for n in range(0, len(lines), PER_SECTION)]
    if not lines:
        blocks = [section(f"No entry that you may see{asked}.")]
    notes = [f"Newest first{asked}."]
    if view.tenants is not None:
        where = ", ".join(literal(tenant, 60) for tenant in view.tenants) or "no tenant"
        notes.append(f"Only what concerns tenants where you are an admin: {where}.")
    if view.more:
        notes.append("Older entries: `cdm audit show` on the bot's machine; the whole chain: `cdm audit verify`.")
    if view.broken is not None:
        notes.append("Keep the store's files as they are, and run `cdm audit verify` on the bot's machine.")
    return compose(head, section(head), *blocks, context(*notes))


def _line(act: Act, names: Mapping[str, str]) -> str:
    entry = act.entry
    name = entry.data.get("name") or names.get(entry.actor) or entry.actor
    on = f" on {mono(entry.object, 120)}" if entry.object else ""
    where = f" · {literal(', '.join(sorted(concerns(entry))), 120)}" if concerns(entry) else ""
    who = f"*{literal(str(name), 80)}* · {literal(entry.action, 80)}"
    said = f"• {at(datetime.fromisoformat(entry.at))} · {who}{on}{where}"
    return f"{said}{_rest(entry, 140)}{_outcome(act)} (#{entry.seq})"


def _outcome(act: Act) -> str:
    if act.entry.kind != "intent":
        return ""
    if act.outcome is None:
        return " → no outcome yet"
    return f" →{_rest(act.outcome, 140).removeprefix(' ·') or ' done'}"


def _rest(entry: Entry, limit: int) -> str:
    """What else the entry says, as "name value" pairs."""
    rest = {key: value for key, value in entry.data.items() if key not in _SHOWN_ELSEWHERE}
    said = ", ".join(f"{key} {v if isinstance(v, str) else json.dumps(v)}" for key, v in rest.items())
    return f" · {literal(said, limit)}" if said else ""
