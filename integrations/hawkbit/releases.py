"""`core.release_ports.Releases`: software modules, distribution sets and rollouts, over hawkBit's Management API.

Targets, sets and actions are read, and rollouts made, by the everyday account; everything that changes sets, and all of
software modules, goes by the release account. Writes are sent once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from core.ids import DeviceName, RolloutId
from core.rollouts.facts import DistributionSet
from core.rollouts.release import Artifact, GroupWish, RolloutWish, TargetSeen
from integrations.hawkbit import errors
from integrations.hawkbit.access import HawkbitAccess
from integrations.hawkbit.models import (
    ActionRow,
    ArtifactRow,
    Artifacts,
    Made,
    MadeModules,
    MadeSets,
    ModuleRow,
    SetRow,
    SetWithModules,
    TargetRow,
)
from integrations.hawkbit.query import quoted, with_set
from integrations.hawkbit.upload import multipart

NAMES_IN_A_QUERY = 2000
"""Characters of device names in one filter: a server takes 8 kB of address, and each may be escaped to three."""


class HawkbitReleases:
    """`upload_timeout_s` bounds one upload as a whole."""

    def __init__(self, access: HawkbitAccess, *, upload_timeout_s: float) -> None:
        self._access = access
        self._wire = access.wire
        self._upload_timeout_s = upload_timeout_s

    # devices

    async def covered(self, query: str) -> Sequence[TargetSeen]:
        return [row.seen() for row in await self._targets(_filter(query))]

    async def having(self, query: str, wanted: DistributionSet) -> frozenset[DeviceName]:
        return await self._with("installedds", query, wanted)

    async def assigned(self, query: str, wanted: DistributionSet) -> frozenset[DeviceName]:
        return await self._with("assignedds", query, wanted)

    async def finished_before(self, devices: Iterable[DeviceName], not_after: RolloutId) -> Mapping[DeviceName, str]:
        doing = f"reading what devices had before rollout {not_after}"
        own = {row.device: row.id for row in await self._actions(f"rollout.id=={not_after}", doing)}
        found: dict[DeviceName, str] = {}
        for part in _parts(device for device in devices if device in own):
            names = ",".join(quoted(device) for device in part)
            for row in await self._actions(f"target.controllerId=in=({names});status==finished", doing):
                if row.id < own.get(row.device, 0):
                    found[row.device] = row.links.distributionset.name
        return found

    # modules and files

    async def module(self, name: str, version: str, type: str = "os") -> int:
        doing = f"making software module {name}:{version}"
        account = self._access.release_account(doing)
        wanted = {"name": name, "version": version, "type": type}
        try:
            answer = await self._wire.write(account, "/softwaremodules", doing, body=[wanted])
        except errors.AlreadyExists:
            query = f"name=={quoted(name)};version=={quoted(version)}"
            rows = await self._access.rows(ModuleRow, "/softwaremodules", doing, account, q=query, sort="id:ASC")
            there = [row.id for row in rows if (row.name, row.version, row.type) == (name, version, type)]
            if not there:
                raise
            return there[0]
        return self._wire.parse_written(MadeModules, answer, doing).root[0].id

    async def artifacts(self, module: int) -> Sequence[Artifact]:
        doing = f"reading the files of software module {module}"
        account = self._access.release_account(doing)
        answer = await self._wire.read(account, f"/softwaremodules/{module}/artifacts", doing)
        return [row.facts() for row in self._wire.parse(Artifacts, answer, doing).root]

    async def upload(self, module: int, file: Path, *, sha256: str, sent: Callable[[int], None]) -> Artifact:
        doing = f"uploading {file.name}"
        account = self._access.release_account(doing)
        there = await self._same(module, file.name, sha256)
        if there is not None:
            return there
        try:
            answer = await self._wire.write(
                account,
                f"/softwaremodules/{module}/artifacts",
                doing,
                body=await multipart(file, sent),
                params={"filename": file.name, "sha256sum": sha256},
                timeout_s=self._upload_timeout_s,
            )
        except errors.AlreadyExists:
            there = await self._same(module, file.name, sha256)
            if there is None:
                raise
            return there
        except OSError as error:
            raise errors.Rejected(f"{file.name} could not be read: {error.strerror or error}.") from error
        return self._wire.parse_written(ArtifactRow, answer, doing).facts()

    async def _same(self, module: int, filename: str, sha256: str) -> Artifact | None:
        for one in await self.artifacts(module):
            if one.filename == filename:
                if one.sha256 == sha256.lower():
                    return one
                raise errors.AlreadyExists(
                    f"Software module {module} has a file {filename} with another checksum ({one.sha256}).",
                    system=self._wire.system,
                )
        return None

    # sets

    async def sets(self) -> Sequence[DistributionSet]:
        rows = await self._access.rows(SetRow, "/distributionsets", "reading the distribution sets", sort="id:ASC")
        return [row.facts() for row in rows]

    async def make_set(self, name: str, version: str, module: int, type: str = "os") -> DistributionSet:
        doing = f"making distribution set {name}:{version}"
        account = self._access.release_account(doing)
        wanted = {"name": name, "version": version, "type": type, "modules": [{"id": module}]}
        try:
            answer = await self._wire.write(account, "/distributionsets", doing, body=[wanted])
            row = self._wire.parse_written(MadeSets, answer, doing).root[0]
        except errors.AlreadyExists:
            query = f"name=={quoted(name)};version=={quoted(version)}"
            rows = await self._access.rows(SetWithModules, "/distributionsets", doing, q=query, sort="id:ASC")
            there = [row for row in rows if (row.name, row.version) == (name, version)]
            if not there:
                raise
            row = there[0]
            if [one.id for one in row.modules] != [module]:
                raise errors.AlreadyExists(
                    f"{self._wire.system} has a distribution set {name}:{version} with other software in it.",
                    system=self._wire.system,
                ) from None
        if not row.locked:
            await self.lock(row.id)
        return DistributionSet(row.id, row.name, row.version, locked=True, valid=row.valid)

    async def lock(self, set_id: int) -> None:
        doing = f"locking distribution set {set_id}"
        account = self._access.release_account(doing)
        answer = await self._wire.write(
            account, f"/distributionsets/{set_id}", doing, method="PUT", body={"locked": True}
        )
        self._wire.parse_written(SetRow, answer, doing)

    async def invalidate(self, set_id: int) -> None:
        """Without cancelling anything: that alone takes no more rights than those on sets (measured)."""
        doing = f"invalidating distribution set {set_id}"
        body = {"actionCancelationType": "none", "cancelRollouts": False}
        account = self._access.release_account(doing)
        await self._wire.act(account, f"/distributionsets/{set_id}/invalidate", doing, body=body)

    # rollouts

    async def create(self, wish: RolloutWish) -> RolloutId:
        doing = f"making rollout {wish.name}"
        body: dict[str, Any] = {
            "name": wish.name,
            "description": wish.description,
            "distributionSetId": wish.set_id,
            "targetFilterQuery": _filter(wish.query),
            "type": "forced" if wish.forced else "soft",
            "groups": [_group(wish, group) for group in wish.groups],
        }
        if wish.start_at is not None:
            body["startAt"] = _milliseconds(wish.start_at)
        if wish.weight is not None:
            body["weight"] = wish.weight
        answer = await self._wire.write(self._access.everyday, "/rollouts", doing, body=body)
        return RolloutId(self._wire.parse_written(Made, answer, doing).id)

    # parts

    async def _with(self, field: str, query: str, wanted: DistributionSet) -> frozenset[DeviceName]:
        rows = await self._targets(f"({_filter(query)});{with_set(field, wanted)}")
        return frozenset(DeviceName(row.controller_id) for row in rows)

    async def _targets(self, query: str) -> list[TargetRow]:
        doing = "reading the devices a filter covers"
        return await self._access.rows(TargetRow, "/targets", doing, q=query, sort="controllerId:ASC")

    async def _actions(self, query: str, doing: str) -> list[ActionRow]:
        return await self._access.rows(ActionRow, "/actions", doing, q=query, representation="full", sort="id:ASC")


def _filter(query: str) -> str:
    """hawkBit takes no filter for every device, where it makes a rollout of none."""
    if not query.strip():
        raise errors.Rejected("The filter is empty. Say which devices: name==* takes all of them.")
    return query


def _group(wish: RolloutWish, group: GroupWish) -> dict[str, Any]:
    """PAUSE, so that hawkBit itself starts no next group; it cannot be changed later."""
    return {
        "name": group.name,
        "targetPercentage": group.share_pct,
        "successCondition": {"condition": "THRESHOLD", "expression": str(wish.success_threshold_pct)},
        "successAction": {"action": "PAUSE", "expression": ""},
        "errorCondition": {"condition": "THRESHOLD", "expression": str(wish.error_threshold_pct)},
        "errorAction": {"action": "PAUSE", "expression": ""},
    }


def _milliseconds(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _parts(devices: Iterable[DeviceName]) -> Iterator[list[DeviceName]]:
    part: list[DeviceName] = []
    length = 0
    for device in devices:
        if part and length + len(device) > NAMES_IN_A_QUERY:
            yield part
            part, length = [], 0
        part.append(device)
        length += len(device) + 3
    if part:
        yield part
