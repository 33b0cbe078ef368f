"""How the audit log reads in Slack."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core.audit import Entry
from core.audit_view import Act
from core.messages.audit import AuditView, audit_message
from tests.unit.core.test_messages import assert_fits


def entry(seq: int, kind: str, action: str = "acknowledge", actor: str = "sub-bob", **data: Any) -> Entry:
    return Entry(seq, "2026-11-24T03:00:00+00:00", kind, actor, action, "incident:i1", "", data, "", "")


VIEW = AuditView(
    acts=[
        Act(entry(9, "note", "refused:stop", "sub-carol", reason="role_missing"), None),
        Act(entry(7, "intent", tenant="customer-a"), entry(8, "outcome", done=2, failed={})),
        Act(entry(6, "intent", "promote", "scheduler"), None),
    ],
    asked="",
    looked_at=9,
    more=False,
    last=9,
    broken=None,
    names={"sub-bob": "bob"},
    tenants=None,
)


def test_each_act_says_who_what_on_what_where_and_what_became_of_it() -> None:
    message = audit_message(VIEW)
    assert message.text.startswith("✅ HOLDS · the audit log: its newest 9 entries, up to #9")
    assert "*bob* · acknowledge on `incident:i1` · customer-a → done 2, failed {} (#7)" in message.text
    assert "*sub-carol* · refused:stop on `incident:i1` · reason role" in message.text
    assert "*scheduler* · promote on `incident:i1` → no outcome yet (#6)" in message.text
    assert_fits(message)


def test_a_log_that_does_not_hold_says_so_first() -> None:
    message = audit_message(replace(VIEW, broken="entry 4 was changed after it was written"))
    assert message.text.startswith("🔴 BROKEN · the audit log: entry 4 was changed after it was written")
    assert "cdm audit verify" in message.text


def test_it_says_whose_entries_are_shown_and_where_older_ones_are() -> None:
    message = audit_message(replace(VIEW, acts=[], asked="person bob", more=True, tenants=["customer-a"]))
    assert "No entry that you may see for `person bob`" in message.text
    assert "tenants where you are an admin: customer-a" in message.text
    assert "cdm audit show" in message.text


def test_whatever_stands_in_the_log_fits_and_is_only_text() -> None:
    foul = "<!channel> *x* `y` " * 200
    acts = [Act(entry(n, "intent", foul, foul, name=foul, tenants=[foul], why=foul), None) for n in range(30)]
    message = audit_message(replace(VIEW, acts=acts, broken=foul, asked=foul, tenants=[foul] * 40))
    assert_fits(message)
    assert "<!channel>" not in message.text
