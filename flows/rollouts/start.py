"""Starting group 1 by hand: once, and only when its devices were looked at as they are before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import structlog

from core.errors import Conflict, NotFound, OutsideError
from core.ids import RolloutId, Stack
from core.rollouts.actors import Actor, ActorKind
from core.rollouts.cause import started_index
from core.rollouts.facts import RolloutStatus, Snapshot
from core.rollouts.gates import Inputs, Verdict, judge_gates
from core.rollouts.policy import reaches
from core.rollouts.progress import reason_in_words
from core.rollouts.records import RolloutRecord
from core.rollouts.verify import seen_before
from core.rollouts.views import Mood
from flows.rollouts.ledger import Held, Ledger, object_of, with_view
from flows.rollouts.promote import StillAllowed
from flows.rollouts.site import Site
from integrations.store.leases import LeaseLost

log = structlog.get_logger(__name__)

_TICKS_TO_START = 3
_ASKED = ("hold", "freeze")
"""The gates before the first group: the others ask how the group before it did."""
_BEGUN = (RolloutStatus.STARTING, RolloutStatus.RUNNING, RolloutStatus.PAUSED, RolloutStatus.FINISHED)


class Starter:
    """hawkBit takes a start once and refuses a second (measured on hawkBit 1.1.0), so a late request harms nobody."""

    def __init__(self, sites: Mapping[Stack, Site], ledger: Ledger) -> None:
        self._sites = sites
        self._ledger = ledger

    async def start(
        self, stack: Stack, rollout: RolloutId, by: Actor, reason: str = "", *, still_allowed: StillAllowed = None
    ) -> tuple[bool, str]:
        """Whether it has started, by this or before, and what is true, in words. Raises what `still_allowed` raises."""
        site, ledger = self._sites[stack], self._ledger
        async with ledger.held(site, rollout, wait_s=site.policy.lease_s + 1) as held:
            if held is None:
                return False, "Somebody else is acting on this rollout. Try again in a moment."
            record = await ledger.records.record(stack, rollout)
            if still_allowed is not None:
                by = replace(by, rights_at=await still_allowed())
            ref = await ledger.intent(
                by, "start", object_of(stack, rollout), {**record.concerned(by), "reason": reason}
            )
            try:
                done, text = await self._start(held, site, record, by)
            except OutsideError as error:
                done, text = False, f"Nothing was started: {error.user_text}"
            except LeaseLost:
                done, text = False, "Another process took over; the rollout's message shows what is true."
            said = {"outcome": "started" if done else "not_started", "text": text}
            await ledger.outcome(ref, by, "start", object_of(stack, rollout), said)
        log.info("rollout_started", rollout=rollout, done=done)
        return done, text

    async def _start(self, held: Held, site: Site, record: RolloutRecord, by: Actor) -> tuple[bool, str]:
        before = await self._read(site, record.rollout)
        if before.rollout.status in _BEGUN:
            return True, "It has started already. Nothing was done."
        if (trouble := await self._not_yet(site, record, before)) is not None:
            return False, f"Nothing was started: {trouble}"
        await held.renew()
        unknown = False
        try:
            await site.rollouts.start(record.rollout)
        except Conflict:
            log.info("rollout_start_came_second", rollout=record.rollout)
        except OutsideError as error:
            if not error.unknown_outcome:
                raise
            unknown = True
        for _ in range(_TICKS_TO_START):
            await self._ledger.clock.sleep(site.policy.tick_s)
            after = await self._read(site, record.rollout)
            if started_index(after) > 0:
                break
        await held.renew()
        devices = before.groups[0].total
        if after.rollout.status not in _BEGUN:
            answer = "hawkBit's answer did not come" if unknown else "hawkBit took the order"
            return False, f"{answer}, but the rollout is still {after.rollout.status.value}. Look again in a moment."
        text = f"Group 1 is started: {devices} devices are offered the release."
        if started_index(after) == 0:
            text = f"hawkBit is starting group 1: {devices} devices will be offered the release."
        view = with_view(record, Mood.RUNNING, f"started by {by.name}")
        if view.progress is not None:
            view = replace(view, progress=replace(view.progress, can_start=False))
        await self._ledger.write(held, site, view)
        return True, text

    async def _not_yet(self, site: Site, record: RolloutRecord, snapshot: Snapshot) -> str | None:
        """Why it must not start now; None where it may."""
        status = snapshot.rollout.status
        if status is not RolloutStatus.READY or not snapshot.groups:
            return f"hawkBit says it is {status.value}. It can be started once it is ready."
        now, policy = self._ledger.clock.now(), site.policy_of(snapshot.rollout, record)
        inputs = Inputs(snapshot, policy, None, record, site.account, now, ActorKind.PERSON)
        shut = [gate for gate in judge_gates(inputs) if gate.name in _ASKED and gate.verdict is not Verdict.PASS]
        if shut:
            return f"{'; '.join(map(reason_in_words, shut))}."
        first = snapshot.groups[0]
        seen = seen_before(await self._ledger.records.evidence(site.stack, record.rollout, first.id))
        if not reaches(seen, first.total, policy.threshold_pct):
            return (
                f"{seen} of {first.total} devices of group 1 were looked at as they are before it, and a new boot of "
                "one that was not could never be told. The bot is looking; try again in a moment."
            )
        return None

    async def _read(self, site: Site, rollout: RolloutId) -> Snapshot:
        snapshot = await site.snapshot(rollout, self._ledger.clock)
        if snapshot is None:
            raise NotFound("This rollout does not exist in hawkBit any more.", system=f"hawkBit {site.stack}")
        return snapshot
