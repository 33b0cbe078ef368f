"""The commands beside a bot at work: what it has written is known by family, and its audit log holds."""

from __future__ import annotations

import asyncio
import time

import pytest
from typer.testing import CliRunner

from bot import logs
from bot.commands import audit, doctor
from bot.store_survey import ALL_FAMILIES, family_of
from integrations.store.connection import Store, connect
from sandbox.bot_process import BotProcess
from sandbox.cast import TENANTS
from sandbox.world import SandboxWorld

WRITTEN = {
    *("schema", "leases", "fences", "replicas", "audit", "seen requests", "links", "yes", "reconciliation", "keycloak"),
    *("alarms", "alarms, active", "incidents", "incidents, open", "rollouts", "rollout evidence", "rollouts tracked"),
    *("outbox, wanted", "outbox, rows", "outbox, lanes", "budgets"),
}
"""What a bot that was linked with somebody, heard an alarm, ran a runbook and watches a rollout has written."""


async def work_a_little(world: SandboxWorld) -> None:
    """Linking, a failed update with its alarm, a runbook, and a rollout that is being watched."""
    await world.login("U0BOB", "bob")
    world.device("a-gw-001").fate = "fails"
    rollout = await world.pipeline.release("1.1.0", query="controllerId==a-*", groups=(50, 50))
    await world.pipeline.order(rollout, "start")
    before = {said.ts for said in await world.people.ephemerals("U0BOB")}
    await world.people.slash("U0BOB", TENANTS[0].channel, "/cdm", "run rauc-status a-gw-002")
    await world.people.slash("U0BOB", TENANTS[0].channel, "/cdm", "alarms")
    await world.people.wait_for_ephemeral("U0BOB", lambda said: said.ts not in before)


async def written(store: Store) -> set[str]:
    """The families that have a key now; a key of none fails the test."""
    found = {key.decode(): family_of(key.decode(), ALL_FAMILIES) for key in await store.keys("*")}
    assert [key for key, family in found.items() if family is None] == []
    return {family.name for family in found.values() if family is not None}


async def test_every_key_of_a_bot_at_work_has_a_family_and_its_audit_log_holds(
    world: SandboxWorld, bot: BotProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "configure", lambda **_: None)
    await work_a_little(world)
    store = connect(f"unix://{world.directory / 'data' / 'store' / 'store.sock'}")
    seen: set[str] = set()
    deadline = time.monotonic() + 20
    while not seen >= WRITTEN:
        seen |= await written(store)
        assert time.monotonic() < deadline, f"not written: {sorted(WRITTEN - seen)}"
        await asyncio.sleep(0.05)
    await store.aclose()

    words = ["--config", str(world.config)]
    told = await asyncio.to_thread(lambda: CliRunner().invoke(doctor.app, words))
    assert told.exit_code == 0, told.output
    assert "fsync always" in told.stdout
    checked = await asyncio.to_thread(lambda: CliRunner().invoke(audit.app, ["verify", *words]))
    assert checked.exit_code == 0, checked.output
    shown = await asyncio.to_thread(lambda: CliRunner().invoke(audit.app, ["show", *words]))
    assert "run:rauc-status" in shown.stdout
    assert bot.alive
