"""One step for one message: the budget, the row before the call, the call, and what its answer makes of the row."""

from __future__ import annotations

import html
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from prometheus_client import Counter

from core.budgets import Budget, Budgets, Priority
from core.errors import OutsideError
from core.ids import Channel
from core.messages.blocks import compose, section
from core.messages.text import literal, mono
from core.outbox import (
    Do,
    Row,
    State,
    Timing,
    Wanted,
    attempt,
    confirm,
    found,
    next_step,
    place,
    rechecked,
    render,
    unique_name,
    updated,
)
from core.outbox_failures import Failure, Kind, Reaction, Trouble, react
from core.ports import Clock, Posts
from integrations.store.budgets import Buckets
from integrations.store.connection import Store
from integrations.store.leases import Command, Lease, LeaseLost
from integrations.store.outbox import FILES, Job, Outbox, OutboxRows, seconds

log = structlog.get_logger(__name__)

CALLS = Counter("cdm_outbox_calls_total", "Calls to Slack by the outbox", ["kind", "result"])

_CLOCKS_APART_S = 30.0  # what Slack's clock and ours may differ by
_NOTICE = "outbox-notice:"
_TRY_AGAIN_S = 5.0
_HOUR = 3600


@dataclass(slots=True)
class Token:
    """Whether Slack takes the bot's token, as the last calls of this process have shown."""

    clock: Clock
    refused: str = ""
    until: float = 0.0

    def wait_s(self) -> float:
        """0, or how long to leave Slack alone before the token is tried again."""
        return max(0.0, self.until - self.clock.monotonic()) if self.refused else 0.0

    def refuse(self, error: OutsideError) -> None:
        if not self.refused:
            log.error("slack_token_refused", error=error.user_text)
        self.refused, self.until = error.user_text, self.clock.monotonic() + _TRY_AGAIN_S

    def works(self) -> None:
        if self.refused:
            log.info("slack_token_accepted")
        self.refused = ""


@dataclass(frozen=True, slots=True)
class Pace:
    """`call_s` and `upload_s`: the longest a call of `Posts` may take. A lease outlives each call made under it by up
    to `spare_s`, which is also how long others wait for the lane of a killed worker."""

    poll_s: float = 0.25
    call_s: float = 15.0
    upload_s: float = 60.0
    spare_s: float = 10.0
    longest_nap_s: float = 1.0

    def margin_s(self, lane: Channel) -> float:
        return self.upload_s if lane == FILES else self.call_s


@dataclass(frozen=True, slots=True)
class Exits:
    """`fallback` takes what was meant for a channel the bot cannot post to; `admin` is told so, once an hour for each
    cause."""

    fallback: Channel | None = None
    admin: Channel | None = None


