"""`rauc status` as RAUC 1.8 prints it, as JSON (recorded) and for people (ANSI colours even without a terminal)."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sandbox.relay.view import DeviceView, Slot

COMPATIBLE = "lab-board"
NAMES: dict[Slot, str] = {"A": "rootfs.0", "B": "rootfs.1"}
DEVICES: dict[Slot, str] = {"A": "/dev/mmcblk0p2", "B": "/dev/mmcblk0p3"}
NO_SERVICE = (
    'Error retrieving slot status via D-Bus: error calling D-Bus method "GetSlotStatus": GDBus.Error:'
    "org.freedesktop.DBus.Error.ServiceUnknown: The name de.pengutronix.rauc was not provided by any .service files\n"
)

BOLD, GREEN, RED, BLUE, PLAIN = "\x1b[1m", "\x1b[32m", "\x1b[31m", "\x1b[34m", "\x1b[0m"


def status_json(device: DeviceView, *, detailed: bool, booted_as: str) -> str:
    """`booted` repeats what the kernel command line said: a slot name in the recordings, but the boot name where
    the boot loader passes `rauc.slot=A` (RAUC's own source prints its `bootslot` unresolved)."""
    document = {
        "compatible": COMPATIBLE,
        "variant": "",
        "booted": device.slot if booted_as == "bootname" else NAMES[device.slot],
        "boot_primary": NAMES[device.boot_primary],
        "slots": [{NAMES[slot]: _slot(device, slot, detailed)} for slot in ("B", "A")],
    }
    return json.dumps(document, separators=(",", ":")) + "\n"


def _slot(device: DeviceView, slot: Slot, detailed: bool) -> dict[str, Any]:
    booted = slot == device.slot
    facts: dict[str, Any] = {
        "class": "rootfs",
        "device": DEVICES[slot],
        "type": "raw",
        "bootname": slot,
        "state": "booted" if booted else "inactive",
        "parent": None,
        "mountpoint": None,
        "boot_status": device.slot_status if booted else device.other_slot_status,
    }
    if detailed:
        facts["slot_status"] = _slot_status(device, slot)
    return facts


def _bundle(device: DeviceView, slot: Slot) -> tuple[str | None, datetime | None]:
    """The version RAUC remembers for a slot, and when it was written as far as the simulation knows."""
    if slot != device.slot:
        return device.other_version, device.installed_at or device.booted_at
    return (device.version if device.installed_at else None), device.installed_at


def _slot_status(device: DeviceView, slot: Slot) -> dict[str, Any]:
    version, at = _bundle(device, slot)
    if version is None or at is None:
        return {"bundle": {"compatible": None}}
    stamp = {"timestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "count": 1}
    return {
        "bundle": {"compatible": COMPATIBLE, "version": version},
        "installed": stamp,
        "activated": stamp,
        "status": "ok",
    }


def status_text(device: DeviceView, *, detailed: bool) -> str:
    running = NAMES[device.slot]
    lines = [
        "=== System Info ===",
        f"Compatible:  {COMPATIBLE}",
        "Variant:     ",
        f"Booted from: {running} ({running})",
        "",
        "=== Bootloader ===",
        f"Activated: {NAMES[device.boot_primary]} ({device.boot_primary})",
        "",
        "=== Slot States ===",
    ]
    for slot in ("B", "A"):
        booted = slot == device.slot
        mark = f"{BOLD}x{PLAIN}" if slot == device.boot_primary else "o"
        state = f"{BOLD}booted" if booted else "inactive"
        status = device.slot_status if booted else device.other_slot_status
        lines += [
            f"{mark} {GREEN if booted else ''}{BOLD}[{NAMES[slot]}]{PLAIN} ({DEVICES[slot]}, raw, {state}{PLAIN})",
            f'\tbootname: {BLUE}"{slot}"{PLAIN}',
            f"\tboot status: {GREEN if status == 'good' else RED}{status}{PLAIN}",
        ]
        version, _ = _bundle(device, slot)
        if detailed:
            lines += ["      slot status:", "          bundle:", f"              compatible={COMPATIBLE}"]
            lines += [f"              version={version}"] if version else []
        lines.append("")
    return "\n".join(lines) + "\n"
