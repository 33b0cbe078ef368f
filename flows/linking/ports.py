"""What linking needs of others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from core.access import Identity, Link
from core.ids import Channel, Realm, SlackUser
from core.messages.blocks import Message
from integrations.store.people import LinkBook


@dataclass(frozen=True, slots=True)
class Place:
    """Where in Slack somebody typed, so that they can be told more, there and privately, once there is more."""

    channel: Channel
    response_url: str | None


class LinkWay(Protocol):
    """What `/cdm link` begins in a realm. Raises OutsideError."""

    async def begin(self, user: SlackUser, realm: Realm, place: Place, /) -> Message: ...


class PrivateAnswers(Protocol):
    async def tell(self, channel: Channel, user: str, message: Message, response_url: str | None = None) -> None: ...


class LinkStates(Protocol):
    """Short-lived notes, each given out at most once across all replicas."""

    async def put(self, state: str, payload: Mapping[str, str], ttl_s: int) -> None: ...
    async def take(self, state: str) -> dict[str, str] | None: ...


class LinkCodes(Protocol):
    """Codes that wait to be typed in Slack, by their digest, each given out at most once across all replicas."""

    async def put(self, digest: str, payload: Mapping[str, str], ttl_s: int) -> None: ...
    async def take(self, digest: str) -> dict[str, str] | None: ...
    async def may_try(self, user: SlackUser, most: int, ttl_s: int) -> bool: ...
    async def forget_tries(self, user: SlackUser) -> None: ...


class Links(Protocol):
    """The bot's own store of who is linked with whom."""

    async def of(self, user: SlackUser) -> Mapping[Realm, Link]: ...
    async def book(self) -> LinkBook: ...
    async def put(self, user: SlackUser, link: Link, turn: str) -> bool: ...


class Verifier(Protocol):
    """Says who a login was. Raises `core.errors.OutsideError`."""

    async def verify(self, id_token: str, *, nonce: str) -> Identity: ...


class Audit(Protocol):
    """Intent before the effect, outcome after. `intent` raises while nothing can be written down."""

    async def intent(self, actor: str, action: str, object: str, data: Mapping[str, Any] | None = None) -> str: ...
    async def outcome(self, ref: str, actor: str, action: str, object: str, data: Mapping[str, Any]) -> str: ...
    async def note(self, actor: str, action: str, object: str, data: Mapping[str, Any] | None = None) -> str: ...
