"""Where the audit log stood, told to places that the store's owner does not own: the JSON log and Slack."""

from __future__ import annotations

import structlog

from core.ids import Channel
from core.messages.blocks import compose, context
from core.ports import Clock
from integrations.store.audit import AuditLog
from integrations.store.leases import Leases
from integrations.store.outbox import Outbox, Priority, Wanted

log = structlog.get_logger(__name__)

LEASE = "audit-anchor"
LEASE_S = 150.0
"""Two ticks and a half: the holder keeps it from minute to minute."""


class AuditAnchors:
    """Of all processes only the holder of the lease tells. `tick` once a minute."""

    def __init__(self, *, audit: AuditLog, outbox: Outbox, leases: Leases, clock: Clock, channel: Channel) -> None:
        self._audit = audit
        self._outbox = outbox
        self._leases = leases
        self._clock = clock
        self._channel = channel
        self._told = ""

    async def tick(self) -> None:
        """Number and hash of the newest entry into the log where they moved, and into Slack once a UTC day: first on
        the day after the log's first."""
        lease = await self._leases.acquire(LEASE, LEASE_S)
        head = await self._audit.head()
        if lease is None or not head:
            return
        if head != self._told:
            number, _, hash = head.partition(" ")
            log.info("audit_anchored", seq=int(number), hash=hash)
            self._told = head
        today, posted = f"{self._clock.now():%Y-%m-%d}", await self._audit.posted_on()
        if posted == today:
            return
        commands = self._audit.posted_commands(today)
        if posted:
            commands += self._outbox.want(self._wanted(today, head))
        await lease.commit(commands)

    def _wanted(self, today: str, head: str) -> Wanted:
        text = f"Audit log, {today}: `{head}`"
        why = (
            "Number and hash of its newest entry. `cdm audit verify --anchors` finds by it what is changed or cut off."
        )
        return Wanted(
            key=f"audit-anchor:{today}",
            channel=self._channel,
            message=compose(text, context(why)),
            priority=Priority.NOTE,
            open=False,
        )
