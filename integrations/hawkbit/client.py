"""`core.ports.Rollouts` over hawkBit's Management API.

Two accounts: the everyday one reads, starts, pauses and resumes; the brake account stops and assigns, because the right
to stop is also the right to skip groups (measured on hawkBit 1.1.0). Writes are sent once and never repeated.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence

from core.errors import NotFound
from core.ids import DeviceName, GroupId, RolloutId
from core.rollouts.facts import (
    ActionFacts,
    Claim,
    DistributionSet,
    GroupFacts,
    RolloutFacts,
    RolloutStatus,
    TargetFacts,
)
from integrations.hawkbit.access import HawkbitAccess
from integrations.hawkbit.models import (
    ActionRow,
    AssignmentRow,
    GroupRow,
    Page,
    RolloutRow,
    SetRow,
    TargetRow,
    UserRow,
)
from integrations.hawkbit.query import quoted, segment, with_set
from integrations.hawkbit.wire import HawkbitAccount, HawkbitWire

NEWEST_ACTIONS = 20
ACTIVE = ",".join(status for status in RolloutStatus if not status.terminal and status is not RolloutStatus.UNKNOWN)


class HawkbitRollouts:
    """The rollouts of one stack. Close with `aclose`. `access` is for what else is done on the same hawkBit."""

    def __init__(
        self,
        url: str,
        everyday: HawkbitAccount,
        brake: HawkbitAccount | None = None,
        *,
        release: HawkbitAccount | None = None,
        system: str = "hawkBit",
        timeout_s: float = 10.0,
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        self._wire = HawkbitWire(url, system=system, timeout_s=timeout_s, verify=verify)
        self._everyday = everyday
        self.access = HawkbitAccess(self._wire, everyday, brake, release)

    async def aclose(self) -> None:
        await self._wire.aclose()

    # reads

    async def active(self) -> Sequence[RolloutFacts]:
        rows = await self.access.rows(
            RolloutRow,
            "/rollouts",
            "reading active rollouts",
            q=f"status=in=({ACTIVE})",
            representation="full",
            sort="id:ASC",
        )
        return [row.facts() for row in rows if not row.deleted]

    async def find(self, name: str) -> RolloutFacts | None:
        """By exact name. hawkBit itself ignores case and takes `*` for anything."""
        rows = await self.access.rows(
            RolloutRow,
            "/rollouts",
            "looking a rollout up by name",
            q=f"name=={quoted(name)}",
            representation="full",
            sort="id:ASC",
        )
        return next((row.facts() for row in rows if row.name == name and not row.deleted), None)

    async def rollout(self, rollout: RolloutId) -> RolloutFacts | None:
        doing = f"reading rollout {rollout}"
        try:
            answer = await self._wire.read(self._everyday, f"/rollouts/{rollout}", doing)
        except NotFound:
            return None
        row = self._wire.parse(RolloutRow, answer, doing)
        return None if row.deleted else row.facts()

    async def groups(self, rollout: RolloutId) -> tuple[GroupFacts, ...]:
        rows = await self.access.rows(
            GroupRow,
            f"/rollouts/{rollout}/deploygroups",
            f"reading the groups of rollout {rollout}",
            representation="full",
            sort="id:ASC",
        )
        return tuple(row.facts() for row in rows)

    async def distribution_set(self, set_id: int) -> DistributionSet:
        doing = f"reading distribution set {set_id}"
        answer = await self._wire.read(self._everyday, f"/distributionsets/{set_id}", doing)
        return self._wire.parse(SetRow, answer, doing).facts()

    async def set_by_version(self, name: str, version: str) -> DistributionSet | None:
        rows = await self.access.rows(
            SetRow,
            "/distributionsets",
            "looking a distribution set up by version",
            q=f"name=={quoted(name)};version=={quoted(version)}",
            sort="id:ASC",
        )
        return next((row.facts() for row in rows if (row.name, row.version) == (name, version)), None)

    async def claims(self, rollout: RolloutId, group: GroupId, wanted: DistributionSet) -> Mapping[DeviceName, Claim]:
        rows = await self._targets(rollout, group, q=with_set("installedds", wanted))
        return {DeviceName(row.controller_id): row.claim() for row in rows}

    async def members(self, rollout: RolloutId, group: GroupId) -> frozenset[DeviceName]:
        return frozenset(DeviceName(row.controller_id) for row in await self._targets(rollout, group))

    async def failed(self, rollout: RolloutId, group: GroupId) -> frozenset[DeviceName]:
        """The list of targets takes no `status`, that of actions does (measured on hawkBit 1.1.0)."""
        rows = await self.access.rows(
            ActionRow,
            "/actions",
            f"reading the failed devices of rollout {rollout}",
            q=f"rollout.id=={rollout};rolloutGroup.id=={group};status==error",
            representation="full",
            sort="id:ASC",
        )
        return frozenset(row.device for row in rows)

    async def target(self, device: DeviceName) -> TargetFacts | None:
        doing = f"reading device {device}"
        here = f"/targets/{segment(device)}"
        try:
            answer = await self._wire.read(self._everyday, here, doing)
            row = self._wire.parse(TargetRow, answer, doing)
            assigned = await self._set_of(f"{here}/assignedDS", doing)
            installed = await self._set_of(f"{here}/installedDS", doing)
        except NotFound:
            return None
        return row.facts(assigned=assigned, installed=installed)

    async def actions(self, device: DeviceName) -> Sequence[ActionFacts]:
        doing = f"reading the actions of device {device}"
        answer = await self._wire.read(
            self._everyday,
            "/actions",
            doing,
            q=f"target.controllerId=={quoted(device)}",
            representation="full",
            sort="id:DESC",
            limit=NEWEST_ACTIONS,
        )
        rows = self._wire.parse(Page[ActionRow], answer, doing).content
        own = [row for row in rows if row.device == device]
        newest = await self._set_or_none(own[0].set_id) if own else None
        return [row.facts(newest if row is own[0] else None) for row in own]

    async def userinfo(self) -> tuple[str, frozenset[str]]:
        doing = "reading the bot's own rights"
        answer = await self._wire.read(self._everyday, "/userinfo", doing)
        row = self._wire.parse(UserRow, answer, doing)
        return row.username, row.permissions

    # writes

    async def start(self, rollout: RolloutId) -> None:
        await self._wire.act(self._everyday, f"/rollouts/{rollout}/start", f"starting rollout {rollout}")

    async def pause(self, rollout: RolloutId) -> None:
        await self._wire.act(self._everyday, f"/rollouts/{rollout}/pause", f"pausing rollout {rollout}")

    async def resume(self, rollout: RolloutId, *, timeout_s: float) -> None:
        await self._wire.act(
            self._everyday, f"/rollouts/{rollout}/resume", f"resuming rollout {rollout}", timeout_s=timeout_s
        )

    async def next_group(self, rollout: RolloutId, *, timeout_s: float) -> None:
        doing = f"starting the next group of rollout {rollout}"
        account = self.access.brake_account(doing)
        await self._wire.act(account, f"/rollouts/{rollout}/triggerNextGroup", doing, timeout_s=timeout_s)

    async def stop(self, rollout: RolloutId) -> None:
        doing = f"stopping rollout {rollout}"
        await self._wire.act(self.access.brake_account(doing), f"/rollouts/{rollout}/stop", doing)

    async def assign(self, device: DeviceName, set_id: int, *, offline: bool = False) -> bool:
        doing = f"assigning set {set_id} to device {device}"
        answer = await self._wire.write(
            self.access.brake_account(doing),
            f"/targets/{segment(device)}/assignedDS",
            doing,
            body={"id": set_id, "type": "forced"},
            params={"offline": "true"} if offline else None,
        )
        return self._wire.parse_written(AssignmentRow, answer, doing).assigned > 0

    # parts

    async def _targets(self, rollout: RolloutId, group: GroupId, **params: str) -> list[TargetRow]:
        return await self.access.rows(
            TargetRow,
            f"/rollouts/{rollout}/deploygroups/{group}/targets",
            f"reading the devices of group {group} of rollout {rollout}",
            sort="controllerId:ASC",
            **params,
        )

    async def _set_of(self, path: str, doing: str) -> DistributionSet | None:
        answer = await self._wire.read(self._everyday, path, doing)
        return None if answer.status_code == 204 else self._wire.parse(SetRow, answer, doing).facts()

    async def _set_or_none(self, set_id: int) -> DistributionSet | None:
        try:
            return await self.distribution_set(set_id)
        except NotFound:
            return None
