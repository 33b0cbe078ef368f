"""Rule-engine queues: partitions polled in packs, submitted and retried by each queue's strategy (upstream source).

In memory, as CDM sets it: what has not been handled is lost when the server restarts (measured on 4.2.1).
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from sandbox.thingsboard.entities import Json, ref
from sandbox.thingsboard.messages import Message

PACK_LIMIT = 1000
SUBMITS = ("BURST", "BATCH", "SEQUENTIAL", "SEQUENTIAL_BY_ORIGINATOR", "SEQUENTIAL_BY_TENANT")
PROCESSINGS = (
    "SKIP_ALL_FAILURES",
    "SKIP_ALL_FAILURES_AND_TIMED_OUT",
    "RETRY_ALL",
    "RETRY_FAILED",
    "RETRY_TIMED_OUT",
    "RETRY_FAILED_AND_TIMED_OUT",
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a rule chain a queued message goes on: out of node `index` by `relation`."""

    chain: str
    index: int
    relation: str


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One queued message. `place` is None for a message that starts at its chain's first node."""

    message: Message
    place: Place | None


Handle = Callable[[Entry], Awaitable[bool]]
"""Run one entry through its rule chain: True when every branch was handled, False when one failed."""


@dataclass(slots=True)
class Queue:
    """A queue's settings, as `POST /api/queues` takes them; seconds for pauses, ms for the rest."""

    id: str
    created: int
    name: str
    submit: str
    processing: str
    retries: int
    failure_percentage: float
    pause_s: float
    max_pause_s: float
    pack_timeout_ms: int
    poll_ms: int
    partitions: int
    batch: int
    body: Json = field(default_factory=dict)

    @classmethod
    def read(cls, body: Json, queue_id: str, now: int) -> Queue:
        submit, processing = body["submitStrategy"], body["processingStrategy"]
        if submit["type"] not in SUBMITS or processing["type"] not in PROCESSINGS:
            raise KeyError(submit["type"])
        return cls(
            queue_id,
            now,
            body["name"],
            submit["type"],
            processing["type"],
            int(processing["retries"]),
            float(processing["failurePercentage"]),
            float(processing["pauseBetweenRetries"]),
            float(processing["maxPauseBetweenRetries"]),
            int(body["packProcessingTimeout"]),
            int(body["pollInterval"]),
            int(body["partitions"]),
            int(submit.get("batchSize") or 1000),
            body,
        )

    def json(self) -> Json:
        return {"id": ref("QUEUE", self.id), "createdTime": self.created, **self.body}


def queue_body(
    name: str, submit: str, batch: int, processing: str, retries: int, pause: int, max_pause: int, timeout_ms: int
) -> Json:
    return {
        "name": name,
        "topic": f"tb_rule_engine.{name.lower()}",
        "pollInterval": 25,
        "partitions": 10,
        "consumerPerPartition": True,
        "packProcessingTimeout": timeout_ms,
        "submitStrategy": {"type": submit, "batchSize": batch},
        "processingStrategy": {
            "type": processing,
            "retries": retries,
            "failurePercentage": 0,
            "pauseBetweenRetries": pause,
            "maxPauseBetweenRetries": max_pause,
        },
    }


DEFAULTS = (
    queue_body("Main", "BURST", 1000, "SKIP_ALL_FAILURES", 3, 3, 3, 2000),
    queue_body("HighPriority", "BURST", 100, "RETRY_FAILED_AND_TIMED_OUT", 0, 5, 5, 2000),
    queue_body("SequentialByOriginator", "SEQUENTIAL_BY_ORIGINATOR", 100, "RETRY_FAILED_AND_TIMED_OUT", 3, 5, 5, 2000),
)


