"""Is the bot still the bot Slack knows? And if not, who is told, since Slack cannot be."""

from __future__ import annotations

import httpx
import structlog

from bot.settings import Settings
from core.errors import OutsideError
from core.ports import Clock
from flows.outbox import OutboxWorker
from integrations.slack.client import SlackPosts

log = structlog.get_logger(__name__)

TOLD_AGAIN_S = 3600.0
WAY_OUT_S = 5.0


class SlackAccount:
    """`problem` is why nothing can be shown in Slack, None where it can. A problem is told by the second way out, once
    an hour while it lasts."""

    def __init__(self, posts: SlackPosts, settings: Settings, clock: Clock) -> None:
        self._posts = posts
        self._team = settings.slack.team
        self._way_out = settings.slack.second_way_url
        self._clock = clock
        self._known = False
        self._told_at = float("-inf")
        self.problem: str | None = "Slack was not asked yet"

    async def look(self, worker: OutboxWorker) -> None:
        """Ask Slack who we are until it has said so; afterwards the outbox notices a refused token."""
        try:
            if not self._known:
                me = await self._posts.auth_test()
                if me.team != self._team:
                    self.problem = f"the bot token belongs to workspace {me.team}, cdm.yaml says {self._team}"
                else:
                    self._known, self.problem = True, None
        except OutsideError as error:
            self.problem = error.user_text
        if self._known:
            status = await worker.status()
            self.problem = None if status.ready else f"Slack refuses the bot's token: {status.reason}"
        if self.problem is not None:
            log.error("slack_not_usable", why=self.problem)
            await self._tell(self.problem)

    async def _tell(self, problem: str) -> None:
        if self._way_out is None or self._clock.monotonic() - self._told_at < TOLD_AGAIN_S:
            return
        text = f"CDM ChatOps cannot use Slack: {problem}. Alarms are kept and will be shown when it can again."
        try:
            async with httpx.AsyncClient(timeout=WAY_OUT_S) as http:
                (await http.post(self._way_out, json={"text": text})).raise_for_status()
        except httpx.HTTPError as error:
            log.error("second_way_failed", error=repr(error))
        else:
            self._told_at = self._clock.monotonic()
