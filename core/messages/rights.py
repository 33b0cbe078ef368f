"""What a person may do in a tenant, in words."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass

from core.access import Action
from core.messages.answers import in_words

_TOGETHER: tuple[tuple[str, frozenset[Action]], ...] = (
    (
        "work on alarms",
        frozenset({Action.ACKNOWLEDGE, Action.ASSIGN, Action.COMMENT, Action.SNOOZE, Action.CLEAR, Action.SILENCE}),
    ),
    ("run runbooks on a device", frozenset({Action.RUN_READ_ONE, Action.RUN_CHANGE_ONE})),
    (
        "create, start, pause, resume, hold and promote rollouts",
        frozenset({Action.CREATE, Action.START, Action.PAUSE, Action.RESUME, Action.HOLD, Action.PROMOTE}),
    ),
)
"""What almost always comes together is said together."""


@dataclass(frozen=True, slots=True)
class Rights:
    """`can` alone; `asks`: done once others have approved; `approves` of others' requests."""

    can: frozenset[Action]
    asks: frozenset[Action]
    approves: frozenset[Action]


def rights_in_words(rights: Rights) -> str:
    """Lines of mrkdwn."""
    lines = [f"May {_listed(rights.can)}"] if rights.can else []
    lines += [f"Needs a second person to {_listed(rights.asks)}"] if rights.asks else []
    lines += [f"Approves when others ask to {_listed(rights.approves)}"] if rights.approves else []
    return "\n".join(lines)


def _listed(actions: Set[Action]) -> str:
    return ", ".join(_phrases(actions))


def _phrases(actions: Set[Action]) -> Iterable[str]:
    said: set[Action] = set()
    for phrase, members in _TOGETHER:
        if members <= actions:
            said |= members
            yield phrase
    yield from (in_words(action) for action in Action if action in actions and action not in said)
