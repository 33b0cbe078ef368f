"""Private answers: through the response_url of the click or command while it lasts, else as an ephemeral message."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import structlog

from core.errors import OutsideError
from core.messages.blocks import shorter, text_only
from core.outbox_failures import Kind, Reaction, Trouble, reaction_to
from core.ports import Clock, Posts
from flows.outbox_calls import CALLS, Token
from integrations.store.connection import STORE_DOWN
from integrations.store.outbox import TELL_S, OutboxRows, Tell, seconds

log = structlog.get_logger(__name__)

_TRIES = 10


class Tells:
    """They wait for no channel's posts and for no budget: Slack's own limits apply to each person's few."""

    def __init__(self, posts: Posts, rows: OutboxRows, clock: Clock, token: Token) -> None:
        self._posts = posts
        self._rows = rows
        self._clock = clock
        self._token = token

    async def deliver(self) -> int:
        """Try each that is due once, side by side. Returns how many there were."""
        due = await self._rows.tells(seconds(self._clock.now()))
        try:
            async with asyncio.TaskGroup() as group:
                for tell in due:
                    group.create_task(self._deliver(tell))
        except ExceptionGroup as failed:
            away, other = failed.split(STORE_DOWN)
            if away is not None and other is None:
                raise away.exceptions[0] from None
            raise
        return len(due)

    async def _deliver(self, tell: Tell) -> None:
        now = seconds(self._clock.now())
        if now - tell.at > TELL_S:
            await self._drop(tell, "too_old")
            return
        kind = Kind.RESPOND if tell.response_url else Kind.TELL
        if kind is Kind.TELL and self._token.wait_s():
            await self._rows.tell_later(replace(tell, tries=tell.tries - 1), now + self._token.wait_s())
            return
        try:
            await self._send(tell)
        except OutsideError as error:
            CALLS.labels(kind.value, Trouble.of(error).value).inc()
            await self._failed(tell, error, kind, now)
        else:
            CALLS.labels(kind.value, "ok").inc()
            await self._rows.told(tell)

    async def _send(self, tell: Tell) -> None:
        said = tell.message
        if tell.response_url:
            await self._posts.respond(tell.response_url, text=said.text, blocks=said.blocks)
        else:
            await self._posts.tell(tell.channel, tell.user, text=said.text, blocks=said.blocks)
            self._token.works()

    async def _failed(self, tell: Tell, error: OutsideError, kind: Kind, now: float) -> None:
        trouble = Trouble.of(error)
        match reaction_to(trouble, kind):
            case Reaction.DROP:
                await self._drop(tell, trouble.value)
                return
            case Reaction.ASK_ELSE:
                tell, due = replace(tell, response_url=None), now
            case Reaction.PLAIN:
                tell, due = replace(tell, message=text_only(tell.message)), now
            case Reaction.SHORTEN:
                tell, due = replace(tell, message=shorter(tell.message)), now
            case Reaction.WAIT:
                tell, due = replace(tell, tries=tell.tries - 1), now + (error.retry_after_s or 1.0)
            case Reaction.STOP:
                self._token.refuse(error)
                tell, due = replace(tell, tries=tell.tries - 1), now + self._token.wait_s()
            case _:
                due = now + 2.0 ** min(tell.tries, 8)
        if tell.tries >= _TRIES:
            await self._drop(tell, trouble.value)
        else:
            await self._rows.tell_later(tell, due)

    async def _drop(self, tell: Tell, why: str) -> None:
        log.warning("private_answer_dropped", channel=tell.channel, user=tell.user, reason=why)
        await self._rows.told(tell)
