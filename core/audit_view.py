"""Which entries of the audit log are meant, and how they are written down elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import orjson

from core.audit import Entry

COLUMNS = ("seq", "at", "kind", "name", "actor", "action", "object", "ref", "data", "v", "key", "prev", "hash")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for; empty fields ask for nothing. `person` is a Keycloak subject, a user name, "scheduler" or
    "bot"; `device` a name, or stack/name; `rollout` stack/id or id; `object` what an object begins with. `since` is
    included, `until` is not."""

    person: str = ""
    tenant: str = ""
    device: str = ""
    rollout: str = ""
    action: str = ""
    object: str = ""
    since: datetime | None = None
    until: datetime | None = None


class Answer:
    """Picks entries, seen in the order of the log. An outcome is meant where its intent was."""

    def __init__(self, question: Question) -> None:
        self._asked = question
        self._open: set[str] = set()

    def wants(self, entry: Entry) -> bool:
        asked = self._asked
        if entry.ref in self._open:
            self._open.discard(entry.ref)
        elif not is_about(asked, entry):
            return False
        if entry.kind == "intent":
            self._open.add(str(entry.seq))
        at = datetime.fromisoformat(entry.at)
        return (asked.since is None or at >= asked.since) and (asked.until is None or at < asked.until)


@dataclass(frozen=True, slots=True)
class Act:
    """One entry, and the newest outcome of it where it is an intent that has one."""

    entry: Entry
    outcome: Entry | None


def acts(newest_first: Iterable[Entry], question: Question, tenants: frozenset[str] | None) -> Iterator[Act]:
    """Newest first, those asked for. `tenants`: only what surely concerns no other than these; None shows everything.
    An outcome whose intent is not among the entries is nobody's, and left out."""
    outcomes: dict[str, Entry] = {}
    for entry in newest_first:
        if entry.kind == "outcome":
            outcomes.setdefault(entry.ref, entry)
            continue
        outcome, concerned = outcomes.pop(str(entry.seq), None), concerns(entry)
        if is_about(question, entry) and (tenants is None or (concerned and concerned <= tenants)):
            yield Act(entry, outcome)


def is_about(asked: Question, entry: Entry) -> bool:
    """Whether the entry by itself is asked for, whenever it was written."""
    kind, _, rest = entry.object.partition(":")
    stack, _, named = rest.partition("/")
    return all(
        (
            not asked.person or asked.person in (entry.actor, entry.data.get("name")),
            not asked.tenant or asked.tenant in concerns(entry),
            not asked.device or (kind == "device" and asked.device in (rest, named)),
            not asked.rollout or (kind == "rollout" and asked.rollout in _rollout(stack, named)),
            not asked.action or asked.action in (entry.action, entry.action.partition(":")[0]),
            entry.object.startswith(asked.object),
        )
    )


def concerns(entry: Entry) -> frozenset[str]:
    """The tenants that the entry names; empty where they are not known."""
    one, several = entry.data.get("tenant"), entry.data.get("tenants")
    named = (one, *(several if isinstance(several, list) else ()))
    return frozenset(tenant for tenant in named if isinstance(tenant, str) and tenant)


def json_line(entry: Entry) -> bytes:
    """The entry as it is, for a JSON Lines file."""
    return orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE)


def cells(entry: Entry) -> list[str]:
    """The entry for a spreadsheet, by COLUMNS. No cell begins a formula: such text gets an apostrophe before it."""
    data = orjson.dumps(entry.data, option=orjson.OPT_SORT_KEYS).decode()
    own = {"name": entry.data.get("name", ""), "data": data}
    return [_harmless(str(own[column] if column in own else getattr(entry, column))) for column in COLUMNS]


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _rollout(stack: str, named: str) -> tuple[str, str]:
    """Its two names: id, and stack/id."""
    id = named.partition("/")[0]
    return id, f"{stack}/{id}"
