"""What a device's SSH server must know of the device behind it. The fleet simulation supplies it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

Slot = Literal["A", "B"]
BootStatus = Literal["good", "bad"]
UpdaterState = Literal["idle", "downloading", "installing"]


@dataclass(frozen=True, slots=True)
class JournalLine:
    """One line of the journal; `unit` as systemd names it, without `.service`."""

    at: datetime
    unit: str
    message: str


class DeviceView(Protocol):
    """One controller as it is now; read anew for every command.

    `version`, `slot`, `slot_status`  the running system
    `installed_at`                    when RAUC wrote the running slot; None: flashed in the factory, and then RAUC
                                      knows no version of it (measured: `slot_status` holds `{"compatible": null}`)
    `other_version`                   the bundle in the other slot, None if it was never written
    `boot_primary`                    the slot that boots next: the other one between an install and its reboot
    """

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def slot(self) -> Slot: ...
    @property
    def slot_status(self) -> BootStatus: ...
    @property
    def installed_at(self) -> datetime | None: ...
    @property
    def other_version(self) -> str | None: ...
    @property
    def other_slot_status(self) -> BootStatus: ...
    @property
    def boot_primary(self) -> Slot: ...
    @property
    def boot_id(self) -> str: ...
    @property
    def booted_at(self) -> datetime: ...
    @property
    def journal(self) -> Sequence[JournalLine]: ...
    @property
    def updater_state(self) -> UpdaterState: ...

    def reboot(self) -> None:
        """It begins to, and answers no more."""
        ...


Lookup = Callable[[str], DeviceView | None]
"""The device of that name, None where there is none."""
