"""Each family of keys: how what is one tenant's is found in it, or why nothing in it is.

In the order in which it is taken out: what tells of other things (incidents, evidence) goes last, so that a removal
that was broken off is found again and finished.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from bot.tenants.about import About, is_entry_of, is_message_of, owner_of
from bot.tenants.parts import Part

Rule = Callable[[About, str, Part], bool]
"""Whether this part of a key is the tenant's. The text is the key's, after the family's pattern."""
Rewriting = Callable[[About, str, bytes], bytes | None]
"""What a document that is others' too says without the tenant; None: it does not name it."""

REMOVED_DEVICE, REMOVED_TENANT = "removed-device", "removed-tenant"


@dataclass(frozen=True, slots=True)
class PerTenant:
    """`how` it is found, for people; what the rule says goes, and where there is a `rewrite`, the rest is cleaned."""

    how: str
    rule: Rule
    rewrite: Rewriting | None = None


@dataclass(frozen=True, slots=True)
class Stays:
    """Nothing in it is a tenant's, or it must stay: `why`. `searched`: no mention of a tenant may be left in it."""

    why: str
    searched: bool = True


def _of_scope(about: About, rest: str, part: Part) -> bool:
    return rest == about.scope or rest.startswith(f"{about.scope}/")


def _member_of_scope(about: About, rest: str, part: Part) -> bool:
    return part.text.startswith(f"{about.scope}/".encode())


def _an_entry(about: About, rest: str, part: Part) -> bool:
    return is_entry_of(part.text, about.stack, about.tenant)


def _names_it(about: About, rest: str, part: Part) -> bool:
    return about.marks.stand_in(part.text)


def _an_incident(about: About, rest: str, part: Part) -> bool:
    found = orjson.loads(part.text)
    return bool((found["stack"], found["tenant"]) == (about.stack, about.tenant))


def _an_approval(about: About, rest: str, part: Part) -> bool:
    return rest in about.approvals


def _an_approval_id(about: About, rest: str, part: Part) -> bool:
    return part.id.decode() in about.approvals


def _an_incident_id(about: About, rest: str, part: Part) -> bool:
    return part.id.decode() in about.incidents


def _told_of_an_incident(about: About, rest: str, part: Part) -> bool:
    return part.text.split(b"\n", 1)[0].decode() in about.incidents


def _its_lease(about: About, rest: str, part: Part) -> bool:
    kind, _, name = rest.partition(":")
    stack, _, thing = name.partition("/")
    match kind:
        case "reconcile":
            return name == about.scope
        case "device":
            return stack == about.stack and thing in about.devices
        case "rollout":
            return stack == about.stack and thing in about.alone
        case "outbox":
            return name in about.channels
        case _:
            return False


def _its_budget(about: About, rest: str, part: Part) -> bool:
    return not about.channels.isdisjoint(re.split("[^A-Z0-9]", rest))


def _its_channel(about: About, rest: str, part: Part) -> bool:
    return part.id.decode() in about.channels


def _a_message(about: About, rest: str, part: Part) -> bool:
    return _is_message(about, rest)


def _a_message_id(about: About, rest: str, part: Part) -> bool:
    return _is_message(about, part.id.decode().rpartition("|")[2])


def _a_message_shown(about: About, rest: str, part: Part) -> bool:
    """What is known of it in Slack. A rollout that goes on with others' devices keeps its message, written anew."""
    goes_on = {f"rollout:{about.stack}/{number}" for number in about.active - about.alone}
    return _is_message(about, rest) and rest not in goes_on


def _is_message(about: About, key: str) -> bool:
    return key in about.messages or is_message_of(about, key)


def _a_rollout(about: About, rest: str, part: Part) -> bool:
    stack, _, number = rest.partition("/")
    return stack == about.stack and number in about.alone


def _a_moment(about: About, rest: str, part: Part) -> bool:
    return _a_rollout(about, rest, part) or (rest.startswith(f"{about.stack}/") and about.marks.stand_in(part.text))


def _a_rollout_id(about: About, rest: str, part: Part) -> bool:
    return rest == about.stack and part.id.decode() in about.alone


def _evidence(about: About, rest: str, part: Part) -> bool:
    stack, number, *_ = rest.split("/")
    if stack != about.stack:
        return False
    return number in about.alone or (part.id != b"" and owner_of(part) == about.tenant)


def _a_previous_set(about: About, rest: str, part: Part) -> bool:
    return _a_rollout(about, rest, part) or (rest.startswith(f"{about.stack}/") and part.id.decode() in about.devices)


def _rollout_without_it(about: About, rest: str, document: bytes) -> bytes | None:
    """Names of its devices go. `shown` goes with the message: it is written anew where the rollout goes on."""
    stack, _, number = rest.partition("/")
    if stack != about.stack or not (number in about.rollouts or about.marks.stand_in(document)):
        return None
    words = re.compile(
        rf"(?<![\w.-])({'|'.join(map(re.escape, sorted(about.devices, key=len, reverse=True)))})(?![\w.-])"
    )

    def clean(node: Any) -> Any:
        if isinstance(node, str):
            node = words.sub(REMOVED_DEVICE, node) if about.devices else node
            return re.sub(rf"(?<![\w.-]){re.escape(about.tenant)}(?![\w.-])", REMOVED_TENANT, node)
        if isinstance(node, list):
            return [clean(one) for one in node if not (isinstance(one, str) and one in about.devices)]
        return {key: clean(one) for key, one in node.items()} if isinstance(node, dict) else node

    return orjson.dumps({**clean(orjson.loads(document)), "shown": ""})


