"""The fold: from the inbox to alarms, incidents and the messages that show them, each batch in one fenced commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import structlog
from prometheus_client import Counter, Gauge

from core.alarms.parse import EXPLAINED, Unfit
from core.errors import NotFound
from core.ids import Channel, Stack, Tenant
from core.incidents import Incident, Phase
from core.messages.incident import LISTED, comment_message, devices_file, incident_message, unreadable_message
from core.ports import Clock
from core.rollouts.alarmed import AlarmKinds
from flows.board import Board, Heard, Remark
from flows.doubts import Doubts, OwnUsers
from flows.leased import work_under
from flows.updates import UpdateReader
from flows.world import World
from integrations.store.connection import STORE_DOWN
from integrations.store.incidents import Incidents
from integrations.store.intake import TRIES, Entry, Intake
from integrations.store.leases import Command, Lease, LeaseLost, Leases
from integrations.store.outbox import Outbox, Priority, Wanted
from integrations.store.update_stories import UpdateStories

log = structlog.get_logger(__name__)

LEASE = "alarms"
READS_LEASE = "alarms:reads"
UPDATES_LEASE = "alarms:updates"
BATCH = 64
"""So many entries a commit: the store does nothing else meanwhile, and every alarm waits for it."""
GATHER_S = 0.1
YIELD_EVERY = 16
LARGE = 100
FILE_MS = 30_000
FILE_AGAIN_MS = 300_000

FOLDED = Counter("cdm_alarms_folded", "Alarm messages folded into incidents, by kind", ["kind"])
BURIED = Counter("cdm_alarms_buried", "Alarm messages that could not be folded, by reason", ["reason"])
LAG = Gauge("cdm_intake_lag_seconds", "Age of the oldest alarm message not folded yet")


class AlarmFold:
    """One folder at a time across replicas, by lease. `links` are label -> URL template, from the settings."""

    def __init__(
        self,
        *,
        world: World,
        intake: Intake,
        incidents: Incidents,
        outbox: Outbox,
        leases: Leases,
        clock: Clock,
        links: Mapping[str, str],
        kinds: AlarmKinds,
        stories: UpdateStories,
        updates: UpdateReader,
    ) -> None:
        self._world = world
        self._intake = intake
        self._incidents = incidents
        self._outbox = outbox
        self._leases = leases
        self._clock = clock
        self._links = dict(links)
        self._kinds = kinds
        self._stories = stories
        self.updates = updates
        self.own = OwnUsers(world, clock)
        self.doubts = Doubts(world, intake, incidents, clock)

    async def run(self) -> None:
        """Fold, and read again what does not add up, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.own.run())
            tasks.create_task(work_under(self._leases, self._clock, LEASE, self._unhurried))
            tasks.create_task(work_under(self._leases, self._clock, READS_LEASE, self._doubt))
            tasks.create_task(work_under(self._leases, self._clock, UPDATES_LEASE, self.updates.run_step))

    async def _unhurried(self, lease: Lease) -> None:
        """A step, then a moment in which the next ones gather: a group of a thousand is written once for many alarms,
        not once for each. An alarm that comes alone is folded at once."""
        if 0 < await self.step(lease) < BATCH:
            await self._clock.sleep(GATHER_S)

    async def step(self, lease: Lease, *, wait_ms: int = 500) -> int:
        """Fold one batch; how many entries there were. Raises LeaseLost, and redis errors while the store is away."""
        entries = await self._intake.take(count=BATCH, wait_ms=wait_ms)
        LAG.set(max(0.0, self._now_ms() - entries[0].heard_ms) / 1000 if entries else 0)
        if entries:
            await self._fold(lease, entries)
        if len(entries) < BATCH:  # behind a full batch wait devices that belong on the lists, too
            await self._file_lists(lease)
        await self._write_stories(lease)
        return len(entries)

    async def _fold(self, lease: Lease, entries: Sequence[Entry]) -> None:
        try:
            await self._commit(lease, entries)
        except (LeaseLost, *STORE_DOWN):
            raise
        except Exception as error:
            log.error("alarm_batch_failed", entries=len(entries), error=repr(error))
            for entry in entries:
                await self._commit_alone(lease, entry)

    async def _doubt(self, lease: Lease) -> None:
        await self.doubts.step(lease)
        await self._clock.sleep(1.0)

    async def _commit(self, lease: Lease, entries: Sequence[Entry]) -> None:
        heard: list[Heard] = []
        commands: list[Command] = []
        for number, entry in enumerate(entries):
            await _let_others(number)
            told = entry.told()
            if isinstance(told, Unfit):
                commands += self._bury(entry, EXPLAINED[told], told)
            elif self._channel(entry.stack, entry.tenant) is None:
                commands += self._bury(entry, "its tenant is not served any more", "no_tenant")
            else:
                heard.append(Heard(entry, told, self.own.did(entry.stack, entry.tenant, told)))
        board = await Board.load(self._incidents, heard)
        for number, one in enumerate(heard):
            await _let_others(number)
            board.take(one)
        for incident, before in board.changed():
            commands += await _aside(incident, self._show, board, incident, before)
        for remark in board.remarks:
            commands += self._remark(remark)
        for incident, before in board.changed():
            commands += await _aside(incident, self._incidents.put_incident, incident, before, self._now_ms())
        for number, written in enumerate(board.writes(self._incidents, self._now_ms())):
            await _let_others(number)
            commands += written
        commands += self._intake.done([one.entry for one in heard])
        await lease.commit(commands)
        for one in heard:
            FOLDED.labels(one.told.kind).inc()

    async def _commit_alone(self, lease: Lease, entry: Entry) -> None:
        try:
            await self._commit(lease, [entry])
        except (LeaseLost, *STORE_DOWN):
            raise
        except Exception as error:
            failures = await self._intake.fail(lease, entry)  # raises where it is the store that fails
            log.error("alarm_failed", entry=entry.id, tenant=entry.tenant, failures=failures, error=repr(error))
            if failures >= TRIES:
                await lease.commit(self._bury(entry, f"the bot failed on it {failures} times", "failed"))

    def _show(self, board: Board, incident: Incident, before: Incident | None) -> list[Command]:
        """The message of a changed incident. One that joined a group before anybody saw it needs none."""
        if incident.part_of is not None and not incident.shown:
            return []
        board.mark(replace(incident, shown=True))
        commands = self._wanted(incident)
        if len(incident.members) > LISTED and (before is None or before.members.keys() != incident.members.keys()):
            wait = FILE_AGAIN_MS if incident.filed else FILE_MS
            commands.append(self._incidents.file_due(incident.id, self._now_ms() + wait))
        if self._of_an_update(incident) and _news(incident, before):
            commands.append(self._stories.want(incident.id, self._now_ms()))
        return commands

    def _wanted(self, incident: Incident) -> list[Command]:
        calls = incident.phase is Phase.OPEN and incident.part_of is None
        wanted = Wanted(
            key=f"incident:{incident.id}",
            channel=self._world.tenant(incident.stack, incident.tenant).channel,
            message=incident_message(incident, self._links),
            priority=Priority.INCIDENT if calls else Priority.UPDATE,
            critical=True,
            open=incident.phase is not Phase.CLEARED and incident.part_of is None,
        )
        return self._outbox.want(wanted)

    def _of_an_update(self, incident: Incident) -> bool:
        """hawkBit has a story to tell; for a group of many devices that would be one each, and their rollout's message
        shows them all."""
        return incident.type == self._kinds.ota_failure and not incident.grouped and incident.part_of is None

    async def _write_stories(self, lease: Lease) -> None:
        """What hawkBit said about failed updates, into their incidents."""
        told = await self._stories.told()
        known = await self._incidents.incidents([id for _, id, _ in told])
        for entry, id, story in told:
            commands = [self._stories.written(entry)]
            incident = known.get(id)
            if incident is not None and incident.part_of is None:
                known[id] = after = replace(incident, update=story)
                commands += self._wanted(after)
                commands += self._incidents.put_incident(after, incident, self._now_ms())
            await lease.commit(commands)

    def _remark(self, remark: Remark) -> list[Command]:
        """A comment stands in the thread of its incident's message."""
        wanted = Wanted(
            key=f"comment:{remark.stack}/{remark.tenant}/{remark.comment.id}",
            channel=self._world.tenant(remark.stack, remark.tenant).channel,
            message=comment_message(remark.comment, remark.actor),
            priority=Priority.NOTE,
            parent=f"incident:{remark.incident}",
            open=False,
        )
        return self._outbox.want(wanted)

    async def _file_lists(self, lease: Lease) -> None:
        """Upload the complete list of the devices of groups that grew."""
        due = await self._incidents.files_due(self._now_ms())
        known = await self._incidents.incidents(due)
        for id in due:
            commands = [self._incidents.file_done(id)]
            incident = known.get(id)
            if incident is not None:
                count = len(incident.members)
                commands += self._outbox.upload_commands(
                    key=f"incident:{id}:devices:{count}",
                    parent=f"incident:{id}",
                    filename=f"devices-{id}.csv",
                    content=await asyncio.to_thread(devices_file, incident),
                    comment=f"All {count} alarms of this incident so far.",
                )
                commands += self._incidents.put_incident(replace(incident, filed=count), incident, self._now_ms())
            await lease.commit(commands)

    def _bury(self, entry: Entry, why: str, reason: str) -> list[Command]:
        BURIED.labels(reason).inc()
        log.error("alarm_buried", entry=entry.id, tenant=entry.tenant, why=why)
        commands = self._intake.bury(entry, why)
        channel = self._channel(entry.stack, entry.tenant)
        if channel is not None:
            at = datetime.fromtimestamp(entry.heard_ms / 1000, UTC)
            message = unreadable_message(entry.stack, entry.tenant, why, entry.body, at)
            key = f"unreadable:{entry.id}"
            commands += self._outbox.want(Wanted(key, channel, message, Priority.INCIDENT, critical=True, open=False))
        return commands

    def _channel(self, stack: Stack, tenant: Tenant) -> Channel | None:
        try:
            return self._world.tenant(stack, tenant).channel
        except NotFound:
            return None

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)


def _news(incident: Incident, before: Incident | None) -> bool:
    """Whether hawkBit may know more than when it was last asked."""
    if before is None or not before.shown:
        return True
    return (before.phase, before.repeats) != (incident.phase, incident.repeats)


async def _aside(incident: Incident, work: Callable[..., list[Command]], *args: Any) -> list[Command]:
    """`work` done; for a large group in a thread, so that the loop can answer meanwhile."""
    if len(incident.members) > LARGE:
        return await asyncio.to_thread(work, *args)
    await asyncio.sleep(0)
    return work(*args)


async def _let_others(number: int) -> None:
    """The receiver, and the acknowledgements of Slack, in the same process answer in milliseconds."""
    if number % YIELD_EVERY == 0:
        await asyncio.sleep(0)
