"""What admins are told about work on the bot itself."""

from __future__ import annotations

from datetime import datetime

from core.messages.blocks import Message, compose, section
from core.messages.states import NOTICES, Notice
from core.messages.text import at, literal


def restored_unproven(who: str, reason: str, when: datetime) -> Message:
    """Nobody logged in for a restore."""
    head = NOTICES[Notice.UNEXPECTED].over("the bot's store was *restored from a backup without a login*")
    body = (
        f"By {literal(who, 80)} on the bot's machine, {at(when)}. The reason given: {literal(reason, 300)}\n"
        "If none of you did this, treat the machine as taken: `cdm audit verify` with anchors, then rotate the secrets."
    )
    return compose(head, section(head), section(body))
