"""Where everything about a rollout is written down: its record, its evidence, its message and the audit, together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from core.ids import RolloutId, Stack
from core.messages.blocks import Message
from core.messages.rollout import rollout_message
from core.ports import Clock
from core.rollouts.actors import Actor
from core.rollouts.records import RolloutRecord
from core.rollouts.views import Mood
from flows.rollouts.alarms import RolloutAlarms
from flows.rollouts.site import Site
from integrations.store.audit import AuditLog, Line
from integrations.store.leases import Command, Lease, Leases
from integrations.store.outbox import Outbox, Priority, Wanted
from integrations.store.rollouts import RolloutStore, lease_name

_RETRY_S = 0.05
_OVER = (Mood.DONE, Mood.UNVERIFIED, Mood.STOPPED, Mood.GONE)


def object_of(stack: Stack, rollout: RolloutId, group_index: int | None = None) -> str:
    """What the audit calls it."""
    return f"rollout:{stack}/{rollout}" + (f"/group:{group_index}" if group_index is not None else "")


@dataclass(slots=True)
class Held:
    """The rollout's lease as held now. `renewed_at` is the wall clock when it was last asked for: a machine that was
    suspended may not have moved its monotonic clock, so both must agree that the lease is still ours."""

    lease: Lease
    renewed_at: datetime
    clock: Clock

    async def renew(self) -> bool:
        asked = self.clock.now()
        if not await self.lease.renew():
            return False
        self.renewed_at = asked
        return True

    def valid(self, margin_s: float) -> bool:
        """No I/O: may stand right before an effect, with no await between."""
        passed = (self.clock.now() - self.renewed_at).total_seconds()
        return self.lease.valid(margin_s) and passed + margin_s < self.lease.ttl_s


class Ledger:
    """The one way to change what is kept of a rollout; `alarms` is what is kept of its devices' alarms."""

    def __init__(
        self,
        records: RolloutStore,
        leases: Leases,
        audit: AuditLog,
        outbox: Outbox,
        clock: Clock,
        alarms: RolloutAlarms,
    ) -> None:
        self.records = records
        self.leases = leases
        self.audit = audit
        self.clock = clock
        self.alarms = alarms
        self._outbox = outbox

    @asynccontextmanager
    async def held(self, site: Site, rollout: RolloutId, *, wait_s: float) -> AsyncIterator[Held | None]:
        """The rollout's lease for the block; None where somebody else kept it for `wait_s`."""
        until = self.clock.monotonic() + wait_s
        while True:
            asked = self.clock.now()
            async with self.leases.hold(lease_name(site.stack, rollout), site.policy.lease_s) as lease:
                if lease is not None:
                    yield Held(lease, asked, self.clock)
                    return
            if self.clock.monotonic() >= until:
                yield None
                return
            await self.clock.sleep(_RETRY_S)

    async def write(
        self, held: Held, site: Site, record: RolloutRecord, commands: Sequence[Command] = ()
    ) -> RolloutRecord:
        """The record, its message where that changed, and `commands`, in one fenced commit. Raises LeaseLost."""
        stored, all_commands = self._commands(site, record, commands)
        await held.lease.commit(all_commands)
        return stored

    async def write_down(
        self,
        held: Held,
        site: Site,
        line: Line,
        record: Callable[[str], RolloutRecord],
        commands: Sequence[Command] = (),
    ) -> RolloutRecord:
        """As `write`, with a line of the audit in the same commit, whose reference `record` gets: a process killed
        here leaves neither an intent without its record nor a record without its intent."""
        stored: list[RolloutRecord] = []

        def made(ref: str) -> Sequence[Command]:
            written, all_commands = self._commands(site, record(ref), commands)
            stored[:] = [written]
            return all_commands

        await self.audit.commit(held.lease, line, made)
        return stored[0]

    def _commands(
        self, site: Site, record: RolloutRecord, commands: Sequence[Command]
    ) -> tuple[RolloutRecord, list[Command]]:
        """The record as it will be stored, and the commands that store it and show it."""
        shown: list[Command] = []
        view = record.progress
        if view is not None and (message := rollout_message(view)).digest != record.shown:
            record = replace(record, shown=message.digest)
            still_open = record.ended_at is None and view.mood not in _OVER
            shown = self._outbox.want(Wanted(_key(record), site.channel, message, Priority.UPDATE, open=still_open))
        stored, document = self.records.save(record)
        return stored, [*document, *shown, *commands]

    def alarm(self, site: Site, record: RolloutRecord, what: str, message: Message) -> list[Command]:
        """The commands that post an alarm of its own, in the thread of the rollout's message. `what` names it."""
        key = f"{_key(record)}:{what}"
        return self._outbox.want(
            Wanted(key, site.channel, message, Priority.INCIDENT, parent=_key(record), critical=True, open=False)
        )

    def in_thread(self, site: Site, record: RolloutRecord, what: str, message: Message, *, over: bool) -> list[Command]:
        """The commands that bring a message in that thread to this; `over`: to its last word."""
        key = f"{_key(record)}:{what}"
        return self._outbox.want(
            Wanted(key, site.channel, message, Priority.UPDATE, parent=_key(record), open=not over)
        )

    async def intent(self, by: Actor, action: str, object: str, data: Mapping[str, object]) -> str:
        return await self.audit.intent(by.subject, action, object, {**by.audit(), **data})

    async def outcome(self, ref: str, by: Actor, action: str, object: str, data: Mapping[str, object]) -> None:
        await self.audit.outcome(ref, by.subject, action, object, data)


def with_view(record: RolloutRecord, mood: Mood, reason: str) -> RolloutRecord:
    """The record with its message saying at once what was just done; the next read tells the rest."""
    view = record.progress
    if view is None:
        return record
    changed = replace(
        view,
        mood=mood,
        reasons=(reason, *view.reasons[:2]) if reason else view.reasons,
        can_promote=False,
        can_resume=False,
        can_continue=False,
        excludable=0,
        cancelable=0,
        catchable=0,
        can_hold=view.can_hold and record.hold is None,
        can_unhold=record.hold is not None,
    )
    return replace(record, progress=changed)


def _key(record: RolloutRecord) -> str:
    return f"rollout:{record.stack}/{record.rollout}"
