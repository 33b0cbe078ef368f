"""What hawkBit knows of the update that an OTA failure alarm tells of, as the alarm's incident shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.rollouts.release import ActionWord

ACTIONS = 3
LAST_ERROR = "LastError:"
WORD_LIMIT, ERROR_LIMIT = 2_000, 300


@dataclass(frozen=True, slots=True)
class PastAction:
    """One action of the device: its set as "name:version", hawkBit's word for how it stands, and since when it is."""

    set_name: str
    status: str
    created_ms: int


@dataclass(frozen=True, slots=True)
class UpdateStory:
    """`rollout` is that of the newest action, "" where it was assigned to the device alone; `group` counts from 1, 0
    where nobody could say. `actions` newest first. `last_error`: the device's own last word on why,
    redacted, foreign text. `problem`: why none of this is known yet."""

    asked_ms: int
    rollout: str = ""
    group: int = 0
    groups: int = 0
    group_name: str = ""
    actions: tuple[PastAction, ...] = ()
    last_error: str = ""
    problem: str = ""


def last_error(words: Sequence[ActionWord]) -> str:
    """The newest LastError line that says something; `words` come newest first. An updater ends with a general word
    ("Failed to install software bundle."), the cause stands in an earlier line."""
    for word in words:
        for message in reversed(word.messages):
            said = message[:WORD_LIMIT].rpartition(LAST_ERROR)
            if said[1] and said[2].strip():
                return said[2].strip()
    return ""
