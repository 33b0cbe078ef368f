"""What was decided about a rollout and on what, and how its devices came along: bounded streams, oldest first."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import orjson
from pydantic import TypeAdapter

from core.ids import RolloutId, Stack
from core.rollouts.kept import SAMPLES, Moment, Sample
from integrations.store.connection import Store
from integrations.store.families import Family
from integrations.store.leases import Command

RETENTION_S = 90 * 86_400
MOMENTS = 300

FAMILIES = (
    Family("rollout decisions", "cdm:rollout:past:*", "90 days after the last one", RETENTION_S, MOMENTS, 4 << 20),
    Family("rollout curves", "cdm:rollout:curve:*", "90 days after the last point", RETENTION_S, SAMPLES, 4 << 20),
)

_Row: TypeAlias = tuple[bytes, Mapping[bytes, bytes]]
_MOMENT = TypeAdapter(Moment)
_SAMPLE = TypeAdapter(Sample)


@dataclass(frozen=True, slots=True)
class Page:
    """Moments with their ids, newest first; the first is the one `back` before the newest of all."""

    back: int
    rows: Sequence[tuple[str, Moment]]


class RolloutPast:
    """Reads are plain; writes are commands for a fenced commit."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def moments(self, stack: Stack, rollout: RolloutId, *, newest: int = MOMENTS) -> Sequence[Moment]:
        """The newest so many, oldest first."""
        return [_MOMENT.validate_json(raw) for raw in await self._newest(_past(stack, rollout), newest)]

    async def page(self, stack: Stack, rollout: RolloutId, *, id: str = "", back: int = 0, count: int = 1) -> Page:
        """So many, newest first: from the one with that id on, or the one so many before the newest; the oldest where
        that one is not kept any more."""
        rows: Sequence[_Row] = await self._store.xrevrange(_past(stack, rollout), count=MOMENTS)
        ids = [row.decode() for row, _ in rows]
        oldest = max(len(ids) - 1, 0)
        first = min(back, oldest) if not id else ids.index(id) if id in ids else oldest
        shown = [(ids[n], _MOMENT.validate_json(_raw(rows[n]))) for n in range(first, min(first + count, len(ids)))]
        return Page(first, shown)

    async def samples(self, stack: Stack, rollout: RolloutId) -> Sequence[Sample]:
        return [_SAMPLE.validate_json(raw) for raw in await self._newest(_curve(stack, rollout), SAMPLES)]

    async def _newest(self, key: str, count: int) -> Sequence[bytes]:
        rows: Sequence[_Row] = await self._store.xrevrange(key, count=count)
        return [_raw(row) for row in reversed(rows)]


def add_moment(stack: Stack, rollout: RolloutId, moment: Moment) -> list[Command]:
    return _add(_past(stack, rollout), orjson.dumps(moment, default=_plain), MOMENTS)


def add_sample(stack: Stack, rollout: RolloutId, sample: Sample) -> list[Command]:
    return _add(_curve(stack, rollout), orjson.dumps(sample), SAMPLES)


def _add(key: str, raw: bytes, keep: int) -> list[Command]:
    return [("XADD", key, "MAXLEN", keep, "*", "z", zlib.compress(raw)), ("EXPIRE", key, RETENTION_S)]


def _raw(row: _Row) -> bytes:
    return zlib.decompress(row[1][b"z"])


def _plain(value: object) -> object:
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError(type(value))


def _past(stack: Stack, rollout: RolloutId) -> str:
    return f"cdm:rollout:past:{stack}/{rollout}"


def _curve(stack: Stack, rollout: RolloutId) -> str:
    return f"cdm:rollout:curve:{stack}/{rollout}"