def _yes_without_it(about: About, rest: str, document: bytes) -> bytes | None:
    """Its name goes; where the person has other tenants, their yes for these stays."""
    found = orjson.loads(document)
    left = {name: [tenant for tenant in found[name] if tenant != about.tenant] for name in ("view", "hold")}
    named = not about.shared_id and left != {name: found[name] for name in left}
    return orjson.dumps({**found, **left}) if named else None


def _yes_to_it_alone(about: About, rest: str, part: Part) -> bool:
    found = orjson.loads(part.text)
    return not about.shared_id and {*found["view"], *found["hold"]} == {about.tenant}


OF_FAMILIES: Mapping[str, PerTenant | Stays] = {
    "schema": Stays("one number"),
    "replicas": Stays("processes"),
    "audit": Stays(
        "who did what must stay provable, and without these entries its chain would not hold", searched=False
    ),
    "links": Stays("people are linked, not tenants; what they may do is asked of Keycloak", searched=False),
    "links turn": Stays("one number"),
    "linking": Stays("logins in progress, for some minutes", searched=False),
    "link codes": Stays("linkings in progress, for some minutes", searched=False),
    "link tries": Stays("how often a code was mistyped, for some minutes"),
    "link grants": Stays("linkings in progress, for some minutes", searched=False),
    "link grants, due": Stays("when these are looked at"),
    "seen requests": Stays("numbers that Slack gave, for an hour"),
    "leases": PerTenant("by its name, its channel, and the names of its devices", _its_lease),
    "fences": PerTenant("as its leases; nobody is left who could hold one", _its_lease),
    "work": PerTenant("by what the request names", _names_it),
    "work, failed": PerTenant("by what the request names", _names_it),
    "yes": PerTenant("by its name among a person's tenants", _yes_to_it_alone, _yes_without_it),
    "homes": PerTenant("by its name among the tenants a person was shown", _names_it),
    "homes, resting": Stays("that a person's tab has just changed, for half a minute"),
    "outbox, private": PerTenant("by what the answer names", _names_it),
    "outbox, rows": PerTenant("by the message's key", _a_message_shown),
    "outbox, files": PerTenant("by the message's key", _a_message),
    "outbox, due": PerTenant("by the message's key", _a_message_id),
    "outbox, pending": PerTenant("by the message's key", _a_message_id),
    "outbox, dead": PerTenant("by the message's key", _a_message_id),
    "outbox, wanted": PerTenant("by the message's key, its channel, and what it names", _a_message),
    "outbox, lanes": PerTenant("by its channel, where nobody else has that", _its_channel),
    "budgets": PerTenant("by its channel, where nobody else has that", _its_budget),
    "reconciliation": PerTenant("by its name in the key", _of_scope),
    "alarms to read again": PerTenant("by its name", _member_of_scope),
    "device lists to upload": PerTenant("by its incidents", _an_incident_id),
    "updates to ask about": PerTenant("by its incidents", _an_incident_id),
    "updates told of": PerTenant("by its incidents", _told_of_an_incident),
    "intake failures": PerTenant("by its entries in the inbox", lambda about, rest, part: part.id in about.entries),
    "intake": PerTenant("by the head of each entry", _an_entry),
    "intake, unreadable": PerTenant("by the head of each entry", _an_entry),
    "lately opened": PerTenant("by its name in the key", _of_scope),
    "last incident of a device and type": PerTenant("by its name in the key", _of_scope),
    "incidents of a device": PerTenant("by its name in the key", _of_scope),
    "incidents, open": PerTenant("by its name in the key", _of_scope),
    "alarms, active": PerTenant("by its name in the key", _of_scope),
    "approvals, live": PerTenant("by the tenants of what was asked for", _an_approval_id),
    "approvals": PerTenant("by the tenants of what was asked for", _an_approval),
    "keycloak": Stays("how Keycloak answers"),
    "policies": Stays("hashes of the settings"),
    "rollouts": PerTenant("where all devices are its own; else their names go", _a_rollout, _rollout_without_it),
    "rollout decisions": PerTenant("where all devices are its own; else those that name it", _a_moment),
    "rollout curves": PerTenant("where all devices are its own", _a_rollout),
    "rollouts tracked": PerTenant("where all devices are its own", _a_rollout_id),
    "reboots under way": PerTenant("where all devices are its own", _a_rollout_id),
    "release drafts": PerTenant("by what the wish names", _names_it),
    "releases being made": PerTenant("by what it names, its devices among that", _names_it),
    "previous sets": PerTenant("where all devices are its own; else by its devices", _a_previous_set),
    "rollout evidence": PerTenant("by each device's tenant", _evidence),
    "alarms": PerTenant("by its name in the key", _of_scope),
    "incidents": PerTenant("by the incident's tenant", _an_incident),
    "incidents of a tenant": PerTenant("by its name in the key", _of_scope),
}
"""Every family is here (a test sees to it): put a new one before those that tell whose its things are."""
