"""`core.release_ports.FleetActions`: single actions of devices, over hawkBit's Management API.

Reads by the everyday account, writes by the brake account, each sent once.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.ids import DeviceName, GroupId, RolloutId
from core.rollouts.release import ActionWord, OpenAction, TargetSeen
from integrations.hawkbit import errors
from integrations.hawkbit.access import HawkbitAccess
from integrations.hawkbit.models import ActionRow, AssignmentRow, Page, StatusRow, TargetRow
from integrations.hawkbit.query import quoted, segment

AT_ONCE = 1000
"""Devices in one bulk assignment: hawkBit's quota is 5,000 a request, and 1,000 take it about a second."""

NAMED_AT_ONCE = 50
"""Names in one filter: it travels in the address of the request."""


class HawkbitActions:
    def __init__(self, access: HawkbitAccess) -> None:
        self._access = access
        self._wire = access.wire

    # reads

    async def open(self, rollout: RolloutId, group: GroupId | None = None) -> Sequence[OpenAction]:
        """A scheduled action is not `active` to hawkBit: its group has not begun."""
        query = f"rollout.id=={rollout};(active==true,status==scheduled)"
        rows = await self._access.rows(
            ActionRow,
            "/actions",
            f"reading the open actions of rollout {rollout}",
            q=query if group is None else f"{query};rolloutGroup.id=={group}",
            representation="full",
            sort="id:ASC",
        )
        return [row.open_action() for row in rows]

    async def cancelled(self, rollout: RolloutId, group: GroupId) -> frozenset[DeviceName]:
        rows = await self._access.rows(
            ActionRow,
            "/actions",
            f"reading the cancelled installs of rollout {rollout}",
            q=f"rollout.id=={rollout};rolloutGroup.id=={group};status==canceled",
            representation="full",
            sort="id:ASC",
        )
        return frozenset(row.device for row in rows)

    async def pending(self, rollout: RolloutId, group: GroupId) -> Sequence[TargetSeen]:
        rows = await self._access.rows(
            TargetRow,
            f"/rollouts/{rollout}/deploygroups/{group}/targets",
            f"reading when the devices of group {group} of rollout {rollout} were last heard of",
            q="updatestatus==pending",
            sort="controllerId:ASC",
        )
        return [row.seen() for row in rows]

    async def targets(self, devices: Sequence[DeviceName]) -> Sequence[TargetSeen]:
        """hawkBit ignores case and takes `*` for anything: only the very names count."""
        found: list[TargetSeen] = []
        for start in range(0, len(devices), NAMED_AT_ONCE):
            part = devices[start : start + NAMED_AT_ONCE]
            rows = await self._access.rows(
                TargetRow,
                "/targets",
                "reading when devices were last heard of",
                q=f"controllerId=in=({','.join(map(quoted, part))})",
                sort="controllerId:ASC",
            )
            found += [row.seen() for row in rows if row.controller_id in part]
        return found

    async def words(self, device: DeviceName, action: int, *, limit: int = 50) -> Sequence[ActionWord]:
        doing = f"reading what device {device} said"
        path = f"{_path(device, action)}/status"
        answer = await self._wire.read(self._access.everyday, path, doing, sort="id:DESC", limit=limit)
        return [row.word() for row in self._wire.parse(Page[StatusRow], answer, doing).content]

    # writes

    async def cancel(self, device: DeviceName, action: int) -> None:
        doing = f"cancelling the update of device {device}"
        account = self._access.brake_account(doing)
        try:
            await self._wire.act(account, _path(device, action), doing, method="DELETE")
        except errors.ActionState:
            now = await self._action(device, action)
            if now.status != "canceling" and not now.over:
                raise

    async def quit(self, device: DeviceName, action: int) -> None:
        doing = f"ending the update of device {device} by force"
        account = self._access.brake_account(doing)
        try:
            await self._wire.act(account, _path(device, action), doing, method="DELETE", params={"force": "true"})
        except errors.ActionState:
            if not (await self._action(device, action)).over:
                raise

    async def force(self, device: DeviceName, action: int) -> None:
        doing = f"forcing the update of device {device}"
        account = self._access.brake_account(doing)
        body = {"forceType": "forced"}
        answer = await self._wire.write(account, _path(device, action), doing, method="PUT", body=body)
        self._wire.parse_written(ActionRow, answer, doing)

    async def assign_many(
        self, set_id: int, devices: Sequence[DeviceName], *, forced: bool = True, offline: bool = False
    ) -> int:
        doing = f"assigning set {set_id} to {len(devices)} devices"
        account = self._access.brake_account(doing)
        given = 0
        for start in range(0, len(devices), AT_ONCE):
            answer = await self._wire.write(
                account,
                f"/distributionsets/{set_id}/assignedTargets",
                doing,
                body=[
                    {"id": device, "type": "forced" if forced else "soft"}
                    for device in devices[start : start + AT_ONCE]
                ],
                params={"offline": "true"} if offline else None,
            )
            given += self._wire.parse_written(AssignmentRow, answer, doing).assigned
        return given

    async def _action(self, device: DeviceName, action: int) -> ActionRow:
        doing = f"reading action {action} of device {device}"
        answer = await self._wire.read(self._access.everyday, _path(device, action), doing)
        return self._wire.parse(ActionRow, answer, doing)


def _path(device: DeviceName, action: int) -> str:
    return f"/targets/{segment(device)}/actions/{action}"
