"""What the store says of one tenant, gathered before anything of it is touched."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, replace

import orjson

from bot.tenants.marks import Marks
from bot.tenants.parts import Part, keys, parts
from core.audit import Entry
from core.ids import Stack, Tenant
from integrations.store.audit import AuditLog
from integrations.store.connection import Store

REMOVE = "remove_tenant"
_BELONGING = ("incident:", "comment:", "rollout:", "approval:")
"""Messages whose key says whose they are: another tenant's may well quote a name of this one."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the settings say besides: channels in use by others, and whether the tenant's id means somebody else too."""

    channel: str | None = None
    others_channels: Collection[str] = ()
    shared_id: bool = False


@dataclass(frozen=True, slots=True)
class About:
    """Ids of incidents, and of requests for `approvals`; devices that are no other tenant's; `entries` of the alarms'
    inbox; numbers of the rollouts with its devices, those with no other's (`alone`) and those that go on (`active`);
    `messages` by their keys; `channels` that nobody else uses. `audited` entries name it, `removals` of them say that
    it was to be removed. `shared_id`: the id alone may mean somebody else."""

    stack: Stack
    tenant: Tenant
    incidents: frozenset[str]
    open_incidents: int
    approvals: frozenset[str]
    devices: frozenset[str]
    entries: frozenset[bytes]
    rollouts: frozenset[str]
    alone: frozenset[str]
    active: frozenset[str]
    messages: frozenset[str]
    channels: frozenset[str]
    audited: int
    removals: int
    shared_id: bool
    marks: Marks

    @property
    def scope(self) -> str:
        return f"{self.stack}/{self.tenant}"


async def gathered(
    store: Store, stack: Stack, tenant: Tenant, known: Known | None = None, log: AuditLog | None = None
) -> About:
    """One pass over what can name the tenant's things; the audit log, which may be long, only if it is given."""
    known, scope = known or Known(), f"{stack}/{tenant}"
    incidents: set[str] = set()
    ours: set[str] = set()
    theirs: set[str] = set()
    async for key in keys(store, "cdm:alarm:*"):
        is_ours = key.name.startswith(f"cdm:alarm:{scope}/")
        async for part in parts(store, key):
            device = orjson.loads(part.text)["state"]["device"]
            (ours if is_ours else theirs).update({device} if device else ())
    async for key in keys(store, "cdm:incident:*"):
        async for part in parts(store, key):
            found = orjson.loads(part.text)
            is_ours = (found["stack"], found["tenant"]) == (stack, tenant)
            (ours if is_ours else theirs).update(m["device"] for m in found["members"] if m["device"])
            incidents.update({found["id"]} if is_ours else ())
    approvals: set[str] = set()
    async for key in keys(store, "cdm:approval:*"):
        async for part in parts(store, key):
            order = orjson.loads(part.text)["order"]
            if order["stack"] == stack and tenant in order["tenants"]:
                approvals.add(key.name.removeprefix("cdm:approval:"))
    incidents.update(id.decode() for id in await store.zrange(f"cdm:incidents:all:{scope}", 0, -1))
    owners = await _owners(store, stack)
    for rows in owners.values():
        for device, owner in rows.items():
            (ours if owner == tenant else theirs).update({device} if owner else ())
    channels = {known.channel} if known.channel else set()
    audited = removals = 0
    async for entry in _entries_of(log, stack, tenant):
        audited += 1
        kind, _, name = entry.object.partition(":")
        if kind == "device" and name.startswith(f"{stack}/"):
            ours.add(name.removeprefix(f"{stack}/"))
        if entry.action == REMOVE:
            removals += 1
            channels.update({str(entry.data["channel"])} if entry.data.get("channel") else ())
    rollouts = {number for number, rows in owners.items() if tenant in rows.values()}
    tracked = {number.decode() for number in await store.hkeys(f"cdm:rollout:tracked:{stack}")}
    devices = frozenset(ours - theirs)
    own_channels = frozenset(channels - set(known.others_channels))
    marks = Marks(stack, tenant, devices | incidents | own_channels, shared=known.shared_id)
    about = About(
        stack=stack,
        tenant=tenant,
        incidents=frozenset(incidents),
        open_incidents=int(await store.zcard(f"cdm:incidents:open:{scope}")),
        approvals=frozenset(approvals),
        devices=devices,
        entries=frozenset(await _entries(store, stack, tenant)),
        rollouts=frozenset(rollouts),
        alone=frozenset(number for number in rollouts if set(owners[number].values()) == {tenant}),
        active=frozenset(rollouts & tracked),
        messages=frozenset(),
        channels=own_channels,
        audited=audited,
        removals=removals,
        shared_id=known.shared_id,
        marks=marks,
    )
    return replace(about, messages=frozenset(await _messages(store, about)))


