"""Reading blocks that nobody may have checked: what is not of the kind asked for counts as absent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Part: TypeAlias = Mapping[str, Any]

DEEPEST = 8
"""So deep may blocks, lists and quotes stand in one another; Slack's own do not go beyond three."""


@dataclass(frozen=True, slots=True)
class Names:
    """What ids are shown as: user id -> name, channel id -> name, both without their sign."""

    users: Mapping[str, str]
    channels: Mapping[str, str]


def part(value: object) -> Part:
    """The object, empty where there is none."""
    return value if isinstance(value, Mapping) else {}


def parts(value: object) -> list[Part]:
    """The objects of a list."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list | tuple) else []


def words(value: object) -> str:
    """A text or number as text, "" for anything else."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def texts(value: object) -> list[str]:
    """The texts of a list."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list | tuple) else []


def whole(value: object, low: int, high: int) -> int | None:
    """A whole number within the bounds, or None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high else None


def kind(value: Part) -> str:
    return words(value.get("type"))
