"""Going on with the reboots that were ordered: each device is sent its reboot once. What is about to be sent is written
down first; after that only its boot id is looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta

import structlog

from core.errors import OutsideError
from core.ids import RolloutId, Stack
from core.messages.reboot import reboot_message
from core.messages.rollout import REBOOT
from core.rollouts.reboot import Reboot, Step, StepState
from core.rollouts.records import GroupEvidence, RolloutRecord
from core.rollouts.verify import to_reboot
from flows.rollouts.ledger import Ledger, object_of
from flows.rollouts.site import Site
from flows.rollouts.slot_reader import SlotReader
from integrations.store.audit import Line
from integrations.store.leases import Command, LeaseLost
from integrations.store.reboots import Reboots

log = structlog.get_logger(__name__)

COMMAND = ("systemctl", "reboot")
AT_ONCE = 4
"""So many may be away at a time. Where that many do not come back, no further one is sent away."""
BACK = timedelta(minutes=10)
_WORK_S = 120.0
_SEND_S = 10.0
_OUTPUT = 4096


class RebootRuns:
    """Goes on with what was ordered, any process, one at a time for a rollout."""

    def __init__(self, *, sites: Mapping[Stack, Site], ledger: Ledger, under_way: Reboots) -> None:
        self._sites = sites
        self._ledger = ledger
        self._under_way = under_way

    async def tick(self) -> None:
        for site in self._sites.values():
            for rollout in await self._under_way.under_way(site.stack):
                async with self._ledger.leases.hold(f"reboots:{site.stack}/{rollout}", _WORK_S) as lease:
                    if lease is None or site.slots is None:
                        continue
                    try:
                        await self._go_on(site, site.slots, rollout)
                    except* (LeaseLost, OutsideError) as errors:
                        log.info("reboots_not_gone_on", rollout=rollout, errors=[str(e) for e in errors.exceptions])

    async def _go_on(self, site: Site, slots: SlotReader, rollout: RolloutId) -> None:
        order = (await self._ledger.records.record(site.stack, rollout)).reboot
        if order is None or order.over:
            async with self._ledger.held(site, rollout, wait_s=0.0) as held:
                if held is not None:
                    await held.lease.commit([self._under_way.end(site.stack, rollout)])
            return
        now = self._ledger.clock.now()
        waiting = order.having(StepState.WAITING)
        if now >= order.until and waiting:
            late = [replace(s, state=StepState.NOT_DONE, why="its time was over before its turn") for s in waiting]
            await self._keep(site, rollout, order, late)
            waiting = ()
        away = order.having(StepState.SENT)
        booted = to_reboot(await started_evidence(self._ledger, site, rollout), ()).keys()
        async with asyncio.TaskGroup() as group:
            for step in away:
                group.create_task(self._look_after(site, slots, rollout, order, step))
            for step in waiting[: AT_ONCE - len(away)]:
                group.create_task(self._send(site, slots, rollout, order, step, still=step.device in booted))

    async def _look_after(self, site: Site, slots: SlotReader, rollout: RolloutId, order: Reboot, step: Step) -> None:
        """Whether a device that was sent its reboot has booted since."""
        overdue = step.at is None or self._ledger.clock.now() - step.at > BACK
        try:
            boot_id = await slots.boot_id(await slots.found(step.device, step.tenant))
        except OutsideError as error:
            if overdue:
                why = f"not reached since its reboot: {error.user_text}"
                await self._keep(site, rollout, order, [replace(step, state=StepState.UNKNOWN, why=why)])
            return
        if boot_id != step.boot_id:
            await self._keep(site, rollout, order, [replace(step, state=StepState.BACK)])
        elif overdue:
            why = "its boot id is the same after ten minutes, so it did not boot; order it again if it still waits"
            await self._keep(site, rollout, order, [replace(step, state=StepState.NOT_DONE, why=why)])

    async def _send(
        self, site: Site, slots: SlotReader, rollout: RolloutId, order: Reboot, step: Step, *, still: bool
    ) -> None:
        """Under the device's lease: no runbook is disturbed. `still`: nothing proves yet that it booted by itself."""
        if not still:
            await self._keep(
                site, rollout, order, [replace(step, state=StepState.BACK, why="it needed no reboot any more")]
            )
            return
        clock = self._ledger.clock
        async with self._ledger.leases.hold(f"device:{site.stack}/{step.device}", _WORK_S) as lease:
            if lease is None:
                return  # a runbook is at work there: its turn comes again
            try:
                found = await slots.found(step.device, step.tenant)
                boot_id = await slots.boot_id(found)
            except OutsideError as error:
                why = f"nothing was sent: {error.user_text}"
                await self._keep(site, rollout, order, [replace(step, state=StepState.NOT_DONE, why=why)])
                return
            sent = replace(step, state=StepState.SENT, boot_id=boot_id, at=clock.now())
            await self._keep(site, rollout, order, [sent])
            if not lease.valid(_SEND_S) or clock.now() - (sent.at or clock.now()) > timedelta(seconds=_SEND_S):
                return  # stopped meanwhile: its boot id tells the rest
            try:
                await slots.says(found, COMMAND, _OUTPUT)
            except OutsideError as error:
                if not error.unknown_outcome:  # where the connection broke, it may well be booting
                    why = f"it did not boot: {error.user_text}"
                    await self._keep(site, rollout, order, [replace(sent, state=StepState.NOT_DONE, why=why)])

    async def _keep(self, site: Site, rollout: RolloutId, order: Reboot, steps: Iterable[Step]) -> None:
        """These steps as they are now, in one fenced commit with what is shown. Raises LeaseLost where another process
        went on with one of them, or with another order."""
        ledger = self._ledger
        async with ledger.held(site, rollout, wait_s=site.policy.lease_s + 1) as held:
            if held is None:
                raise LeaseLost(f"rollout:{site.stack}/{rollout}")
            record = await ledger.records.record(site.stack, rollout)
            kept = record.reboot
            changed = list(steps)
            if kept is None or kept.id != order.id or not _follows(kept, changed):
                raise LeaseLost(f"reboots:{site.stack}/{rollout}")
            new = kept.with_steps(*changed)
            record = replace(record, reboot=new)
            commands = shown(ledger, site, record, new)
            if not new.over:
                await ledger.write(held, site, record, commands)
                return
            commands.append(self._under_way.end(site.stack, rollout))
            said = {state.value: [s.device for s in new.having(state)] for state in StepState if new.count(state)}
            line = Line("outcome", new.by.subject, REBOOT, object_of(site.stack, rollout), said, new.ref)
            await ledger.write_down(held, site, line, lambda _: record, commands)


def _follows(kept: Reboot, changed: Iterable[Step]) -> bool:
    """Nobody else has brought one of these steps as far. Only from waiting to sent a thing is done."""
    before = {step.device: step for step in kept.steps}
    return all(
        not before[step.device].state.over
        and (step.state is not StepState.SENT or before[step.device].state is StepState.WAITING)
        for step in changed
    )


async def started_evidence(ledger: Ledger, site: Site, rollout: RolloutId) -> list[GroupEvidence]:
    groups = await site.rollouts.groups(rollout)
    return [await ledger.records.evidence(site.stack, rollout, g.id) for g in groups if g.status.started]


def shown(ledger: Ledger, site: Site, record: RolloutRecord, order: Reboot) -> list[Command]:
    message = reboot_message(record.name, order)
    return ledger.in_thread(site, record, f"reboot:{order.id}", message, over=order.over)
