"""`/cdm audit`: the newest entries of the log that an admin may see, and whether the log holds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice

from core.access import Action
from core.audit_view import Question, acts
from core.errors import Refused
from core.ids import Caller
from core.messages.audit import AuditView, audit_message
from core.messages.blocks import Message
from core.messages.text import plain
from flows.gate import Gate
from integrations.store.audit import AuditLog, Unreadable
from integrations.store.people import LinkBook, Links

LOOKED_AT = 2_000
"""So many of the newest entries are looked at, and checked."""
USUAL, MOST = 10, 30
FILTERS = ("person", "tenant", "device", "rollout")
_MENTION = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^>]*)?>")


class AuditDesk:
    """The right to ask is an admin's, anywhere. Entries are shown of tenants where the person is an admin: those that
    name no tenant, or one more, only to an admin of every tenant (as a platform admin is)."""

    def __init__(self, *, gate: Gate, audit: AuditLog, links: Links) -> None:
        self._gate = gate
        self._audit = audit
        self._links = links

    async def newest(self, user: Caller, words: Sequence[str]) -> Message:
        """`words` are a filter with its value, and how many. Raises Denied, Refused or OutsideError."""
        able = await self._gate.where(user, (Action.AUDIT_VERIFY, Action.LINK_OTHERS))
        mine = able[Action.LINK_OTHERS]
        book = await self._links.book()
        question, count = _understood(words, book)
        check = await self._audit.check_newest(LOOKED_AT)
        try:
            entries = await self._audit.latest(LOOKED_AT)
        except Unreadable:
            entries = []
        shown = acts(entries, question, None if mine == self._gate.tenants else frozenset(mine))
        return audit_message(
            AuditView(
                acts=list(islice(shown, count)),
                asked=" ".join(words[:2]) if len(words) > 1 else "",
                looked_at=len(entries),
                more=bool(entries) and entries[-1].seq > 1,
                last=check.last,
                broken=check.broken,
                names={link.subject: link.username for _, link in book.links},
                tenants=None if mine == self._gate.tenants else sorted(mine),
            )
        )


def _understood(words: Sequence[str], book: LinkBook) -> tuple[Question, int]:
    """Raises Refused."""
    given = list(words)
    count = int(given.pop()) if given and len(given) != 2 and given[-1].isdecimal() and len(given[-1]) < 9 else USUAL
    if not given:
        return Question(), max(1, min(count, MOST))
    kind = given[0].lower()
    if len(given) != 2 or kind not in FILTERS:
        raise Refused(
            f"Ask for one of {', '.join(FILTERS)}, then for which, then how many: /cdm audit person bob {USUAL}. "
            f"Not understood: {plain(' '.join(words), 100)!r}."
        )
    value = _subject(given[1], book) if kind == "person" else given[1]
    asked = {name: value if name == kind else "" for name in FILTERS}
    question = Question(asked["person"], asked["tenant"], asked["device"], asked["rollout"])
    return question, max(1, min(count, MOST))


def _subject(person: str, book: LinkBook) -> str:
    """Who is linked by that name or Slack id, else what was typed: a Keycloak subject, "scheduler" or "bot"."""
    mentioned = _MENTION.fullmatch(person)
    id, name = (mentioned[1] if mentioned else person).upper(), person.removeprefix("@").casefold()
    for user, link in book.links:
        if user.user == id or link.username.casefold() == name:
            return link.subject
    return person
