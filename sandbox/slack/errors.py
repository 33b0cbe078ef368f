"""How the Web API refuses."""

from __future__ import annotations

from typing import Any


class SlackError(Exception):
    """`{"ok": false, "error": code, **more}` with HTTP 200, as the Web API words every refusal but one."""

    def __init__(self, code: str, **more: Any) -> None:
        super().__init__(code)
        self.code = code
        self.more = more


class RateLimited(SlackError):
    """HTTP 429 with `Retry-After` in whole seconds."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("ratelimited")
        self.retry_after_s = retry_after_s


def invalid_arguments(*complaints: str) -> SlackError:
    return SlackError("invalid_arguments", response_metadata={"messages": [f"[ERROR] {said}" for said in complaints]})


def missing_field(name: str) -> SlackError:
    return invalid_arguments(f"missing required field: {name}")
