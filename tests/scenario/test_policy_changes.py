"""Changed policies are told once, by whichever process starts with them, and written down."""

from __future__ import annotations

from dataclasses import replace

from core.ids import Channel, Stack
from core.rollouts.policies import Policies, PolicyRule
from core.rollouts.policy import PromotionPolicy
from flows.policy_changes import PolicyChanges
from integrations.store.audit import AuditLog
from integrations.store.connection import Store
from integrations.store.leases import Leases
from integrations.store.outbox import Outbox, OutboxRows
from tests.conftest import ManualClock

DEFAULT = PromotionPolicy()
CAREFUL = PolicyRule(replace(DEFAULT, name="careful", soak_s=60), ("fw-*",))


async def start(store: Store, clock: ManualClock, policies: Policies) -> None:
    """A process with these settings, which ticks a while."""
    changes = PolicyChanges(
        policies={Stack("eu1"): policies},
        store=store,
        audit=AuditLog(store, clock),
        outbox=Outbox(store, clock),
        leases=Leases(store, clock),
        clock=clock,
        channel=Channel("C0ADMINS"),
    )
    for _ in range(3):
        await changes.tick()
        await clock.forward(60)


async def told(store: Store, clock: ManualClock) -> list[str]:
    return [
        job.wanted.message.text for job in await OutboxRows(store).due(Channel("C0ADMINS"), clock.now().timestamp())
    ]


async def test_the_first_start_and_one_without_a_change_tell_nothing(store: Store, clock: ManualClock) -> None:
    for _ in range(2):
        await start(store, clock, Policies(DEFAULT, [CAREFUL]))
    assert await told(store, clock) == []


async def test_each_change_is_told_once_and_audited(store: Store, clock: ManualClock) -> None:
    await start(store, clock, Policies(DEFAULT, [CAREFUL]))
    looser = Policies(replace(DEFAULT, threshold_pct=50), [])
    for _ in range(2):
        await start(store, clock, looser)
    (text,) = await told(store, clock)
    assert "New or changed: `eu1/default`, `eu1/rollback`." in text
    assert "Gone: `eu1/careful`." in text
    entries = [e for e in await AuditLog(store, clock).latest(10) if e.action == "policies_changed"]
    assert [dict(e.data)["gone"] for e in entries] == [["eu1/careful"]]
    await start(store, clock, Policies(DEFAULT, [CAREFUL]))
    assert len(await told(store, clock)) == 2
