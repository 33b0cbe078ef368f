"""One call of the Web API: who calls, with what, and what every method may need."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from sandbox.slack.errors import SlackError, missing_field

if TYPE_CHECKING:
    from sandbox.slack.app import SlackSandbox

Answer = dict[str, Any]
Handler = Callable[["Call"], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Method:
    """A Web API method: the bot scopes of which each is needed, and the kind of token it takes."""

    name: str
    scopes: tuple[str, ...]
    takes: Literal["bot", "app"]
    handler: Handler


METHODS: dict[str, Method] = {}


def method(name: str, *scopes: str, takes: Literal["bot", "app"] = "bot") -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        METHODS[name] = Method(name, scopes, takes, handler)
        return handler

    return register


@dataclass(slots=True)
class Call:
    """The arguments of a call, from query, form or JSON body alike. `host` is where the caller reached us."""

    sandbox: SlackSandbox
    method: str
    args: dict[str, Any]
    host: str
    warnings: list[str] = field(default_factory=list)

    def need(self, name: str) -> str:
        value = self.text(name)
        if not value:
            raise missing_field(name)
        return value

    def text(self, name: str, default: str = "") -> str:
        value = self.args.get(name)
        return default if value is None else str(value)

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.args.get(name)
        return default if value is None else str(value).lower() in ("true", "1")

    def number(self, name: str, default: int) -> int:
        try:
            return int(str(self.args.get(name) or default))
        except ValueError:
            raise SlackError("invalid_arguments") from None

    def structure(self, name: str, error: str) -> Any:
        """An object or array, given as such or as a JSON string; None if absent."""
        value = self.args.get(name)
        if not isinstance(value, str):
            return value
        if not value:
            return None
        try:
            return json.loads(value)
        except ValueError:
            raise SlackError(error) from None

    def need_scope(self, *scopes: str) -> None:
        missing = [scope for scope in scopes if scope not in self.sandbox.scopes]
        if missing:
            raise SlackError("missing_scope", needed=",".join(missing), provided=",".join(sorted(self.sandbox.scopes)))
