"""What a command on a device gave back."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CommandOutput:
    """Raw bytes of one command, bounded. `exit_status` is None where the remote gave none (killed by a signal)."""

    argv: tuple[str, ...]
    stdout: bytes
    stderr: bytes
    exit_status: int | None
    truncated: bool
    duration_s: float
