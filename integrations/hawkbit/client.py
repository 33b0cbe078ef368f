"""`core.ports.Rollouts` over hawkBit's Management API.

Two accounts: the everyday one reads, starts, pauses and resumes; the brake account stops and assigns, because the right
to stop is also the right to skip groups (measured on hawkBit 1.1.0). Writes are sent once and never repeated.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from typing import TypeVar
from urllib.parse import quote

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
from integrations.hawkbit import errors
from integrations.hawkbit.models import (
    ActionRow,
    AssignmentRow,
    GroupRow,
    Page,
    RolloutRow,
    Row,
    SetRow,
    TargetRow,
    UserRow,
)
from integrations.hawkbit.wire import HawkbitAccount, HawkbitWire

PAGE = 500
"""hawkBit's silent cap: a greater limit is cut to this."""
REREADS = 3
NEWEST_ACTIONS = 20
ACTIVE = ",".join(status for status in RolloutStatus if not status.terminal and status is not RolloutStatus.UNKNOWN)
RowT = TypeVar("RowT", bound=Row)


class HawkbitRollouts:
    """The rollouts of one stack. Close with `aclose`."""

    def __init__(
        self,
        url: str,
        everyday: HawkbitAccount,
        brake: HawkbitAccount | None = None,
        *,
        system: str = "hawkBit",
        timeout_s: float = 10.0,
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        self._wire = HawkbitWire(url, system=system, timeout_s=timeout_s, verify=verify)
        self._everyday = everyday
        self._brake = brake

    async def aclose(self) -> None:
        await self._wire.aclose()

    # reads

    async def active(self) -> Sequence[RolloutFacts]:
        rows = await self._rows(
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
        rows = await self._rows(
            RolloutRow,
            "/rollouts",
            "looking a rollout up by name",
            q=f"name=={_quoted(name)}",
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
        rows = await self._rows(
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
        rows = await self._rows(
            SetRow,
            "/distributionsets",
            "looking a distribution set up by version",
            q=f"name=={_quoted(name)};version=={_quoted(version)}",
            sort="id:ASC",
        )
        return next((row.facts() for row in rows if (row.name, row.version) == (name, version)), None)

    async def claims(self, rollout: RolloutId, group: GroupId, wanted: DistributionSet) -> Mapping[DeviceName, Claim]:
        """hawkBit does not say which set a device has, only who passes the filter: so a name with `*` is refused."""
        if "*" in wanted.name + wanted.version:
            raise errors.Rejected(f"The set {wanted} has a * in its name, which hawkBit takes for any text.")
        query = f"installedds.name=={_quoted(wanted.name)};installedds.version=={_quoted(wanted.version)}"
        rows = await self._targets(rollout, group, q=query)
        return {DeviceName(row.controller_id): row.claim() for row in rows}

    async def members(self, rollout: RolloutId, group: GroupId) -> frozenset[DeviceName]:
        return frozenset(DeviceName(row.controller_id) for row in await self._targets(rollout, group))

    async def failed(self, rollout: RolloutId, group: GroupId) -> frozenset[DeviceName]:
        """The list of targets takes no `status`, that of actions does (measured on hawkBit 1.1.0)."""
        rows = await self._rows(
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
        here = f"/targets/{_segment(device)}"
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
            q=f"target.controllerId=={_quoted(device)}",
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

    async def stop(self, rollout: RolloutId) -> None:
        doing = f"stopping rollout {rollout}"
        await self._wire.act(self._brake_account(doing), f"/rollouts/{rollout}/stop", doing)

    async def assign(self, device: DeviceName, set_id: int, *, offline: bool = False) -> bool:
        doing = f"assigning set {set_id} to device {device}"
        answer = await self._wire.write(
            self._brake_account(doing),
            f"/targets/{_segment(device)}/assignedDS",
            doing,
            body={"id": set_id, "type": "forced"},
            params={"offline": "true"} if offline else None,
        )
        try:
            return self._wire.parse(AssignmentRow, answer, doing).assigned > 0
        except errors.BadAnswer as error:
            raise errors.WriteUnanswered(error.user_text, system=self._wire.system) from error

    # parts

    def _brake_account(self, doing: str) -> HawkbitAccount:
        if self._brake is None:
            raise errors.NoBrakeAccount(
                f"No brake account is configured for {self._wire.system}, so the bot cannot go on {doing}.",
                system=self._wire.system,
            )
        return self._brake

    async def _targets(self, rollout: RolloutId, group: GroupId, **params: str) -> list[TargetRow]:
        return await self._rows(
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

    async def _rows(self, model: type[RowT], path: str, doing: str, **params: str) -> list[RowT]:
        """Every row of a list, page by page.

        A row that leaves the list between two pages pulls another into the gap, unseen: a total that shrank, or a page
        that came empty too early, means a fresh start.
        """
        for _ in range(REREADS):
            rows: list[RowT] = []
            total = 0
            while True:
                answer = await self._wire.read(self._everyday, path, doing, **params, offset=len(rows), limit=PAGE)
                page = self._wire.parse(Page[model], answer, doing)  # type: ignore[valid-type]
                rows.extend(page.content)
                if page.total < total or (not page.content and len(rows) < page.total):
                    break
                total = page.total
                if len(rows) >= total:
                    return rows
        raise errors.HawkbitUnavailable(
            f"{self._wire.system} changed the list at every page while {doing}.", system=self._wire.system
        )


def _segment(device: DeviceName) -> str:
    """A device's name as one segment of a path."""
    if not device.strip("."):
        raise errors.Rejected(f"{device!r} cannot be the name of a device.")
    return quote(device, safe="")


def _quoted(text: str) -> str:
    """A value in hawkBit's filter language."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
