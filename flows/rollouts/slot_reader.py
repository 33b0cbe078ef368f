"""RAUC's own word of devices of one stack: `rauc status` and the boot id, asked on the device over the relay."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from core.errors import Refused, Unavailable
from core.ids import DeviceName, Tenant
from core.messages.text import plain
from core.ports import Clock, Relay
from core.rollouts.records import SlotLook
from flows.world import Found, StackWorld, World
from runbooks.rauc import NotRaucStatus, RaucStatus, SlotState, parse_rauc_status

STATUS = ("rauc", "status", "--detailed", "--output-format=json")
BOOT_ID = ("cat", "/proc/sys/kernel/random/boot_id")
_MAX_BYTES = 65_536
_ID_BYTES = 200


class SlotReader:
    """`timeout_s` bounds one device, its address looked up and all its commands."""

    def __init__(self, stack: StackWorld, relay: Relay, clock: Clock, *, timeout_s: float) -> None:
        self._stack = stack
        self._world = World([stack], clock)
        self._relay = relay
        self._clock = clock
        self._timeout_s = timeout_s

    async def look(self, name: DeviceName, known: Tenant | None) -> tuple[Tenant, SlotLook]:
        """The tenant that has the device, and what RAUC says there. Raises OutsideError: then nothing was learned."""
        try:
            async with asyncio.timeout(self._timeout_s):
                found = await self.found(name, known)
                return found.tenant.id, await self._look(found)
        except TimeoutError:
            raise Unavailable(f"{name} did not answer in time.", system=f"relay of {self._stack.name}") from None

    async def found(self, name: DeviceName, known: Tenant | None) -> Found:
        """Raises OutsideError."""
        return await self._world.device(name, frozenset([known] if known else self._stack.tenants), ())

    async def boot_id(self, found: Found) -> str:
        """Raises OutsideError."""
        return (await self.says(found, BOOT_ID, _ID_BYTES)).decode("ascii", "replace").strip()

    async def says(self, found: Found, argv: Sequence[str], max_bytes: int) -> bytes:
        """What the command prints on the device. Raises OutsideError, also where it fails there."""
        output = await self._relay.run(
            found.address(), argv, inside=found.tenant.wireguard, timeout_s=self._timeout_s, max_bytes=max_bytes
        )
        if output.exit_status != 0 or output.truncated:
            said = f": {plain(output.stderr.decode(errors='replace'), 120)}" if output.stderr else ""
            raise Refused(f"{argv[0]} ended with status {output.exit_status}{said}.")
        return output.stdout

    async def _look(self, found: Found) -> SlotLook:
        """The boot id twice: a boot between it and the slots would make old slots look like those of a new boot."""
        asked_at = self._clock.now()
        before = await self.boot_id(found)
        raw = await self.says(found, STATUS, _MAX_BYTES)
        after = await self.boot_id(found)
        if not before or before != after:
            raise Refused(f"{found.facts.name} booted while it was asked.")
        try:
            status = parse_rauc_status(raw)
        except NotRaucStatus as error:
            raise Refused(f"{found.facts.name}: {error}.") from error
        booted = status.booted
        if booted is None:
            raise Refused(f"RAUC on {found.facts.name} does not say which slot is booted.")
        return SlotLook(
            read_at=asked_at,
            boot_id=before,
            slot=str(booted),
            primary=str(status.primary) if status.primary is not None else None,
            status=booted.boot_status,
            version=booted.version,
            bad=tuple(_bad_versions(status, booted)),
        )


def _bad_versions(status: RaucStatus, booted: SlotState) -> Sequence[str]:
    slots = (slot for slot in status.slots if slot != booted)
    return [slot.version for slot in slots if slot.version is not None and slot.boot_status == "bad"]
