"""What the bot knows about rollouts, in the store: one document a rollout, and the evidence of each of its groups.

Documents are changed only by the commands given here, inside `lease.commit` of the rollout's lease.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import orjson
from pydantic import TypeAdapter

from core.ids import DeviceName, GroupId, RolloutId, Stack
from core.rollouts.records import DeviceEvidence, GroupEvidence, RolloutRecord
from integrations.store.connection import Store
from integrations.store.families import DAY, Family
from integrations.store.leases import Command

RETENTION_S = 90 * DAY
MAX_TRACKED = 1_000
MAX_DEVICES = 20_000  # hawkBit's own quota for a group

FAMILIES = (
    Family("rollouts", "cdm:rollout:doc:*", "90 days after its last change", RETENTION_S, 10_000, 512 << 10),
    Family("rollout evidence", "cdm:rollout:proof:*", "90 days after its last change", RETENTION_S, 50_000, 64 << 20),
    Family("rollouts tracked", "cdm:rollout:tracked:*", "when it ended and is verified", max_entries=MAX_TRACKED),
)

_RECORD = TypeAdapter(RolloutRecord)
_DEVICE = TypeAdapter(DeviceEvidence)
_META = TypeAdapter(GroupEvidence)
_CHUNK = 500  # fields of one HSET: the store's script may unpack only so many


def lease_name(stack: Stack, rollout: RolloutId) -> str:
    """The lease under which everything about one rollout is changed and sent."""
    return f"rollout:{stack}/{rollout}"


class RolloutStore:
    """Reads are plain; writes are commands for a fenced commit."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def tracked(self, stack: Stack) -> tuple[RolloutId, ...]:
        """The rollouts still followed, oldest first."""
        rows = await self._store.hkeys(_tracked(stack))
        return tuple(RolloutId(n) for n in sorted(int(row) for row in rows))

    async def followed_as(self, stack: Stack, name: str) -> RolloutId | None:
        """The rollout still followed that has this name."""
        rows: Mapping[bytes, bytes] = await self._store.hgetall(_tracked(stack))
        found = [int(row) for row, named in rows.items() if named == name.encode()]
        return RolloutId(max(found)) if found else None

    async def called(self, stack: Stack, name: str) -> RolloutId | None:
        """The newest rollout of that name, also one that ended. Reads every document where it is not followed any
        more: not for a loop."""
        if (followed := await self.followed_as(stack, name)) is not None:
            return followed
        found = None
        prefix = _doc(stack, "").encode()
        async for key in self._store.scan_iter(match=_doc("*", "*"), count=500):
            raw = await self._store.get(key) if key.startswith(prefix) else None
            record = None if raw is None else _RECORD.validate_json(raw)
            if record is not None and record.name == name:
                found = max(record.rollout, found or record.rollout)
        return found

    async def record(self, stack: Stack, rollout: RolloutId) -> RolloutRecord:
        """The document, or an empty one (revision 0)."""
        raw = await self._store.get(_doc(stack, rollout))
        return RolloutRecord(stack, rollout) if raw is None else _RECORD.validate_json(raw)

    async def evidence(self, stack: Stack, rollout: RolloutId, group: GroupId) -> GroupEvidence:
        """The evidence of one group; empty where nothing was kept yet."""
        rows: Mapping[bytes, bytes] = await self._store.hgetall(_proof(stack, rollout, group))
        if not rows:
            return GroupEvidence(group)
        meta = _META.validate_json(rows[b""]) if b"" in rows else GroupEvidence(group)
        devices = [_DEVICE.validate_json(raw) for name, raw in rows.items() if name]
        return replace(meta, devices={d.device: d for d in devices})

    async def group_of(
        self, stack: Stack, rollout: RolloutId, groups: Sequence[GroupId], device: DeviceName
    ) -> GroupId | None:
        """The group in whose evidence the device is."""
        async with self._store.pipeline(transaction=False) as pipe:
            for group in groups:
                pipe.hexists(_proof(stack, rollout, group), device)
            found = await pipe.execute() if groups else []
        return next((group for group, there in zip(groups, found, strict=True) if there), None)

    def save(self, record: RolloutRecord) -> tuple[RolloutRecord, list[Command]]:
        """The record as it will be stored (its revision raised), and the commands. Ended ones are no longer tracked."""
        stored = replace(record, revision=record.revision + 1)
        tracked = _tracked(record.stack)
        follow: Command = (
            ("HDEL", tracked, record.rollout)
            if record.ended_at is not None
            else ("HSET", tracked, record.rollout, record.name)
        )
        document = ("SET", _doc(record.stack, record.rollout), orjson.dumps(stored), "EX", RETENTION_S)
        return stored, [document, follow]

    def save_evidence(self, stack: Stack, rollout: RolloutId, new: GroupEvidence, old: GroupEvidence) -> list[Command]:
        """The commands that turn the stored `old` into `new`: only what changed is written. Beyond hawkBit's own quota
        for a group nothing is kept, and so nothing passes."""
        if len(new.devices) > MAX_DEVICES:
            return []
        key = _proof(stack, rollout, new.group)
        rows: list[str | bytes] = []
        for name, device in new.devices.items():
            if device != old.devices.get(name):
                rows += [name, orjson.dumps(device)]
        head = replace(new, devices={})
        if rows or head != replace(old, devices={}):
            rows += ["", orjson.dumps(head)]
        if not rows:
            return []
        commands: list[Command] = [("HSET", key, *part) for part in _chunks(rows, 2 * _CHUNK)]
        return [*commands, ("EXPIRE", key, RETENTION_S)]


def _chunks(rows: list[str | bytes], size: int) -> Iterable[list[str | bytes]]:
    for at in range(0, len(rows), size):
        yield rows[at : at + size]


def _doc(stack: str, rollout: RolloutId | str) -> str:
    return f"cdm:rollout:doc:{stack}/{rollout}"


def _proof(stack: Stack, rollout: RolloutId, group: GroupId) -> str:
    return f"cdm:rollout:proof:{stack}/{rollout}/{group}"


def _tracked(stack: Stack) -> str:
    return f"cdm:rollout:tracked:{stack}"