class Calls:
    """`calls[do](job, lease)` makes one call and commits what came of it; it returns 0, or the seconds to wait for a
    budget if no call was made."""

    def __init__(
        self,
        posts: Posts,
        store: Store,
        clock: Clock,
        token: Token,
        exits: Exits,
        *,
        timing: Timing,
        budgets: Budgets,
        pace: Pace,
    ) -> None:
        self._posts = posts
        self._rows = OutboxRows(store)
        self._outbox = Outbox(store, clock)
        self._buckets = Buckets(store)
        self._clock = clock
        self._token = token
        self._exits = exits
        self._timing = timing
        self._budgets = budgets
        self._pace = pace
        self.calls: Mapping[Do, Callable[[Job, Lease], Awaitable[float]]] = {
            Do.POST: self._post,
            Do.LOOK_UP: self._look_up,
            Do.UPDATE: self._update,
            Do.RECHECK: self._recheck,
        }

    def settled(self, job: Job, row: Row, now: float) -> list[Command]:
        """The commit after a step: the row, and when to look at it again."""
        keep = self._rows.keep(job, row)
        if row.state is State.DEAD and row.dead_of == job.wanted.message.digest:
            log.error("message_given_up", key=row.key, channel=row.channel, trouble=row.trouble)
            return [*keep, *self._rows.dead(job, now)]
        step = next_step(job.wanted, row, job.parent, now, self._timing)
        if step.do is Do.REST:
            return [*keep, *self._rows.done(job), self._rows.alive(row.key)]
        if step.do is Do.WAIT:
            return [*keep, *self._rows.later(job, step.until, shown=_is_shown(job.wanted, row))]
        return keep

    async def broken(self, job: Job, lease: Lease) -> None:
        """The step failed in our own code: later again, some times. A post that was under way is looked up."""
        now, row = self._now(), await self._rows.row(job.wanted.key)
        kind = Kind.LOOK_UP if row.state is State.ATTEMPTED else Kind.UPDATE
        after = react(job.wanted, row, Failure(Trouble.OTHER, kind, now), self._timing)
        await lease.commit(self.settled(job, after.row, now))

    async def _post(self, job: Job, lease: Lease) -> float:
        to = place(job.wanted, job.row, job.parent)
        if to is None:
            return self._timing.parent_s
        channel = f"post:{to[0]}"
        wait = await self._take([(channel, self._budgets.channel_posts), ("posts", self._budgets.posts)], job)
        if wait > 0:
            return wait
        row = attempt(job.wanted, job.row, to, job.since, self._now())
        await lease.commit(self._rows.keep(job, row))
        self._check(lease, job)
        kind = Kind.POST if job.wanted.filename is None else Kind.UPLOAD
        send = self._send_message if kind is Kind.POST else self._send_file
        try:
            ts = await send(job.wanted, row)
        except OutsideError as error:
            await self._failed(job, row, error, kind, channel, lease)
        else:
            await self._succeeded(job, confirm(row, ts, self._now(), self._timing), kind, lease)
        return 0

    async def _send_message(self, wanted: Wanted, row: Row) -> str:
        message = render(wanted, row)
        return await self._posts.post(
            row.channel,
            text=message.text,
            blocks=message.blocks,
            thread_ts=row.in_thread or None,
            outbox_id=row.outbox_id,
        )

    async def _send_file(self, wanted: Wanted, row: Row) -> str:
        content = await self._rows.content(wanted.key)
        if content is None:
            log.warning("file_expired", key=wanted.key)
            return ""
        await self._posts.upload(
            row.channel,
            thread_ts=row.in_thread or None,
            filename=unique_name(wanted.filename or "file", row.outbox_id),
            content=content,
            comment=wanted.message.text,
        )
        return ""

    async def _look_up(self, job: Job, lease: Lease) -> float:
        wait = await self._take([("reads", self._budgets.reads)], job)
        if wait > 0:
            return wait
        try:
            at = await self._find(job.row)
        except OutsideError as error:
            await self._failed(job, job.row, error, Kind.LOOK_UP, "reads", lease)
        else:
            row = found(job.row, at, self._now(), self._timing)
            log.info("message_looked_up", key=row.key, found=len(at), state=row.state.value)
            await self._succeeded(job, row, Kind.LOOK_UP, lease)
        return 0

    async def _recheck(self, job: Job, lease: Lease) -> float:
        wait = await self._take([("reads", self._budgets.reads)], job)
        if wait > 0:
            return wait
        try:
            row, twins = rechecked(job.row, await self._find(job.row))
            for ts in twins:
                await self._delete(row.channel, ts)
                log.warning("twin_deleted", key=row.key, channel=row.channel, ts=ts)
        except OutsideError as error:
            await self._failed(job, job.row, error, Kind.RECHECK, "reads", lease)
        else:
            await self._succeeded(job, row, Kind.RECHECK, lease)
        return 0

    async def _update(self, job: Job, lease: Lease) -> float:
        wait = await self._take([("updates", self._budgets.updates)], job)
        if wait > 0:
            return wait
        row, message = job.row, render(job.wanted, job.row)
        self._check(lease, job)
        try:
            await self._posts.update(
                row.channel, row.ts, text=message.text, blocks=message.blocks, outbox_id=row.outbox_id
            )
        except OutsideError as error:
            await self._failed(job, row, error, Kind.UPDATE, "updates", lease)
        else:
            await self._succeeded(job, updated(row, message.digest), Kind.UPDATE, lease)
        return 0

    def _check(self, lease: Lease, job: Job) -> None:
        """The call must be over before anybody else can have the lease."""
        if not lease.valid(self._pace.margin_s(job.lane)):
            raise LeaseLost(lease.name)

    async def _find(self, row: Row) -> tuple[str, ...]:
        oldest = f"{row.attempted_at - _CLOCKS_APART_S:.6f}"
        return tuple(await self._posts.find(row.channel, row.outbox_id, oldest=oldest, thread_ts=row.in_thread or None))

    async def _delete(self, channel: Channel, ts: str) -> None:
        try:
            await self._posts.delete(channel, ts)
        except OutsideError as error:
            if Trouble.of(error) is not Trouble.MESSAGE_GONE:
                raise

    async def _take(self, buckets: Sequence[tuple[str, Budget]], job: Job) -> float:
        return await self._buckets.take(buckets, job.wanted.priority, self._now())

    async def _succeeded(self, job: Job, row: Row, kind: Kind, lease: Lease) -> None:
        CALLS.labels(kind.value, "ok").inc()
        self._token.works()
        await lease.commit(self.settled(job, row, self._now()))

    async def _failed(self, job: Job, row: Row, error: OutsideError, kind: Kind, bucket: str, lease: Lease) -> None:
        now, trouble = self._now(), Trouble.of(error)
        CALLS.labels(kind.value, trouble.value).inc()
        after = react(job.wanted, row, Failure(trouble, kind, now, self._exits.fallback), self._timing)
        log.warning(
            "slack_call_failed",
            key=row.key,
            channel=row.channel,
            kind=kind.value,
            trouble=trouble.value,
            error=error.user_text,
            reaction=after.reaction.value,
        )
        if after.reaction is Reaction.WAIT:
            await self._buckets.close(bucket, now + (error.retry_after_s or _TRY_AGAIN_S))
        if after.reaction is Reaction.STOP:
            self._token.refuse(error)
        commands = self.settled(job, after.row, now)
        if after.notice:
            commands += self._notice(job, row.channel, error, now)
        if after.as_file:
            commands += self._full_text(job.wanted)
        await lease.commit(commands)

    def _notice(self, job: Job, channel: Channel, error: OutsideError, now: float) -> list[Command]:
        """One a cause and clock hour: the same notice again is no new message."""
        if self._exits.admin is None or job.wanted.key.startswith(_NOTICE):
            return []
        goes = f"Its messages go to {mono(self._exits.fallback, 40)}." if self._exits.fallback else "Its messages wait."
        text = f"The bot cannot post to {mono(channel, 40)}: {literal(error.user_text, 500)} {goes}"
        key = f"{_NOTICE}{error.reason}:{channel}:{int(now // _HOUR)}"
        return self._outbox.want(
            Wanted(key, self._exits.admin, compose(text, section(text)), Priority.NOTE, open=False)
        )

    def _full_text(self, wanted: Wanted) -> list[Command]:
        digest = wanted.message.digest[:8]
        content = html.unescape(wanted.message.text).encode()
        parent = wanted.parent or wanted.key
        return self._outbox.upload_commands(f"{wanted.key}:full:{digest}", parent, "message.txt", content, "Full text")

    def _now(self) -> float:
        return seconds(self._clock.now())


def _is_shown(wanted: Wanted, row: Row) -> bool:
    return bool(row.shown) and (wanted.filename is not None or render(wanted, row).digest == row.shown)
