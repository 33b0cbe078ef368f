"""The recordings of real servers, and the comparison of shapes: key structure, types and enum words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

FOLDER = Path(__file__).parents[2] / "recorded" / "thingsboard"
REPRODUCED: dict[str, str] = {}
"""Recording -> the test that reproduces it, filled by `reproduces`."""

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_INSTANT = re.compile(r"\d{13}")
_WORD = re.compile(r"[A-Z][A-Z_]+")
_Test = TypeVar("_Test", bound=Callable[..., Any])


def recorded(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text())


def reproduces(*names: str) -> Callable[[_Test], _Test]:
    """Marks a test as the one that does again what these recordings show."""

    def mark(test: _Test) -> _Test:
        REPRODUCED.update(dict.fromkeys(names, test.__name__))
        return test

    return mark


def differences(wanted: Any, made: Any, at: str = "$", *, exact: bool = True) -> list[str]:
    """Where `made` has another structure, type or enum word than the recording.

    `exact=False` is for rows whose order is not defined, so that another alarm may stand in a row: another word of the
    same enum, another owner and other details are then no difference.
    """
    if not exact and at.endswith((".details", ".customerId")):
        return []
    if isinstance(wanted, dict):
        if not isinstance(made, dict):
            return [f"{at}: {type(made).__name__} instead of an object"]
        found = [f"{at}.{key}: missing" for key in wanted.keys() - made.keys()]
        found += [f"{at}.{key}: not in the recording" for key in made.keys() - wanted.keys()]
        for key in wanted.keys() & made.keys():
            found += differences(wanted[key], made[key], f"{at}.{key}", exact=exact)
        return found
    if isinstance(wanted, list):
        if not isinstance(made, list) or (wanted and not made):
            return [f"{at}: {made!r} instead of a list with rows"]
        last = len(wanted) - 1
        pairs = [(wanted[min(i, last)], row, f"{at}[{i}]") for i, row in enumerate(made) if wanted]
        return [found for pair in pairs for found in differences(*pair, exact=exact)]
    if type(wanted) is not type(made):
        return [f"{at}: {made!r} instead of {wanted!r}"]
    if isinstance(wanted, str):
        return _text_differences(wanted, made, at, exact)
    return []


_ENUMS = (
    {"CRITICAL", "MAJOR", "MINOR", "WARNING", "INDETERMINATE"},
    {"ACTIVE_UNACK", "ACTIVE_ACK", "CLEARED_UNACK", "CLEARED_ACK"},
)


def _text_differences(wanted: str, made: str, at: str, exact: bool) -> list[str]:
    for pattern, kind in ((_UUID, "UUID"), (_INSTANT, "instant in ms")):
        if pattern.fullmatch(wanted):
            return [] if pattern.fullmatch(made) else [f"{at}: {made!r} is no {kind}"]
    same_enum = not exact and any({wanted, made} <= words for words in _ENUMS)
    if _WORD.fullmatch(wanted) and made != wanted and not same_enum:
        return [f"{at}: {made!r} instead of the word {wanted!r}"]
    if wanted.startswith("{") and wanted.endswith("}"):
        return differences(json.loads(wanted), json.loads(made), at + "<json>", exact=exact)
    return []
