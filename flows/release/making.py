"""Making a release in hawkBit once, whatever fails: its name says what it is, and hawkBit takes each name once.

    previous sets read -> rights read again -> intent, who makes it and the previous sets written -> hawkBit asked, once
                       -> the rollout's record, its previous sets and the outcome written

A process killed in between leaves the intent: whoever orders the same again, or the next tick of any process, reads
hawkBit by name and finishes. A lost answer is read back the same way.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import structlog
from prometheus_client import Counter

from core.errors import Conflict, OutsideError, Refused, Unavailable
from core.ids import DeviceName, Stack
from core.messages.text import plain
from core.rollouts.actors import Actor
from core.rollouts.facts import DistributionSet, RolloutFacts, RolloutStatus
from core.rollouts.policy import PromotionPolicy
from core.rollouts.preview import Reach
from core.rollouts.release import GroupWish, RolloutWish
from core.rollouts.wish import ReleaseWish, differences
from flows.release.reading import ReleaseReader
from flows.rollouts.ledger import Ledger
from flows.rollouts.promote import StillAllowed
from flows.rollouts.site import Site
from integrations.store.audit import Line
from integrations.store.leases import Lease, LeaseLost
from integrations.store.previous_sets import PreviousSets
from integrations.store.releases import Making, ReleaseStore, lease_name

log = structlog.get_logger(__name__)

RELEASES = Counter("cdm_releases", "Releases made, by what became of them", ["stack", "outcome"])

LEASE_S = 20.0
LOOK_S, RETRY_S = 1.0, 0.2
LEFT = timedelta(seconds=30)
"""What is being made for so long was left by a process that ended."""


def object_of(wish: ReleaseWish) -> str:
    """What the audit calls it while it has no number."""
    return f"release:{wish.stack}/{wish.name}"


class ReleaseMaker:
    """One for all stacks of a process."""

    def __init__(
        self,
        *,
        reader: ReleaseReader,
        sites: Mapping[Stack, Site],
        ledger: Ledger,
        releases: ReleaseStore,
        previous: PreviousSets,
    ) -> None:
        self._reader = reader
        self._sites = sites
        self._ledger = ledger
        self._releases = releases
        self._previous = previous

    async def make(
        self, wish: ReleaseWish, by: Actor, reason: str = "", *, still_allowed: StillAllowed = None
    ) -> tuple[bool, str]:
        """Whether the rollout is there now, and what is true, in words. Made before, it is not made again. Raises
        OutsideError where nothing was begun, and what `still_allowed` raises."""
        reach = await self._reader.reach(wish)
        previous = await self._reader.previous(reach)
        async with self._held(wish, wait_s=LEASE_S + 1) as lease:  # as long as a dead holder could keep it
            if lease is None:
                return False, "Somebody else is making this release right now. Look again in a moment."
            try:
                return await self._make(lease, reach, previous, by, reason, still_allowed)
            except LeaseLost:
                return False, "Another process took over; the rollouts' channel shows what became of it."

    async def tick(self) -> None:
        """Finish what a process that ended has left, as hawkBit shows it."""
        for one in await self._releases.making():
            if self._ledger.clock.now() - one.at < LEFT or one.wish.stack not in self._sites:
                continue
            async with self._held(one.wish, wait_s=0.0) as lease:
                if lease is None:
                    continue
                try:
                    await self._take_up(lease, one.wish)
                except OutsideError as error:
                    log.warning("release_not_read_back", release=one.id, reason=error.reason)
                except LeaseLost:
                    log.info("release_left_to_another", release=one.id)

    @asynccontextmanager
    async def _held(self, wish: ReleaseWish, *, wait_s: float) -> AsyncIterator[Lease | None]:
        clock = self._ledger.clock
        until = clock.monotonic() + wait_s
        while True:
            async with self._ledger.leases.hold(lease_name(wish), LEASE_S) as lease:
                if lease is not None:
                    yield lease
                    return
            if clock.monotonic() >= until:
                yield None
                return
            await clock.sleep(RETRY_S)

    async def _make(
        self,
        lease: Lease,
        reach: Reach,
        previous: Mapping[DeviceName, str],
        by: Actor,
        reason: str,
        still_allowed: StillAllowed,
    ) -> tuple[bool, str]:
        wish = reach.wish
        if still_allowed is not None:
            by = replace(by, rights_at=await still_allowed())
        await lease.renew()
        if (found := await self._take_up(lease, wish)) is not None:
            return found
        if (there := await self._sites[wish.stack].rollouts.find(wish.name)) is not None:
            return self._made_before(wish, reach.set, there)
        if reach.against:
            raise Refused(f"Nothing was made. {' '.join(reach.against)}")
        making = Making(wish, reach.set.id, by, self._ledger.clock.now(), previous, "")
        said = {
            "tenants": sorted(by.tenants),
            "reason": reason,
            **by.audit(),
            **wish.params(),
            "evidence": reach.evidence().digest,
        }
        ref = await self._ledger.audit.commit(
            lease,
            Line("intent", by.subject, "create", object_of(wish), said),
            lambda ref: self._releases.begin(replace(making, ref=ref)),
        )
        return await self._send(lease, replace(making, ref=ref), reach)

    async def _send(self, lease: Lease, making: Making, reach: Reach) -> tuple[bool, str]:
        """Ask hawkBit, once, and write down what became of it."""
        site = self._sites[making.wish.stack]
        try:
            if not reach.set.locked:
                await site.releases.lock(reach.set.id)
            if not lease.valid(margin_s=LEASE_S / 2):
                raise Unavailable("The bot was held up before hawkBit was asked. Nothing was made; do it again.")
            await site.releases.create(
                _in_hawkbit(reach, making, site.policies.of(making.wish.name, making.wish.policy))
            )
        except OutsideError as error:
            if not (error.unknown_outcome or isinstance(error, Conflict)):
                await self._end(lease, making, "refused", error.user_text)
                raise
            log.info("release_read_back", release=making.id, reason=error.reason)
        there = await self._appears(lease, site, making.wish)
        if there is None:
            text = "hawkBit did not make it: it has no rollout of that name. Nothing was made; do it again."
            await self._end(lease, making, "not_made", text)
            return False, text
        return await self._finish(lease, making, there)

    async def _appears(self, lease: Lease, site: Site, wish: ReleaseWish) -> RolloutFacts | None:
        """The rollout, once hawkBit shows it; None where it does not as long as a request may take effect."""
        clock = self._ledger.clock
        until = clock.monotonic() + site.policy.max_request_life_s
        while True:
            try:
                if (there := await site.rollouts.find(wish.name)) is not None:
                    return there
            except OutsideError as error:
                if clock.monotonic() >= until:
                    raise Unavailable(
                        f"Whether hawkBit made it cannot be read now ({error.user_text}) The bot looks again by itself."
                    ) from error
            if clock.monotonic() >= until:
                return None
            await clock.sleep(LOOK_S)
            await lease.renew()

    async def _take_up(self, lease: Lease, wish: ReleaseWish) -> tuple[bool, str] | None:
        """Finish what was begun under that name; None where nothing was, or hawkBit never got it."""
        making = await self._releases.made(wish)
        if making is None:
            return None
        there = await self._sites[wish.stack].rollouts.find(wish.name)
        if there is None:  # a request of then that comes late is met by the name: hawkBit takes it once
            await self._end(lease, making, "not_made", "The process that made it ended before hawkBit was asked.")
            return None
        return await self._finish(lease, making, there)

    async def _finish(self, lease: Lease, making: Making, there: RolloutFacts) -> tuple[bool, str]:
        wish, by, ledger = making.wish, making.by, self._ledger
        site = self._sites[wish.stack]
        wanted = await site.wanted(making.set_id)
        if other := differences(wish, wanted, there):
            text = _another(wish, other)
            await self._end(lease, making, "refused", text)
            return False, text
        async with ledger.held(site, there.id, wait_s=site.policy.lease_s + 1) as held:
            if held is None:
                return False, "It is made, and being read; the bot finishes by itself."
            record = await ledger.records.record(wish.stack, there.id)
            record = replace(record, name=wish.name, policy=wish.policy)
            text = f"Made as rollout {there.id}. {_next(wish)}"
            await ledger.write_down(
                held,
                site,
                Line(
                    "outcome",
                    by.subject,
                    "create",
                    object_of(wish),
                    {"outcome": "made", "rollout": there.id, "text": text, "tenants": sorted(by.tenants)},
                    making.ref,
                ),
                lambda _: record,
                [*self._previous.keep(wish.stack, there.id, making.previous), *self._releases.end(making)],
            )
        RELEASES.labels(wish.stack, "made").inc()
        log.info("release_made", release=making.id, rollout=there.id)
        return True, text

    def _made_before(self, wish: ReleaseWish, wanted: DistributionSet, there: RolloutFacts) -> tuple[bool, str]:
        if other := differences(wish, wanted, there):
            return False, _another(wish, other)
        if there.status.terminal or there.status is RolloutStatus.STOPPING:
            return False, (
                f"Rollout {there.id} of this set to these devices is {there.status.value} already, and hawkBit takes "
                "each name once. Give the release a label of its own to make it again."
            )
        return True, f"It was made before, as rollout {there.id}, which is {there.status.value}. Nothing was done."

    async def _end(self, lease: Lease, making: Making, outcome: str, text: str) -> None:
        line = Line(
            "outcome",
            making.by.subject,
            "create",
            object_of(making.wish),
            {"outcome": outcome, "text": text, "tenants": sorted(making.by.tenants)},
            making.ref,
        )
        await self._ledger.audit.commit(lease, line, lambda _: self._releases.end(making))
        RELEASES.labels(making.wish.stack, outcome).inc()
        log.info("release_not_made", release=making.id, outcome=outcome)


def _in_hawkbit(reach: Reach, making: Making, policy: PromotionPolicy) -> RolloutWish:
    """hawkBit's own thresholds as near to the policy as whole per cents allow: its pause comes no earlier than the
    policy's share, its error stop no later than the policy's budget."""
    wish = reach.wish
    return RolloutWish(
        name=wish.name,
        description=f"Made through the bot by {plain(making.by.name, 80)}.",
        set_id=reach.set.id,
        query=wish.where,
        groups=tuple(GroupWish(f"group-{number}", share) for number, share in enumerate(wish.shares, 1)),
        success_threshold_pct=math.ceil(policy.threshold_pct),
        error_threshold_pct=math.floor(policy.max_errors_pct),
        forced=wish.forced,
        start_at=wish.start_at,
        weight=None,
    )


def _another(wish: ReleaseWish, other: tuple[str, ...]) -> str:
    return (
        f"hawkBit has another rollout called {plain(wish.name, 140)}, with {plain(', '.join(other), 200)}. Nothing was "
        "made. Give the release a label of its own."
    )


def _next(wish: ReleaseWish) -> str:
    starts = f"It starts by itself at {wish.start}." if wish.start_at is not None else "Group 1 is started there."
    return f"Its message follows in the rollouts' channel. {starts}"
