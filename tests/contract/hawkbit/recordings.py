"""Answers recorded on a real hawkBit 1.1.0, and how one is compared with an answer to the same situation.

Ids, times, tokens, hashes and hosts are masked; digits in words too. Everything else must be equal: status, content
type, keys, types, enum words, counts, and who wrote a row last.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from tests.contract.hawkbit.world import World

FOLDER = Path(__file__).parents[2] / "recorded" / "hawkbit"
MASKED = frozenset(
    {
        "id",
        "entityId",
        "distributionSetId",
        "rollout",
        "createdAt",
        "lastModifiedAt",
        "installedAt",
        "reportedAt",
        "timestamp",
        "lastControllerRequestAt",
        "lastRequestAt",
        "nextExpectedRequestAt",
        "securityToken",
        "sha1",
        "md5",
        "sha256",
    }
)
Answers = dict[str, httpx.Response]
Scenario = Callable[[World], Awaitable[Answers]]
SCENARIOS: dict[str, tuple[Scenario, tuple[str, ...]]] = {}

NOT_REPRODUCED = {
    "rauc_status": "output of `rauc status` on a device, no hawkBit answer",
    "rauc_status_detailed_after_install": "output of `rauc status` on a device, no hawkBit answer",
}


def reproduces(*recordings: str) -> Callable[[Scenario], Scenario]:
    """Register how to get into the situations of these recordings. The scenario answers recording -> response."""

    def register(scenario: Scenario) -> Scenario:
        SCENARIOS[getattr(scenario, "__name__")] = (scenario, recordings)  # noqa: B009
        return scenario

    return register


def recorded(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text())


def names() -> set[str]:
    return {path.stem for path in FOLDER.glob("*.json")}


def shape_of_recording(name: str) -> Any:
    found = recorded(name)
    return _shape(found["status"], found["content_type"], found["body"])


def shape_of_answer(answer: httpx.Response) -> Any:
    kind = answer.headers.get("content-type")
    return _shape(answer.status_code, kind, answer.json() if answer.content else "")


def _shape(status: int, content_type: str | None, body: Any) -> Any:
    family = None if content_type is None else content_type.split(";")[0]
    if isinstance(body, dict) and "_trimmed_from" in body:
        rows = body["content"]
        body = {"content": rows, "total": len(rows), "size": len(rows)}
    return {"status": status, "content_type": family, "body": _masked(body)}


def _masked(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _masked(one, name) for name, one in sorted(value.items())}
    if isinstance(value, list):
        return [_masked(one, key) for one in value]
    if key in MASKED:
        return f"<{type(value).__name__}>"
    if isinstance(value, str):
        return re.sub(r"\d+", "N", re.sub(r"http://[\d.:]+", "HOST", value))
    if isinstance(value, float):
        return round(value, 4)
    return value
