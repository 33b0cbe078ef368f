"""A button that wants a reason: its form is opened at once, since Slack gives three seconds; what is sent is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from core.errors import Conflict, OutsideError
from core.messages.approval import ASK, BREAK_GLASS, DENY
from core.messages.blocks import compose
from core.messages.views import REASON, notice_form, reason_form
from core.ports import Views
from flows.approvals.desk import MIN_GLASS_REASON, MIN_REASON
from handlers.slack.keep import Keeper

log = structlog.get_logger(__name__)

OPEN_S = 1.5
ANSWER_S = 2.6
_TITLES = {ASK: "Ask for approval", BREAK_GLASS: "Break the glass", DENY: "Deny a request"}
WITH_REASON = frozenset(_TITLES)
"""The actions of the buttons that open it."""


class _About(BaseModel):
    """What stands in the form's private_metadata."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    purpose: str
    value: str
    channel: str


class ReasonDoor:
    def __init__(self, *, views: Views, keeper: Keeper) -> None:
        self._views = views
        self._keeper = keeper

    async def open(self, trigger_id: str, item: Mapping[str, Any]) -> str | None:
        """Open the form; what to tell the person where it did not come up. A value may end in "|<title>", which is
        shown and decides nothing."""
        purpose, (value, _, title) = item["action"], item["value"].partition("|")
        about = _About(purpose=purpose, value=value, channel=item["channel"])
        least = MIN_GLASS_REASON if purpose == BREAK_GLASS else MIN_REASON
        form = reason_form(_TITLES[purpose], title or f"Request {value}", least=least, metadata=about.model_dump())
        try:
            await self._views.open_view(trigger_id, form, timeout_s=OPEN_S)
        except Conflict:
            return None  # it stands already
        except OutsideError as error:
            log.warning("reason_form_not_opened", reason=error.reason)
            return f"⚠️ The form for a reason did not open: {error.user_text} Press the button again."
        return None

    async def submit(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The acknowledgement: it closes once the request is kept, or says beside the input why it was not."""
        view = body["view"]
        try:
            about = _About.model_validate_json(view.get("private_metadata", ""))
        except ValidationError:
            old = compose("This form is from an older version of the bot. Nothing was done.")
            return {"response_action": "update", "view": notice_form(old)}
        given = (view.get("state") or {}).get("values", {}).get(REASON, {}).get(REASON, {})
        item = {
            "kind": "reason",
            "team": body["user"].get("team_id") or body.get("team", {}).get("id", ""),
            "user": body["user"]["id"],
            "channel": about.channel,
            "purpose": about.purpose,
            "value": about.value,
            "reason": str(given.get("value") or ""),
        }
        problem = await self._keeper.keep(item, once=f"view/{view['id']}", within_s=ANSWER_S)
        return {"response_action": "errors", "errors": {REASON: problem}} if problem else {}
