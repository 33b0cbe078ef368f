"""Bringing a bundle into hawkBit: its file, a software module for it, and a locked set of that. What is there already
is found, not made again; a file of the same name with other bytes is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from core.access import Action
from core.errors import OutsideError, Refused
from core.ids import Caller, Stack
from core.rollouts.actors import Actor, person
from core.rollouts.facts import DistributionSet
from flows.gate import Gate
from flows.world import StackWorld, World
from integrations.store.audit import AuditLog

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Bundle:
    """`name` and `version` are those of the set; the module's name may be another."""

    file: Path
    size: int
    sha256: str
    name: str
    version: str
    module: str
    type: str


@dataclass(frozen=True, slots=True)
class Uploaded:
    """`file_there`, `set_there`: it was there already, the same."""

    module: int
    set: DistributionSet
    file_there: bool
    set_there: bool


class Bundles:
    def __init__(self, *, world: World, gate: Gate, audit: AuditLog) -> None:
        self._world = world
        self._gate = gate
        self._audit = audit

    async def upload(self, user: Caller, stack: Stack, bundle: Bundle, sent: Callable[[int], None]) -> Uploaded:
        """A set may be given to any device of the stack, so this needs the right in every one of its tenants. No device
        does anything by it. Raises Denied or OutsideError."""
        world = self._world.stack(stack)
        object = f"set:{stack}/{bundle.name}:{bundle.version}"
        who = await self._gate.require(user, Action.CREATE, frozenset(world.tenants), object)
        by = person(who.subject, who.username, who.read_at, world.tenants)
        said = {
            **by.audit(),
            "file": bundle.file.name,
            "size": bundle.size,
            "sha256": bundle.sha256,
            "module": bundle.module,
            "tenants": sorted(world.tenants),
        }
        ref = await self._audit.intent(by.subject, "upload", object, said)
        try:
            done = await self._upload(world, bundle, sent)
        except OutsideError as error:
            await self._told(ref, by, object, {"outcome": "failed", "text": error.user_text})
            raise
        outcome = "found" if done.file_there and done.set_there else "uploaded"
        await self._told(ref, by, object, {"outcome": outcome, "module": done.module, "set": done.set.id})
        log.info("bundle_uploaded", set=str(done.set), module=done.module, outcome=outcome)
        return done

    async def _upload(self, world: StackWorld, bundle: Bundle, sent: Callable[[int], None]) -> Uploaded:
        releases = world.releases
        set_there = await world.rollouts.set_by_version(bundle.name, bundle.version) is not None
        module = await releases.module(bundle.module, bundle.version, bundle.type)
        file_there = any(one.filename == bundle.file.name for one in await releases.artifacts(module))
        artifact = await releases.upload(module, bundle.file, sha256=bundle.sha256, sent=sent)
        if (artifact.sha256, artifact.size) != (bundle.sha256, bundle.size):
            raise Refused(
                f"hawkBit says that {bundle.file.name} has {artifact.size} bytes and the sha256 {artifact.sha256}, "
                "which is not the file. Nothing was made of it: delete it in hawkBit, and upload it again.",
                system=f"hawkBit {world.name}",
            )
        made = await releases.make_set(bundle.name, bundle.version, module, bundle.type)
        return Uploaded(module, made, file_there, set_there)

    async def _told(self, ref: str, by: Actor, object: str, said: dict[str, object]) -> None:
        await self._audit.outcome(ref, by.subject, "upload", object, {**said, "tenants": list(by.tenants)})