class Broker:
    """Holds the partitions and runs one consumer for each that has had a message. `pace` scales every wait."""

    def __init__(self, handle: Handle, pace: float) -> None:
        self.handle = handle
        self.pace = pace
        self.queues: dict[str, Queue] = {}
        self.awake = asyncio.Event()
        self.awake.set()
        self._partitions: dict[tuple[str, int], asyncio.Queue[Entry]] = {}
        self._consumers: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._running: set[asyncio.Task[bool]] = set()
        self._started = False

    def put(self, queue_name: str | None, entry: Entry) -> None:
        """An unknown queue means Main, as on the real server."""
        queue = self.queues.get(queue_name or "Main") or self.queues["Main"]
        slot = (queue.name, zlib.crc32(entry.message.originator[1].encode()) % queue.partitions)
        self._partitions.setdefault(slot, asyncio.Queue()).put_nowait(entry)
        if self._started and slot not in self._consumers:
            self._consume(slot)

    def start(self) -> None:
        self._started = True
        for slot in self._partitions:
            self._consume(slot)

    def _consume(self, slot: tuple[str, int]) -> None:
        self._consumers[slot] = asyncio.create_task(self._consumer(*slot), name=f"queue:{slot[0]}:{slot[1]}")

    def lose_everything(self) -> None:
        """What a restart does to in-memory queues: waiting and half-handled messages are gone."""
        for task in [*self._consumers.values(), *self._running]:
            task.cancel()
        self._consumers.clear()
        self._running.clear()
        self._partitions.clear()

    async def stop(self) -> None:
        tasks = [*self._consumers.values(), *self._running]
        self.lose_everything()
        self._started = False
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _consumer(self, name: str, partition: int) -> None:
        waiting = self._partitions[(name, partition)]
        while True:
            pack = [await waiting.get()]
            queue = self.queues.get(name) or self.queues["Main"]
            await asyncio.sleep(queue.poll_ms / 1000 * self.pace)
            await self.awake.wait()
            while not waiting.empty() and len(pack) < PACK_LIMIT:
                pack.append(waiting.get_nowait())
            await self._until_done(queue, pack)

    async def _until_done(self, queue: Queue, pack: Sequence[Entry]) -> None:
        """Process and, where the strategy says so, process again. The partition's later packs wait meanwhile."""
        todo, tries, pause = list(pack), 0, queue.pause_s
        while True:
            attempt = Attempt(self, queue, todo)
            await attempt.run()
            wanted = attempt.to_retry()
            if not wanted:
                return
            tries += 1
            share = len(attempt.bad) / len(pack)
            too_many = queue.failure_percentage > 0 and share > queue.failure_percentage
            if too_many or 0 < queue.retries < tries:
                return  # dropped
            await asyncio.sleep(pause * self.pace)
            if queue.max_pause_s > pause > 0:
                pause = min(queue.max_pause_s, pause * 2)
            todo = wanted

    def spawn(self, entry: Entry) -> asyncio.Task[bool]:
        async def handled() -> bool:
            return await self.handle(entry)

        task = asyncio.create_task(handled())
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task


class Attempt:
    """One submission of a pack. A message not done within the pack's time counts as timed out but runs on: what it
    still delivers comes on top of the retry."""

    def __init__(self, broker: Broker, queue: Queue, todo: Sequence[Entry]) -> None:
        self.broker = broker
        self.queue = queue
        self.todo = todo
        self.done: dict[Entry, bool] = {}
        self.over = False

    @property
    def bad(self) -> list[Entry]:
        return [e for e in self.todo if not self.done.get(e, False)]

    def to_retry(self) -> list[Entry]:
        kind = self.queue.processing
        if kind.startswith("SKIP") or not self.bad:
            return []
        failed = {e for e in self.todo if self.done.get(e) is False}
        wanted = set(self.todo) if kind == "RETRY_ALL" else set()
        if kind in ("RETRY_FAILED", "RETRY_FAILED_AND_TIMED_OUT"):
            wanted |= failed
        if kind in ("RETRY_TIMED_OUT", "RETRY_FAILED_AND_TIMED_OUT"):
            wanted |= {e for e in self.todo if e not in self.done}
        return [e for e in self.todo if e in wanted]

    async def run(self) -> None:
        rows = [asyncio.create_task(self._row(row)) for row in self._rows()]
        try:
            await asyncio.wait(rows, timeout=self.queue.pack_timeout_ms / 1000 * self.broker.pace)
        finally:
            self.over = True
            for row in rows:
                row.cancel()

    def _rows(self) -> list[list[list[Entry]]]:
        """Rows run side by side; within a row each group is submitted when the group before it has succeeded."""
        kind, todo = self.queue.submit, self.todo
        if kind == "SEQUENTIAL":
            return [[[e] for e in todo]]
        if kind == "BATCH":
            return [[list(todo[i : i + self.queue.batch]) for i in range(0, len(todo), self.queue.batch)]]
        if kind == "BURST":
            return [[list(todo)]]
        rows: dict[str, list[list[Entry]]] = {}
        for entry in todo:
            key = entry.message.tenant if kind == "SEQUENTIAL_BY_TENANT" else entry.message.originator[1]
            rows.setdefault(key, []).append([entry])
        return list(rows.values())

    async def _row(self, row: Sequence[Sequence[Entry]]) -> None:
        for group in row:
            tasks = {entry: self.broker.spawn(entry) for entry in group}
            for entry, task in tasks.items():
                task.add_done_callback(partial(self._note, entry))
            await asyncio.wait(tasks.values())
            if group is not row[-1] and not all(self.done.get(entry, False) for entry in group):
                await asyncio.Event().wait()  # the rest is never submitted: the pack ends by its timeout

    def _note(self, entry: Entry, task: asyncio.Task[bool]) -> None:
        if self.over or task.cancelled():
            return
        error = task.exception()
        if error is not None:
            context = {"message": "rule chain failed", "exception": error, "task": task}
            task.get_loop().call_exception_handler(context)
        self.done[entry] = error is None and task.result()
