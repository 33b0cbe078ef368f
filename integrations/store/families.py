"""Every key the bot writes belongs to a family with a retention and a cap. `cdm doctor` shows them."""

from __future__ import annotations

from dataclasses import dataclass

SCHEMA_VERSION = 1
"""Raised when the meaning of stored data changes. A bot refuses a store whose version is newer than its own."""


@dataclass(frozen=True, slots=True)
class Family:
    """`pattern` is a SCAN pattern. `retention_s` None = kept until its owner ends (said in `ends`).
    `max_entries` caps a stream or the number of keys; `max_bytes` is what one key may take."""

    name: str
    pattern: str
    ends: str
    retention_s: int | None = None
    max_entries: int | None = None
    max_bytes: int | None = None


HOUR = 3600
DAY = 24 * HOUR

BASE_FAMILIES: tuple[Family, ...] = (
    Family("schema", "cdm:schema", "never", max_bytes=64),
    Family("leases", "cdm:lease:*", "seconds after its holder ends", retention_s=HOUR, max_bytes=256),
    Family("fences", "cdm:fence:*", "never: a fence must only grow", max_bytes=32),
)
