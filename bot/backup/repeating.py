"""What keeps a bot on an old copy of the store from doing or saying again what was done and said since.

- Every rollout that goes on is held: holds, pauses and promotions made since are not in the copy, so the scheduler must
  not decide by it. A person looks and releases. An attempt that was open stays open, is read back and never sent.
- A message that Slack was not known to show may have been posted since: it is looked up by its id first, as after a
  lost answer. So are the messages of alarms and rollouts that go on now and are not in the copy.
- The messages of open incidents and rollouts are written anew, so that they do not show a state that the bot forgot.
- Runs ended with the process that ran them: their messages are left as Slack shows them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import orjson

from bot.backup.present import Present
from bot.settings import Settings
from core.ids import Channel, RolloutId, Stack, Subject, Tenant
from core.incidents import incident_id
from core.messages.blocks import Message
from core.outbox import Row, State, Wanted, attempt, place
from core.ports import Clock
from core.rollouts.actors import Actor, ActorKind
from core.rollouts.records import Hold
from integrations.store.connection import Store
from integrations.store.families import DAY
from integrations.store.outbox import Outbox, OutboxRows, Priority, seconds
from integrations.store.rollouts import RolloutStore

WANTED, ROW = "cdm:outbox:want:", "cdm:outbox:row:"
RESTORE = Actor(ActorKind.SCHEDULER, Subject("bot"), "cdm restore")
UNSURE = "unknown since the restore"
"""Stands where the digest of what Slack shows would: like no other, so what is wanted is written once more."""
LOOKED_UP_S = 14 * DAY
_FOLLOWED = ("incident:", "rollout:")


@dataclass(frozen=True, slots=True)
class Prepared:
    """How many rollouts are held, messages looked up before they are posted, and messages written anew."""

    held: int
    looked_up: int
    written_anew: int


async def prepare(store: Store, settings: Settings, present: Present, taken_at: datetime, clock: Clock) -> Prepared:
    """Change the copy so that a bot may work on it. `taken_at` is when the copy was made."""
    held = await _hold(store, present, taken_at, clock)
    looked_up, anew = await _messages(store, seconds(taken_at), clock)
    looked_up += await _unknown_messages(store, settings, present, seconds(taken_at))
    return Prepared(held, looked_up, anew)


async def _hold(store: Store, present: Present, taken_at: datetime, clock: Clock) -> int:
    records, count = RolloutStore(store), 0
    names: dict[tuple[Stack, RolloutId], str] = {
        (stack, id): name for stack, rollouts in present.rollouts.items() for id, name in rollouts.items()
    }
    async for key in store.scan_iter(match="cdm:rollout:tracked:*"):
        stack = Stack(key.decode().removeprefix("cdm:rollout:tracked:"))
        for id in await records.tracked(stack):
            names.setdefault((stack, id), "")
    for (stack, id), name in names.items():
        record = await records.record(stack, id)
        why = f"restored from the backup of {taken_at:%Y-%m-%d %H:%M} UTC; look into hawkBit, then release the hold"
        hold = record.hold or Hold(clock.now(), RESTORE, why)
        _, commands = records.save(replace(record, name=record.name or name, hold=hold, ended_at=None))
        for command in commands:
            await store.execute_command(*command)
        count += 1
    return count


async def _messages(store: Store, taken_at: float, clock: Clock) -> tuple[int, int]:
    rows, outbox = OutboxRows(store), Outbox(store, clock)
    looked_up = anew = 0
    async for wanted in _wanted(store):
        row = await rows.row(wanted.key)
        if wanted.key.startswith("run:"):
            await store.delete(f"{WANTED}{wanted.key}")
        elif not row.shown and row.state in (State.PLANNED, State.ATTEMPTED):
            parent = await rows.row(wanted.parent) if wanted.parent else None
            await _keep(store, _maybe_posted(wanted, row, parent, taken_at))
            looked_up += 1
        elif wanted.open and row.state is State.CONFIRMED and wanted.key.startswith(_FOLLOWED):
            await _keep(store, replace(row, shown=UNSURE))
            await outbox.put(wanted)
            anew += 1
    return looked_up, anew


def _maybe_posted(wanted: Wanted, row: Row, parent: Row | None, taken_at: float) -> Row:
    """As after a post whose answer was lost. Where its thread is not known yet it cannot be looked up, and says so."""
    to = place(wanted, row, parent)
    if to is None:
        return replace(row, doubt=True)
    return replace(attempt(wanted, row, to, taken_at, taken_at), sent=UNSURE)


async def _unknown_messages(store: Store, settings: Settings, present: Present, taken_at: float) -> int:
    """Rows for what goes on now and was told since the copy was made, if it was."""
    channels = {Stack(s.name): Channel(s.rollout_channel) for s in settings.stacks}
    tenants = {(Stack(s.name), Tenant(t.id)): Channel(t.channel) for s in settings.stacks for t in s.tenants}
    keys = {f"rollout:{stack}/{id}": channels[stack] for stack, found in present.rollouts.items() for id in found}
    for (stack, tenant), alarms in present.alarms.items():
        for alarm in alarms:
            for grouped in (False, True):
                keys[f"incident:{incident_id(stack, tenant, alarm, grouped=grouped)}"] = tenants[(stack, tenant)]
    count = 0
    for key, channel in keys.items():
        if not await store.exists(f"{ROW}{key}", f"{WANTED}{key}"):
            row = Row(key, State.ATTEMPTED, channel, attempted_at=taken_at, sent=UNSURE)
            await store.set(f"{ROW}{key}", orjson.dumps(asdict(row)), ex=LOOKED_UP_S)
            count += 1
    return count


async def _keep(store: Store, row: Row) -> None:
    await store.set(f"{ROW}{row.key}", orjson.dumps(asdict(row)), keepttl=True)


async def _wanted(store: Store) -> AsyncIterator[Wanted]:
    keys = sorted({key async for key in store.scan_iter(match=f"{WANTED}*", count=500)})
    for key in keys:
        raw = await store.get(key)
        if raw is not None:
            yield _read(key.decode().removeprefix(WANTED), orjson.loads(raw))


def _read(key: str, doc: Mapping[str, Any]) -> Wanted:
    message = Message(doc["message"]["text"], tuple(doc["message"]["blocks"]))
    return Wanted(**{**doc, "key": key, "message": message, "priority": Priority(doc["priority"])})
