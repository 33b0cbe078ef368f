"""Where a tenant's root rule chain sends its messages, as a tenant administrator may read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from integrations.thingsboard.models import EntityId, Page
from integrations.thingsboard.session import Session

_REST_CALL = "TbRestApiCallNode"
_PAGE = 100


class _Chain(BaseModel):
    id: EntityId
    root: bool = False


class _Node(BaseModel):
    type: str
    configuration: dict[str, Any]


class _Metadata(BaseModel):
    nodes: list[_Node]


@dataclass(frozen=True, slots=True)
class RestCall:
    """One node that calls an address."""

    url: str
    authorization: str = field(repr=False)


async def rest_calls(session: Session) -> Sequence[RestCall]:
    """Those of the root chain; none where there is no such chain."""
    for number in range(_PAGE):
        page = Page[_Chain].model_validate(await session.get("/api/ruleChains", {"pageSize": _PAGE, "page": number}))
        for chain in page.data:
            if chain.root:
                return await _of(session, chain)
        if not page.hasNext:
            break
    return ()


async def _of(session: Session, chain: _Chain) -> Sequence[RestCall]:
    metadata = _Metadata.model_validate(await session.get(f"/api/ruleChain/{chain.id.id}/metadata"))
    return tuple(
        RestCall(
            str(given.get("restEndpointUrlPattern", "")), str((given.get("headers") or {}).get("Authorization", ""))
        )
        for given in (node.configuration for node in metadata.nodes if node.type.endswith(_REST_CALL))
    )
