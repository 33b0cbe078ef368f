"""A rule-engine message, and the metadata of those that a person's act sends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sandbox.thingsboard.entities import NO_CUSTOMER, User


@dataclass(frozen=True, slots=True)
class Message:
    """One TbMsg. All metadata values are strings; `data` is the payload as JSON values."""

    type: str
    tenant: str
    originator: tuple[str, str]
    metadata: Mapping[str, str]
    data: Any

    def but(self, **changes: Any) -> Message:
        return replace(self, **changes)


Send = Callable[[Message], None]


def user_metadata(user: User | None, entity_name: str, entity_type: str, customer: str) -> dict[str, str]:
    metadata = {"entityName": entity_name, "entityType": entity_type}
    if customer != NO_CUSTOMER:
        metadata["customerId"] = customer
    if user is not None:
        metadata |= {
            "userId": user.id,
            "userName": user.email,
            "userEmail": user.email,
        }
        names = {"userFirstName": user.first, "userLastName": user.last}
        metadata |= {key: name for key, name in names.items() if name}
    return metadata
