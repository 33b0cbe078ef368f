"""Requests for a second person's approval: one document each, and the list of those that are not over.

Documents are changed only by the commands given here, in one commit with the audit's line, under the request's lease.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import orjson
from pydantic import TypeAdapter

from core.approvals import Request
from core.ids import ApprovalId
from integrations.store.connection import Store
from integrations.store.families import DAY, Family
from integrations.store.leases import Command

KEPT_S = 90 * DAY
MAX_LIVE = 500
ASKING = "approvals:ask"
"""The lease under which a new request is made: the same thing is asked for once."""

_LIVE = "cdm:approvals:live"
_LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"

FAMILIES = (
    Family("approvals", "cdm:approval:*", "90 days after its last change", KEPT_S, 50_000, 64 << 10),
    Family("approvals, live", _LIVE, "when it is over and reviewed", max_entries=MAX_LIVE),
)

_REQUEST = TypeAdapter(Request)


def lease_name(id: ApprovalId) -> str:
    return f"approval:{id}"


class ApprovalStore:
    """Reads are plain; writes are commands for a fenced commit."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def new_id(self) -> ApprovalId:
        """Short enough to be typed, and not used before."""
        while True:
            id = ApprovalId("".join(secrets.choice(_LETTERS) for _ in range(6)))
            if not await self._store.exists(_key(id)):
                return id

    async def request(self, id: ApprovalId) -> Request | None:
        raw = await self._store.get(_key(id))
        return None if raw is None else _REQUEST.validate_json(raw)

    async def live(self) -> Sequence[Request]:
        """Those open, being carried out or under review, oldest first."""
        ids = [row.decode() for row in await self._store.zrange(_LIVE, 0, -1)]
        if not ids:
            return []
        found = await self._store.mget([_key(ApprovalId(id)) for id in ids])
        return [_REQUEST.validate_json(raw) for raw in found if raw is not None]

    def save(self, request: Request) -> list[Command]:
        live: Command = (
            ("ZADD", _LIVE, repr(request.at.timestamp()), request.id) if request.live else ("ZREM", _LIVE, request.id)
        )
        document = orjson.dumps(request, option=orjson.OPT_NON_STR_KEYS, default=_plain)
        return [("SET", _key(request.id), document, "EX", KEPT_S), live]


def _plain(value: object) -> object:
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError(type(value).__name__)


def _key(id: ApprovalId) -> str:
    return f"cdm:approval:{id}"
