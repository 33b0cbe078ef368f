"""The alarms' inbox in the store: on disk before they are answered, and in it until they are folded.

Group commit: all requests that wait at the moment go to the store in one script call, so they share one round trip and
one fsync, and each is answered after its own entry is stored. The stream holds exactly what is not folded yet: an entry
leaves it in the same commit that writes what it changed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

import orjson
import structlog
from prometheus_client import Counter, Gauge, Histogram
from redis.exceptions import RedisError

from core.alarms.facts import AlarmReport, Severity, Source
from core.alarms.parse import Kind, Told, Unfit, parse
from core.errors import Unavailable
from core.ids import AlarmId, DeviceName, Stack, Tenant
from integrations.store.connection import Store
from integrations.store.families import DAY, Family
from integrations.store.leases import Command, Lease

log = structlog.get_logger(__name__)

STREAM = "cdm:intake"
DEAD = "cdm:intake:dead"
FAILURES = "cdm:intake:failures"

APPEND_S = 1.0
"""ThingsBoard delivers again what was not answered within 2 s (measured on CE 4.2.1), so we say no before that."""
BATCH = 512
MAX_WAITING = 4_096
MAX_BACKLOG = 200_000
MAX_BACKLOG_BYTES = 1 << 30
MAX_DEAD = 1_000
TRIES = 5
MEASURED_EVERY_S = 1.0
RETRY_AFTER_S = 2.0

FAMILIES = (
    Family("intake", STREAM, "when it is folded; a full one refuses", None, MAX_BACKLOG, MAX_BACKLOG_BYTES),
    Family("intake failures", FAILURES, "when the entry is folded or buried", DAY, MAX_BACKLOG, 8 << 20),
    Family("intake, unreadable", DEAD, "when newer ones push it out", 30 * DAY, MAX_DEAD, 64 << 20),
)

STORED = Counter("cdm_intake_stored", "Alarm messages written to the inbox and answered so")
SECONDS = Histogram(
    "cdm_intake_append_seconds",
    "From the first request of a batch to all of it being on disk, per batch",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1),
)
BACKLOG = Gauge("cdm_intake_backlog_entries", "Alarm messages accepted and not folded yet, at the last append")

_APPEND = """
for i = 2, #ARGV, 2 do redis.call('XADD', KEYS[1], '*', 'h', ARGV[i], 'b', ARGV[i + 1]) end
local bytes = -1
if ARGV[1] == '1' then bytes = redis.call('MEMORY', 'USAGE', KEYS[1]) or 0 end
return {redis.call('XLEN', KEYS[1]), bytes}
"""


class InDanger(Unavailable):
    """The store does not take the alarm right now: say so, the sender comes again."""

    reason = "store_in_danger"

    def __init__(self, why: str) -> None:
        super().__init__(f"The store does not take alarms: {why}.", system="store", retry_after_s=RETRY_AFTER_S)


class Origin(StrEnum):
    """How an entry came in."""

    WEBHOOK = "w"
    READ = "r"


@dataclass(frozen=True, slots=True)
class Entry:
    """One message in the inbox. `heard_ms`: when it came in or, for a read, when the read was sent (our clock)."""

    id: str
    stack: Stack
    tenant: Tenant
    origin: Origin
    heard_ms: int
    body: bytes

    def told(self) -> Told | Unfit:
        return _load_read(self.body) if self.origin is Origin.READ else parse(self.body)


@dataclass(frozen=True, slots=True)
class Dead:
    """An entry that could not be folded, and why."""

    entry: Entry
    why: str


_Waiting = tuple[float, bytes, bytes, asyncio.Future[None]]
"""Since when (the loop's time), head, body, and who waits."""


class Intake:
    """The inbox. Any process appends; whoever holds the lease of the fold takes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: deque[_Waiting] = deque()
        self._flight: asyncio.Task[None] | None = None
        self._measured_at = float("-inf")
        self._full: str | None = None

    async def append(self, stack: Stack, tenant: Tenant, body: bytes, received_ms: int) -> None:
        """Keep a webhook's body. Returns after the store has answered for this very entry; raises InDanger within a
        second otherwise (it may be stored all the same: the fold does not mind)."""
        await self._append(stack, tenant, Origin.WEBHOOK, received_ms, body)

    async def append_read(self, stack: Stack, tenant: Tenant, told: Told, read_ms: int) -> None:
        """Keep what a read of ThingsBoard said; `read_ms` is when it was sent."""
        body = orjson.dumps({"kind": told.kind, "actor": told.actor, "report": asdict(told.report)})
        await self._append(stack, tenant, Origin.READ, read_ms, body)

    async def take(self, *, count: int, wait_ms: int) -> list[Entry]:
        """The oldest entries not folded yet; waits up to `wait_ms` (at most 500) where there is none."""
        answer = await self._store.xread({STREAM: "0-0"}, count=count, block=min(max(wait_ms, 1), 500))
        return [_entry(id.decode(), fields) for _, rows in answer for id, fields in rows]

    async def oldest_ms(self) -> int | None:
        """When the oldest entry that is not folded yet came in; None where there is none."""
        rows = await self._store.xrange(STREAM, count=1)
        return min((_entry(id.decode(), fields).heard_ms for id, fields in rows), default=None)

    def done(self, entries: Sequence[Entry]) -> list[Command]:
        """The commands by which folded entries leave the inbox, for the commit that writes what they changed."""
        ids = [entry.id for entry in entries]
        return [("XDEL", STREAM, *ids), ("HDEL", FAILURES, *ids)] if ids else []

    async def fail(self, lease: Lease, entry: Entry) -> int:
        """Count a failure to fold `entry`; how many there were."""
        counted = await lease.commit([("EXPIRE", FAILURES, DAY), ("HINCRBY", FAILURES, entry.id, 1)])
        return int(str(counted))

    def bury(self, entry: Entry, why: str) -> list[Command]:
        """The commands that move an entry to the dead letters."""
        dead = ("XADD", DEAD, "MAXLEN", "=", MAX_DEAD, "*", "h", _head(entry), "b", entry.body, "why", why[:500])
        return [dead, ("EXPIRE", DEAD, 30 * DAY), *self.done([entry])]

    async def dead(self, count: int = 20) -> list[Dead]:
        """The newest dead letters, newest first."""
        rows = await self._store.xrevrange(DEAD, count=count)
        return [Dead(_entry(id.decode(), fields), fields[b"why"].decode()) for id, fields in rows]

    async def _append(self, stack: Stack, tenant: Tenant, origin: Origin, heard_ms: int, body: bytes) -> None:
        loop = asyncio.get_running_loop()
        if self._full is not None and loop.time() - self._measured_at < MEASURED_EVERY_S:
            raise InDanger(self._full)
        if len(self._waiting) >= MAX_WAITING:
            raise InDanger("too many alarms are waiting to be written")
        kept: asyncio.Future[None] = loop.create_future()
        self._waiting.append((loop.time(), f"{origin.value}\n{stack}\n{tenant}\n{heard_ms}".encode(), body, kept))
        if self._flight is None:
            self._flight = loop.create_task(self._fly(), name="intake-append")
        await kept

    async def _fly(self) -> None:
        """Write until nobody waits. One batch at a time: what comes in meanwhile is the next one."""
        try:
            while self._waiting:
                await self._write([self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH))])
        finally:
            self._flight = None
            _settle(self._waiting, "the bot is stopping")
            self._waiting.clear()

    async def _write(self, batch: list[_Waiting]) -> None:
        problem: str | None = "the bot is stopping"
        try:
            async with asyncio.timeout_at(batch[0][0] + APPEND_S):
                await self._commit([part for _, head, body, _ in batch for part in (head, body)])
            problem = None
            STORED.inc(len(batch))
            SECONDS.observe(asyncio.get_running_loop().time() - batch[0][0])
        except TimeoutError:
            problem = f"it did not answer within {APPEND_S:.0f} s"
        except (RedisError, OSError) as error:
            problem = str(error) or type(error).__name__
        finally:
            if problem is not None:
                log.warning("intake_append_failed", waiting=len(batch), why=problem)
            _settle(batch, problem)

    async def _commit(self, parts: list[bytes]) -> None:
        now = asyncio.get_running_loop().time()
        measure = now - self._measured_at >= MEASURED_EVERY_S
        length, size = await self._store.eval(_APPEND, 1, STREAM, b"1" if measure else b"0", *parts)
        BACKLOG.set(length)
        if measure:
            self._measured_at = now
            self._full = None
            if length >= MAX_BACKLOG or size >= MAX_BACKLOG_BYTES:
                self._full = f"{length} alarms wait to be processed"


def _settle(batch: Iterable[_Waiting], problem: str | None) -> None:
    """Answer those who still wait: kept, or not."""
    for _, _, _, kept in batch:
        if kept.done():
            continue
        if problem is None:
            kept.set_result(None)
        else:
            kept.set_exception(InDanger(problem))


def _head(entry: Entry) -> bytes:
    return f"{entry.origin}\n{entry.stack}\n{entry.tenant}\n{entry.heard_ms}".encode()


def _entry(id: str, fields: dict[bytes, bytes]) -> Entry:
    origin, stack, tenant, heard = fields[b"h"].decode().split("\n")
    return Entry(id, Stack(stack), Tenant(tenant), Origin(origin), int(heard), fields[b"b"])


def _load_read(body: bytes) -> Told:
    found = orjson.loads(body)
    report = found["report"]
    read = AlarmReport(
        **{
            **report,
            "alarm_id": AlarmId(report["alarm_id"]),
            "device": DeviceName(report["device"]) if report["device"] else None,
            "severity": Severity(report["severity"]),
            "source": Source.READ,
        }
    )
    return Told(Kind(found["kind"]), read, found["actor"])
