"""What `rauc status --output-format=json` says, with or without `--detailed`."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ValidationError

from runbooks.text import flat


class NotRaucStatus(ValueError):
    """The output is not RAUC's status JSON."""


@dataclass(frozen=True, slots=True)
class SlotState:
    """`boot_name`, `boot_status` None for slots the boot loader does not know; `version` only with `--detailed`, and
    never for a slot flashed in the factory."""

    name: str
    boot_name: str | None
    state: str
    boot_status: str | None
    version: str | None

    def __str__(self) -> str:
        return f"{self.boot_name} ({self.name})" if self.boot_name else self.name


@dataclass(frozen=True, slots=True)
class RaucStatus:
    """`booted` is the slot in state `booted`. RAUC's own field of that name is no help: it repeats the kernel command
    line, a slot name on one board and a boot name on another, while `boot_primary` is always a slot name."""

    compatible: str
    booted: SlotState | None
    primary: SlotState | None
    slots: tuple[SlotState, ...]


class _Bundle(BaseModel):
    version: str | None = None


class _SlotStatus(BaseModel):
    bundle: _Bundle = _Bundle()


class _Slot(BaseModel):
    state: str
    bootname: str | None = None
    boot_status: str | None = None
    slot_status: _SlotStatus = _SlotStatus()


class _Document(BaseModel):
    compatible: str
    boot_primary: str | None = None
    slots: list[dict[str, _Slot]]


def parse_rauc_status(raw: bytes | str) -> RaucStatus:
    """NotRaucStatus if `raw` is anything else, cut off included. Every text in the result is one clean line."""
    try:
        document = _Document.model_validate_json(raw)
    except ValidationError as error:
        raise NotRaucStatus("the output is not the JSON of rauc status") from error
    named = {name: slot for entry in document.slots for name, slot in entry.items()}
    slots = {name: _state(name, slot) for name, slot in sorted(named.items())}
    booted = [slot for slot in slots.values() if slot.state == "booted"]
    return RaucStatus(
        compatible=flat(document.compatible),
        booted=booted[0] if len(booted) == 1 else None,
        primary=slots.get(document.boot_primary or ""),
        slots=tuple(slots.values()),
    )


def _state(name: str, slot: _Slot) -> SlotState:
    def text(value: str | None) -> str | None:
        return flat(value) or None if value else None

    version = slot.slot_status.bundle.version
    return SlotState(flat(name), text(slot.bootname), flat(slot.state), text(slot.boot_status), text(version))
