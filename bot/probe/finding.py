"""What a look at one system found, for people."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    OK = "ok"
    WARN = "warn"  # the bot works, but something it could do it cannot, or it may more than it should
    FAIL = "fail"  # the bot, or what it is for in this system, does not work


@dataclass(frozen=True, slots=True)
class Finding:
    """`text` says what is and what follows from it, `fix` what to do. No secret is in either. `devices`: so many were
    counted."""

    system: str
    verdict: Verdict
    text: str
    fix: str = ""
    devices: int | None = None


def ok(system: str, text: str, *, devices: int | None = None) -> Finding:
    return Finding(system, Verdict.OK, text, devices=devices)


def warn(system: str, text: str, fix: str) -> Finding:
    return Finding(system, Verdict.WARN, text, fix)


def fail(system: str, text: str, fix: str = "") -> Finding:
    return Finding(system, Verdict.FAIL, text, fix)
