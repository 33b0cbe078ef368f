"""Pause, hold, lift the hold, stop: what keeps a rollout from going on. Open to the scheduler and, by right, to people.

A pause is no barrier: hawkBit may start one more group after answering 204 (2 of 40 tries, measured on hawkBit 1.1.0),
and devices already started install on. So after a pause we wait over a tick, read again, and report that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import structlog
from prometheus_client import Counter

from core.errors import Conflict, NotAllowed, NotFound, OutsideError, RateLimited, Refused
from core.ids import RolloutId, Stack
from core.rollouts.actors import Actor
from core.rollouts.cause import focus, started_index
from core.rollouts.facts import RolloutStatus, Snapshot
from core.rollouts.records import Hold, PauseIntent, PauseState, RolloutRecord
from core.rollouts.views import Mood
from flows.rollouts.ledger import Held, Ledger, object_of, with_view
from flows.rollouts.promote import StillAllowed
from flows.rollouts.site import Site
from integrations.store.leases import LeaseLost

log = structlog.get_logger(__name__)

BRAKES = Counter("cdm_rollout_brakes", "Pauses, holds and stops, by what became of them", ["stack", "outcome"])

_TICKS_OVER = 1.5
_TICKS_TO_STOP = 3
_REASON = 200


class BrakeOutcome(StrEnum):
    PAUSED = "paused"
    HELD = "held"
    LIFTED = "lifted"
    STOPPED = "stopped"
    STOPPING = "stopping"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    BUSY = "busy"
    NOTHING_TO_DO = "nothing_to_do"


@dataclass(frozen=True, slots=True)
class BrakeResult:
    """`text` says what is true now, fit for a person."""

    outcome: BrakeOutcome
    text: str


class Brakes:
    """One for all stacks of a process. A brake waits for the rollout's lease as long as a dead holder could keep it."""

    def __init__(self, sites: Mapping[Stack, Site], ledger: Ledger) -> None:
        self._sites = sites
        self._ledger = ledger

    async def pause(
        self, stack: Stack, rollout: RolloutId, by: Actor, reason: str = "", *, still_allowed: StillAllowed = None
    ) -> BrakeResult:
        """Ask hawkBit to pause. A rollout that is paused already gets the bot's own hold instead."""
        return await self._under_lease("pause", stack, rollout, by, reason or "paused by hand", still_allowed)

    async def hold(
        self, stack: Stack, rollout: RolloutId, by: Actor, reason: str = "", *, still_allowed: StillAllowed = None
    ) -> BrakeResult:
        """Block promotion by the bot. Changes nothing in hawkBit: others can still resume it there."""
        return await self._under_lease("hold", stack, rollout, by, reason or "held by hand", still_allowed)

    async def unhold(
        self, stack: Stack, rollout: RolloutId, by: Actor, *, still_allowed: StillAllowed = None
    ) -> BrakeResult:
        return await self._under_lease("unhold", stack, rollout, by, "", still_allowed)

    async def stop(
        self, stack: Stack, rollout: RolloutId, by: Actor, reason: str = "", *, still_allowed: StillAllowed = None
    ) -> BrakeResult:
        """End it for good, by the brake account."""
        return await self._under_lease("stop", stack, rollout, by, reason, still_allowed)

    async def _under_lease(
        self,
        action: str,
        stack: Stack,
        rollout: RolloutId,
        by: Actor,
        reason: str,
        still_allowed: StillAllowed,
    ) -> BrakeResult:
        site, ledger = self._sites[stack], self._ledger
        acts = {"pause": self._pause, "hold": self._hold, "unhold": self._unhold, "stop": self._stop}
        async with ledger.held(site, rollout, wait_s=site.policy.lease_s + 1) as held:
            if held is None:
                return BrakeResult(BrakeOutcome.BUSY, "Somebody else is acting on this rollout. Try again in a moment.")
            if still_allowed is not None:
                by = replace(by, rights_at=await still_allowed())
            reason = reason[:_REASON]
            record = await ledger.records.record(stack, rollout)
            ref = await ledger.intent(by, action, object_of(stack, rollout), {**record.concerned(by), "reason": reason})
            try:
                result = await acts[action](held, site, record, by, reason)
            except OutsideError as error:
                result = BrakeResult(BrakeOutcome.REFUSED, f"Nothing was done: {error.user_text}")
            except LeaseLost:
                result = BrakeResult(BrakeOutcome.UNKNOWN, "Another process took over; the message shows what is true.")
            said = {"outcome": result.outcome.value, "text": result.text}
            await ledger.outcome(ref, by, action, object_of(stack, rollout), said)
        BRAKES.labels(stack, result.outcome.value).inc()
        log.info("brake_used", action=action, rollout=rollout, outcome=result.outcome.value)
        return result

    async def _pause(self, held: Held, site: Site, record: RolloutRecord, by: Actor, reason: str) -> BrakeResult:
        before = await self._read(site, record.rollout)
        if before.rollout.status is RolloutStatus.PAUSED:
            return await self._hold(held, site, record, by, reason)
        ledger = self._ledger
        group = focus(before)
        intent = PauseIntent(ledger.clock.now(), by, reason, group=group.id if group is not None else None)
        record = await ledger.write(held, site, record.with_pause(intent))
        refused: OutsideError | None = None
        unknown = False
        try:
            await site.rollouts.pause(record.rollout)
        except (Refused, NotAllowed, NotFound, RateLimited) as error:
            refused = error
        except OutsideError:
            unknown = True
        await ledger.clock.sleep(_TICKS_OVER * site.policy.tick_s)
        await held.renew()
        after = await self._look_again(site, record.rollout)
        paused = after is not None and after.rollout.status is RolloutStatus.PAUSED
        if refused is not None:
            record = record.with_pause(replace(intent, state=PauseState.VOID))
            if isinstance(refused, Conflict) and paused:
                return await self._hold(held, site, record, by, reason)  # hawkBit paused it at that very moment
            await ledger.write(held, site, record)
            return BrakeResult(BrakeOutcome.REFUSED, f"hawkBit refused to pause: {refused.user_text}")
        if paused:
            record = record.with_pause(replace(intent, state=PauseState.APPLIED))
        text = _pause_report(before, after, unknown=unknown)
        await ledger.write(held, site, with_view(record, Mood.PAUSED if paused else Mood.RUNNING, text))
        return BrakeResult(BrakeOutcome.PAUSED if paused else BrakeOutcome.UNKNOWN, text)

    async def _hold(self, held: Held, site: Site, record: RolloutRecord, by: Actor, reason: str) -> BrakeResult:
        if record.hold is not None:
            return BrakeResult(BrakeOutcome.NOTHING_TO_DO, f"Already on hold by {record.hold.by.name}.")
        record = replace(record, hold=Hold(self._ledger.clock.now(), by, reason))
        await self._ledger.write(held, site, with_view(record, Mood.HELD, f"on hold by {by.name}: {reason}"))
        return BrakeResult(
            BrakeOutcome.HELD,
            "On hold: the bot starts no further group. hawkBit itself can still be resumed by others.",
        )

    async def _unhold(self, held: Held, site: Site, record: RolloutRecord, by: Actor, reason: str) -> BrakeResult:
        if record.hold is None:
            return BrakeResult(BrakeOutcome.NOTHING_TO_DO, "There is no hold on this rollout.")
        record = replace(record, hold=None)
        text = f"hold lifted by {by.name}"
        await self._ledger.write(held, site, with_view(record, Mood.HOLDING, text))
        return BrakeResult(BrakeOutcome.LIFTED, "The hold is lifted; the gates decide again.")

    async def _stop(self, held: Held, site: Site, record: RolloutRecord, by: Actor, reason: str) -> BrakeResult:
        before = await self._read(site, record.rollout)
        unknown = False
        if before.rollout.status not in (RolloutStatus.STOPPED, RolloutStatus.STOPPING):  # else it was asked for before
            try:
                await site.rollouts.stop(record.rollout)
            except (Refused, NotAllowed, NotFound, RateLimited):
                raise
            except OutsideError:
                unknown = True
        status = None
        for _ in range(_TICKS_TO_STOP):
            await self._ledger.clock.sleep(site.policy.tick_s)
            after = await self._look_again(site, record.rollout)
            status = after.rollout.status if after is not None else None
            if status is RolloutStatus.STOPPED:
                break
        running = sum(g.counts.running for g in before.groups if g.status.started)
        devices = f" {running} devices under way are asked to cancel and may still install." if running else ""
        if status is RolloutStatus.STOPPED:
            outcome, text = BrakeOutcome.STOPPED, f"Stopped for good.{devices}"
        elif status is RolloutStatus.STOPPING:
            outcome, text = BrakeOutcome.STOPPING, f"hawkBit is stopping it.{devices}"
        else:
            said = "hawkBit's answer did not come" if unknown else "hawkBit took the order"
            now = f"the rollout is still {status.value}" if status is not None else "it cannot be read now"
            outcome, text = BrakeOutcome.UNKNOWN, f"{said}, but {now}. Look again."
        await held.renew()
        mood = Mood.STOPPED if status in (RolloutStatus.STOPPED, RolloutStatus.STOPPING) else Mood.RUNNING
        await self._ledger.write(held, site, with_view(record, mood, text))
        return BrakeResult(outcome, text)

    async def _read(self, site: Site, rollout: RolloutId) -> Snapshot:
        snapshot = await site.snapshot(rollout, self._ledger.clock)
        if snapshot is None:
            raise NotFound("This rollout does not exist in hawkBit any more.", system=f"hawkBit {site.stack}")
        return snapshot

    async def _look_again(self, site: Site, rollout: RolloutId) -> Snapshot | None:
        """What is true after the order was given; None where hawkBit cannot say."""
        try:
            return await site.snapshot(rollout, self._ledger.clock)
        except OutsideError as error:
            log.warning("brake_not_read_back", rollout=rollout, reason=error.reason)
            return None


def _pause_report(before: Snapshot, after: Snapshot | None, *, unknown: bool) -> str:
    answer = "hawkBit's answer to the pause did not come" if unknown else "hawkBit took the pause"
    if after is None:
        return f"{answer}, and it cannot be read now. It counts as paused for the bot."
    status = after.rollout.status
    parts = ["Paused." if status is RolloutStatus.PAUSED else f"{answer}, but the rollout is {status.value}."]
    if started_index(after) > started_index(before):
        parts.append(f"Group {started_index(after)} had already begun to start before the pause took hold.")
    running = sum(g.counts.running for g in after.groups if g.status.started)
    if running:
        parts.append(f"{running} devices already started will finish.")
    return " ".join(parts)
