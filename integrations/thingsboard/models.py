"""ThingsBoard's JSON as far as the bot reads it, parsed once where the bytes enter. Unknown fields are ignored.

Alarms are read by `core.alarms.parse`, which knows them from the webhooks too.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

Row = TypeVar("Row")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Tokens(_Model):
    token: str
    refreshToken: str


class EntityId(_Model):
    entityType: str
    id: str


class Page(_Model, Generic[Row]):
    data: list[Row]
    hasNext: bool


class Me(_Model):
    id: EntityId
    authority: str
    customerId: EntityId


class Device(_Model):
    id: EntityId
    name: str
    label: str | None = None


class Sample(_Model):
    """One value. Without strict types all values are texts; null stands for a key that was never sent."""

    ts: int
    value: str | None

    @property
    def at(self) -> datetime:
        return instant(self.ts)


class Attribute(_Model):
    key: str
    value: Any

    @property
    def text(self) -> str:
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        return str(self.value)


def instant(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
