"""What of the store survives in a backup, and what is in one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from bot.store_survey import ALL_FAMILIES, family_of
from core.audit import Keyring
from integrations.clock import SystemClock
from integrations.store.audit import HEAD, AuditLog
from integrations.store.connection import Store

KEPT = frozenset(
    {
        *("schema", "fences", "audit", "links", "links turn", "reconciliation", "keycloak", "policies"),
        *("intake", "intake failures", "intake, unreadable", "work, failed"),
        *("alarms", "alarms, active", "alarms to read again", "incidents", "incidents, open", "incidents of a tenant"),
        *("incidents of a device", "last incident of a device and type", "lately opened", "device lists to upload"),
        *("updates to ask about", "updates told of", "previous sets", "releases being made", "approvals"),
        *("rollouts", "rollout evidence", "rollouts tracked", "rollout decisions", "rollout curves"),
        *("outbox, wanted", "outbox, rows", "outbox, files", "outbox, due", "outbox, pending", "outbox, lanes"),
        "outbox, dead",
    }
)
LEFT_OUT: Mapping[str, str] = {
    "leases": "whoever held them is gone",
    "approvals, live": "what was agreed to then must not be carried out now; an open request can still be decided",
    "reboots under way": "nor may a device be rebooted by an order of then",
    "release drafts": "what a release would have reached then must not be made now without another look",
    "replicas": "whoever they were is gone too",
    "work": "clicks and commands of then: carried out since, or no longer wanted",
    "seen requests": "they only fend off twins of those",
    "linking": "a login of then must not be completed now",
    "link codes": "nor by its code",
    "link tries": "they only guard those codes",
    "link grants": "nor by a login that Keycloak was asked about then",
    "link grants, due": "they only say when to ask",
    "yes": "a yes of then must not open anything now",
    "outbox, private": "answers to people who are waiting no more",
    "homes": "who looked at their Home tab then does so no more",
    "homes, resting": "so does this",
    "budgets": "what Slack allowed at that minute",
}
"""The families that no backup holds, and why. Every family is in one of the two (a test sees to it)."""

_BATCH = 500


async def leave_out(store: Store) -> None:
    """Delete what must not survive: those families, and keys that are not the bot's."""
    doomed: list[bytes] = []
    async for key in store.scan_iter(match="*", count=_BATCH):
        family = family_of(key.decode(errors="replace"), ALL_FAMILIES)
        if family is None or family.name in LEFT_OUT:
            doomed.append(key)
    for at in range(0, len(doomed), _BATCH):
        await store.unlink(*doomed[at : at + _BATCH])


async def counted(store: Store) -> dict[str, int]:
    """How many keys there are of each family."""
    found: Counter[str] = Counter()
    for key in {key async for key in store.scan_iter(match="cdm:*", count=_BATCH)}:  # SCAN may give a key twice
        family = family_of(key.decode(errors="replace"), ALL_FAMILIES)
        found[family.name if family else "of no family"] += 1
    return dict(sorted(found.items()))


async def audit_head(store: Store) -> str:
    """ "<number> <hash>" of the newest entry, "" where there is none."""
    return (await store.get(HEAD) or b"").decode()


async def audit_trouble(store: Store, keys: Keyring) -> str | None:
    """Why the audit chain does not hold, if it does not."""
    _, broken = await AuditLog(store, SystemClock(), keys).verify()
    return broken