async def _entries_of(log: AuditLog | None, stack: Stack, tenant: Tenant) -> AsyncIterator[Entry]:
    """The audit log's that name this tenant; not those on a thing of another stack, where the id is somebody else's."""
    if log is None:
        return
    async for entry in log.entries():
        several = entry.data.get("tenants")
        named = entry.data.get("tenant") == tenant or (isinstance(several, list) and tenant in several)
        kind, _, name = entry.object.partition(":")
        if named and not (kind in ("tenant", "device") and name.partition("/")[0] != stack):
            yield entry


async def _owners(store: Store, stack: Stack) -> dict[str, dict[str, str | None]]:
    """Of each rollout of the stack, by its number: whose each of its devices was when it was last looked at."""
    found: dict[str, dict[str, str | None]] = defaultdict(dict)
    async for key in keys(store, f"cdm:rollout:proof:{stack}/*"):
        number = key.name.removeprefix(f"cdm:rollout:proof:{stack}/").partition("/")[0]
        async for part in parts(store, key):
            if part.id:
                found[number][part.id.decode()] = owner_of(part)
    return found


def owner_of(row: Part) -> str | None:
    """Whose device a row of evidence is about."""
    owner = orjson.loads(row.text[len(row.id) + 1 :]).get("tenant")
    return None if owner is None else str(owner)


async def _entries(store: Store, stack: Stack, tenant: Tenant) -> set[bytes]:
    found: set[bytes] = set()
    async for key in keys(store, "cdm:intake"):
        async for part in parts(store, key):
            if is_entry_of(part.text, stack, tenant):
                found.add(part.id)
    return found


def is_entry_of(entry: bytes, stack: Stack, tenant: Tenant) -> bool:
    """Whether an entry of the alarms' inbox is the tenant's, by its head."""
    return entry.split(b"\n", 3)[1:3] == [stack.encode(), tenant.encode()]


async def _messages(store: Store, about: About) -> set[str]:
    """By their keys, by what they say, by the channel, and the replies to all of these."""
    found: set[str] = set()
    parents: dict[str, str | None] = {}
    async for key in keys(store, "cdm:outbox:want:*"):
        name = key.name.removeprefix("cdm:outbox:want:")
        async for part in parts(store, key):
            doc = orjson.loads(part.text)
            parents[name] = doc["parent"]
            free = not name.startswith(_BELONGING) and about.marks.stand_in(part.text)
            if free or is_message_of(about, name) or doc["channel"] in about.channels:
                found.add(name)
    async for key in keys(store, "cdm:outbox:row:*"):
        name = key.name.removeprefix("cdm:outbox:row:")
        found.update({name} if is_message_of(about, name) else ())
    grown = True
    while grown:
        more = {name for name, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return found


def is_message_of(about: About, key: str) -> bool:
    """By the key alone."""
    kind, _, rest = key.partition(":")
    match kind:
        case "incident":
            return rest.partition(":")[0] in about.incidents
        case "approval":
            return rest.partition(":")[0] in about.approvals
        case "comment":
            return rest.startswith(f"{about.scope}/")
        case "thingsboard-away":
            return rest.startswith(f"{about.scope}:")
        case "rollout":
            stack, _, number = rest.partition(":")[0].partition("/")
            return stack == about.stack and number in about.rollouts
        case _:
            return False
